//! Sockets that speak as clients.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Endpoint;

/// Whether this process may have sockets speak as clients.
pub(super) fn may_pretend() -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_ip_transparent_v4(true)
}

/// Has a socket speak as the client.
pub(super) fn pretend(socket: &Socket, client: Endpoint) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    match client.address.is_ipv4() {
        true => socket.set_ip_transparent_v4(true)?,
        false => socket.set_ip_transparent_v6(true)?,
    }
    socket.bind(&SocketAddr::new(client.address, client.port).into())
}
