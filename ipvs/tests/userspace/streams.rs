//! What goes through a connection.

use std::{
    hash::{DefaultHasher, Hasher as _},
    io,
    time::Duration,
};

use ipvs::SchedulerName;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::rig::{PATIENCE, Rig, Server, expect, expect_end, is_reset};

async fn connected() -> (Rig, TcpStream, TcpStream) {
    let rig = Rig::start(SchedulerName::RR).await;
    let mut server = Server::start(1).await;
    rig.add(server.endpoint).await;
    let client = rig.connect().await;
    let at_server = server.accept().await;
    (rig, client, at_server)
}

#[tokio::test]
async fn either_end_may_stop_sending_and_go_on_reading() {
    let (rig, mut client, mut server) = connected().await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    expect(&mut server, b"question").await;
    expect_end(&mut server).await;
    server.write_all(b"answer").await.unwrap();
    expect(&mut client, b"answer").await;
    server.shutdown().await.unwrap();
    expect_end(&mut client).await;
    rig.until_over().await;

    let (rig, mut client, mut server) = connected().await;
    server.write_all(b"banner").await.unwrap();
    server.shutdown().await.unwrap();
    expect(&mut client, b"banner").await;
    expect_end(&mut client).await;
    rig.until(|| rig.states() == ["FIN_WAIT"]).await;
    client.write_all(b"late").await.unwrap();
    expect(&mut server, b"late").await;
    drop(client);
    expect_end(&mut server).await;
    rig.until_over().await;
}

#[tokio::test]
async fn a_reset_is_passed_on() {
    for client_breaks in [true, false] {
        let (rig, mut client, mut server) = connected().await;
        client.write_all(b"x").await.unwrap();
        expect(&mut server, b"x").await;
        let (breaks, mut hears) = match client_breaks {
            true => (client, server),
            false => (server, client),
        };
        SockRef::from(&breaks)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(breaks);
        assert!(is_reset(&mut hears).await);
        rig.until_over().await;
    }
}

#[tokio::test]
async fn an_early_answer_is_read_though_the_server_takes_no_more() {
    let (rig, mut client, mut server) = connected().await;
    server.write_all(b"too large").await.unwrap();
    server.shutdown().await.unwrap();
    expect(&mut client, b"too large").await;
    expect_end(&mut client).await;
    drop(server);
    // It goes on sending until it is told.
    let sending = async { while client.write_all(&[0; 10_000]).await.is_ok() {} };
    timeout(PATIENCE, sending).await.unwrap();
    rig.until_over().await;
}

/// So many bytes that each depend on their place.
const BULK: usize = 48 << 20;

/// Bytes that are sent at a time.
const PIECE: u64 = 65_536;

fn chunk(at: usize, seed: usize) -> Vec<u8> {
    let word = |place: usize| {
        (place ^ seed)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()
    };
    (at / 8..(at / 8 + 8192)).flat_map(word).collect()
}

async fn send(mut stream: tokio::net::tcp::OwnedWriteHalf, seed: usize) -> io::Result<u64> {
    let mut digest = DefaultHasher::new();
    let mut at = 0;
    while at < BULK {
        let chunk = chunk(at, seed);
        digest.write(&chunk);
        stream.write_all(&chunk).await?;
        at += chunk.len();
    }
    stream.shutdown().await?;
    Ok(digest.finish())
}

async fn receive(stream: tokio::net::tcp::OwnedReadHalf) -> io::Result<(u64, usize)> {
    let mut digest = DefaultHasher::new();
    let (mut length, mut piece) = (0, Vec::new());
    // The hasher knows where one write ends and the next begins: they are of one size.
    let mut stream = stream.take(PIECE);
    while stream.read_to_end(&mut piece).await? > 0 {
        digest.write(&piece);
        length += piece.len();
        piece.clear();
        stream.set_limit(PIECE);
    }
    Ok((digest.finish(), length))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn big_transfers_arrive_as_they_were_sent_both_ways_at_once() {
    let (rig, client, server) = connected().await;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let (up, down, at_server, at_client) = tokio::try_join!(
        tokio::spawn(send(client_write, 1)),
        tokio::spawn(send(server_write, 2)),
        tokio::spawn(receive(server_read)),
        tokio::spawn(receive(client_read)),
    )
    .unwrap();
    assert_eq!(at_server.unwrap(), (up.unwrap(), BULK));
    assert_eq!(at_client.unwrap(), (down.unwrap(), BULK));
    rig.until_over().await;
    let snapshot = ipvs::IpvsBackend::snapshot(&rig.plane).await.unwrap();
    let total = snapshot.services[0].statistics.total;
    let bulk = u64::try_from(BULK).unwrap();
    assert_eq!((total.bytes_in, total.bytes_out), (bulk, bulk));
}

#[tokio::test]
async fn a_sender_waits_for_a_receiver_that_does_not_read() {
    let (rig, mut client, mut server) = connected().await;
    // More than all buffers on the way take.
    let sent = tokio::spawn(async move {
        let mut sent = 0_usize;
        loop {
            let write = timeout(Duration::from_secs(1), client.write(&[7; 65_536])).await;
            match write {
                Ok(count) => sent += count.unwrap(),
                Err(_) => return (client, sent),
            }
        }
    });
    let (client, sent) = sent.await.unwrap();
    rig.until(|| rig.states() == ["ESTABLISHED"]).await;
    drop(client);
    let mut received = Vec::new();
    timeout(PATIENCE, server.read_to_end(&mut received))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(received.len(), sent);
    assert!(received.iter().all(|byte| *byte == 7));
    drop(server);
    rig.until_over().await;
}
