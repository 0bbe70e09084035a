//! Connecting to real servers, one after the other until one answers.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncWriteExt as _, Interest},
    net::TcpStream,
    time,
};

use super::proxy_protocol;
use crate::{
    Endpoint,
    plane::Flow,
    userspace::{
        carried::Carried, config::Source, is_short_of_descriptors, now, shared::Target,
        source::pretend,
    },
};

/// A connection to a server that takes it. `None`: none of those that were tried does.
pub(super) async fn connect(
    carried: &Carried,
    flow: Flow,
    mut target: Target,
) -> Option<TcpStream> {
    let shared = &carried.shared;
    let give_up_at = now() + shared.config.connect_timeout;
    let mut tried: Vec<Endpoint> = Vec::new();
    for left in (1..=shared.config.tries.get()).rev() {
        let whole = give_up_at.saturating_duration_since(now());
        let part = whole / u32::try_from(left).unwrap_or(u32::MAX);
        match time::timeout(part, attempt(carried, flow, target)).await {
            Ok(Ok(server)) => return Some(server),
            Ok(Err(error)) if is_short_of_descriptors(&error) => {
                shared.counting.short_of_descriptors.up();
                return None;
            }
            Ok(Err(_)) | Err(time::error::Elapsed { .. }) => {}
        }
        if left > 1 {
            tried.push(target.route.listed);
            target = shared.core().reroute(carried.id, &tried, now())?;
            shared.counting.retried.up();
        }
    }
    None
}

/// Connects to a server and tells it of the client, if it is to be told.
async fn attempt(carried: &Carried, flow: Flow, target: Target) -> io::Result<TcpStream> {
    let destination = target.route.destination;
    let address = SocketAddr::new(destination.address, destination.port);
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if carried.shared.config.source == Source::Client {
        pretend(&socket, flow.client)?;
    }
    let is_connected = match socket.connect(&address.into()) {
        Ok(()) => true,
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(error) => return Err(error),
    };
    let mut server = TcpStream::from_std(socket.into())?;
    if !is_connected {
        let ready = server.ready(Interest::WRITABLE | Interest::ERROR).await?;
        // It has failed only if it is closed or in error as well.
        if (ready.is_error() || ready.is_write_closed())
            && let Some(error) = server.take_error()?
        {
            return Err(error);
        }
    }
    if let Some(version) = target.proxy {
        let header = proxy_protocol::header(version, flow.client, flow.to);
        server.write_all(&header).await?;
    }
    Ok(server)
}
