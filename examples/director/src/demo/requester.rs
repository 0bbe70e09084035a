//! The client's requests, over TCP.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::thread;

use nix::errno::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::requests::{Finished, Input, Outcome, Output, Requests};
use super::scenario::SERVICE_PORT;
use super::{http, now};

/// What is told of the requests.
#[derive(Debug)]
pub(super) enum Report {
    /// One is over.
    Finished(Finished),
    /// All are: so many were started.
    Closed { started: u64 },
}

/// A client that sends requests until this is dropped, and then awaits the last answers.
#[derive(Debug)]
pub(super) struct Requester {
    /// Nothing is sent on it: it is closed.
    _open: mpsc::Sender<()>,
}

impl Requester {
    /// Starts requests on a thread of its own, from the network namespace of the calling thread.
    pub(super) fn start(
        target: Ipv4Addr,
        on_report: impl FnMut(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (open, closed) = mpsc::channel(1);
        let target = SocketAddrV4::new(target, SERVICE_PORT);
        thread::Builder::new()
            .name("requests".into())
            .spawn(move || runtime.block_on(send(target, closed, on_report)))?;
        Ok(Self { _open: open })
    }
}

async fn send(
    target: SocketAddrV4,
    mut closed: mpsc::Receiver<()>,
    mut on_report: impl FnMut(Report),
) {
    let (sender, mut ends) = mpsc::unbounded_channel();
    let mut requests = Requests::new(now());
    let mut under_way: BTreeMap<u64, AbortHandle> = BTreeMap::new();
    let mut is_closed = false;
    while let Some(deadline) = requests.poll_timeout() {
        let input = tokio::select! {
            Some((id, outcome)) = ends.recv() => Input::Ended { id, outcome },
            _ = closed.recv(), if !is_closed => {
                is_closed = true;
                Input::Close
            }
            () = sleep_until(Instant::from_std(deadline)) => Input::Timeout,
        };
        requests.handle(input, now());
        while let Some(output) = requests.poll_output() {
            match output {
                Output::Send { id } => {
                    let sender = sender.clone();
                    let request = tokio::spawn(async move {
                        // Nobody waits for it any more when the demo ends.
                        sender.send((id, ask(target).await)).ok();
                    });
                    under_way.insert(id, request.abort_handle());
                }
                Output::Abandon { id } => {
                    if let Some(request) = under_way.remove(&id) {
                        request.abort();
                    }
                }
                Output::Finished(finished) => on_report(Report::Finished(finished)),
                Output::Closed { started } => on_report(Report::Closed { started }),
            }
        }
        under_way.retain(|_, request| !request.is_finished());
    }
}

async fn ask(target: SocketAddrV4) -> Outcome {
    let mut stream = match TcpStream::connect(target).await {
        Ok(stream) => stream,
        Err(error) => return without_connection(&error),
    };
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(http::REQUEST).await?;
        stream.read_to_end(&mut answer).await
    };
    match exchange.await {
        Ok(_) => http::read_answer(&answer).map_or(Outcome::Reset, Outcome::Answered),
        Err(_) => Outcome::Reset,
    }
}

fn without_connection(error: &io::Error) -> Outcome {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ETIMEDOUT) => Outcome::TimedOut,
        Some(Errno::ECONNRESET) => Outcome::Reset,
        _ => Outcome::Refused,
    }
}
