//! The trait behind which servers are, and what a probe of one finds out.

use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;

/// A way to find out whether a server does its work.
///
/// Implement with `#[async_trait]`, which this crate re-exports.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// Probes once. The caller bounds it in time.
    ///
    /// Idempotent, as far as the server is. Cancel safe: dropping the future gives the probe up and
    /// frees all that it holds.
    ///
    /// # Errors
    /// The server does not do its work, or that could not be found out: then too it counts as
    /// failed.
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError>;
}

#[async_trait]
impl<T: HealthProbe + ?Sized> HealthProbe for Arc<T> {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        (**self).probe(target).await
    }
}

/// A server that is probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Target {
    /// Where it serves. A probe may be told to look elsewhere.
    pub address: SocketAddr,
    /// Which of the [`steps`](crate::CheckConfig::steps) of its check this is, from 0. Only a probe
    /// that has several looks at it, such as one of several pages.
    pub step: u32,
}

impl Target {
    /// The server at an address.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, step: 0 }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// What a probe found out about a server that does its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Success {
    /// The weight that is asked for, if any is.
    pub weight: Option<AskedWeight>,
    /// What should be looked after before it fails, such as a certificate that soon expires.
    pub warning: Option<String>,
}

/// What a probe that passed says of the server's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a weight is set or changed")]
pub enum AskedWeight {
    /// It is to be this: a script's exit code from 2 on, less 2 (keepalived's `MISC_CHECK` with
    /// `misc_dynamic`).
    Exactly(u32),
    /// This is to be added to the configured one, see [`dynamic_weight`](crate::dynamic_weight):
    /// the number in a file (keepalived's `FILE_CHECK`).
    Change(i32),
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The cause lies with this machine, not with the server.
    #[error("cannot {action}{}", match .advice { Some(advice) => format!(": {advice}"), None => String::new() })]
    Local {
        /// What was tried, such as `bind to interface eth7`.
        action: String,
        /// What to do about it, if that is known.
        advice: Option<&'static str>,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Nothing listens there, or a firewall says so (ECONNREFUSED).
    #[error(
        "{address} refuses connections: nothing listens on that port, or a firewall rejects it"
    )]
    Refused {
        /// Where it was tried.
        address: SocketAddr,
    },
    /// The network says that there is no way (ICMP unreachable, no route, no neighbour).
    #[error("{address} cannot be reached")]
    Unreachable {
        /// Where it was tried.
        address: SocketAddr,
        /// Which way is missing.
        #[source]
        source: io::Error,
    },
    /// It broke the connection off (ECONNRESET, EPIPE).
    #[error("{address} broke the connection off while {doing}")]
    Reset {
        /// Who.
        address: SocketAddr,
        /// What the probe was about, such as `reading the banner`.
        doing: &'static str,
    },
    /// It ended the connection before it had said all that was expected.
    #[error("{address} closed the connection while {doing}")]
    Closed {
        /// Who.
        address: SocketAddr,
        /// What the probe was about.
        doing: &'static str,
    },
    /// It took longer than the probe's own time, `Connect::timeout`.
    #[error("{address} took longer than {after:?} while {doing}")]
    TimedOut {
        /// Who.
        address: SocketAddr,
        /// What the probe was about.
        doing: &'static str,
        /// How long it was given, from its start.
        after: Duration,
    },
    /// It said more than the probe reads.
    #[error("{address} said more than {limit} bytes while {doing}")]
    TooLong {
        /// Who.
        address: SocketAddr,
        /// What the probe was about.
        doing: &'static str,
        /// The most that is read.
        limit: usize,
    },
    /// The server did not say what it should.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Dialogue(#[from] crate::DialogueError),
    /// A DNS server did not answer as it should.
    #[cfg(feature = "dns")]
    #[error(transparent)]
    Dns(#[from] crate::DnsError),
    /// What a file holds is not what it should be.
    #[cfg(feature = "net")]
    #[error(transparent)]
    File(#[from] crate::FileError),
    /// A gRPC server did not say that its service does its work.
    #[cfg(feature = "grpc")]
    #[error(transparent)]
    Grpc(#[from] crate::GrpcError),
    /// A web server did not answer as it should.
    #[cfg(feature = "http")]
    #[error(transparent)]
    Http(#[from] crate::HttpError),
    /// No echo came.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Ping(#[from] crate::PingError),
    /// A program that was run as a check failed.
    #[cfg(feature = "script")]
    #[error(transparent)]
    Script(#[from] crate::ScriptError),
    /// TLS with a server did not work out.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::TlsError),
    /// The reply to a datagram is not what it should be.
    #[cfg(feature = "net")]
    #[error(transparent)]
    Udp(#[from] crate::UdpError),
    /// A probe of one's own failed, see [`ProbeError::other`].
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl ProbeError {
    /// The failure of a probe of one's own.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
