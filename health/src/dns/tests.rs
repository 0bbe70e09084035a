//! Questions to servers that answer as they should, and otherwise, on loopback.

use std::time::Duration;

use hickory_proto::{
    op::{Message, OpCode},
    rr::{RData, Record},
};
use tokio::{net::TcpListener, time::timeout};

use super::*;

/// Longer than any exchange of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer to a question, with one address.
fn answer(question: &[u8]) -> Message {
    let question = Message::from_vec(question).unwrap();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    for query in &question.queries {
        answer.add_query(query.clone());
        let data = RData::A("192.0.2.1".parse::<std::net::Ipv4Addr>().unwrap().into());
        answer.add_answer(Record::from_rdata(query.name.clone(), 60, data));
    }
    answer
}

/// A server that sends for one question whatever `reply` makes of it.
async fn server(reply: impl FnOnce(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> Target {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let target = Target::new(socket.local_addr().unwrap());
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        for datagram in reply(&buffer[..length]) {
            socket.send_to(&datagram, from).await.unwrap();
        }
        // Open until the test is over: a closed port would say so.
        std::future::pending::<()>().await;
    });
    target
}

fn question() -> DnsProbe {
    DnsProbe::new(Connect::default(), "www.example.net", RecordType::A).unwrap()
}

async fn ask(probe: &DnsProbe, target: &Target) -> Result<Success, ProbeError> {
    timeout(PATIENCE, probe.probe(target))
        .await
        .expect("in time")
}

#[tokio::test]
async fn an_answer_passes_and_its_records_are_compared() {
    for (probe, passes) in [
        (question(), true),
        (question().with_records(["192.0.2.1"]), true),
        (question().with_exactly(["192.0.2.1"]), true),
        (question().with_records(["192.0.2.2"]), false),
        (question().with_exactly(["192.0.2.1", "192.0.2.2"]), false),
        (question().expecting(Rcode::NXDOMAIN), false),
    ] {
        let target = server(|asked| vec![answer(asked).to_vec().unwrap()]).await;
        let result = ask(&probe, &target).await;
        assert_eq!(result.is_ok(), passes, "{probe:?}: {result:?}");
    }
}

#[tokio::test]
async fn what_strangers_send_is_passed_over() {
    let target = server(|asked| {
        let answer = answer(asked).to_vec().unwrap();
        let mut other = answer.clone();
        other[0] ^= 0xff;
        vec![b"garbage".to_vec(), vec![], asked.to_vec(), other, answer]
    })
    .await;
    let probe = question();
    ask(&probe, &target).await.unwrap();
    assert_eq!(probe.strangers(), 4);
}

#[tokio::test]
async fn strangers_alone_do_not_keep_a_probe_past_its_time() {
    let target = server(|_| vec![b"garbage".to_vec(); 3]).await;
    let mut probe = question();
    probe.connect.timeout = Some(Duration::from_millis(50));
    let error = ask(&probe, &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::TimedOut { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told() {
    let target = server(|asked| {
        let mut bytes = answer(asked).to_vec().unwrap();
        bytes.truncate(bytes.len() - 3);
        vec![bytes]
    })
    .await;
    let error = ask(&question(), &target).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::Dns(DnsError::Garbage { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_without_a_server_is_told() {
    let target = {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Target::new(socket.local_addr().unwrap())
    };
    let error = ask(&question(), &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Refused { .. }), "{error}");
}

/// A server that truncates by UDP and sends `reply` by TCP on the same port.
async fn truncating(reply: impl FnOnce(&[u8]) -> Vec<u8> + Send + 'static) -> Target {
    let (listener, socket) = loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // The port is free for TCP; it may not be for UDP.
        if let Ok(socket) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            break (listener, socket);
        }
    };
    let target = Target::new(listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
        let mut short = answer(&buffer[..length]);
        short.answers.clear();
        short.metadata.truncation = true;
        socket
            .send_to(&short.to_vec().unwrap(), from)
            .await
            .unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut question).await.unwrap();
        stream.write_all(&reply(&question)).await.unwrap();
    });
    target
}

fn framed(message: &Message) -> Vec<u8> {
    let bytes = message.to_vec().unwrap();
    let mut framed = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(bytes);
    framed
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_by_tcp() {
    let target = truncating(|asked| framed(&answer(asked))).await;
    ask(&question().with_exactly(["192.0.2.1"]), &target)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_goes_wrong_by_tcp_is_told_apart() {
    let target = truncating(|_| b"\x00\x20half".to_vec()).await;
    let error = ask(&question(), &target).await.unwrap_err();
    assert!(matches!(error, ProbeError::Closed { .. }), "{error}");

    let target = truncating(|asked| {
        let mut other = answer(asked);
        other.metadata.id ^= 1;
        framed(&other)
    })
    .await;
    let error = ask(&question(), &target).await.unwrap_err();
    assert_eq!(error.to_string(), "by TCP the server sends another number");

    let target = truncating(|asked| {
        let mut short = answer(asked);
        short.metadata.truncation = true;
        framed(&short)
    })
    .await;
    let error = ask(&question(), &target).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "by TCP the server sends a truncated answer"
    );
}
