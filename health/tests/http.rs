//! Web servers that behave and web servers that do not, on loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use health::{
    BodyPattern, Connect, HealthProbe, HttpError, HttpExpect, HttpPage, HttpProbe, HttpProblem,
    HttpVersion, PatternOptions, ProbeError, Success, Target,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

/// Longer than any exchange of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server for one connection. It ends with the head of the request.
async fn server<F>(
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (Target, JoinHandle<String>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        then(stream).await;
        String::from_utf8(head).unwrap()
    });
    (target, serving)
}

/// A server that says this and closes.
async fn says(response: impl AsRef<[u8]> + Send + 'static) -> (Target, JoinHandle<String>) {
    server(async move |mut stream| stream.write_all(response.as_ref()).await.unwrap()).await
}

fn page(expect: HttpExpect) -> HttpProbe {
    HttpProbe::new(
        Connect::default(),
        HttpPage::new("/health").unwrap().expect(expect),
    )
}

fn pattern(text: &str) -> HttpExpect {
    HttpExpect::default().pattern(BodyPattern::new(text, PatternOptions::default()).unwrap())
}

async fn probe(probe: &HttpProbe, target: &Target) -> Result<Success, ProbeError> {
    tokio::time::timeout(PATIENCE, probe.probe(target))
        .await
        .expect("in time")
}

/// The error of a probe for `OK` against a server that says this and closes.
async fn failure(response: impl AsRef<[u8]> + Send + 'static) -> ProbeError {
    let (target, _serving) = says(response).await;
    probe(&page(pattern("OK")), &target).await.unwrap_err()
}

#[tokio::test]
async fn a_page_of_each_version_of_http_1_is_asked_for_as_it_is_written() {
    for (version, line, closes) in [
        (HttpVersion::V1_0, "GET /health HTTP/1.0\r\n", false),
        (HttpVersion::V1_0Close, "GET /health HTTP/1.0\r\n", true),
        (HttpVersion::V1_1, "GET /health HTTP/1.1\r\n", true),
    ] {
        let (target, serving) = says("HTTP/1.0 200 OK\r\n\r\nOK").await;
        let asked = page(pattern("OK")).version(version);
        assert_eq!(probe(&asked, &target).await.unwrap(), Success::default());
        let head = serving.await.unwrap().to_lowercase();
        assert!(head.starts_with(&line.to_lowercase()), "{head}");
        assert!(head.contains(&format!("\r\nhost: {target}\r\n")), "{head}");
        assert_eq!(head.contains("\r\nconnection: close\r\n"), closes, "{head}");
        assert!(!head.contains("keep-alive"), "{head}");
    }
}

#[tokio::test]
async fn virtual_host_headers_and_user_are_sent() {
    let (target, serving) = says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").await;
    let page = HttpPage::new("/a?b=%20c").unwrap();
    let page = page.host("www.example.net:8080").unwrap();
    let page = page.header("X-Probe", "1").unwrap();
    let page = page.header("user-agent", "mine").unwrap();
    let page = page.basic_auth("Aladdin", "open sesame").unwrap().head();
    let asked = HttpProbe::new(Connect::default(), page);
    probe(&asked, &target).await.unwrap();
    let head = serving.await.unwrap();
    assert!(head.starts_with("HEAD /a?b=%20c HTTP/1.1\r\n"), "{head}");
    for line in [
        "host: www.example.net:8080",
        "x-probe: 1",
        "user-agent: mine",
        "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(!head.contains("takeover"), "{head}");
}

#[tokio::test]
async fn each_step_asks_for_a_page_of_its_own() {
    let asked = page(HttpExpect::default()).and(HttpPage::new("/other").unwrap());
    let (mut target, serving) = says("HTTP/1.1 204 No Content\r\n\r\n").await;
    target.step = 1;
    probe(&asked, &target).await.unwrap();
    assert!(serving.await.unwrap().starts_with("GET /other "));

    target.step = 2;
    let error = probe(&asked, &target).await.unwrap_err().to_string();
    assert!(
        error.contains("step 2") && error.contains("2 pages"),
        "{error}"
    );
}

#[tokio::test]
async fn a_bad_status_names_server_page_and_what_was_expected() {
    let (target, _serving) = says("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    let error = probe(&page(HttpExpect::default()), &target)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{target}, asked for /health: expected status 200-299, but it is 503 (Service \
             Unavailable)"
        )
    );
}

