//! Datagrams: those of one client's socket go to one server, whose answers go back to it.

mod path;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use path::{Entry, Path, answer};
use tokio::{io::Interest, net::UdpSocket};

use super::{
    carried::Carried,
    now,
    shared::{ShardId, Shared, Target, Turned},
};
use crate::{
    Endpoint, Traffic,
    plane::{Flow, Passed, Step},
    sys::datagrams::{Datagrams, send},
};

thread_local! {
    /// Room for what is received: a datagram is sent on before anything else is received.
    static ROOM: RefCell<Datagrams> = RefCell::new(Datagrams::new());
}

/// The service of one shard.
#[derive(Debug)]
struct Inbound {
    shared: Arc<Shared>,
    shard: ShardId,
    service: Endpoint,
    socket: Arc<UdpSocket>,
    paths: Arc<Paths>,
}

/// Where the datagrams of each client go. Of a one-packet service a client has a path for each
/// server that was chosen for it; they are not connections.
#[derive(Debug, Default)]
struct Paths(Mutex<BTreeMap<PathKey, Arc<Path>>>);

type PathKey = (SocketAddr, Option<Endpoint>);

impl Paths {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathKey, Arc<Path>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries the datagrams of a service on one shard, for ever.
pub(super) async fn serve(
    shared: Arc<Shared>,
    shard: ShardId,
    socket: UdpSocket,
    service: Endpoint,
) {
    let inbound = Inbound {
        shared,
        shard,
        service,
        socket: Arc::new(socket),
        paths: Arc::default(),
    };
    while inbound.socket.readable().await.is_ok() {
        ROOM.with_borrow_mut(|room| {
            let received = inbound
                .socket
                .try_io(Interest::READABLE, || room.receive(&*inbound.socket));
            // An error is of a datagram that was sent, which nobody waits for here.
            if received.is_ok() {
                inbound.carry(room);
            }
        });
    }
}

impl Inbound {
    /// Sends what was received on, all that follows one another from one client at a time.
    fn carry(&self, room: &Datagrams) {
        let now = now();
        let received: Vec<_> = room.iter().collect();
        for run in received.chunk_by(|(_, one), (_, next)| one == next) {
            let Some((_, Some(client))) = run.first() else {
                continue;
            };
            let datagrams: Vec<_> = run.iter().map(|(bytes, _)| *bytes).collect();
            if let Some(path) = self.path(*client, &datagrams, now) {
                let sent = send(&path.server, &datagrams, None).unwrap_or(0);
                self.shared.counting.lost.add(datagrams.len() - sent);
            }
        }
    }

    /// The way of a client's datagrams, which are counted.
    fn path(&self, client: SocketAddr, datagrams: &[&[u8]], now: Instant) -> Option<Arc<Path>> {
        let traffic = inward(datagrams);
        let known = self.paths.lock().get(&(client, None)).cloned();
        if let Some(path) = known
            && self.goes_on(&path, traffic, now)
        {
            return Some(path);
        }
        let flow = Flow::udp(client.into(), self.service);
        let mut core = self.shared.core();
        let scheduled = core.schedule(flow, self.shared.limits, now);
        let displaced = core.take_forgotten();
        if let Ok(target) = &scheduled {
            core.plane.count(&target.route, traffic);
        }
        drop(core);
        for task in displaced {
            task.abort();
        }
        match scheduled {
            Ok(target) => self.open(client, flow, target),
            Err(turned) => {
                let counting = &self.shared.counting;
                counting.accepted.up();
                match turned {
                    Turned::OverLimit => counting.over_limit.up(),
                    Turned::NoDestination => counting.no_destination.up(),
                }
                None
            }
        }
    }

    /// Whether a path may be used still. One whose server was removed may not: the client would
    /// talk to a server that is gone for as long as it talks.
    fn goes_on(&self, path: &Path, traffic: Traffic, now: Instant) -> bool {
        let Some(id) = path.id else {
            return false;
        };
        let mut core = self.shared.core();
        if !core.plane.knows(id) {
            return false;
        }
        let step = Step::Data;
        let goes_on = core.plane.send(id, step, now).is_ok();
        if goes_on {
            core.plane.passed(
                id,
                Passed {
                    traffic,
                    step,
                    at: now,
                },
            );
        }
        goes_on
    }

    /// A path to a server. Of one packet alone the one is used that there is.
    fn open(&self, client: SocketAddr, flow: Flow, target: Target) -> Option<Arc<Path>> {
        let route = target.route;
        let listed = route.id.is_none().then_some(route.destination);
        let key = (client, listed);
        if listed.is_some() {
            let paths = self.paths.lock();
            if let Some(path) = paths.get(&key) {
                path.used(now());
                return Some(Arc::clone(path));
            }
            self.shared.counting.accepted.up();
            if paths.len() >= self.shared.limits.connections_of_service {
                self.shared.counting.over_limit.up();
                return None;
            }
        } else {
            self.shared.counting.accepted.up();
        }
        let carried = route.id.map(|id| Carried {
            shared: Arc::clone(&self.shared),
            shard: self.shard,
            id,
        });
        let path = match Path::open(&self.shared, flow, route) {
            Ok(path) => Arc::new(path),
            Err(error) => {
                let counting = &self.shared.counting;
                match super::is_short_of_descriptors(&error) {
                    true => counting.short_of_descriptors.up(),
                    false => counting.unreachable.up(),
                }
                return None;
            }
        };
        self.shared.counting.served.up();
        let entry = Entry::new(&self.paths, key, Arc::clone(&path));
        let service = Arc::downgrade(&self.socket);
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(answer(shared, self.shard, entry, service, carried));
        if let Some(id) = route.id {
            self.shared.core().attach(id, task.abort_handle());
        }
        Some(path)
    }
}

/// What a client sent.
fn inward(datagrams: &[&[u8]]) -> Traffic {
    let (packets, bytes) = count(datagrams.iter().map(|it| it.len()));
    Traffic {
        packets_in: packets,
        bytes_in: bytes,
        ..Traffic::ZERO
    }
}

/// How many there are, and how many bytes they have.
fn count(lengths: impl Iterator<Item = usize>) -> (u64, u64) {
    lengths.fold((0, 0), |(packets, bytes), length| {
        (packets + 1, bytes + u64::try_from(length).unwrap_or(0))
    })
}
