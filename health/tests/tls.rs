//! Servers with TLS that is good and TLS that is not, on loopback.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use health::{
    Connect, HealthProbe, HttpPage, HttpProbe, HttpVersion, ProbeError, Success, Target, Tls,
    TlsIdentity, TlsOptions, TlsOptionsError, TlsProbe, TlsProblem, ToldName,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring::default_provider,
    pki_types::PrivateKeyDer,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Longer than any exchange of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

/// An authority that issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (rcgen::Certificate, KeyPair) {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// Options by which this authority alone is trusted.
    fn trusted(&self) -> TlsOptions {
        TlsOptions::trusting(self.certificate.pem())
    }
}

fn config(
    (certificate, key): (rcgen::Certificate, KeyPair),
    version: &'static SupportedProtocolVersion,
    clients: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// A server for one connection. It ends with the name that it was told in the handshake.
async fn server<F>(
    config: ServerConfig,
    then: impl FnOnce(TlsStream<TcpStream>) -> F + Send + 'static,
) -> (Target, JoinHandle<Option<String>>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let accepted = TlsAcceptor::from(Arc::new(config)).accept(stream);
        let stream = match accepted.into_fallible().await {
            Ok(stream) => stream,
            // Closed with something unread it would be a reset that overtakes the alert.
            Err((_, mut stream)) => {
                drop(stream.read_to_end(&mut Vec::new()).await);
                return None;
            }
        };
        let name = stream.get_ref().1.server_name().map(ToOwned::to_owned);
        then(stream).await;
        name
    });
    (target, serving)
}

/// Waits until the client is gone.
async fn wait(mut stream: TlsStream<TcpStream>) {
    drop(stream.read_to_end(&mut Vec::new()).await);
}

async fn read_head(stream: &mut TlsStream<TcpStream>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
}

async fn run(probe: impl HealthProbe, target: &Target) -> Result<Success, ProbeError> {
    tokio::time::timeout(PATIENCE, probe.probe(target))
        .await
        .expect("in time")
}

/// Shakes hands with a server that has this certificate.
async fn shake_hands(
    options: &TlsOptions,
    certificate: (rcgen::Certificate, KeyPair),
) -> Result<Success, ProbeError> {
    let (target, _serving) = server(config(certificate, &TLS13, None), wait).await;
    let probe = TlsProbe::new(Connect::default(), Tls::new(options).unwrap());
    run(probe, &target).await
}

fn problem(result: Result<Success, ProbeError>) -> TlsProblem {
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with("127.0.0.1:"), "{error}");
    let ProbeError::Tls(error) = error else {
        panic!("{error:?}");
    };
    *error.problem
}

#[tokio::test]
async fn a_good_certificate_passes_with_both_versions_of_tls() {
    let authority = Authority::new("a");
    for version in [&TLS12, &TLS13] {
        let certificate = authority.issue(&["127.0.0.1"], |_| {});
        let (target, _serving) = server(config(certificate, version, None), wait).await;
        let tls = Tls::new(&authority.trusted()).unwrap();
        let result = run(TlsProbe::new(Connect::default(), tls), &target).await;
        assert_eq!(result.unwrap(), Success::default());
    }
}

