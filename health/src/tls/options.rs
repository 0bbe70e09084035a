//! What is asked of TLS.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::{Tls, Told, verify::Witness};

/// How TLS is spoken and what is asked of the server's certificate.
///
/// By default it must be issued by an authority that this machine trusts, for the name that is
/// asked for, and be valid now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Certificates of authorities in PEM; `None`: those that this machine trusts.
    pub authorities: Option<Vec<u8>>,
    /// The host name or address that the certificate must be for; `None`: the virtual host of the
    /// page, or else the address connected to.
    pub name: Option<String>,
    /// The name told in the handshake (SNI).
    pub told_name: ToldName,
    /// The certificate that the client shows, if it has one.
    pub identity: Option<TlsIdentity>,
    /// How long before the server's certificate expires a probe that passes begins to warn. Default:
    /// 14 days; 0: never. Its intermediate authorities are not looked at for this.
    pub warn_before: Duration,
    /// Takes any certificate, of anybody, expired or not: keepalived's `SSL_GET`. Who is on the way
    /// can then answer in the server's stead.
    pub insecure: bool,
}

/// The name that a handshake tells (RFC 6066 §3), by which a server chooses its certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ToldName {
    /// That which the certificate must be for, unless it is an address (`enable_sni`).
    #[default]
    Verified,
    /// None: what keepalived does by default.
    Untold,
    /// Another (`sni_name`).
    Name(String),
}

/// A client's certificate and its key, in PEM. Debug output leaves them out.
#[derive(Clone)]
#[non_exhaustive]
pub struct TlsIdentity {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

/// TLS cannot be spoken by such options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsOptionsError {
    /// This machine trusts nobody.
    #[error("this machine has no certificates of authorities{}: install ca-certificates, or give the authority's certificate", told(.0))]
    NoAuthorities(
        /// What went wrong while they were looked for, if anything.
        String,
    ),
    /// What was given as certificates is none.
    #[error("there is no good certificate in {what}{}: PEM is expected", told(.reason))]
    Certificates {
        /// Which they are, such as `the authorities`.
        what: &'static str,
        /// What is wrong, if it is known.
        reason: String,
    },
    /// The client's key is none, or not that of its certificate.
    #[error("the client's certificate and key cannot be used{}", told(.0))]
    Identity(
        /// What is wrong with them, if it is known.
        String,
    ),
    /// A name is none.
    #[error("\"{}\" is no host name and no address", .0.escape_debug())]
    Name(String),
}

fn told(reason: &str) -> String {
    if reason.is_empty() {
        return String::new();
    }
    format!(" ({reason})")
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            authorities: None,
            name: None,
            told_name: ToldName::default(),
            identity: None,
            warn_before: Duration::from_secs(14 * 24 * 60 * 60),
            insecure: false,
        }
    }
}

impl TlsOptions {
    /// Options by which any certificate is good, see [`Self::insecure`].
    #[must_use]
    pub fn insecure() -> Self {
        Self {
            insecure: true,
            ..Self::default()
        }
    }

    /// Options by which these authorities alone are trusted: their certificates in PEM.
    #[must_use]
    pub fn trusting(authorities: impl Into<Vec<u8>>) -> Self {
        Self {
            authorities: Some(authorities.into()),
            ..Self::default()
        }
    }
}

impl TlsIdentity {
    /// A client's certificate, with those of its intermediate authorities after it, and its key.
    #[must_use]
    pub fn new(certificates: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            certificates: certificates.into(),
            key: key.into(),
        }
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS by these options. Unless they name authorities or are insecure it reads those of this
    /// machine, from files: do it once.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn new(options: &TlsOptions) -> Result<Self, TlsOptionsError> {
        let provider = Arc::new(default_provider());
        let verifier = if options.insecure {
            None
        } else {
            let roots = match &options.authorities {
                Some(pem) => given(pem)?,
                None => native()?,
            };
            let roots = Arc::new(roots);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| TlsOptionsError::NoAuthorities(error.to_string()))?)
        };
        let name = options.name.as_deref().map(parse).transpose()?;
        let told = match &options.told_name {
            ToldName::Verified => Told::Verified,
            ToldName::Untold => Told::Nothing,
            ToldName::Name(name) => Told::Name(parse(name)?),
        };
        // Each connection has a witness of its own.
        let nobody = ServerName::from(IpAddr::from(std::net::Ipv4Addr::UNSPECIFIED));
        let witness = Witness::new(verifier.clone(), nobody, options.warn_before);
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsOptionsError::Identity(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(witness));
        let config = match &options.identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = certificates("the client's certificates", &identity.certificates)?;
                let wrong = |reason: String| TlsOptionsError::Identity(reason);
                let key = PrivateKeyDer::from_pem_slice(&identity.key);
                let key = key.map_err(|error| wrong(error.to_string()))?;
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(|error| wrong(error.to_string()))?
            }
        };
        Ok(Self {
            config: Arc::new(config),
            verifier,
            name,
            told,
            warn_before: options.warn_before,
        })
    }
}

fn parse(name: &str) -> Result<ServerName<'static>, TlsOptionsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsOptionsError::Name(name.to_owned()))
}

fn certificates(
    what: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsOptionsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let wrong = |reason| TlsOptionsError::Certificates { what, reason };
    let read = read.map_err(|error| wrong(error.to_string()))?;
    if read.is_empty() {
        return Err(wrong(String::new()));
    }
    Ok(read)
}

/// Authorities that somebody chose: all of them have to be good.
fn given(pem: &[u8]) -> Result<RootCertStore, TlsOptionsError> {
    let what = "the authorities";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, pem)? {
        roots
            .add(certificate)
            .map_err(|error| TlsOptionsError::Certificates {
                what,
                reason: error.to_string(),
            })?;
    }
    Ok(roots)
}

/// Those of the machine: one that is not understood does no harm to the others.
fn native() -> Result<RootCertStore, TlsOptionsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, ignored) = roots.add_parsable_certificates(found.certs);
    if ignored > 0 {
        tracing::debug!(
            ignored,
            "Authorities of this machine that are not understood"
        );
    }
    if roots.is_empty() {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(TlsOptionsError::NoAuthorities(errors.join(", ")));
    }
    Ok(roots)
}
