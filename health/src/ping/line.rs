//! The one ICMP socket of a family, and who waits for what on it.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
    task::JoinHandle,
};

use super::{
    PingError,
    packet::{Echo, Queued, Version, address, meaning, quoted},
};
use crate::{
    Connect, ProbeError,
    connect::local,
    sys,
    unpredictable::{unpredictable, unpredictable_u16},
};

/// What is read at a time before others have their turn.
const READS: usize = 64;
/// Errors of other targets that a send may be handed before it is its own turn.
const STRAY_ERRORS: usize = 16;

/// An open socket and the task that reads from it. Dropping it closes both.
#[derive(Debug)]
pub(super) struct Line {
    shared: Arc<Shared>,
    receiver: JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Shared {
    socket: AsyncFd<UdpSocket>,
    version: Version,
    /// Whether IPv4 headers come with what is read.
    raw: bool,
    /// `None` where the kernel sees to it that we get our own.
    id: Option<u16>,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    next: u16,
    by_sequence: BTreeMap<u16, Slot>,
}

#[derive(Debug)]
struct Slot {
    target: IpAddr,
    cookie: u64,
    answer: oneshot::Sender<Result<(), PingError>>,
}

impl Line {
    /// Opens a socket: one that the kernel gives to the groups of `net.ipv4.ping_group_range`, or
    /// else a raw one. Must be called within a tokio runtime.
    pub(super) fn open(version: Version, connect: &Connect) -> Result<Self, ProbeError> {
        let (any, protocol) = match version {
            Version::V4 => (IpAddr::V4(Ipv4Addr::UNSPECIFIED), Protocol::ICMPV4),
            Version::V6 => (IpAddr::V6(Ipv6Addr::UNSPECIFIED), Protocol::ICMPV6),
        };
        let any = SocketAddr::new(any, 0);
        let failed = |source| local("open a socket for pings", source);
        let domain = Domain::for_address(any);
        let open = |kind: Type| Socket::new(domain, kind.nonblocking(), Some(protocol));
        let (socket, raw) = match open(Type::DGRAM) {
            Err(first) if is_forbidden(&first) => match open(Type::RAW) {
                Err(source) if is_forbidden(&source) => {
                    return Err(PingError::NotPermitted { source }.into());
                }
                opened => (opened.map_err(failed)?, true),
            },
            opened => (opened.map_err(failed)?, false),
        };
        sys::queue_errors(&socket, version == Version::V6).map_err(failed)?;
        connect.prepare(&socket, any)?;
        let socket = sys::watch(UdpSocket::from(socket)).map_err(failed)?;
        let shared = Arc::new(Shared {
            socket,
            version,
            raw,
            id: raw.then(unpredictable_u16),
            slots: Mutex::default(),
        });
        let receiver = tokio::spawn(receive(Arc::clone(&shared)));
        Ok(Self { shared, receiver })
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.receiver.is_finished()
    }

    pub(super) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one echo and waits for its answer. Cancel safe: the echo's slot becomes free.
    pub(super) async fn ping(self: &Arc<Self>, target: SocketAddr) -> Result<(), PingError> {
        let mut waiting = self.register(target.ip())?;
        let echo = Echo {
            id: self.id.unwrap_or_default(),
            sequence: waiting.sequence,
            cookie: waiting.cookie,
        };
        self.send(&echo.request(self.version), target).await?;
        let answer = (&mut waiting.answer).await;
        answer.unwrap_or(Err(PingError::Closed))
    }

    fn register(self: &Arc<Self>, target: IpAddr) -> Result<Waiting, PingError> {
        let (sender, answer) = oneshot::channel();
        let cookie = unpredictable();
        let mut slots = self.slots();
        let first = slots.next;
        let sequence = (0..=u16::MAX)
            .map(|offset| first.wrapping_add(offset))
            .find(|sequence| !slots.by_sequence.contains_key(sequence))
            .ok_or(PingError::TooMany)?;
        slots.next = sequence.wrapping_add(1);
        slots.by_sequence.insert(
            sequence,
            Slot {
                target,
                cookie,
                answer: sender,
            },
        );
        drop(slots);
        Ok(Waiting {
            shared: Arc::clone(self),
            sequence,
            cookie,
            answer,
        })
    }

