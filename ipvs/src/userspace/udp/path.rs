//! The way of one client's datagrams to a server, and of the answers.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket, time};

use super::{PathKey, Paths, ROOM, count};
use crate::{
    Traffic,
    plane::{Flow, FlowId, Passed, Route, Step},
    sys::datagrams::send,
    userspace::{
        carried::Carried,
        config::Source,
        now,
        shared::{ShardId, Shared},
        source::pretend,
    },
};

/// A socket that speaks to one server for one client.
#[derive(Debug)]
pub(super) struct Path {
    /// `None`: of a one-packet service.
    pub(super) id: Option<FlowId>,
    route: Route,
    pub(super) server: UdpSocket,
    used_at: Mutex<Instant>,
}

impl Path {
    pub(super) fn open(shared: &Shared, flow: Flow, route: Route) -> io::Result<Self> {
        let destination = route.destination;
        let address = SocketAddr::new(destination.address, destination.port);
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
        if shared.config.source == Source::Client {
            pretend(&socket, flow.client)?;
        }
        socket.connect(&address.into())?;
        Ok(Self {
            id: route.id,
            route,
            server: UdpSocket::from_std(socket.into())?,
            used_at: Mutex::new(now()),
        })
    }

    /// Something went through it.
    pub(super) fn used(&self, at: Instant) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn used_at(&self) -> Instant {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path that is found by its client until this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    paths: Arc<Paths>,
    key: PathKey,
    path: Arc<Path>,
}

impl Entry {
    pub(super) fn new(paths: &Arc<Paths>, key: PathKey, path: Arc<Path>) -> Self {
        paths.lock().insert(key, Arc::clone(&path));
        let paths = Arc::clone(paths);
        Self { paths, key, path }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut paths = self.paths.lock();
        let found = paths.get(&self.key);
        if found.is_some_and(|found| Arc::ptr_eq(found, &self.path)) {
            paths.remove(&self.key);
        }
    }
}

/// Sends a server's answers to the client: until the server refuses datagrams, so that the client's
/// next one is scheduled anew, until nothing has come by for long enough, or the service is removed.
pub(super) async fn answer(
    shared: Arc<Shared>,
    shard: ShardId,
    entry: Entry,
    service: Weak<UdpSocket>,
    carried: Option<Carried>,
) {
    let path = &entry.path;
    let client = entry.key.0;
    while let Some(interest) = readiness(&shared, path).await {
        let is_over = ROOM.with_borrow_mut(|room| {
            let received = path.server.try_io(interest, || room.receive(&path.server));
            match received {
                Ok(()) => {}
                Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
            }
            let Some(service) = service.upgrade() else {
                return true;
            };
            let datagrams: Vec<_> = room.iter().map(|(bytes, _)| bytes).collect();
            let lengths = datagrams.iter().map(|it| it.len());
            note(&shared, shard, path, count(lengths));
            let sent = send(&*service, &datagrams, Some(client)).unwrap_or(0);
            shared.counting.lost.add(datagrams.len() - sent);
            false
        });
        if is_over {
            break;
        }
    }
    drop((entry, carried));
}

/// Waits until there is something to receive, or an error: what it is. `None`: the path is no longer
/// used.
async fn readiness(shared: &Shared, path: &Path) -> Option<Interest> {
    loop {
        let ready = path.server.ready(Interest::READABLE | Interest::ERROR);
        let ready = if path.id.is_some() {
            // The core knows when it is due.
            ready.await
        } else {
            let timeout = shared.core().plane.running.timeouts.udp.into();
            match time::timeout(timeout, ready).await {
                Ok(ready) => ready,
                Err(time::error::Elapsed { .. })
                    if now().saturating_duration_since(path.used_at()) < timeout =>
                {
                    continue;
                }
                Err(time::error::Elapsed { .. }) => return None,
            }
        };
        return Some(match ready.ok()?.is_error() {
            true => Interest::ERROR,
            false => Interest::READABLE,
        });
    }
}

/// Counts answers.
fn note(shared: &Shared, shard: ShardId, path: &Path, (packets_out, bytes_out): (u64, u64)) {
    let traffic = Traffic {
        packets_out,
        bytes_out,
        ..Traffic::ZERO
    };
    let at = now();
    let step = Step::Data;
    match path.id {
        Some(id) => shared.note(shard, id, Passed { traffic, step, at }),
        None => {
            path.used(at);
            shared.core().plane.count(&path.route, traffic);
        }
    }
}
