//! gRPC servers that behave and servers that do not, on loopback.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use health::{
    Connect, GrpcError, GrpcProbe, GrpcProblem, HealthProbe, ProbeError, ServingStatus, Success,
    Target, Tls, TlsError, TlsOptions, TlsProblem,
};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Bytes, Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use rustls::{ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tonic_health::{ServingStatus as Says, server::health_reporter};

/// Longer than any exchange of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

const SERVING: &[u8] = b"\0\0\0\0\x02\x08\x01";

/// A server that treats every connection so.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Target
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    target
}

/// A server of HTTP/2 with this head, this body and these trailers.
async fn answers(
    head: &'static [(&'static str, &'static str)],
    body: &'static [u8],
    trailers: &'static [(&'static str, &'static str)],
) -> Target {
    let answer = move |_: Request<Incoming>| async move {
        let mut response = Response::builder();
        for (name, value) in head {
            response = match *name {
                ":status" => response.status(*value),
                name => response.header(name, *value),
            };
        }
        let ended: HeaderMap = trailers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        let ended = (!ended.is_empty()).then_some(ended);
        let body = Full::new(Bytes::from_static(body))
            .with_trailers(async move { ended.map(Ok::<_, Infallible>) });
        Ok::<_, Infallible>(response.body(body).unwrap())
    };
    server(move |stream| async move {
        let connection = http2::Builder::new(TokioExecutor::new());
        let served = connection.serve_connection(TokioIo::new(stream), service_fn(answer));
        drop(served.await);
    })
    .await
}

async fn probe(probe: &GrpcProbe, target: &Target) -> Result<Success, ProbeError> {
    tokio::time::timeout(PATIENCE, probe.probe(target))
        .await
        .expect("in time")
}

async fn ask(service: &str, target: &Target) -> Result<Success, ProbeError> {
    probe(&GrpcProbe::new(Connect::default(), service), target).await
}

