//! Sockets on virtual addresses.

use std::{io, net::SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

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
            protocol: Transport::Tcp | Transport::Udp,
            endpoint,
        } => Ok(*endpoint),
        ServiceKey::Address { .. } => refused("carries TCP and UDP alone"),
    }
}

/// A socket on a virtual address.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

/// Listens on an address, be it on this machine yet or not, together with the other shards. Clients
/// of other protocols than UDP wait in the backlog until they are accepted.
pub(super) fn listen(
    transport: Transport,
    endpoint: Endpoint,
    backlog: u32,
) -> io::Result<Listener> {
    let address = SocketAddr::new(endpoint.address, endpoint.port);
    let (kind, protocol) = match transport {
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
        Transport::Tcp | Transport::Sctp => (Type::STREAM, Protocol::TCP),
    };
    let kind = kind.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    if protocol == Protocol::UDP {
        return Ok(Listener::Udp(UdpSocket::from_std(socket.into())?));
    }
    // Those that are accepted have it from here.
    socket.set_tcp_nodelay(true)?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(Listener::Tcp(TcpListener::from_std(socket.into())?))
}
