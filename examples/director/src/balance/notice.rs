//! What has to be told of virtual servers.

use std::{fmt, net::IpAddr};

use ipvs::Protocol;

use super::RealServerName;
use crate::conf::model::{Script, VirtualServerName, VirtualServerSubject};

/// Something that has to be told, with the script that is run for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must tell them all")]
pub enum Notice {
    /// A real server came up or went down.
    RealServer {
        /// Of which virtual server.
        virtual_server: VirtualServerName,
        /// Its protocol; `None`: it is for a mark.
        protocol: Option<Protocol>,
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
        /// Its protocol; `None`: it is for a mark.
        protocol: Option<Protocol>,
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

    /// What a FIFO is told of it, in one line (observed with keepalived 2.2.7).
    #[must_use]
    pub fn line(&self) -> String {
        let word = |up: &bool| if *up { "UP" } else { "DOWN" };
        match self {
            Self::RealServer {
                virtual_server,
                protocol,
                real_server: RealServerName { address, port },
                up,
                ..
            } => {
                let of_virtual_server = match &virtual_server.subject {
                    VirtualServerSubject::Address(endpoint) => endpoint.port,
                    VirtualServerSubject::Fwmark(_) | VirtualServerSubject::Group(_) => 0,
                };
                let server = trio(*address, *protocol, port.unwrap_or(of_virtual_server));
                let service = service(virtual_server, *protocol);
                format!("RS {server} {service} {}\n", word(up))
            }
            Self::Quorum {
                virtual_server,
                protocol,
                up,
                ..
            } => format!("VS {} {}\n", service(virtual_server, *protocol), word(up)),
        }
    }
}

/// A virtual server as keepalived calls it.
fn service(name: &VirtualServerName, protocol: Option<Protocol>) -> String {
    match &name.subject {
        VirtualServerSubject::Address(endpoint) => trio(endpoint.address, protocol, endpoint.port),
        VirtualServerSubject::Fwmark(mark) => format!("FWM {mark}"),
        VirtualServerSubject::Group(name) => format!("[{name}]:0"),
    }
}

fn trio(address: IpAddr, protocol: Option<Protocol>, port: u16) -> String {
    let protocol = match protocol {
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Sctp) => "sctp",
        None => "none",
    };
    format!("[{address}]:{protocol}:{port}")
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