async fn problem(service: &str, target: &Target) -> GrpcProblem {
    match ask(service, target).await {
        Err(ProbeError::Grpc(GrpcError {
            address, problem, ..
        })) => {
            assert_eq!(address, target.address);
            problem
        }
        other => panic!("{other:?}"),
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");
const OK: (&str, &str) = ("grpc-status", "0");

#[tokio::test]
async fn a_server_of_another_make_tells_each_status_of_its_services() {
    let (reporter, service) = health_reporter();
    for (name, status) in [
        ("up", Says::Serving),
        ("down", Says::NotServing),
        ("unsure", Says::Unknown),
    ] {
        reporter.set_service_status(name, status).await;
    }
    let target = server(move |stream| {
        let service = TowerToHyperService::new(service.clone());
        async move {
            let connection = http2::Builder::new(TokioExecutor::new());
            let served = connection.serve_connection(TokioIo::new(stream), service);
            drop(served.await);
        }
    })
    .await;
    assert_eq!(ask("up", &target).await.unwrap(), Success::default());
    assert_eq!(ask("", &target).await.unwrap(), Success::default());
    for (name, status) in [
        ("down", ServingStatus::NotServing),
        ("unsure", ServingStatus::Unknown),
    ] {
        assert_eq!(problem(name, &target).await, GrpcProblem::Status(status));
    }
    assert_eq!(problem("other", &target).await, GrpcProblem::UnknownService);
    reporter.set_service_status("up", Says::NotServing).await;
    let now = GrpcProblem::Status(ServingStatus::NotServing);
    assert_eq!(problem("up", &target).await, now);
}

#[tokio::test]
async fn a_good_answer_by_hand_passes() {
    let target = answers(&[GRPC], SERVING, &[OK]).await;
    ask("a", &target).await.unwrap();
    let target = answers(
        &[("content-type", "application/grpc+proto")],
        SERVING,
        &[OK],
    )
    .await;
    ask("a", &target).await.unwrap();
}

#[tokio::test]
async fn a_failed_call_is_told_with_its_code_in_head_or_trailers() {
    let unimplemented = [GRPC, ("grpc-status", "12")];
    let target = answers(Box::leak(Box::new(unimplemented)), b"", &[]).await;
    assert_eq!(problem("a", &target).await, GrpcProblem::NoHealthService);
    let ended = &[("grpc-status", "14"), ("grpc-message", "going%20down")];
    let target = answers(&[GRPC], SERVING, ended).await;
    let failed = GrpcProblem::Failed {
        code: 14,
        message: b"going%20down".to_vec(),
    };
    assert_eq!(problem("a", &target).await, failed);
    let target = answers(&[GRPC], SERVING, &[("grpc-status", "x")]).await;
    assert!(matches!(
        problem("a", &target).await,
        GrpcProblem::Malformed(_)
    ));
}

#[tokio::test]
async fn serving_without_a_status_of_the_call_does_not_pass() {
    let target = answers(&[GRPC], SERVING, &[]).await;
    assert!(matches!(
        problem("a", &target).await,
        GrpcProblem::Malformed(_)
    ));
    let target = answers(&[GRPC], b"", &[OK]).await;
    assert!(matches!(
        problem("a", &target).await,
        GrpcProblem::Malformed(_)
    ));
    let target = answers(&[GRPC], b"\0\0\0\0\x09\x08\x01", &[OK]).await;
    assert!(matches!(
        problem("a", &target).await,
        GrpcProblem::Malformed(_)
    ));
}

#[tokio::test]
async fn a_web_server_is_no_grpc_server() {
    let target = answers(&[("content-type", "text/html")], SERVING, &[OK]).await;
    let html = GrpcProblem::NotGrpc(b"text/html".to_vec());
    assert_eq!(problem("a", &target).await, html);
    let target = answers(&[(":status", "502"), GRPC], b"", &[]).await;
    assert_eq!(problem("a", &target).await, GrpcProblem::HttpStatus(502));
}

#[tokio::test]
async fn a_server_of_http_1_is_told_from_one_that_closes() {
    let target = server(async |mut stream| {
        let bad = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(bad).await.unwrap();
        // What was sent is read to its end, else the kernel would reset the connection.
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    assert!(matches!(problem("a", &target).await, GrpcProblem::Http2(_)));
    let target = server(async |mut stream| {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        stream.shutdown().await.unwrap();
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    let error = ask("a", &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error:?}");
}

/// A body without an end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 100])))))
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let endless = |_: Request<Incoming>| async {
        let (name, value) = GRPC;
        Ok::<_, Infallible>(
            Response::builder()
                .header(name, value)
                .body(Endless)
                .unwrap(),
        )
    };
    let target = server(move |stream| async move {
        let connection = http2::Builder::new(TokioExecutor::new());
        let served = connection.serve_connection(TokioIo::new(stream), service_fn(endless));
        drop(served.await);
    })
    .await;
    let error = ask("a", &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::TooLong { .. }), "{error:?}");
}

#[tokio::test]
async fn silence_ends_with_the_probes_own_time_and_nothing_is_left_of_it() {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let target = server(move |mut stream| {
        let ended = ended.clone();
        async move {
            drop(stream.read_to_end(&mut Vec::new()).await);
            ended.send(()).unwrap();
        }
    })
    .await;
    let mut connect = Connect::default();
    let timeout = Duration::from_millis(50);
    connect.timeout = Some(timeout);
    let error = probe(&GrpcProbe::new(connect, "a"), &target).await;
    assert!(
        matches!(error, Err(ProbeError::TimedOut { after, .. }) if after == timeout),
        "{error:?}"
    );
    // The server sees the end of a connection only when nobody holds it any more.
    let seen = tokio::time::timeout(PATIENCE, end.recv()).await;
    assert_eq!(seen.expect("in time"), Some(()));
}

#[tokio::test]
async fn a_reset_is_told_as_such() {
    let target = server(async |mut stream| {
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        let linger = Some(Duration::ZERO);
        SockRef::from(&stream).set_linger(linger).unwrap();
    })
    .await;
    let error = ask("a", &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Reset { .. }), "{error:?}");
}

const NAME: &str = "orders.example.net";

/// A server of another make with TLS that offers these protocols, and TLS that trusts it.
async fn with_tls(protocols: &'static [&'static [u8]]) -> (Target, Tls) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (_, service) = health_reporter();
    let target = server(move |stream| {
        let (acceptor, service) = (acceptor.clone(), service.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let connection = http2::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            drop(
                connection
                    .serve_connection(TokioIo::new(stream), service)
                    .await,
            );
        }
    })
    .await;
    let tls = Tls::new(&TlsOptions::trusting(made.cert.pem())).unwrap();
    (target, tls)
}

async fn tls_problem(asked: &GrpcProbe, target: &Target) -> TlsProblem {
    match probe(asked, target).await {
        Err(ProbeError::Tls(TlsError { problem, .. })) => *problem,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn with_tls_the_certificate_has_to_be_for_the_authority() {
    let (target, tls) = with_tls(&[b"h2"]).await;
    let asked = GrpcProbe::new(Connect::default(), "").tls(tls);
    let named = asked.clone().authority(&format!("{NAME}:50051")).unwrap();
    assert_eq!(probe(&named, &target).await.unwrap(), Success::default());
    let other = asked.clone().authority("other.example.net").unwrap();
    let text = tls_problem(&other, &target).await.to_string();
    assert!(
        text.contains("other.example.net") && text.contains(NAME),
        "{text}"
    );
    // Without a name it is the address that the certificate is not for.
    let text = tls_problem(&asked, &target).await.to_string();
    assert!(text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn tls_without_http_2_on_it_is_told_as_such() {
    let (target, tls) = with_tls(&[]).await;
    let asked = GrpcProbe::new(Connect::default(), "").tls(tls);
    let asked = asked.authority(NAME).unwrap();
    assert_eq!(tls_problem(&asked, &target).await, TlsProblem::NoHttp2);
}

#[tokio::test]
async fn tls_missing_on_either_side_does_not_pass() {
    let (target, tls) = with_tls(&[b"h2"]).await;
    ask("", &target).await.unwrap_err();
    let plain = answers(&[GRPC], SERVING, &[OK]).await;
    let asked = GrpcProbe::new(Connect::default(), "").tls(tls);
    tls_problem(&asked, &plain).await;
}
