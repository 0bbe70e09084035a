//! What can be wrong with TLS.

use std::{io, net::SocketAddr};

use rustls::{CertificateError, Error, InvalidMessage, pki_types::UnixTime};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use crate::{ProbeError, connect::while_talking, excerpt::Excerpt};

/// TLS with a server did not work out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {problem}")]
#[non_exhaustive]
pub struct TlsError {
    /// Who.
    pub address: SocketAddr,
    /// What is wrong.
    pub problem: Box<TlsProblem>,
}

/// What is wrong with a server's TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsProblem {
    /// Its certificate was good once.
    #[error("its certificate expired on {since}: renew it")]
    Expired {
        /// When it was good the last time.
        since: String,
    },
    /// Its certificate is not good yet, or the clock of this machine is wrong.
    #[error("its certificate is good from {from} on only: is the clock of this machine right?")]
    NotYetValid {
        /// When it begins to be good.
        from: String,
    },
    /// Its certificate is for somebody else.
    #[error("expected a certificate for {expected}, but it is for {}", listed(.names))]
    WrongName {
        /// Whom it should be for.
        expected: String,
        /// Whom it is for, as it has it.
        names: Vec<String>,
    },
    /// Its certificate is issued by somebody who is not trusted, or by itself.
    #[error("its certificate is issued by {}, whom nobody trusts: give that authority's certificate, or have the server send all of its chain", Excerpt(.issuer.as_bytes()))]
    UnknownAuthority {
        /// Who issued it.
        issuer: String,
    },
    /// Its certificate cannot be used for another reason.
    #[error("its certificate is not good: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// It does not speak TLS on that port.
    #[error("it does not speak TLS on that port")]
    NotTls,
    /// It refuses, by an alert (RFC 8446 §6).
    #[error("it refuses TLS with alert \"{alert}\"{}", advice(.alert))]
    Alert {
        /// The alert's name, such as `HandshakeFailure`.
        alert: String,
    },
    /// It speaks TLS, but of a kind or in a way that is not taken.
    #[error("TLS with it fails: {reason}")]
    Failed {
        /// What is wrong.
        reason: String,
    },
    /// It speaks TLS but not HTTP/2 on it.
    #[cfg(feature = "http")]
    #[error("it did not agree to speak HTTP/2 on TLS (ALPN h2)")]
    NoHttp2,
    /// It closed the connection without the closure of TLS, so that what it said may be cut off.
    #[cfg(feature = "http")]
    #[error("it closed the connection without the closure of TLS (close_notify)")]
    Unclosed,
    /// Whom the certificate should be for is no name that a certificate could have.
    #[error("\"{}\" is no name that a certificate can be for", .0.escape_debug())]
    NoName(String),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no host at all".to_owned();
    }
    Excerpt(names.join(", ").as_bytes()).to_string()
}

fn advice(alert: &str) -> &'static str {
    match alert {
        "CertificateRequired" => ": it wants a certificate of the client",
        "UnrecognizedName" => ": it does not know the name that was asked for",
        "ProtocolVersion" => ": it wants another version than TLS 1.2 or 1.3",
        "NoApplicationProtocol" => ": it does not speak that version of HTTP on TLS",
        _ => "",
    }
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    ASN1Time::from_timestamp(seconds).map_or_else(
        |_| format!("{seconds} seconds after 1970"),
        |date| date.to_string(),
    )
}

fn validity(certificate: &[u8], which: fn(&X509Certificate<'_>) -> ASN1Time) -> String {
    X509Certificate::from_der(certificate).map_or_else(
        |_| "an unknown day".to_owned(),
        |(_, certificate)| which(&certificate).to_string(),
    )
}

/// Says what is wrong with a certificate.
pub(super) fn of_certificate(certificate: &[u8], error: &Error) -> TlsProblem {
    let Error::InvalidCertificate(cause) = error else {
        return of_rustls(error);
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest tells for itself")]
    match cause {
        CertificateError::ExpiredContext { not_after, .. } => TlsProblem::Expired {
            since: date(*not_after),
        },
        CertificateError::Expired => TlsProblem::Expired {
            since: validity(certificate, |it| it.validity().not_after),
        },
        CertificateError::NotValidYetContext { not_before, .. } => TlsProblem::NotYetValid {
            from: date(*not_before),
        },
        CertificateError::NotValidYet => TlsProblem::NotYetValid {
            from: validity(certificate, |it| it.validity().not_before),
        },
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => TlsProblem::WrongName {
            expected: expected.to_str().into_owned(),
            names: presented.clone(),
        },
        // Of an authority's name, but not by its key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsProblem::UnknownAuthority {
                issuer: X509Certificate::from_der(certificate)
                    .map_or_else(|_| String::new(), |(_, it)| it.issuer().to_string()),
            }
        }
        _ => TlsProblem::Certificate {
            reason: cause.to_string(),
        },
    }
}

fn of_rustls(error: &Error) -> TlsProblem {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest tells for itself")]
    match error {
        Error::AlertReceived(alert) => TlsProblem::Alert {
            alert: format!("{alert:?}"),
        },
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => TlsProblem::NotTls,
        Error::InvalidCertificate(cause) => TlsProblem::Certificate {
            reason: cause.to_string(),
        },
        _ => TlsProblem::Failed {
            reason: error.to_string(),
        },
    }
}

/// What an error of the handshake means, if `seen` is what the certificate was found to be.
pub(super) fn of_handshake(
    address: SocketAddr,
    seen: Option<TlsProblem>,
    error: io::Error,
) -> ProbeError {
    let problem = seen.or_else(|| {
        let inner = error.get_ref()?.downcast_ref::<Error>()?;
        Some(of_rustls(inner))
    });
    match problem {
        Some(problem) => TlsError {
            address,
            problem: Box::new(problem),
        }
        .into(),
        None => while_talking(address, "agreeing on TLS", error),
    }
}

/// What an error means that came after the handshake, if it is one of TLS. With TLS 1.3 a server
/// looks at the client's certificate only then.
#[cfg(feature = "http")]
pub(crate) fn after_handshake(address: SocketAddr, error: &io::Error) -> Option<ProbeError> {
    let inner = error.get_ref()?;
    let problem = match inner.downcast_ref::<Error>() {
        Some(error) => of_rustls(error),
        None => inner.downcast_ref::<TlsProblem>()?.clone(),
    };
    let problem = Box::new(problem);
    Some(TlsError { address, problem }.into())
}
