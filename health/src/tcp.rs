//! Whether a server takes TCP connections.

use async_trait::async_trait;

use crate::{Connect, HealthProbe, ProbeError, Success, Target};

/// Connects and closes: keepalived's `TCP_CHECK`.
///
/// The connection is closed in the ordinary way, so that no server logs a broken one. What the
/// server does with a connection once it is made does not matter: one that closes or resets it at
/// once passes every time, not only where the probe is faster. Ask with a
/// [`DialogueProbe`](crate::DialogueProbe) for more.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct TcpProbe {
    /// How to get there.
    pub connect: Connect,
}

impl TcpProbe {
    /// A probe that gets there in this way.
    #[must_use]
    pub const fn new(connect: Connect) -> Self {
        Self { connect }
    }
}

#[async_trait]
impl HealthProbe for TcpProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let connected = self.connect.tcp(target);
        let connected = self.connect.bounded(target, "connecting", connected);
        match connected.await {
            // A refusal is another error: who resets has taken the connection.
            Ok(_) | Err(ProbeError::Reset { .. }) => Ok(Success::default()),
            Err(error) => Err(error),
        }
    }
}
