//! A real server: says its name to whoever asks.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::scenario::{SERVICE_PORT, Server};
use super::{http, process};

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

/// The command that serves in the network namespace of the calling thread. It listens from now on;
/// with the command and its process the socket is gone.
pub(super) fn command(server: Server) -> io::Result<Command> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, SERVICE_PORT))?;
    let mut command = process::command(["demo", "--real-server", server.name()]);
    command.stdin(Stdio::from(OwnedFd::from(listener)));
    Ok(command)
}

/// Serves on the listening socket that [`command`] has made the standard input, for ever.
pub(super) fn serve(name: &str) -> Result<(), Error> {
    let stdin = io::stdin();
    let listens = getsockopt(&stdin, sockopt::AcceptConn).unwrap_or(false);
    let Some(server) = Server::named(name).filter(|_| listens) else {
        return Err(Error::NotOfTheDemo);
    };
    let listener = stdin.as_fd().try_clone_to_owned().map_err(Error::Serve)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Serve)?;
    runtime
        .block_on(accept(TcpListener::from(listener), server))
        .map_err(Error::Serve)
}

async fn accept(listener: TcpListener, server: Server) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
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
