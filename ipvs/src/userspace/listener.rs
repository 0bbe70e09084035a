//! Sockets on virtual addresses.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::{Endpoint, Protocol as Transport, RefusalReason, ServiceKey, ServiceSettings};

/// What a service listens on; a reason if that is more than a socket can.
pub(super) fn listens_on(
    service: &ServiceKey,
    settings: &ServiceSettings,
) -> Result<Endpoint, RefusalReason> {
    let refused = |why| Err(RefusalReason::NotInUserspace(why));
    if settings.persistence.is_some_and(|it| it.engine.is_some()) {
        return refused("does not look into packets: leave the persistence engine out");
    }
    match service {
        ServiceKey::Fwmark { .. } => {
            refused("sees no firewall marks: name an address and a port instead")
        }
        ServiceKey::Address { endpoint, .. } if endpoint.port == 0 => {
            refused("cannot listen on every port of an address: make a service for each")
        }
        ServiceKey::Address {
            protocol: Transport::Tcp,
            endpoint,
        } => Ok(*endpoint),
        ServiceKey::Address { .. } => refused("carries TCP alone"),
    }
}

/// Listens on an address, be it on this machine yet or not, together with the other shards.
pub(super) fn listen(endpoint: Endpoint, backlog: u32) -> io::Result<TcpListener> {
    let address = SocketAddr::new(endpoint.address, endpoint.port);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Those that are accepted have it from here.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    TcpListener::from_std(socket.into())
}
