//! Connections, scheduled by crate `sched` as Linux schedules, and remembered as Linux remembers.

mod phase;
#[cfg(feature = "userspace")]
mod reroute;
mod services;
mod slots;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use phase::Phase;
pub(crate) use phase::Step;
use services::Balanced;
pub(crate) use slots::FlowId;
use slots::Slots;

use super::flow::{Dropped, Flow};
use crate::{
    Connection, Counts, Endpoint, Forwarding, Protocol, Seconds, ServiceKey, ServiceState,
    Timeouts, connection::mark_address,
};

/// Whose connections are where.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// A scheduler and counters for each service of the table, and for those that were removed and
    /// have connections.
    services: BTreeMap<ServiceKey, Balanced>,
    slots: Slots,
    /// When each entry is to be looked at, which is its `look_at`: not after it is due.
    deadlines: BTreeSet<(Instant, FlowId)>,
    /// Those that were forgotten and not told of yet.
    forgotten: VecDeque<FlowId>,
    /// Whether answers pass here whatever the forwarding method.
    pub(super) carries_answers: bool,
    /// Where the sequence of random numbers is.
    random: u64,
}

/// A connection that is remembered.
#[derive(Debug)]
struct Entry {
    flow: Flow,
    service: ServiceKey,
    destination: Endpoint,
    /// Whether the answers pass here too.
    sees_both_ends: bool,
    /// Whether it was made from a persistence template.
    is_persistent: bool,
    counted: sched::Connection,
    phase: Phase,
    expires_at: Instant,
    look_at: Instant,
}

/// Where a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Route {
    /// Its connection; `None` if it is a datagram by itself, which is not remembered.
    pub(crate) id: Option<FlowId>,
    /// Its service.
    pub(crate) service: ServiceKey,
    /// The destination as the table has it.
    pub(crate) listed: Endpoint,
    /// The address and port to send to: a destination of port 0 is one of every port.
    pub(crate) destination: Endpoint,
}

impl Flows {
    /// The connection that a client's first packet belongs to already. One that is over makes room
    /// (`net.ipv4.vs.conn_reuse_mode` 1), unless it was made from a persistence template.
    pub(super) fn known(&mut self, flow: &Flow, now: Instant) -> Option<FlowId> {
        let id = self.slots.find(flow)?;
        let entry = self.slots.get(id)?;
        if entry.phase.is_over(flow.protocol) && !entry.is_persistent {
            self.forget(id, now);
            return None;
        }
        Some(id)
    }

    /// Schedules the first packet of a flow. A connection of the same flow makes room.
    pub(super) fn begin(
        &mut self,
        flow: Flow,
        state: &ServiceState,
        timeouts: Timeouts,
        now: Instant,
    ) -> Result<Route, Dropped> {
        if let Some(older) = self.slots.find(&flow) {
            self.displace(older, now);
        }
        let service = state.key;
        let random = self.next_random();
        let refused = Dropped::NoDestination { service };
        let balanced = self.services.get_mut(&service).ok_or(refused)?;
        let protocol = match flow.protocol {
            Protocol::Tcp => sched::Protocol::Tcp,
            Protocol::Udp => sched::Protocol::Udp,
            Protocol::Sctp => sched::Protocol::Sctp,
        };
        let scheduled = sched::Flow::new(protocol, socket(flow.client), socket(flow.to));
        let arrival = sched::Arrival::new(scheduled, now, random);
        let pick = balanced.scheduler.connect(&arrival).ok_or(refused)?;
        let is_persistent = balanced.scheduler.persistence().is_some();
        let listed = Endpoint::from(pick.address);
        let destination = at_port(listed, flow.to.port);
        let id = pick.connection.map(|counted| {
            let settings = state.destination(&listed).map(|it| it.settings);
            let forwarding = settings.unwrap_or_default().forwarding;
            let sees_both_ends = self.carries_answers || forwarding == Forwarding::Masquerade;
            let entry = Entry {
                flow,
                service,
                destination,
                sees_both_ends,
                is_persistent,
                counted,
                phase: Phase::first(flow.protocol),
                expires_at: now,
                look_at: now,
            };
            self.enter(entry, timeouts, now)
        });
        Ok(Route {
            id,
            service,
            listed,
            destination,
        })
    }