    async fn send(&self, bytes: &[u8], target: SocketAddr) -> Result<(), PingError> {
        // ICMP has no ports, and the kernel refuses one on a raw IPv6 socket.
        let mut target = target;
        target.set_port(0);
        let mut tries = 0;
        loop {
            let sent = self
                .socket
                .async_io(Interest::WRITABLE, |socket| socket.send_to(bytes, target))
                .await;
            match sent {
                Ok(_) => {
                    // Answers to many echoes sent in one go would not all fit into the socket's
                    // buffer until it is the receiver's turn.
                    self.read();
                    return Ok(());
                }
                // A socket hands the error of one target to whoever uses it next; it is in the
                // queue too. One of our own comes again at every try.
                Err(_) if tries < STRAY_ERRORS => tries += 1,
                Err(source) => return Err(PingError::Send { source }),
            }
        }
    }

    /// Tells whoever waits for this echo. Late and foreign ones are nobody's.
    fn answered(&self, from: IpAddr, echo: Echo) {
        if self.id.is_some_and(|id| id != echo.id) {
            return;
        }
        self.settle(echo.sequence, Ok(()), |slot| {
            slot.target == from && slot.cookie == echo.cookie
        });
    }

    fn failed(&self, packet: &[u8], destination: &[u8], control: &[u8]) {
        let Some(queued) = Queued::from_control(control) else {
            return;
        };
        let Some((id, sequence)) = quoted(packet, self.version) else {
            return;
        };
        if self.id.is_some_and(|own| own != id) {
            return;
        }
        let error = match queued.icmp {
            Some((kind, code)) => PingError::Returned {
                by: queued
                    .by
                    .map_or_else(|| "the kernel".to_owned(), |by| by.to_string()),
                meaning: meaning(self.version, kind, code),
                kind,
                code,
            },
            None => PingError::Send {
                source: io::Error::from_raw_os_error(queued.errno),
            },
        };
        let to = address(destination);
        self.settle(sequence, Err(error), |slot| Some(slot.target) == to);
    }

    fn settle(
        &self,
        sequence: u16,
        result: Result<(), PingError>,
        is_it: impl FnOnce(&Slot) -> bool,
    ) {
        let mut slots = self.slots();
        if slots.by_sequence.get(&sequence).is_some_and(is_it)
            && let Some(slot) = slots.by_sequence.remove(&sequence)
        {
            // Who waited may have gone at this very moment.
            drop(slot.answer.send(result));
        }
    }

    /// Takes what there is to read. Returns whether that was all.
    fn read(&self) -> bool {
        let socket = self.socket.get_ref();
        let mut packet = [0; 2048];
        let mut no_errors = false;
        for _ in 0..READS {
            let (mut destination, mut control) = ([0; 28], [0; 512]);
            match sys::take_error(socket, &mut packet, &mut destination, &mut control) {
                Ok(error) => self.failed(error.packet, error.destination, error.control),
                Err(_) => {
                    no_errors = true;
                    break;
                }
            }
        }
        for _ in 0..READS {
            match socket.recv_from(&mut packet) {
                Ok((length, from)) => {
                    let bytes = packet.get(..length).unwrap_or_default();
                    let header = self.raw && self.version == Version::V4;
                    if let Some(echo) = Echo::from_reply(bytes, self.version, header) {
                        self.answered(from.ip(), echo);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return no_errors,
                // The error of some target: it is in the queue too.
                Err(_) => {}
            }
        }
        false
    }

    /// How many echoes are on their way.
    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.slots().by_sequence.len()
    }
}

async fn receive(shared: Arc<Shared>) {
    let _closing = Closing(&shared);
    // An error means that the runtime goes down.
    while let Ok(mut ready) = shared
        .socket
        .ready(Interest::READABLE | Interest::ERROR)
        .await
    {
        if shared.read() {
            ready.clear_ready();
        }
        drop(ready);
        tokio::task::yield_now().await;
    }
}

/// Tells those who wait when nobody reads any more, however that came about.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.slots().by_sequence.clear();
    }
}

/// A slot that is given back when nobody waits for it any more.
struct Waiting {
    shared: Arc<Shared>,
    sequence: u16,
    cookie: u64,
    answer: oneshot::Receiver<Result<(), PingError>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut slots = self.shared.slots();
        let slot = slots.by_sequence.get(&self.sequence);
        // Once answered, the sequence number may be another echo's.
        if slot.is_some_and(|slot| slot.cookie == self.cookie) {
            slots.by_sequence.remove(&self.sequence);
        }
    }
}
