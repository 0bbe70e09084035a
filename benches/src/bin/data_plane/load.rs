//! What clients do to an address, and how often they manage to.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::origin::REQUEST_BYTES;

/// The answer to a small request.
const ANSWER_BYTES: usize = 64;
/// Streams of bulk data at a time.
const STREAMS: usize = 4;
/// How much one bulk answer has: more than flows while it is measured.
const BULK_BYTES: u64 = 1 << 40;
/// Between two paced requests.
const PACE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Datagrams that a client sends before it waits for their answers.
const WINDOW: usize = 8;
/// After which a datagram is lost.
const LOST: Duration = Duration::from_millis(200);

/// Connects, asks once and closes, so many clients at a time; how often that was done.
pub(crate) async fn connect(to: SocketAddr, clients: usize, span: Duration) -> anyhow::Result<f64> {
    count(clients, move || async move {
        let end = now() + span;
        let mut done = 0;
        while now() < end {
            let mut client = open(to).await?;
            request(&mut client).await?;
            done += 1;
        }
        Ok(done)
    })
    .await
}

/// Asks on connections that are kept; how often.
pub(crate) async fn ask(to: SocketAddr, clients: usize, span: Duration) -> anyhow::Result<f64> {
    count(clients, move || async move {
        let mut client = open(to).await?;
        let end = now() + span;
        let mut done = 0;
        while now() < end {
            request(&mut client).await?;
            done += 1;
        }
        Ok(done)
    })
    .await
}

/// Fetches as much as it can; how many gigabits.
pub(crate) async fn fetch(to: SocketAddr, span: Duration) -> anyhow::Result<f64> {
    let bytes = count(STREAMS, move || async move {
        let mut client = open(to).await?;
        client.write_all(&BULK_BYTES.to_be_bytes()).await?;
        let mut buffer = vec![0; 256 * 1024];
        let end = now() + span;
        let mut done = 0;
        while now() < end {
            let length = client.read(&mut buffer).await?;
            ensure!(length > 0, "bulk data ended early");
            done += length as u64;
        }
        Ok(done)
    });
    Ok(bytes.await? * 8.0 / 1e9)
}

/// Sends datagrams; how many answers came.
pub(crate) async fn send(to: SocketAddr, clients: usize, span: Duration) -> anyhow::Result<f64> {
    count(clients, move || async move {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        client.connect(to).await?;
        let mut answer = [0; ANSWER_BYTES];
        let end = now() + span;
        let mut done = 0;
        while now() < end {
            for _ in 0..WINDOW {
                client.send(&[0x5a; ANSWER_BYTES]).await?;
            }
            for _ in 0..WINDOW {
                let Ok(length) = timeout(LOST, client.recv(&mut answer)).await else {
                    break;
                };
                ensure!(length? == ANSWER_BYTES, "another answer");
                done += 1;
            }
        }
        Ok(done)
    })
    .await
}

/// Round trips of clients that ask in turn, one every millisecond, each to its own address.
pub(crate) async fn pace(to: &[SocketAddr], span: Duration) -> anyhow::Result<Vec<Latencies>> {
    let mut clients = Vec::new();
    for address in to {
        clients.push((open(*address).await?, Vec::new()));
    }
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let end = now() + span;
    while now() < end {
        for (client, trips) in &mut clients {
            ticks.tick().await;
            let asked = now();
            request(client).await?;
            trips.push(asked.elapsed());
        }
    }
    let trips = clients.into_iter().map(|(_, mut trips)| {
        trips.sort_unstable();
        Latencies(trips)
    });
    Ok(trips.collect())
}

/// Round trips, shortest first.
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    /// A percentile, in microseconds.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let at = self.0.len().saturating_sub(1) * percent / 100;
        self.0.get(at).map_or(f64::NAN, Duration::as_secs_f64) * 1e6
    }
}

/// Connections that have asked once and do nothing any more.
pub(crate) struct Idle {
    _clients: Vec<TcpStream>,
}

impl Idle {
    pub(crate) async fn open(to: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let mut client = open(to).await?;
            request(&mut client).await?;
            clients.push(client);
        }
        Ok(Self { _clients: clients })
    }
}

async fn open(to: SocketAddr) -> anyhow::Result<TcpStream> {
    let client = timeout(PATIENCE, TcpStream::connect(to)).await??;
    client.set_nodelay(true)?;
    Ok(client)
}

pub(crate) async fn request(client: &mut TcpStream) -> anyhow::Result<()> {
    let mut request = [0; REQUEST_BYTES];
    request.copy_from_slice(&(ANSWER_BYTES as u64).to_be_bytes());
    client.write_all(&request).await?;
    let mut answer = [0; ANSWER_BYTES];
    timeout(PATIENCE, client.read_exact(&mut answer)).await??;
    Ok(())
}

/// What so many clients have done together.
async fn count<F>(clients: usize, client: impl Fn() -> F) -> anyhow::Result<f64>
where
    F: Future<Output = anyhow::Result<u64>> + Send + 'static,
{
    let mut tasks: JoinSet<_> = (0..clients).map(|_| client()).collect();
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    ensure!(done > 0, "nothing came through");
    Ok(done as f64)
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}
