//! The trait behind which servers are, and what a probe of one finds out.

use std::{fmt, io, net::SocketAddr, sync::Arc};

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
}

impl Target {
    /// The server at an address.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self { address }
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
    /// The weight that the server asks for, if it is asked: a script's exit code from 2 on, less 2
    /// (keepalived's `MISC_CHECK` with `misc_dynamic`).
    pub weight: Option<u32>,
    /// What should be looked after before it fails, such as a certificate that soon expires.
    pub warning: Option<String>,
}

/// Why a probe failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The probe could not be begun: the cause lies with this machine, not with the server.
    #[error("{action}")]
    Local {
        /// What was tried, such as "cannot bind to interface eth7".
        action: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}
