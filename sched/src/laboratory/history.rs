//! What happens to a service: changes of its servers, and connections.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    flow::{Flow, Protocol},
    server::ServerSettings,
};

/// What happens to a service, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    events: Vec<Event>,
}

/// Something that happens to a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The operator changes the servers.
    Change(Change),
    /// A connection begins.
    Arrive {
        /// A number of your choice by which [`Event::Close`] and [`Event::Expire`] name it.
        connection: u64,
        /// Who connects to what.
        flow: Flow,
        /// Random bits, see [`Arrival::random`](crate::Arrival::random).
        random: u64,
    },
    /// A connection ends, and is counted as inactive from now on.
    Close {
        /// Its number.
        connection: u64,
    },
    /// A connection is forgotten, and no longer counted.
    Expire {
        /// Its number.
        connection: u64,
    },
    /// Time passes. A span beyond the end of the clock is passed over.
    Wait(Duration),
}

/// A change that an operator makes to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A server is added at the front of the list.
    Add(SocketAddr, ServerSettings),
    /// A server is given new settings.
    Edit(SocketAddr, ServerSettings),
    /// A server is removed.
    Remove(SocketAddr),
}

impl History {
    /// The events in order.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Appends an event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        Self {
            events: events.into_iter().collect(),
        }
    }
}

/// A made-up history: a population of clients that come back again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a recipe to be filled in, field by field"
)]
pub struct Workload {
    /// The servers there are at the beginning, in the order in which they are added.
    pub servers: Vec<(SocketAddr, ServerSettings)>,
    /// Changes, each just before the arrival of that number.
    pub changes: Vec<(u32, Change)>,
    /// How many clients there are, each with an IPv4 address of its own; at least 1 is taken.
    pub clients: u32,
    /// How many connections arrive, each from a client drawn at random.
    pub arrivals: u32,
    /// The protocol of all.
    pub protocol: Protocol,
    /// How many arrivals a connection lives on average. A TCP connection ends then and is
    /// forgotten after as many arrivals more.
    pub lifetime: u32,
    /// Another seed makes another history of the same kind.
    pub seed: u64,
}

impl Workload {
    /// Makes the history. Deterministic.
    #[must_use]
    pub fn history(&self) -> History {
        let mut random = SplitMix64(self.seed);
        let add = |(address, settings)| Event::Change(Change::Add(address, settings));
        let mut timed: Vec<(u64, Event)> = self
            .servers
            .iter()
            .copied()
            .map(|server| (0, add(server)))
            .collect();
        timed.extend(
            self.changes
                .iter()
                .map(|(at, it)| (u64::from(*at), Event::Change(*it))),
        );
        for arrival in 0..u64::from(self.arrivals) {
            let client = random.below(self.clients.max(1));
            let ip =
                Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 8, 0, 0)).wrapping_add(client));
            let port = 1024 + u16::try_from(random.below(60_000)).unwrap_or(0);
            let vip = SocketAddr::from((Ipv4Addr::new(10, 7, 0, 1), 80));
            let flow = Flow::new(self.protocol, SocketAddr::from((ip, port)), vip);
            timed.push((
                arrival,
                Event::Arrive {
                    connection: arrival,
                    flow,
                    random: random.next(),
                },
            ));
            let longest = self.lifetime.saturating_mul(2).max(1);
            let mut life = || 1 + u64::from(random.below(longest));
            let (open, closed) = (life(), life());
            if self.protocol == Protocol::Tcp {
                timed.push((
                    arrival + open,
                    Event::Close {
                        connection: arrival,
                    },
                ));
                timed.push((
                    arrival + open + closed,
                    Event::Expire {
                        connection: arrival,
                    },
                ));
            } else {
                timed.push((
                    arrival + open,
                    Event::Expire {
                        connection: arrival,
                    },
                ));
            }
        }
        // Stable: at one moment what was pushed first comes first, so changes before arrivals.
        timed.sort_by_key(|(at, _)| *at);
        let end = u64::from(self.arrivals);
        timed
            .into_iter()
            .take_while(|(at, _)| *at < end)
            .map(|(_, event)| event)
            .collect()
    }
}

/// A generator of random bits of which a history needs no more than that they look random:
/// G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
struct SplitMix64(u64);

impl SplitMix64 {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    const fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * end as u64) >> 32) as u32
    }
}
