//! Advertisements on raw sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Read as _},
    net::{IpAddr, Ipv6Addr, SocketAddrV4, SocketAddrV6},
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use libc::c_int;
use socket2::{Domain, InterfaceIndexOrAddress, MsgHdr, Protocol, SockAddr, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task,
};
use tracing::trace;

use super::{control, errno, ipv4, is_interface_name, sys};
use crate::{
    Addresses, Advertisement, Advertiser, AdvertiserError, Delivery, Destination, Family,
    IP_PROTOCOL, Packet, Received, RejectReason, Rejections, Vrid,
};

/// Internetwork control (RFC 4594 §3.1), as keepalived marks its advertisements.
const TYPE_OF_SERVICE: u8 = 0xc0;

/// Ahead of bulk traffic in the interface's own queue; the highest that needs no privilege.
const QUEUE_PRIORITY: u32 = 6;

/// Room for the longest advertisement, 255 IPv6 addresses (4,088 bytes), and to see that a longer
/// message is one.
const PACKET_LEN: usize = 8 * 1024;

/// 250 routers at an interval of 10 ms are 25,000 packets a second, each accounted with up to
/// 2,304 bytes: this lasts for 70 ms in which nobody reads.
const RECEIVE_BUFFER_LEN: c_int = 4 * 1024 * 1024;

/// All of 250 routers that send to each of 16 peers in the same instant.
const SEND_BUFFER_LEN: c_int = 4 * 1024 * 1024;

/// The raw socket of one interface and family, for all virtual routers there.
///
/// It is bound to the interface (`SO_BINDTODEVICE`) and belongs to the network namespace of the
/// thread that opened it. Opening it takes CAP_NET_RAW in that namespace.
///
/// It receives what is sent to protocol 112 on the interface: unicast to any address of the host,
/// multicast to joined groups alone. Its own multicasts do not come back to it; a packet with a
/// source address of this host that arrives nevertheless (a loop in the network, an address used
/// twice) is passed on, for the virtual router to count.
pub struct RawAdvertiser {
    interface: Arc<str>,
    index: u32,
    family: Family,
    socket: AsyncFd<Socket>,
    outgoing: Mutex<Vec<u8>>,
    incoming: Mutex<Incoming>,
}

struct Incoming {
    buffer: Box<[u8]>,
    /// Linux hands a raw IPv6 socket the packets of every group that anybody on the host takes part
    /// in; `IPV6_MULTICAST_ALL` does not reach there.
    groups: BTreeSet<IpAddr>,
    /// What each virtual router listed last: shared with the next advertisement that lists it.
    addresses_by_vrid: BTreeMap<Vrid, Addresses>,
    rejections: Rejections,
}

impl fmt::Debug for RawAdvertiser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAdvertiser")
            .field("interface", &self.interface)
            .field("family", &self.family)
            .finish_non_exhaustive()
    }
}