#[tokio::test]
async fn a_body_in_chunks_or_up_to_the_end_of_the_connection_is_put_together() {
    for response in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1\r\nK\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nOK",
        "HTTP/1.0 200\r\n\r\nOK",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
    ] {
        let (target, _serving) = says(response).await;
        probe(&page(pattern("^OK$")), &target).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_ends_too_early_is_no_page() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "",
    ] {
        let error = failure(response).await;
        assert!(
            matches!(error, ProbeError::Closed { .. }),
            "{response}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_http_is_told_as_such() {
    for response in [
        "SSH-2.0-OpenSSH\r\n",
        "220 mail\r\n",
        "\x15\x03\x01\x00\x02\x02\x16",
    ] {
        let error = failure(response).await;
        let ProbeError::Http(HttpError { problem, .. }) = &error else {
            panic!("{error:?}");
        };
        assert!(
            matches!(**problem, HttpProblem::NotHttp { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("is not HTTP/1.1"), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_utf_8_is_shown_escaped() {
    let error = failure(b"HTTP/1.1 200 OK\r\n\r\n\xff\x1b[2J")
        .await
        .to_string();
    assert!(
        error.ends_with(r#"but the body is "\xff\x1b[2J""#),
        "{error}"
    );
}

#[tokio::test]
async fn endless_heads_and_endless_bodies_are_cut() {
    for (head, told) in [
        ("HTTP/1.1 200 OK\r\nA: ", "head is too large"),
        ("HTTP/1.1 200 OK\r\n\r\n", "more than 100000 bytes"),
    ] {
        let (target, _serving) = server(async move |mut stream| {
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        })
        .await;
        let asked = page(pattern("OK").limit(100_000));
        let error = probe(&asked, &target).await.unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_body_of_which_nothing_is_said_is_not_waited_for() {
    let (target, _serving) = server(async move |mut stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.read_u8().await);
    })
    .await;
    probe(&page(HttpExpect::default()), &target).await.unwrap();
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_outlive_the_probes_own_time() {
    let timeout = Duration::from_millis(100);
    for head in ["", "HTTP/1.1 200 OK\r\n\r\n"] {
        let (target, _serving) = server(async move |mut stream| {
            stream.write_all(head.as_bytes()).await.unwrap();
            while stream.write_all(b"H").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let mut connect = Connect::default();
        connect.timeout = Some(timeout);
        let page = HttpPage::new("/").unwrap().expect(pattern("OK"));
        let error = probe(&HttpProbe::new(connect, page), &target)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ProbeError::TimedOut { after, .. } if after == timeout),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_refused_connection_is_told_as_such() {
    // A port that is taken and on which nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = Target::new(socket.local_addr().unwrap());
    let error = probe(&page(HttpExpect::default()), &target)
        .await
        .unwrap_err();
    assert!(matches!(error, ProbeError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_on_ipv6_is_called_by_its_address_in_brackets() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let length = stream.read(&mut head).await.unwrap();
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(response).await.unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let asked = page(HttpExpect::default());
    probe(&asked, &target).await.unwrap();
    let head = serving.await.unwrap();
    assert!(
        head.contains(&format!("host: [::1]:{}\r\n", target.address.port())),
        "{head}"
    );
}

#[tokio::test]
async fn a_reset_is_told_as_such() {
    let (target, _serving) = server(async move |stream| {
        stream.set_zero_linger().unwrap();
    })
    .await;
    let error = probe(&page(HttpExpect::default()), &target)
        .await
        .unwrap_err();
    assert!(matches!(error, ProbeError::Reset { .. }), "{error:?}");
}

#[tokio::test]
async fn a_probe_that_is_dropped_lets_go_of_its_connection() {
    for version in [HttpVersion::V1_1, HttpVersion::V2] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap());
        let asked = page(HttpExpect::default()).version(version);
        let asking = tokio::spawn(async move { asked.probe(&target).await });
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        asking.abort();
        asking.await.unwrap_err();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest));
        drop(ended.await.expect("the connection ends"));
    }
}

#[tokio::test]
async fn a_server_of_http_1_is_not_taken_for_one_of_http_2() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(listener.local_addr().unwrap());
    let _serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let response = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(response).await.unwrap();
        drop(stream.read_to_end(&mut Vec::new()).await);
    });
    let asked = page(HttpExpect::default()).version(HttpVersion::V2);
    let error = probe(&asked, &target).await.unwrap_err();
    assert!(error.to_string().contains("is not HTTP/2"), "{error}");
}