    fn enter(&mut self, mut entry: Entry, timeouts: Timeouts, now: Instant) -> FlowId {
        let (_, timeout) = entry.phase.told(entry.flow.protocol, timeouts);
        entry.expires_at = now + Duration::from(timeout);
        entry.look_at = entry.expires_at;
        if let Some(balanced) = self.services.get_mut(&entry.service) {
            let is_active = entry.phase.is_active(entry.flow.protocol);
            balanced.scheduler.set_active(&mut entry.counted, is_active);
            balanced.connections += 1;
        }
        let at = entry.look_at;
        let id = self.slots.insert(entry);
        self.deadlines.insert((at, id));
        id
    }

    /// The number of a flow's connection.
    pub(super) fn find(&self, flow: &Flow) -> Result<FlowId, Dropped> {
        let (client, to) = (flow.client, flow.to);
        let unknown = Dropped::NoConnection { client, to };
        self.slots.find(flow).ok_or(unknown)
    }

    /// Packets of a known connection.
    pub(super) fn send(
        &mut self,
        id: FlowId,
        step: Step,
        timeouts: Timeouts,
        now: Instant,
    ) -> Result<(), Dropped> {
        if let Some(entry) = self.slots.get(id)
            && !self.is_listed(entry)
        {
            let destination = entry.destination;
            return Err(Dropped::Removed { destination });
        }
        self.prolong(id, step, timeouts, now);
        Ok(())
    }

    /// The same, be the destination in the table or not.
    pub(super) fn prolong(&mut self, id: FlowId, step: Step, timeouts: Timeouts, now: Instant) {
        let Some(entry) = self.slots.get_mut(id) else {
            return;
        };
        let protocol = entry.flow.protocol;
        entry.phase = entry.phase.after(step, protocol, entry.sees_both_ends);
        if let Some(balanced) = self.services.get_mut(&entry.service) {
            let is_active = entry.phase.is_active(protocol);
            balanced.scheduler.set_active(&mut entry.counted, is_active);
        }
        let (_, timeout) = entry.phase.told(protocol, timeouts);
        entry.expires_at = now + Duration::from(timeout);
        if entry.expires_at < entry.look_at {
            self.deadlines.remove(&(entry.look_at, id));
            entry.look_at = entry.expires_at;
            self.deadlines.insert((entry.look_at, id));
        }
    }

    /// A connection as it is listed.
    pub(super) fn connection(
        &self,
        id: FlowId,
        timeouts: Timeouts,
        now: Instant,
    ) -> Option<Connection> {
        let entry = self.slots.get(id)?;
        Some(entry.as_connection(timeouts, now))
    }

    /// Where the packets of a connection go, be the destination in the table or not.
    pub(super) fn route(&self, id: FlowId) -> Option<Route> {
        let entry = self.slots.get(id)?;
        let balanced = self.services.get(&entry.service)?;
        let server = balanced.scheduler.servers().get(entry.counted.server())?;
        Some(Route {
            id: Some(id),
            service: entry.service,
            listed: server.address().into(),
            destination: entry.destination,
        })
    }

    /// Every connection, those of clients in their order, then the templates.
    pub(super) fn list(&self, timeouts: Timeouts, now: Instant) -> Vec<Connection> {
        let mut entries: Vec<_> = self.slots.iter().collect();
        entries.sort_unstable_by_key(|entry| entry.flow);
        let entries = entries.into_iter();
        let entries = entries.map(|entry| entry.as_connection(timeouts, now));
        let services = self.services.iter();
        let templates = services.flat_map(|(key, balanced)| {
            let service = &balanced.scheduler;
            let templates = service.templates().collect::<Vec<_>>();
            templates.into_iter().filter_map(move |template| {
                let server = service.servers().get(template.server)?;
                let left = template.expires_at.saturating_duration_since(now);
                let ends = [
                    Endpoint::new(template.network, 0),
                    template_service(key),
                    template_destination(key, server.address().into()),
                ];
                // A handshake or a datagram went through each of them.
                let state = "ASSURED";
                let expires = whole_seconds(left);
                Some(Connection::new(key.protocol(), ends, state, expires))
            })
        });
        entries.chain(templates).collect()
    }

