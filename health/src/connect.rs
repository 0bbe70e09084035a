//! How a probe gets to a server: from where, by which way, to which address.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time,
};

use crate::{ProbeError, Target, sys};

mod cause;

pub(crate) use cause::while_connecting;
pub(crate) use cause::while_talking;

/// How a probe gets to a server. By default as any program does.
///
/// The names are those of keepalived.conf's `connect_ip`, `connect_port`, `bindto`, `bind_port`,
/// `bind_if` and `fwmark`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Connect {
    /// The address to connect to; `None`: the target's (`connect_ip`).
    pub address: Option<IpAddr>,
    /// The port to connect to; `None`: the target's (`connect_port`).
    pub port: Option<NonZeroU16>,
    /// The address to connect from; `None`: the kernel chooses (`bindto`). The port is chosen for
    /// each server, so that there are as many as without it.
    pub bind_address: Option<IpAddr>,
    /// Connects from the address that the kernel would talk to this one from, where
    /// [`bind_address`](Self::bind_address) is `None`: for a server that is reached by another
    /// address than its own.
    pub bind_towards: Option<IpAddr>,
    /// The port to connect from; `None`: the kernel chooses (`bind_port`). The same port can be
    /// used again for the same server only a minute later, unless the server closes first.
    pub bind_port: Option<NonZeroU16>,
    /// The interface to connect by, whatever the routes say (`bind_if`). Needs CAP_NET_RAW
    /// before Linux 5.7.
    pub bind_interface: Option<String>,
    /// The mark that firewall and routing rules see (`fwmark`). Needs CAP_NET_ADMIN.
    pub fwmark: Option<NonZeroU32>,
    /// What the whole probe may take, where that is less than the caller gives it; `None`: as long
    /// as the caller waits.
    pub timeout: Option<Duration>,
}

impl Connect {
    /// Where a probe of a target connects to.
    #[must_use]
    pub fn destination(&self, target: &Target) -> SocketAddr {
        let mut destination = target.address;
        if let Some(address) = self.address {
            destination.set_ip(address);
        }
        if let Some(port) = self.port {
            destination.set_port(port.get());
        }
        destination
    }

    /// Connects. Cancel safe: a connection half made is given up.
    pub(crate) async fn tcp(&self, target: &Target) -> Result<TcpStream, ProbeError> {
        let destination = self.destination(target);
        let socket = self.socket(destination, Type::STREAM, Protocol::TCP)?;
        TcpSocket::from_std_stream(socket.into())
            .connect(destination)
            .await
            .map_err(|source| while_connecting(destination, source))
    }

    /// A socket of datagrams that talks to the target alone.
    pub(crate) async fn udp(&self, target: &Target) -> Result<UdpSocket, ProbeError> {
        let destination = self.destination(target);
        let socket = self.socket(destination, Type::DGRAM, Protocol::UDP)?;
        let failed = |source| while_connecting(destination, source);
        let socket = UdpSocket::from_std(socket.into()).map_err(failed)?;
        socket.connect(destination).await.map_err(failed)?;
        Ok(socket)
    }

    /// Gives a probe no longer than [`Connect::timeout`].
    pub(crate) async fn bounded<T>(
        &self,
        target: &Target,
        doing: &'static str,
        probe: impl Future<Output = Result<T, ProbeError>>,
    ) -> Result<T, ProbeError> {
        let Some(timeout) = self.timeout else {
            return probe.await;
        };
        time::timeout(timeout, probe).await.unwrap_or_else(|_| {
            Err(ProbeError::TimedOut {
                address: self.destination(target),
                doing,
                after: timeout,
            })
        })
    }

    fn socket(
        &self,
        destination: SocketAddr,
        kind: Type,
        protocol: Protocol,
    ) -> Result<Socket, ProbeError> {
        let domain = Domain::for_address(destination);
        let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))
            .map_err(|source| local("open a socket", source))?;
        self.prepare(&socket, destination)?;
        Ok(socket)
    }

    /// Has a socket that was just opened send from where it should.
    pub(crate) fn prepare(
        &self,
        socket: &Socket,
        destination: SocketAddr,
    ) -> Result<(), ProbeError> {
        if let Some(interface) = &self.bind_interface {
            socket
                .bind_device(Some(interface.as_bytes()))
                .map_err(|source| local(format!("bind to interface {interface}"), source))?;
        }
        if let Some(mark) = self.fwmark {
            socket
                .set_mark(mark.get())
                .map_err(|source| local(format!("set firewall mark {mark}"), source))?;
        }
        if let Some(source) = self.source(destination)? {
            if self.bind_port.is_some() {
                socket
                    .set_reuse_address(true)
                    .map_err(|source| local("allow the port to be used again", source))?;
            } else {
                // A kernel that does not know it (before Linux 4.2) reserves a port, which serves
                // until they are used up.
                let _older_kernel = sys::choose_port_at_connect(socket);
            }
            socket
                .bind(&SockAddr::from(source))
                .map_err(|error| local(format!("bind to {source}"), error))?;
        }
        Ok(())
    }

    /// Where to connect from, unless the kernel chooses all of it.
    fn source(&self, destination: SocketAddr) -> Result<Option<SocketAddr>, ProbeError> {
        let address = match (self.bind_address, self.bind_towards) {
            (None, Some(server)) => {
                let own = own_address_towards(server)?;
                if own == destination.ip() {
                    return Err(from_itself(own));
                }
                Some(own)
            }
            (address, _) => address,
        };
        if address.is_none() && self.bind_port.is_none() {
            return Ok(None);
        }
        let any = match destination {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let port = self.bind_port.map_or(0, NonZeroU16::get);
        Ok(Some(SocketAddr::new(address.unwrap_or(any), port)))
    }
}

/// A virtual address that the kernel takes for the best to talk to real servers from.
fn from_itself(address: IpAddr) -> ProbeError {
    let action = format!(
        "choose another address to ask {address} from than {address} itself: say which (`bindto`), \
         or give it no preference (`preferred_lft 0`)"
    );
    local(action, io::ErrorKind::AddrNotAvailable.into())
}

/// The address that the kernel would talk to a server from. Nothing is sent.
fn own_address_towards(server: IpAddr) -> Result<IpAddr, ProbeError> {
    /// Any will do.
    const PORT: u16 = 9;
    let any = match server {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let asked = || {
        let socket = std::net::UdpSocket::bind((any, 0))?;
        socket.connect((server, PORT))?;
        socket.local_addr()
    };
    let address = asked().map_err(|source| while_connecting((server, 0).into(), source))?;
    Ok(address.ip())
}

pub(crate) fn local(action: impl fmt::Display, source: io::Error) -> ProbeError {
    cause::local(action.to_string(), source)
}
