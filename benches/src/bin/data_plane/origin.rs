//! The servers behind the proxies: a process that sends as many bytes as it is asked for, and
//! datagrams back.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
};

use anyhow::Context;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// How many servers there are: addresses of one process.
const SERVERS: u8 = 4;
/// What all answers are made of. Not one for each connection: there may be ten thousand.
static CHUNK: [u8; 256 * 1024] = [0x5a; 256 * 1024];

/// A request: how many bytes the answer has.
pub(crate) const REQUEST_BYTES: usize = 8;

/// The process. It ends with its standard input.
pub(crate) struct Origin {
    process: Child,
    addresses: Vec<SocketAddr>,
}

impl Origin {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .arg("origin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(process.stdout.take().context("the child's output")?).lines();
        let addresses = lines
            .take(usize::from(SERVERS))
            .map(|line| Ok(line?.parse()?))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { process, addresses })
    }

    /// Its number.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

/// Serves until the standard input ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        for number in 1..=SERVERS {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 2, number), 0)).await?;
            let address = listener.local_addr()?;
            let socket = UdpSocket::bind(address).await?;
            println!("{address}");
            tokio::spawn(echo(socket));
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    // A client that goes early is its own affair.
                    tokio::spawn(async move { answer(client).await.ok() });
                }
            });
        }
        io::stdout().flush()?;
        tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink())).await??;
        Ok(())
    })
}

async fn echo(socket: UdpSocket) -> io::Result<()> {
    let mut datagram = [0; 2048];
    loop {
        // An error is of an answer that nobody waited for.
        if let Ok((length, client)) = socket.recv_from(&mut datagram).await {
            let answer = datagram.get(..length).unwrap_or_default();
            socket.send_to(answer, client).await.ok();
        }
    }
}

async fn answer(mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    loop {
        let mut request = [0; REQUEST_BYTES];
        client.read_exact(&mut request).await?;
        let mut rest = u64::from_be_bytes(request);
        while rest > 0 {
            let next = usize::try_from(rest)
                .ok()
                .and_then(|rest| CHUNK.get(..rest));
            let next = next.unwrap_or(&CHUNK);
            client.write_all(next).await?;
            rest -= next.len() as u64;
        }
    }
}
