//! Lists of connections, right and wrong.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWriteExt as _, BufReader, ReadBuf, duplex};

use super::*;

const TITLE: &str =
    "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n";
const ROW: &str = "TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED     899\n";

async fn all(text: &[u8]) -> Vec<Result<Connection, String>> {
    // A few bytes at a time, as they may come.
    let mut connections = Connections::new(BufReader::with_capacity(7, text));
    let mut read = Vec::new();
    while let Some(connection) = connections.next().await {
        read.push(connection.map_err(|error| error.to_string()));
    }
    assert!(connections.next().await.is_none(), "the end is the end");
    read
}

fn row(protocol: Option<Protocol>, ends: [&str; 3], state: &str, expires: u32) -> Connection {
    let ends = ends.map(|text| text.parse().unwrap());
    Connection::new(protocol, ends, state, Seconds::new(expires))
}

#[tokio::test]
async fn rows_of_every_kind_are_read() {
    let v6 = "UDP 2001:0db8:0000:0000:0000:0000:0000:0001 C350 \
              fd00:0000:0000:0000:0000:0000:0000:0100 0035 0A000001 0035 UDP             299\n";
    let engine =
        "UDP C0000207 13C4 0A010064 13C4 0A000001 13C4 NONE            119 sip 3c26 7@host\n";
    let template = "IP  C0000200 0000 00000007 0000 0A000001 0000 NONE              9";
    let read = all([TITLE, ROW, v6, engine, template].concat().as_bytes()).await;
    let mut by_engine = row(
        Some(Protocol::Udp),
        ["192.0.2.7:5060", "10.1.0.100:5060", "10.0.0.1:5060"],
        "NONE",
        119,
    );
    by_engine.engine = Some(("sip".to_owned(), "3c26 7@host".to_owned()));
    let expected = [
        row(
            Some(Protocol::Tcp),
            ["192.0.2.7:40123", "10.1.0.100:80", "10.0.0.1:8080"],
            "ESTABLISHED",
            899,
        ),
        row(
            Some(Protocol::Udp),
            ["[2001:db8::1]:50000", "[fd00::100]:53", "10.0.0.1:53"],
            "UDP",
            299,
        ),
        by_engine,
        row(None, ["192.0.2.0:0", "0.0.0.7:0", "10.0.0.1:0"], "NONE", 9),
    ];
    assert_eq!(read, expected.map(Ok));
}

#[tokio::test]
async fn the_origin_is_read_where_there_is_one() {
    let title = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Origin Expires\n";
    let local = "TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED LOCAL      899\n";
    let synced = local.replace("LOCAL ", "SYNC  ");
    let read = all([title, local, &synced].concat().as_bytes()).await;
    let origins: Vec<_> = read.into_iter().map(|row| row.unwrap().origin).collect();
    assert_eq!(origins, [Some(Origin::Local), Some(Origin::Synced)]);
    let wrong = all([title, ROW].concat().as_bytes()).await;
    assert_eq!(
        wrong,
        [Err("connections, line 2: `899` is not an origin".to_owned())]
    );
}

#[tokio::test]
async fn a_wrong_line_is_told_with_its_number_and_the_others_are_read() {
    let long = "TCP ".repeat(10_000) + "\n";
    let wrong = [
        (
            "ICMP C0000207",
            "`ICMP` is not a protocol that IPVS balances",
        ),
        (
            "TCP C00002",
            "`C00002` is not an address in hexadecimal digits",
        ),
        (
            "TCP +0000207",
            "`+0000207` is not an address in hexadecimal digits",
        ),
        (
            "TCP C0000207 50",
            "`50` is not a port of four hexadecimal digits",
        ),
        (
            "TCP C0000207 9CBB 0A010064 0050",
            "`` is not an address in hexadecimal digits",
        ),
        (
            &ROW.replace("899", "never"),
            "`never` is not a number of seconds",
        ),
        (&ROW[..45], "`` is not a state"),
        (&long, "it has more than 1024 bytes"),
        ("\u{0}", "`\u{0}` is not a protocol that IPVS balances"),
    ];
    for (line, complaint) in wrong {
        let text = [TITLE, ROW, line.trim_end(), "\n", ROW].concat();
        let read = all(text.as_bytes()).await;
        assert_eq!(read.len(), 3, "{line}");
        assert!(read[0].is_ok() && read[2].is_ok(), "{line}");
        assert_eq!(read[1], Err(format!("connections, line 3: {complaint}")));
    }
    assert_eq!(all(b"").await, []);
    assert_eq!(all(TITLE.as_bytes()).await, []);
}

/// A line, again and again.
struct Endless {
    rows_left: usize,
    at: usize,
}

impl AsyncRead for Endless {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rows_left > 0 && buffer.remaining() > 0 {
            let part = &ROW.as_bytes()[self.at..];
            let length = part.len().min(buffer.remaining());
            buffer.put_slice(&part[..length]);
            self.at = (self.at + length) % ROW.len();
            self.rows_left -= usize::from(self.at == 0);
        }
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_million_lines_are_read_in_the_room_of_one() {
    let rows_left = 1_000_000;
    let mut connections = Connections::new(BufReader::new(Endless { rows_left, at: 0 }));
    let mut read = 0;
    while let Some(connection) = connections.next().await {
        assert!(connection.is_ok());
        read += 1;
    }
    assert_eq!(read, rows_left);
    assert!(connections.line.capacity() <= 2 * LINE);
}

#[tokio::test]
async fn what_is_dropped_in_the_middle_of_a_line_goes_on_there() {
    let (mut kernel, reader) = duplex(16);
    let mut connections = Connections::new(BufReader::new(reader));
    for part in ROW.as_bytes().chunks(10) {
        kernel.write_all(part).await.unwrap();
        let next = tokio::select! {
            biased;
            next = connections.next() => next,
            () = tokio::task::yield_now() => None,
        };
        assert_eq!(next.is_some(), part.ends_with(b"\n"));
    }
}

#[tokio::test]
async fn a_text_that_breaks_off_is_told_of_once() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::Other.into()))
        }
    }
    let mut connections = Connections::new(BufReader::new(Broken));
    assert!(matches!(
        connections.next().await,
        Some(Err(ConnectionsError::Io { .. }))
    ));
    assert!(connections.next().await.is_none());
}

proptest! {
    #[test]
    fn any_bytes_are_connections_or_errors(bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        prop_assert!(runtime.block_on(all(&bytes)).len() <= lines.count());
    }
}
