//! TLS as a client that looks closely.

#[cfg(feature = "http")]
mod closing;
mod error;
mod options;
mod probe;
mod verify;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, client::Resumption, client::WebPkiServerVerifier, pki_types::ServerName,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};

use self::verify::Witness;
#[cfg(feature = "http")]
pub(crate) use self::{closing::Closing, error::after_handshake};
pub use self::{
    error::{TlsError, TlsProblem},
    options::{TlsIdentity, TlsOptions, TlsOptionsError, ToldName},
    probe::TlsProbe,
};
use crate::ProbeError;

/// The protocol of HTTP/2 in the language of ALPN (RFC 9113 §3.2).
#[cfg(feature = "http")]
pub(crate) const HTTP_2: &[u8] = b"h2";

/// TLS 1.2 or 1.3, by options that have been found to be good. Copies are cheap.
///
/// Each connection has a full handshake: no session is resumed, so that the certificate is looked
/// at every time.
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    /// `None`: nothing is verified.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    name: Option<ServerName<'static>>,
    told: Told,
    warn_before: Duration,
}

/// What the handshake tells of whom it wants to talk to, see [`ToldName`].
#[derive(Debug, Clone)]
enum Told {
    Verified,
    Nothing,
    Name(ServerName<'static>),
}

impl Tls {
    /// Shakes hands on a connection that is there. `name` is whom the certificate must be for,
    /// unless the options say it. Gives a warning too where there is one.
    pub(crate) async fn wrap<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        address: SocketAddr,
        name: &str,
        protocols: &[&[u8]],
    ) -> Result<(TlsStream<S>, Option<String>), ProbeError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => ServerName::try_from(name.to_owned()).map_err(|_| TlsError {
                address,
                problem: Box::new(TlsProblem::NoName(name.to_owned())),
            })?,
        };
        let witness = Arc::new(Witness::new(
            self.verifier.clone(),
            name.clone(),
            self.warn_before,
        ));
        let mut config = (*self.config).clone();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config.enable_sni = !matches!(self.told, Told::Nothing);
        let verifier = Arc::clone(&witness) as _;
        config.dangerous().set_certificate_verifier(verifier);
        let told = match &self.told {
            Told::Verified | Told::Nothing => name,
            Told::Name(name) => name.clone(),
        };
        let shaken = TlsConnector::from(Arc::new(config)).connect(told, stream);
        match shaken.await {
            Ok(stream) => Ok((stream, witness.warning())),
            Err(error) => Err(error::of_handshake(address, witness.problem(), error)),
        }
    }
}
