//! What a server's certificate is found to be.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        WebPkiSupportedAlgorithms, ring::default_provider, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{TlsProblem, error};

/// Verifies the certificate of one connection, and remembers what was to be said of it.
#[derive(Debug)]
pub(super) struct Witness {
    /// `None`: any certificate is good.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    /// Whom it must be for, which need not be what the handshake tells.
    name: ServerName<'static>,
    warn_before: Duration,
    algorithms: WebPkiSupportedAlgorithms,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    problem: Option<TlsProblem>,
    warning: Option<String>,
}

impl Witness {
    pub(super) fn new(
        verifier: Option<Arc<WebPkiServerVerifier>>,
        name: ServerName<'static>,
        warn_before: Duration,
    ) -> Self {
        Self {
            verifier,
            name,
            warn_before,
            algorithms: default_provider().signature_verification_algorithms,
            found: Mutex::default(),
        }
    }

    /// What is wrong with the certificate that was seen.
    pub(super) fn problem(&self) -> Option<TlsProblem> {
        self.found().problem.take()
    }

    /// What should be looked after soon.
    pub(super) fn warning(&self) -> Option<String> {
        self.found().warning.take()
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says when a good certificate will be good no longer, if that is soon.
    fn expires_soon(&self, certificate: &[u8], now: UnixTime) -> Option<String> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let end = certificate.validity().not_after;
        let left = u64::try_from(end.timestamp()).ok()?;
        let left = left.saturating_sub(now.as_secs());
        (left < self.warn_before.as_secs()).then(|| {
            let (days, hours) = (left / 86_400, left % 86_400 / 3600);
            format!("its certificate expires in {days} days and {hours} hours ({end}): renew it")
        })
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _told: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.verifier else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified =
            verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now);
        match &verified {
            Ok(_) => self.found().warning = self.expires_soon(end_entity, now),
            Err(error) => self.found().problem = Some(error::of_certificate(end_entity, error)),
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