impl RawAdvertiser {
    /// Opens the socket. It has joined no group yet.
    ///
    /// # Errors
    /// There is no such interface, the process may not open raw sockets (CAP_NET_RAW), or the
    /// calling thread is not inside a tokio runtime.
    ///
    /// # Panics
    /// The tokio runtime has no IO driver.
    pub fn open(interface: &str, family: Family) -> Result<Self, AdvertiserError> {
        let name: Arc<str> = interface.into();
        if !is_interface_name(interface) {
            return Err(AdvertiserError::NoSuchInterface { interface: name });
        }
        let failed = |operation| {
            let interface = Arc::clone(&name);
            move |source| opening_error(operation, interface, source)
        };
        let (domain, options): (_, fn(&Socket) -> io::Result<()>) = match family {
            Family::V4 => (Domain::IPV4, set_options_v4),
            Family::V6 => (Domain::IPV6, set_options_v6),
        };
        let protocol = Protocol::from(c_int::from(IP_PROTOCOL));
        let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))
            .map_err(failed("open a raw socket"))?;
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(failed("bind a raw socket"))?;
        options(&socket).map_err(failed("set options of a raw socket"))?;
        // Asked of the socket itself: the interface may be replaced between two calls by name.
        let index = socket
            .device_index_v4()
            .map_err(failed("find the interface of a raw socket"))?
            .ok_or_else(|| AdvertiserError::NoSuchInterface {
                interface: Arc::clone(&name),
            })?
            .get();
        forget_what_came_before(&socket);
        let socket = sys::register(socket, Interest::READABLE)
            .map_err(failed("register a raw socket with tokio"))?;
        Ok(Self {
            interface: name,
            index,
            family,
            socket,
            outgoing: Mutex::default(),
            incoming: Mutex::new(Incoming {
                buffer: vec![0; PACKET_LEN].into(),
                groups: BTreeSet::new(),
                addresses_by_vrid: BTreeMap::new(),
                rejections: Rejections::default(),
            }),
        })
    }

    /// How many packets were lost because nobody received them in time.
    ///
    /// # Errors
    /// The kernel does not tell (before Linux 4.12).
    pub fn dropped(&self) -> io::Result<u32> {
        sys::dropped(self.socket.get_ref())
    }

    fn error(&self, operation: &'static str, source: io::Error) -> AdvertiserError {
        let interface = Arc::clone(&self.interface);
        match errno(&source) {
            libc::ENODEV | libc::ENXIO => AdvertiserError::Closed { interface },
            _ => AdvertiserError::Io {
                operation,
                interface,
                source,
            },
        }
    }

    fn send_one(
        &self,
        buffer: &mut Vec<u8>,
        advert: &Advertisement,
        delivery: &Delivery,
        to: IpAddr,
    ) -> io::Result<usize> {
        let socket = self.socket.get_ref();
        let families = (self.family, advert.addresses().family());
        buffer.clear();
        match (families, delivery.source, to) {
            ((Family::V4, Family::V4), IpAddr::V4(source), IpAddr::V4(destination)) => {
                buffer.extend(ipv4::header(
                    source,
                    destination,
                    delivery.ttl,
                    TYPE_OF_SERVICE,
                ));
                advert.emit(buffer, delivery.checksum, delivery.source, to);
                socket.send_to(buffer, &SocketAddrV4::new(destination, 0).into())
            }
            ((Family::V6, Family::V6), IpAddr::V6(source), IpAddr::V6(destination)) => {
                advert.emit(buffer, delivery.checksum, delivery.source, to);
                let control = control::outgoing(source, self.index, delivery.ttl, TYPE_OF_SERVICE);
                let to = SockAddr::from(SocketAddrV6::new(destination, 0, 0, self.index));
                let data = [io::IoSlice::new(buffer)];
                let message = MsgHdr::new()
                    .with_addr(&to)
                    .with_buffers(&data)
                    .with_control(&control);
                socket.sendmsg(&message, 0)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "an advertisement of {} addresses from {} to {to} does not fit a socket for {}",
                    families.1, delivery.source, families.0
                ),
            )),
        }
    }

    /// Takes one packet from the socket; `None`: it was malformed, or is no business of ours.
    fn take(&self, socket: &Socket) -> io::Result<Option<Received>> {
        let incoming = &mut *lock(&self.incoming);
        let arrival = match self.family {
            Family::V4 => receive_v4(socket, &mut incoming.buffer)?,
            Family::V6 => receive_v6(socket, &mut incoming.buffer)?,
        };
        let Some(Arrival {
            from,
            to,
            ttl,
            message,
        }) = arrival
        else {
            trace!(interface = %self.interface, "packet is cut short");
            incoming.rejections.count(RejectReason::Length);
            return Ok(None);
        };
        if to.is_multicast() && !incoming.groups.contains(&to) {
            return Ok(None);
        }
        match Packet::parse(message, from, to) {
            Ok(packet) => {
                let last = incoming.addresses_by_vrid.get(&packet.vrid());
                let advert = packet.to_advertisement(last);
                if last != Some(advert.addresses()) {
                    let addresses = advert.addresses().clone();
                    incoming.addresses_by_vrid.insert(packet.vrid(), addresses);
                }
                Ok(Some(Received::new(
                    advert,
                    from,
                    to,
                    ttl,
                    packet.checksum(),
                )))
            }
            Err(error) => {
                trace!(interface = %self.interface, %from, %to, %error, "packet rejected");
                incoming.rejections.count(error.reason());
                Ok(None)
            }
        }
    }
}