#[tokio::test]
async fn an_expired_certificate_says_since_when() {
    let authority = Authority::new("a");
    let expired = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let problem = problem(shake_hands(&authority.trusted(), expired).await);
    assert!(matches!(problem, TlsProblem::Expired { .. }), "{problem:?}");
    let text = problem.to_string();
    assert!(text.contains("Feb  3 ") && text.contains("2021"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_the_future_says_from_when() {
    let authority = Authority::new("a");
    let early = authority.issue(&["127.0.0.1"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
    });
    let problem = problem(shake_hands(&authority.trusted(), early).await);
    assert!(
        matches!(problem, TlsProblem::NotYetValid { .. }),
        "{problem:?}"
    );
    assert!(problem.to_string().contains("4000"), "{problem}");
}

#[tokio::test]
async fn a_certificate_for_somebody_else_says_for_whom() {
    let authority = Authority::new("a");
    let mut options = authority.trusted();
    options.name = Some("www.example.net".to_owned());
    let other = authority.issue(&["mail.example.net", "*.example.org"], |_| {});
    let problem = problem(shake_hands(&options, other).await);
    assert!(
        matches!(problem, TlsProblem::WrongName { .. }),
        "{problem:?}"
    );
    let text = problem.to_string();
    for name in ["www.example.net", "mail.example.net", "*.example.org"] {
        assert!(text.contains(name), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_stranger_says_whose() {
    let (mine, strange) = (Authority::new("mine"), Authority::new("Strange CA"));
    let certificate = strange.issue(&["127.0.0.1"], |_| {});
    let problem = problem(shake_hands(&mine.trusted(), certificate).await);
    assert!(
        matches!(problem, TlsProblem::UnknownAuthority { .. }),
        "{problem:?}"
    );
    assert!(problem.to_string().contains("Strange CA"), "{problem}");
}

#[tokio::test]
async fn by_default_those_are_trusted_whom_this_machine_trusts() {
    match Tls::new(&TlsOptions::default()) {
        Ok(_) => {
            let certificate = Authority::new("Strange CA").issue(&["127.0.0.1"], |_| {});
            let problem = problem(shake_hands(&TlsOptions::default(), certificate).await);
            assert!(
                matches!(problem, TlsProblem::UnknownAuthority { .. }),
                "{problem:?}"
            );
        }
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_taken_when_it_is_said_to_be_insecure() {
    let bad = Authority::new("a").issue(&["x"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let result = shake_hands(&TlsOptions::insecure(), bad).await;
    assert_eq!(result.unwrap(), Success::default());
}

#[tokio::test]
async fn a_certificate_that_expires_soon_passes_with_a_warning() {
    let authority = Authority::new("a");
    let issue = || {
        authority.issue(&["127.0.0.1"], |params| {
            params.not_after = date_time_ymd(4000, 1, 1);
        })
    };
    let mut options = authority.trusted();
    assert_eq!(shake_hands(&options, issue()).await.unwrap().warning, None);
    options.warn_before = Duration::from_secs(3000 * 366 * 24 * 60 * 60);
    let warning = shake_hands(&options, issue())
        .await
        .unwrap()
        .warning
        .unwrap();
    assert!(
        warning.contains("expires in") && warning.contains("4000"),
        "{warning}"
    );
}

#[tokio::test]
async fn what_does_not_speak_tls_and_what_hangs_up_are_told_apart() {
    let tls = Tls::new(&TlsOptions::insecure()).unwrap();
    for (said, not_tls) in [("SSH-2.0-OpenSSH\r\n", true), ("", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap());
        let _serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
        });
        let result = run(TlsProbe::new(Connect::default(), tls.clone()), &target).await;
        if not_tls {
            assert_eq!(problem(result), TlsProblem::NotTls);
        } else {
            assert!(
                matches!(result, Err(ProbeError::Closed { .. })),
                "{result:?}"
            );
        }
    }
}

#[tokio::test]
async fn silence_instead_of_a_handshake_ends_with_the_probes_own_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let timeout = Duration::from_millis(50);
    let mut connect = Connect::default();
    connect.timeout = Some(timeout);
    let probe = TlsProbe::new(connect, Tls::new(&TlsOptions::insecure()).unwrap());
    let result = run(probe, &target).await;
    assert!(
        matches!(result, Err(ProbeError::TimedOut { after, .. }) if after == timeout),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_client_without_a_certificate_is_told_that_it_wants_one() {
    let authority = Authority::new("a");
    let (shown, key) = authority.issue(&["client"], |_| {});
    let identity = TlsIdentity::new(shown.pem(), key.serialize_pem());
    for version in [&TLS12, &TLS13] {
        for identity in [None, Some(identity.clone())] {
            let certificate = authority.issue(&["127.0.0.1"], |_| {});
            let config = config(certificate, version, Some(&authority));
            let (target, _serving) = server(config, async |mut stream| {
                read_head(&mut stream).await;
                stream.write_all(RESPONSE).await.unwrap();
                stream.shutdown().await.unwrap();
            })
            .await;
            let mut options = authority.trusted();
            options.identity = identity.clone();
            let page = HttpPage::new("/").unwrap();
            let probe = HttpProbe::new(Connect::default(), page).tls(Tls::new(&options).unwrap());
            let result = run(probe, &target).await;
            if identity.is_some() {
                result.unwrap();
            } else {
                let problem = problem(result);
                assert!(matches!(problem, TlsProblem::Alert { .. }), "{problem:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_name_told_and_the_name_verified_can_differ() {
    let authority = Authority::new("a");
    let page = HttpPage::new("/")
        .unwrap()
        .host("www.example.net:80")
        .unwrap();
    for (told, heard) in [
        (ToldName::Verified, Some("www.example.net")),
        (ToldName::Untold, None),
        (
            ToldName::Name("other.example.net".to_owned()),
            Some("other.example.net"),
        ),
    ] {
        let certificate = authority.issue(&["www.example.net"], |_| {});
        let config = config(certificate, &TLS13, None);
        let (target, serving) = server(config, async |mut stream| {
            read_head(&mut stream).await;
            stream.write_all(RESPONSE).await.unwrap();
        })
        .await;
        let mut options = authority.trusted();
        options.told_name = told;
        let tls = Tls::new(&options).unwrap();
        let probe = HttpProbe::new(Connect::default(), page.clone()).tls(tls);
        run(probe, &target).await.unwrap();
        assert_eq!(serving.await.unwrap().as_deref(), heard);
    }
}

#[tokio::test]
async fn an_end_without_closure_is_a_failure_where_it_is_said_to_be() {
    let authority = Authority::new("a");
    for (closes, response) in [
        (true, RESPONSE),
        (false, RESPONSE),
        (false, b"HTTP/1.0 200 OK\r\n\r\nOK".as_slice()),
    ] {
        for compliant in [false, true] {
            let config = config(authority.issue(&["127.0.0.1"], |_| {}), &TLS13, None);
            let (target, _serving) = server(config, async move |mut stream| {
                read_head(&mut stream).await;
                stream.write_all(response).await.unwrap();
                if closes {
                    stream.shutdown().await.unwrap();
                } else {
                    stream.get_mut().0.shutdown().await.unwrap();
                }
                wait(stream).await;
            })
            .await;
            let mut page = HttpPage::new("/").unwrap();
            if compliant {
                page = page.tls_compliant();
            }
            let tls = Tls::new(&authority.trusted()).unwrap();
            let result = run(HttpProbe::new(Connect::default(), page).tls(tls), &target).await;
            if compliant && !closes {
                assert_eq!(problem(result), TlsProblem::Unclosed);
            } else {
                result.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_has_no_http_2_on_tls_is_told_as_such() {
    let authority = Authority::new("a");
    for speaks in [&[][..], &[b"http/1.1".to_vec()]] {
        let mut config = config(authority.issue(&["127.0.0.1"], |_| {}), &TLS13, None);
        config.alpn_protocols = speaks.to_vec();
        let (target, _serving) = server(config, wait).await;
        let probe = HttpProbe::new(Connect::default(), HttpPage::new("/").unwrap())
            .version(HttpVersion::V2)
            .tls(Tls::new(&authority.trusted()).unwrap());
        let text = problem(run(probe, &target).await).to_string();
        assert!(text.contains("HTTP"), "{text}");
    }
}

#[test]
fn options_that_cannot_be_used_say_why() {
    let wrong = |options: &TlsOptions| Tls::new(options).unwrap_err();
    let error = wrong(&TlsOptions::trusting("no PEM"));
    assert!(
        matches!(error, TlsOptionsError::Certificates { .. }),
        "{error}"
    );
    let mut options = TlsOptions::insecure();
    options.name = Some("a b".to_owned());
    assert_eq!(wrong(&options), TlsOptionsError::Name("a b".to_owned()));
    options.name = None;
    let authority = Authority::new("a");
    let (certificate, _) = authority.issue(&["a"], |_| {});
    let key = KeyPair::generate().unwrap().serialize_pem();
    options.identity = Some(TlsIdentity::new(certificate.pem(), key.clone()));
    let error = wrong(&options);
    assert!(matches!(error, TlsOptionsError::Identity(_)), "{error}");
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{options:?}{error}").contains(secret));
}
