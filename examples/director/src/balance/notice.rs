//! What has to be told of virtual servers.

use std::fmt;

use super::RealServerName;
use crate::conf::model::{Script, VirtualServerName};

/// Something that has to be told, with the script that is run for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must tell them all")]
pub enum Notice {
    /// A real server came up or went down.
    RealServer {
        /// Of which virtual server.
        virtual_server: VirtualServerName,
        /// Which one.
        real_server: RealServerName,
        /// Whether it came up.
        up: bool,
        /// `notify_up` or `notify_down`.
        script: Option<Script>,
    },
    /// A virtual server gained or lost its quorum.
    Quorum {
        /// Which one.
        virtual_server: VirtualServerName,
        /// Whether it was gained.
        up: bool,
        /// `quorum_up` or `quorum_down`.
        script: Option<Script>,
    },
}

impl Notice {
    /// The script that is run for it, and whose it is.
    #[must_use]
    pub fn script(&self) -> (&VirtualServerName, Option<&Script>) {
        let (Self::RealServer {
            virtual_server,
            script,
            ..
        }
        | Self::Quorum {
            virtual_server,
            script,
            ..
        }) = self;
        (virtual_server, script.as_ref())
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RealServer {
                virtual_server,
                real_server,
                up,
                ..
            } => {
                let word = if *up { "up" } else { "down" };
                write!(
                    f,
                    "Real server {real_server} of VS {virtual_server} is {word}"
                )
            }
            Self::Quorum {
                virtual_server, up, ..
            } => {
                let word = if *up { "Gained" } else { "Lost" };
                write!(f, "{word} quorum for VS {virtual_server}")
            }
        }
    }
}
