//! Whether a server's TLS is good.

use async_trait::async_trait;
use tokio::io::AsyncWriteExt;

use super::Tls;
use crate::{Connect, HealthProbe, ProbeError, Success, Target};

/// Connects, shakes hands by TLS and closes: the server has a certificate that is good, and its
/// key. It warns before the certificate expires.
///
/// With TLS 1.3 a server looks at the client's certificate after the handshake: whether it likes it
/// is seen by a probe that says something, such as `HttpProbe`.
#[derive(Debug, Clone)]
pub struct TlsProbe {
    connect: Connect,
    tls: Tls,
}

impl TlsProbe {
    /// A probe that gets there and speaks TLS in these ways.
    #[must_use]
    pub const fn new(connect: Connect, tls: Tls) -> Self {
        Self { connect, tls }
    }

    async fn shake_hands(&self, target: &Target) -> Result<Success, ProbeError> {
        let address = self.connect.destination(target);
        let stream = self.connect.tcp(target).await?;
        let name = address.ip().to_string();
        let (mut stream, warning) = self.tls.wrap(stream, address, &name, &[]).await?;
        // The closure is said so that the server does not log a broken connection.
        if let Err(error) = stream.shutdown().await {
            tracing::debug!(%error, "A connection was gone before it was closed");
        }
        Ok(Success {
            warning,
            ..Success::default()
        })
    }
}

#[async_trait]
impl HealthProbe for TlsProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let shake_hands = self.shake_hands(target);
        self.connect
            .bounded(target, "agreeing on TLS", shake_hands)
            .await
    }
}
