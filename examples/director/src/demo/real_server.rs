//! A real server: says its name to whoever asks.

use std::io;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, getsockname, listen, setsockopt,
    socket, sockopt,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::scenario::{SERVICE_PORT, Server};
use super::{http, process};

/// What it says when it serves from now on.
pub(super) const SERVES: &str = "serves";

/// How long a client may take over its request.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no real server.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("--real-server is for the demo's own use: run director demo")]
    NotOfTheDemo,
    #[error("the real server cannot serve")]
    Serve(#[source] io::Error),
}

/// The command that serves in the network namespace of the calling thread. The process listens once
/// it can answer: a check has to fail before.
pub(super) fn command(server: Server) -> io::Result<Command> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVICE_PORT);
    bind(socket.as_raw_fd(), &SockaddrIn::from(address))?;
    let mut command = process::command(["demo", "--real-server", server.name()]);
    command.stdin(Stdio::from(socket));
    Ok(command)
}

/// Serves on the socket that [`command`] has made the standard input, for ever.
pub(super) fn serve(name: &str) -> Result<(), Error> {
    let stdin = io::stdin();
    let bound = getsockname::<SockaddrIn>(stdin.as_raw_fd());
    let is_of_the_demo = bound.is_ok_and(|address| address.port() == SERVICE_PORT);
    let Some(server) = Server::named(name).filter(|_| is_of_the_demo) else {
        return Err(Error::NotOfTheDemo);
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Serve)?;
    runtime.block_on(accept(server)).map_err(Error::Serve)
}

async fn accept(server: Server) -> io::Result<()> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    listen(&socket, Backlog::MAXCONN)?;
    let listener = TcpListener::from_std(socket.into())?;
    writeln!(io::stderr(), "{SERVES}")?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A client that goes away or takes too long gets no answer.
        tokio::spawn(tokio::time::timeout(PATIENCE, answer(stream, server)));
    }
}

async fn answer(mut stream: TcpStream, server: Server) -> io::Result<()> {
    let mut request = Vec::new();
    while !http::is_whole(&request) {
        let length = stream.read_buf(&mut request).await?;
        // A check connects and says nothing.
        if length == 0 || request.len() > http::MAX_REQUEST_LEN {
            return Ok(());
        }
    }
    stream.write_all(http::answer(server).as_bytes()).await?;
    stream.shutdown().await
}
