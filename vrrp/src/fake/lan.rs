//! A segment on tokio's clock.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::{sync::Notify, time};

use super::{Frame, Port, Segment};
use crate::Family;

/// A [`Segment`] that [`Host`](super::Host)s share, on tokio's clock.
///
/// A handle: clones are the same segment.
#[derive(Debug, Clone)]
pub struct Lan(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something has arrived somewhere, or may arrive sooner than it seemed.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    segment: Segment,
    stranger: Port,
    sockets: BTreeMap<SocketId, Socket>,
    opened: u64,
}

/// A socket that a host has opened on one of its interfaces.
#[derive(Debug)]
struct Socket {
    port: Port,
    family: Family,
    groups: BTreeSet<IpAddr>,
    /// What has arrived and was not read yet.
    inbox: VecDeque<Frame>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SocketId(u64);

/// The socket is closed, or its interface is gone.
#[derive(Debug)]
pub(super) struct Closed;

impl Lan {
    /// An empty segment that carries perfectly. The seed decides all that is random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut segment = Segment::new(seed);
        let stranger = segment.attach();
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                segment,
                stranger,
                sockets: BTreeMap::new(),
                opened: 0,
            }),
            changed: Notify::new(),
        }))
    }

    /// Does something to the segment, or looks at it; the second argument is the time now.
    ///
    /// Frames that have arrived are handed out before and after, so `change` has no delivery to
    /// poll. It must not use this `Lan` or a host on it: they wait for it to end.
    pub fn with<T>(&self, change: impl FnOnce(&mut Segment, Instant) -> T) -> T {
        let mut state = self.lock();
        let now = now();
        state.hand_out(now);
        let answer = change(&mut state.segment, now);
        state.hand_out(now);
        drop(state);
        self.0.changed.notify_waiters();
        answer
    }

    /// Sends any frame, as if by a stranger on the segment: garbage, a wrong TTL, a forged source.
    ///
    /// To send it from the port of a host, use [`Lan::with`] and [`Segment::send`].
    pub fn inject(&self, frame: Frame) {
        let stranger = self.lock().stranger;
        self.send(stranger, frame);
    }

    pub(super) fn send(&self, from: Port, frame: Frame) {
        self.with(|segment, now| segment.send(from, frame, now));
    }

    pub(super) fn open(&self, port: Port, family: Family) -> SocketId {
        let mut state = self.lock();
        let id = SocketId(state.opened);
        state.opened += 1;
        let socket = Socket {
            port,
            family,
            groups: BTreeSet::new(),
            inbox: VecDeque::new(),
        };
        state.sockets.insert(id, socket);
        id
    }

    pub(super) fn close(&self, id: SocketId) {
        let mut state = self.lock();
        if let Some(socket) = state.sockets.remove(&id) {
            for group in socket.groups {
                state.leave_unless_wanted(socket.port, group);
            }
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Closes every socket of a port, and takes the port off.
    pub(super) fn remove(&self, port: Port) {
        self.with(|segment, _| segment.crash(port));
        self.lock().sockets.retain(|_, socket| socket.port != port);
        self.0.changed.notify_waiters();
    }

    pub(super) fn join(&self, id: SocketId, group: IpAddr) -> Result<(), Closed> {
        let mut state = self.lock();
        let State {
            segment, sockets, ..
        } = &mut *state;
        let socket = sockets.get_mut(&id).ok_or(Closed)?;
        socket.groups.insert(group);
        segment.join(socket.port, group);
        Ok(())
    }

    pub(super) fn is_open(&self, id: SocketId) -> bool {
        self.lock().sockets.contains_key(&id)
    }

    /// Waits for the next frame. Cancel safe: a frame is taken in the poll that returns it.
    ///
    /// Whoever waits moves the segment on for all: no task has to.
    pub(super) async fn recv(&self, id: SocketId) -> Result<Frame, Closed> {
        loop {
            // Made before the look: it hears of whatever changes after it.
            let changed = self.0.changed.notified();
            let (frame, due_at) = self.take(id)?;
            match (frame, due_at) {
                (Some(frame), _) => return Ok(frame),
                (None, None) => changed.await,
                (None, Some(due_at)) => tokio::select! {
                    () = changed => {}
                    () = time::sleep_until(due_at.into()) => {}
                },
            }
        }
    }

    /// The next frame of a socket, and when the segment has something for somebody.
    fn take(&self, id: SocketId) -> Result<(Option<Frame>, Option<Instant>), Closed> {
        let mut state = self.lock();
        if state.hand_out(now()) {
            self.0.changed.notify_waiters();
        }
        let socket = state.sockets.get_mut(&id).ok_or(Closed)?;
        Ok((socket.inbox.pop_front(), state.segment.poll_timeout()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock is the one to be heard of.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts what has arrived where it belongs, and tells whether there was anything.
    fn hand_out(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some((port, frame)) = self.segment.poll_delivery(now) {
            let limit = self.segment.receive_queue();
            for socket in self.sockets.values_mut() {
                if socket.port == port && socket.wants(&frame) && socket.inbox.len() < limit {
                    socket.inbox.push_back(frame.clone());
                    any = true;
                }
            }
        }
        any
    }

    fn leave_unless_wanted(&mut self, port: Port, group: IpAddr) {
        let wanted = self
            .sockets
            .values()
            .any(|socket| socket.port == port && socket.groups.contains(&group));
        if !wanted {
            self.segment.leave(port, group);
        }
    }
}

impl Socket {
    fn wants(&self, frame: &Frame) -> bool {
        let destination = frame.destination;
        Family::of(destination) == self.family
            && (!destination.is_multicast() || self.groups.contains(&destination))
    }
}

/// Tokio's clock as the standard library's type, so that pausing it stops the fakes too.
pub(super) fn now() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "the fakes live on tokio's clock; this is where they read it"
    )]
    let now = time::Instant::now();
    now.into_std()
}