    /// The connections of a destination, also of one that was removed.
    pub(super) fn counts(&self, service: &ServiceKey, destination: &Endpoint) -> Counts {
        let balanced = self.services.get(service);
        let server = balanced.and_then(|it| it.scheduler.servers().known(socket(*destination)));
        server.map_or(Counts::ZERO, |server| Counts {
            active: server.active(),
            inactive: server.inactive(),
            persistent: server.templates(),
        })
    }

    /// When something may have to be forgotten next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let entry = self.deadlines.first().map(|(at, _)| *at);
        let services = self.services.values();
        let services = services.filter_map(|it| it.scheduler.poll_timeout());
        services.chain(entry).min()
    }

    /// Forgets what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            if let Some(entry) = self.slots.get_mut(id)
                && entry.expires_at > now
            {
                entry.look_at = entry.expires_at;
                self.deadlines.insert((entry.look_at, id));
            } else {
                self.displace(id, now);
            }
        }
        for balanced in self.services.values_mut() {
            balanced.scheduler.handle_timeout(now);
        }
        self.drop_unused();
    }

    /// A connection that was forgotten without a word of the caller's.
    pub(super) fn poll_output(&mut self) -> Option<FlowId> {
        self.forgotten.pop_front()
    }

    fn displace(&mut self, id: FlowId, now: Instant) {
        self.forget(id, now);
        self.forgotten.push_back(id);
    }

    /// Forgets a connection.
    pub(super) fn forget(&mut self, id: FlowId, now: Instant) {
        let Some(entry) = self.slots.remove(id) else {
            return;
        };
        self.deadlines.remove(&(entry.look_at, id));
        if let Some(balanced) = self.services.get_mut(&entry.service) {
            balanced.scheduler.expire(entry.counted, now);
            balanced.connections = balanced.connections.saturating_sub(1);
        }
    }

    /// Whether the destination of a connection is in the table.
    fn is_listed(&self, entry: &Entry) -> bool {
        let balanced = self.services.get(&entry.service);
        let servers = balanced.map(|it| it.scheduler.servers());
        let server = servers.and_then(|it| it.get(entry.counted.server()));
        server.is_some_and(sched::Server::is_listed)
    }

    /// The same numbers for every table: what happened can happen again.
    fn next_random(&mut self) -> u64 {
        // SplitMix64: <https://prng.di.unimi.it/splitmix64.c>, in the public domain.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entry {
    fn as_connection(&self, timeouts: Timeouts, now: Instant) -> Connection {
        let protocol = self.flow.protocol;
        let (state, _) = self.phase.told(protocol, timeouts);
        let ends = [self.flow.client, self.flow.to, self.destination];
        let left = whole_seconds(self.expires_at.saturating_duration_since(now));
        Connection::new(Some(protocol), ends, state, left)
    }
}

fn whole_seconds(time: Duration) -> Seconds {
    Seconds::new(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

fn socket(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}

/// A destination of port 0 is one of every port.
fn at_port(listed: Endpoint, port: u16) -> Endpoint {
    match listed.port {
        0 => Endpoint::new(listed.address, port),
        _ => listed,
    }
}

/// What stands for a service in its templates.
fn template_service(key: &ServiceKey) -> Endpoint {
    match key {
        ServiceKey::Address { endpoint, .. } => *endpoint,
        ServiceKey::Fwmark { mark, family } => Endpoint::new(mark_address(*mark, *family), 0),
    }
}

/// A template of a service of all ports, or of a mark, holds for every port of the destination.
fn template_destination(key: &ServiceKey, destination: Endpoint) -> Endpoint {
    match key.port() {
        None | Some(0) => Endpoint::new(destination.address, 0),
        Some(_) => destination,
    }
}