#[async_trait]
impl Advertiser for RawAdvertiser {
    async fn join(&self, group: IpAddr) -> Result<(), AdvertiserError> {
        let socket = self.socket.get_ref();
        let joined = match group {
            IpAddr::V4(group) => {
                socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(self.index))
            }
            IpAddr::V6(group) => socket.join_multicast_v6(&group, self.index),
        };
        match joined {
            Err(error) if errno(&error) != libc::EADDRINUSE => {
                Err(self.error("join a multicast group", error))
            }
            Ok(()) | Err(_) => {
                lock(&self.incoming).groups.insert(group);
                Ok(())
            }
        }
    }

    async fn send(
        &self,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), AdvertiserError> {
        let destinations = match &delivery.to {
            Destination::Group(group) => slice::from_ref(group),
            Destination::Peers(peers) => peers,
        };
        let mut buffer = lock(&self.outgoing);
        let mut failed = 0;
        let mut first = None;
        for to in destinations {
            if let Err(error) = self.send_one(&mut buffer, advert, delivery, *to) {
                failed += 1;
                first.get_or_insert((*to, error));
            }
        }
        match first {
            None => Ok(()),
            Some((_, source)) if matches!(errno(&source), libc::ENODEV | libc::ENXIO) => {
                Err(self.error("send", source))
            }
            Some((to, source)) => Err(AdvertiserError::Send {
                to,
                interface: Arc::clone(&self.interface),
                failed,
                tried: destinations.len(),
                source,
            }),
        }
    }

    async fn recv(&self) -> Result<Received, AdvertiserError> {
        loop {
            // A flood must not keep the other tasks of the thread from running.
            task::consume_budget().await;
            let mut ready = self
                .socket
                .readable()
                .await
                .map_err(|source| self.error("receive", source))?;
            match ready.try_io(|socket| self.take(socket.get_ref())) {
                Ok(Ok(Some(received))) => return Ok(received),
                Ok(Ok(None)) | Err(_) => {}
                Ok(Err(source)) => return Err(self.error("receive", source)),
            }
        }
    }

    fn rejections(&self) -> Rejections {
        lock(&self.incoming).rejections
    }
}

/// A VRRP message and what its IP header says.
struct Arrival<'a> {
    from: IpAddr,
    to: IpAddr,
    ttl: u8,
    message: &'a [u8],
}

fn receive_v4<'a>(mut socket: &Socket, buffer: &'a mut [u8]) -> io::Result<Option<Arrival<'a>>> {
    let length = socket.read(buffer)?;
    let packet = buffer.get(..length).and_then(ipv4::parse);
    Ok(packet.map(|packet| Arrival {
        from: packet.source.into(),
        to: packet.destination.into(),
        ttl: packet.ttl,
        message: packet.payload,
    }))
}

fn receive_v6<'a>(socket: &Socket, buffer: &'a mut [u8]) -> io::Result<Option<Arrival<'a>>> {
    let mut control = [0; control::SPACE];
    let mut from = SockAddr::from(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0));
    let lengths = sys::receive(socket, buffer, &mut control, &mut from)?;
    let header = control::incoming(control.get(..lengths.control).unwrap_or_default());
    let message = buffer.get(..lengths.data).filter(|_| !lengths.truncated);
    Ok((|| {
        Some(Arrival {
            from: IpAddr::V6(*from.as_socket_ipv6()?.ip()),
            to: IpAddr::V6(header.destination?),
            ttl: header.hop_limit?,
            message: message?,
        })
    })())
}

fn set_options_v4(socket: &Socket) -> io::Result<()> {
    set_options(socket)?;
    socket.set_header_included_v4(true)?;
    socket.set_multicast_loop_v4(false)?;
    socket.set_multicast_all_v4(false)
}

fn set_options_v6(socket: &Socket) -> io::Result<()> {
    set_options(socket)?;
    sys::receive_packet_info_v6(socket)?;
    socket.set_recv_hoplimit_v6(true)?;
    socket.set_multicast_loop_v6(false)
}

fn set_options(socket: &Socket) -> io::Result<()> {
    sys::set_receive_buffer(socket, RECEIVE_BUFFER_LEN)?;
    sys::set_send_buffer(socket, SEND_BUFFER_LEN)?;
    socket.set_priority(QUEUE_PRIORITY)
}

/// Between being opened and being bound the socket took packets of every interface and group.
fn forget_what_came_before(mut socket: &Socket) {
    let mut buffer = [0; 1];
    while socket.read(&mut buffer).is_ok() {}
}

fn opening_error(
    operation: &'static str,
    interface: Arc<str>,
    source: io::Error,
) -> AdvertiserError {
    match errno(&source) {
        libc::ENODEV => AdvertiserError::NoSuchInterface { interface },
        libc::EPERM => AdvertiserError::Forbidden {
            operation,
            interface,
            source,
        },
        _ => AdvertiserError::Io {
            operation,
            interface,
            source,
        },
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
