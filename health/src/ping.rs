//! ICMP echo (ping) for any number of targets over one socket per family.

mod line;
mod packet;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use self::{
    line::{Line, Shared},
    packet::Version,
};
use crate::{Connect, HealthProbe, ProbeError, Success, Target};

/// Asks servers for an echo (ICMP, RFC 792; ICMPv6, RFC 4443), as keepalived's `PING_CHECK`.
///
/// Use one value for all targets, in an [`Arc`]: it has one socket per family, opened when it is
/// first needed. Answers are known by their number, by the server's address and by 64 bits that
/// nobody can guess. Up to 65,536 echoes may be on their way at a time in each family. An echo is
/// sent once: whether one that got lost counts is the checker's business (`fall`).
///
/// The port of a target is not looked at.
///
/// It needs leave: the group of the process in the sysctl `net.ipv4.ping_group_range`, which holds
/// for both families, or else `CAP_NET_RAW`.
#[derive(Debug, Default)]
pub struct PingProbe {
    connect: Connect,
    v4: Mutex<Option<Line>>,
    v6: Mutex<Option<Line>>,
}

/// Why there was no echo.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// Neither of the two ways to an ICMP socket is open to this process.
    #[error(
        "this process may not send pings: add its group to the sysctl net.ipv4.ping_group_range, \
         or give it CAP_NET_RAW"
    )]
    NotPermitted {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel did not send the echo: no route, a firewall rule, no such interface.
    #[error("cannot send a ping")]
    Send {
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Somebody sent the echo back with an ICMP error.
    #[error("no echo: {by} says that {meaning} (ICMP type {kind}, code {code})")]
    Returned {
        /// Who.
        by: String,
        /// What it says.
        meaning: &'static str,
        /// The type of the message.
        kind: u8,
        /// Its code.
        code: u8,
    },
    /// As many echoes are on their way as there are numbers for them.
    #[error("65536 pings wait for their answers: probe less often, or with shorter deadlines")]
    TooMany,
    /// The task that reads answers is gone: the runtime that it was started in goes down.
    #[error("pings are no longer received, as the runtime of this probe is shutting down")]
    Closed,
}

impl PingProbe {
    /// A probe that gets there in this way, as far as it is one without ports.
    #[must_use]
    pub fn new(connect: Connect) -> Self {
        let connect = Connect {
            bind_port: None,
            ..connect
        };
        Self {
            connect,
            ..Self::default()
        }
    }

    /// The socket of a family, opened anew if there is none or if nobody reads from it: the
    /// runtime that it belonged to may be gone while this value lives on.
    fn line(&self, version: Version) -> Result<Arc<Shared>, ProbeError> {
        let mut line = self
            .slot(version)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match line.as_ref() {
            Some(open) if open.is_alive() => Ok(open.shared()),
            Some(_) | None => {
                let open = Line::open(version, &self.connect)?;
                let shared = open.shared();
                *line = Some(open);
                Ok(shared)
            }
        }
    }

    const fn slot(&self, version: Version) -> &Mutex<Option<Line>> {
        match version {
            Version::V4 => &self.v4,
            Version::V6 => &self.v6,
        }
    }

    async fn ping(&self, target: SocketAddr) -> Result<Success, ProbeError> {
        let version = Version::of(target.ip());
        match self.line(version)?.ping(target).await {
            Ok(()) => Ok(Success::default()),
            Err(error) => {
                // A socket that is bound to an interface stays bound to it when another takes its
                // name.
                if let PingError::Send { source } = &error
                    && source.raw_os_error() == Some(libc::ENODEV)
                {
                    let slot = self.slot(version).lock();
                    *slot.unwrap_or_else(PoisonError::into_inner) = None;
                }
                Err(error.into())
            }
        }
    }
}

#[async_trait]
impl HealthProbe for PingProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let ping = self.ping(self.connect.destination(target));
        self.connect
            .bounded(target, "waiting for an echo", ping)
            .await
    }
}

#[cfg(test)]
#[path = "ping/tests.rs"]
mod tests;
