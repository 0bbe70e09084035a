//! An Ethernet segment as a value.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt, iter,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    Conditions, Frame, FrameEvent, FrameRecord, LossCause, journal::Journal, random::Random,
};

mod failures;
#[cfg(test)]
mod tests;

/// An Ethernet segment in memory, on virtual time.
///
/// Nodes attach to it and get a [`Port`]. A frame to a multicast group goes to all others that
/// joined the group, one to an address to all others that have it (two in a conflict). Who takes
/// part, what is cut and how well a link carries is decided when a frame is sent; whether its
/// receiver is still there and reads, when it arrives.
///
/// The same seed and calls give the same deliveries. Like every core it is driven with
/// [`Segment::send`], [`Segment::poll_delivery`] until there is none, [`Segment::poll_timeout`]:
///
/// ```
/// use std::time::{Duration, Instant};
/// use vrrp::{Family, TTL, fake::{Conditions, Frame, Segment}};
///
/// # #[expect(clippy::disallowed_methods, reason = "any time will do")]
/// let start = Instant::now();
/// let mut segment = Segment::new(1);
/// segment.set_conditions(Conditions::default().latency(Duration::from_millis(2)));
/// let (a, b) = (segment.attach(), segment.attach());
/// let group = Family::V4.multicast_group();
/// segment.join(b, group);
///
/// let frame = Frame::new("192.0.2.1".parse()?, group, TTL, *b"anything");
/// segment.send(a, frame.clone(), start);
/// let due = segment.poll_timeout().expect("a frame is under way");
/// assert_eq!(due, start + Duration::from_millis(2));
/// assert_eq!(segment.poll_delivery(start), None);
/// assert_eq!(segment.poll_delivery(due), Some((b, frame)));
/// assert_eq!(segment.poll_timeout(), None);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// # Panics
/// Its methods panic if they are given a [`Port`] that this segment does not have.
#[derive(Debug, Clone)]
pub struct Segment {
    random: Random,
    nodes: Vec<Node>,
    conditions: Conditions,
    links: BTreeMap<(Port, Port), Conditions>,
    /// When the last frame from one port to another arrives that may not be overtaken.
    last_arrival: BTreeMap<(Port, Port), Instant>,
    /// By time of arrival, then in the order of sending.
    under_way: BTreeMap<(Instant, u64), Arrival>,
    sequence: u64,
    receive_queue: usize,
    journal: Journal,
}

/// A place on a [`Segment`] where a node is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(usize);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.0)
    }
}

#[derive(Debug, Clone, Default)]
struct Node {
    groups: BTreeSet<IpAddr>,
    addresses: BTreeSet<IpAddr>,
    /// The part of the segment it is in.
    side: usize,
    /// How often its cable has been pulled or plugged in: what was under way then is lost.
    cable: u64,
    state: State,
}

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Reading,
    Frozen {
        /// With the time of each arrival.
        queue: VecDeque<(Instant, Arrival)>,
    },
    Unplugged,
}

/// A frame on its way to one receiver.
#[derive(Debug, Clone)]
struct Arrival {
    from: Port,
    to: Port,
    /// The receiver's [`Node::cable`] when it was sent.
    cable: u64,
    frame: Frame,
}

impl Segment {
    /// Frames that a port queues while it is frozen: what Linux' default receive buffer of 212,992
    /// bytes holds of small packets.
    pub const RECEIVE_QUEUE: usize = 256;

    /// An empty segment that carries perfectly. The seed decides all that is random.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            nodes: Vec::new(),
            conditions: Conditions::default(),
            links: BTreeMap::new(),
            last_arrival: BTreeMap::new(),
            under_way: BTreeMap::new(),
            sequence: 0,
            receive_queue: Self::RECEIVE_QUEUE,
            journal: Journal::default(),
        }
    }

    // Who is there.

    /// Attaches a node: plugged in, without addresses, in no group.
    #[must_use]
    pub fn attach(&mut self) -> Port {
        self.nodes.push(Node::default());
        Port(self.nodes.len() - 1)
    }

    /// Takes part in a multicast group. Idempotent.
    pub fn join(&mut self, port: Port, group: IpAddr) {
        self.node(port).groups.insert(group);
    }

    /// Takes part in a multicast group no more. Idempotent.
    pub fn leave(&mut self, port: Port, group: IpAddr) {
        self.node(port).groups.remove(&group);
    }

    /// Gets what is sent to an address. Idempotent.
    pub fn add_address(&mut self, port: Port, address: IpAddr) {
        self.node(port).addresses.insert(address);
    }

    /// Gets what is sent to an address no more. Idempotent.
    pub fn remove_address(&mut self, port: Port, address: IpAddr) {
        self.node(port).addresses.remove(&address);
    }

    // Frames.

    /// Sends a frame to whom it is for; never back to the sender.
    pub fn send(&mut self, from: Port, frame: Frame, now: Instant) {
        self.journal.add(now, from, &frame, FrameEvent::Sent);
        let (side, plugged) = {
            let sender = self.node(from);
            (sender.side, !matches!(sender.state, State::Unplugged))
        };
        let receivers: Vec<_> = (0..self.nodes.len())
            .map(Port)
            .filter(|to| *to != from && self.node(*to).is_meant_by(frame.destination))
            .collect();
        for to in receivers {
            let node = self.node(to);
            let (reachable, cable) = (node.side == side, node.cable);
            let arrival = Arrival {
                from,
                to,
                cable,
                frame: frame.clone(),
            };
            match (plugged, reachable) {
                (true, true) => self.carry(arrival, now),
                (true, false) => self.lose(now, arrival, LossCause::Partition),
                (false, _) => self.lose(now, arrival, LossCause::Unplugged),
            }
        }
    }

    /// The next frame that has arrived, and where; `None` when none has until `now`.
    #[must_use]
    pub fn poll_delivery(&mut self, now: Instant) -> Option<(Port, Frame)> {
        while let Some(first) = self.under_way.first_entry() {
            let (at, _) = *first.key();
            if at > now {
                break;
            }
            let arrival = first.remove();
            if let Some(delivery) = self.arrive(at, arrival) {
                return Some(delivery);
            }
        }
        None
    }

    /// When to call [`Segment::poll_delivery`] next; that may yield nothing, if what arrives then is
    /// lost or its receiver does not read. `None`: nothing is under way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((at, _), _)| *at)
    }

    // Looking back.

    /// Keeps the last so many records of what happens to frames; none unless told.
    pub fn keep_journal(&mut self, records: usize) {
        self.journal.set_limit(records);
    }

    /// What has happened, the oldest first.
    pub fn journal(&self) -> impl Iterator<Item = &FrameRecord> {
        self.journal.iter()
    }

    /// Decides what the line does to a frame that goes from one port to another.
    fn carry(&mut self, arrival: Arrival, now: Instant) {
        let link = (arrival.from, arrival.to);
        let conditions = *self.links.get(&link).unwrap_or(&self.conditions);
        // Everything is drawn every time: with one seed, runs under other conditions stay alike.
        let lost = self.random.happens(conditions.loss);
        let doubled = self.random.happens(conditions.duplication);
        let (first, copy) = (self.draw_delay(&conditions), self.draw_delay(&conditions));
        if lost {
            return self.lose(now, arrival, LossCause::Line);
        }
        for delay in iter::once(first).chain(doubled.then_some(copy)) {
            match delay.arrival(now, &mut self.last_arrival, link) {
                Some(at) => self.put_under_way(at, arrival.clone()),
                None => self.lose(now, arrival.clone(), LossCause::Line),
            }
        }
    }

    fn draw_delay(&mut self, conditions: &Conditions) -> Delay {
        let on_the_line = conditions
            .latency
            .saturating_add(self.random.span(conditions.jitter));
        let held_back = self.random.happens(conditions.reordering);
        let hold_back = self.random.span(conditions.hold_back);
        Delay {
            on_the_line,
            hold_back: held_back.then_some(hold_back),
        }
    }

    fn put_under_way(&mut self, at: Instant, arrival: Arrival) {
        self.under_way.insert((at, self.sequence), arrival);
        self.sequence += 1;
    }

    /// Hands a frame to its receiver, or to the receive queue of one that does not read.
    fn arrive(&mut self, at: Instant, arrival: Arrival) -> Option<(Port, Frame)> {
        let limit = self.receive_queue;
        let node = self.node(arrival.to);
        let same_cable = node.cable == arrival.cable;
        match &mut node.state {
            State::Reading if same_cable => {
                let Arrival {
                    from, to, frame, ..
                } = arrival;
                self.journal
                    .add(at, from, &frame, FrameEvent::Delivered { to });
                return Some((to, frame));
            }
            State::Frozen { queue } if same_cable && queue.len() < limit => {
                queue.push_back((at, arrival));
            }
            State::Frozen { .. } if same_cable => self.lose(at, arrival, LossCause::QueueFull),
            State::Reading | State::Frozen { .. } | State::Unplugged => {
                self.lose(at, arrival, LossCause::Unplugged);
            }
        }
        None
    }

    fn lose(&mut self, at: Instant, arrival: Arrival, because: LossCause) {
        let Arrival {
            from, to, frame, ..
        } = arrival;
        self.journal
            .add(at, from, &frame, FrameEvent::Lost { to, because });
    }

    fn node(&mut self, port: Port) -> &mut Node {
        self.nodes
            .get_mut(port.0)
            .expect("the port is one of this segment")
    }
}

/// How long a frame takes.
struct Delay {
    on_the_line: Duration,
    /// How much longer, if others may pass it.
    hold_back: Option<Duration>,
}

impl Delay {
    /// When a frame arrives that is sent now; `None` if that is past the end of time.
    fn arrival(
        &self,
        now: Instant,
        last_arrival: &mut BTreeMap<(Port, Port), Instant>,
        link: (Port, Port),
    ) -> Option<Instant> {
        let arrives_at = now.checked_add(self.on_the_line)?;
        let last = last_arrival.entry(link).or_insert(arrives_at);
        let in_order = arrives_at.max(*last);
        match self.hold_back {
            Some(hold_back) => in_order.checked_add(hold_back),
            None => {
                *last = in_order;
                Some(in_order)
            }
        }
    }
}

impl Node {
    fn is_meant_by(&self, destination: IpAddr) -> bool {
        match destination.is_multicast() {
            true => self.groups.contains(&destination),
            false => self.addresses.contains(&destination),
        }
    }
}
