//! The clients of a fake kernel: connections, scheduled by crate `sched` as Linux schedules.

mod phase;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use phase::Phase;
pub(super) use phase::Step;

use super::flow::{Dropped, Flow};
use crate::{
    Connection, Counts, Endpoint, Forwarding, Protocol, Seconds, ServiceKey, ServiceState,
    Timeouts, connection::mark_address,
};

/// What clients do to a kernel, beside its table: whose connections are where.
#[derive(Debug)]
pub(super) struct Clients {
    /// The moment at which the kernel started: `sched` has instants.
    started: Instant,
    /// A scheduler and counters for each service of the table, and for those that were removed and
    /// have connections.
    services: BTreeMap<ServiceKey, sched::Service>,
    entries: BTreeMap<Flow, Entry>,
    /// When each entry is forgotten.
    due: BTreeSet<(Duration, Flow)>,
    /// Where the sequence of random numbers is.
    random: u64,
}

/// A connection that is remembered.
#[derive(Debug)]
struct Entry {
    service: ServiceKey,
    destination: Endpoint,
    /// Whether the answers pass here too.
    sees_both_ends: bool,
    /// Whether it was made from a persistence template.
    is_persistent: bool,
    counted: sched::Connection,
    phase: Phase,
    expires_at: Duration,
}

impl Clients {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant serves as the start of a clock that only a test moves"
    )]
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            services: BTreeMap::new(),
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
            random: 0,
        }
    }

    /// The connection that a client's first packet belongs to already. One that is over makes room
    /// (`net.ipv4.vs.conn_reuse_mode` 1), unless it was made from a persistence template.
    pub(super) fn known(
        &mut self,
        flow: Flow,
        timeouts: Timeouts,
        now: Duration,
    ) -> Option<Result<Connection, Dropped>> {
        let entry = self.entries.get(&flow)?;
        if entry.phase.is_over(flow.protocol) && !entry.is_persistent {
            self.forget(flow, now);
            return None;
        }
        Some(self.send(flow, Step::Begin, timeouts, now))
    }

    /// Schedules the first packet of a flow that is not known. Tells the connection, and the
    /// destination as the table has it.
    pub(super) fn begin(
        &mut self,
        flow: Flow,
        state: &ServiceState,
        timeouts: Timeouts,
        now: Duration,
    ) -> Result<(Connection, Endpoint), Dropped> {
        let key = state.key;
        let random = self.next_random();
        let at = self.instant(now);
        let refused = Dropped::NoDestination { service: key };
        let service = self.services.get_mut(&key).ok_or(refused)?;
        let protocol = match flow.protocol {
            Protocol::Tcp => sched::Protocol::Tcp,
            Protocol::Udp => sched::Protocol::Udp,
            Protocol::Sctp => sched::Protocol::Sctp,
        };
        let scheduled = sched::Flow::new(protocol, socket(flow.client), socket(flow.to));
        let arrival = sched::Arrival::new(scheduled, at, random);
        let pick = service.connect(&arrival).ok_or(refused)?;

        let listed = Endpoint::from(pick.address);
        let destination = match listed.port {
            0 => Endpoint::new(listed.address, flow.to.port),
            _ => listed,
        };
        let settings = state.destination(&listed).map(|it| it.settings);
        let (word, mut expires) = Phase::Open.told(flow.protocol, timeouts);
        match pick.connection {
            None => expires = Seconds::default(),
            Some(mut counted) => {
                // The handshake is over at once.
                service.set_active(&mut counted, Phase::Open.is_active(flow.protocol));
                let entry = Entry {
                    service: key,
                    destination,
                    sees_both_ends: settings.unwrap_or_default().forwarding
                        == Forwarding::Masquerade,
                    is_persistent: service.persistence().is_some(),
                    counted,
                    phase: Phase::Open,
                    expires_at: now.saturating_add(expires.into()),
                };
                self.due.insert((entry.expires_at, flow));
                self.entries.insert(flow, entry);
            }
        }
        let ends = [flow.client, flow.to, destination];
        let connection = Connection::new(Some(flow.protocol), ends, word, expires);
        Ok((connection, listed))
    }

    /// Packets of a known connection.
    pub(super) fn send(
        &mut self,
        flow: Flow,
        step: Step,
        timeouts: Timeouts,
        now: Duration,
    ) -> Result<Connection, Dropped> {
        let (client, to) = (flow.client, flow.to);
        let unknown = Dropped::NoConnection { client, to };
        let is_listed = self.listed(&flow);
        let entry = self.entries.get_mut(&flow).ok_or(unknown)?;
        if !is_listed {
            let destination = entry.destination;
            return Err(Dropped::Removed { destination });
        }
        entry.phase = entry.phase.after(step, flow.protocol, entry.sees_both_ends);
        if let Some(service) = self.services.get_mut(&entry.service) {
            let is_active = entry.phase.is_active(flow.protocol);
            service.set_active(&mut entry.counted, is_active);
        }
        let (_, timeout) = entry.phase.told(flow.protocol, timeouts);
        self.due.remove(&(entry.expires_at, flow));
        entry.expires_at = now.saturating_add(timeout.into());
        self.due.insert((entry.expires_at, flow));
        Ok(entry.as_connection(flow, timeouts, now))
    }

    /// Every connection, those of clients in their order, then the templates.
    pub(super) fn list(&self, timeouts: Timeouts, now: Duration) -> Vec<Connection> {
        let entries = self.entries.iter();
        let entries = entries.map(|(flow, entry)| entry.as_connection(*flow, timeouts, now));
        let services = self.services.iter();
        let templates = services.flat_map(|(key, service)| {
            let templates = service.templates().collect::<Vec<_>>();
            templates.into_iter().filter_map(move |template| {
                let server = service.servers().get(template.server)?;
                let expires_at = template.expires_at.checked_duration_since(self.started);
                let left = expires_at.unwrap_or_default().saturating_sub(now);
                let ends = [
                    Endpoint::new(template.network, 0),
                    template_service(key),
                    template_destination(key, server.address().into()),
                ];
                // A handshake or a datagram went through each of them.
                let state = "ASSURED";
                Some(Connection::new(
                    key.protocol(),
                    ends,
                    state,
                    whole_seconds(left),
                ))
            })
        });
        entries.chain(templates).collect()
    }

    /// The connections of a destination, also of one that was removed.
    pub(super) fn counts(&self, service: &ServiceKey, destination: &Endpoint) -> Counts {
        let service = self.services.get(service);
        let server = service.and_then(|it| it.servers().known(socket(*destination)));
        server.map_or(Counts::ZERO, |server| Counts {
            active: server.active(),
            inactive: server.inactive(),
            persistent: server.templates(),
        })
    }

    /// When something is going to be forgotten next.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let entry = self.due.first().map(|(at, _)| *at);
        let services = self.services.values();
        let services = services.filter_map(sched::Service::poll_timeout);
        let services = services.filter_map(|at| at.checked_duration_since(self.started));
        services.chain(entry).min()
    }

    /// Forgets what is due.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, flow)) = self.due.first().copied()
            && at <= now
        {
            self.forget(flow, now);
        }
        let at = self.instant(now);
        for service in self.services.values_mut() {
            service.handle_timeout(at);
        }
        self.drop_unused();
    }

    fn forget(&mut self, flow: Flow, now: Duration) {
        let at = self.instant(now);
        let Some(entry) = self.entries.remove(&flow) else {
            return;
        };
        self.due.remove(&(entry.expires_at, flow));
        if let Some(service) = self.services.get_mut(&entry.service) {
            service.expire(entry.counted, at);
        }
    }

    /// Whether the destination of a connection is in the table.
    fn listed(&self, flow: &Flow) -> bool {
        let entry = self.entries.get(flow);
        entry.is_some_and(|entry| {
            let service = self.services.get(&entry.service);
            let server = service.and_then(|it| it.servers().get(entry.counted.server()));
            server.is_some_and(sched::Server::is_listed)
        })
    }

    fn instant(&self, now: Duration) -> Instant {
        self.started + now
    }

    /// The same numbers for every kernel: what happened can happen again.
    fn next_random(&mut self) -> u64 {
        // SplitMix64: <https://prng.di.unimi.it/splitmix64.c>, in the public domain.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entry {
    fn as_connection(&self, flow: Flow, timeouts: Timeouts, now: Duration) -> Connection {
        let (state, _) = self.phase.told(flow.protocol, timeouts);
        let ends = [flow.client, flow.to, self.destination];
        let left = whole_seconds(self.expires_at.saturating_sub(now));
        Connection::new(Some(flow.protocol), ends, state, left)
    }
}

fn whole_seconds(time: Duration) -> Seconds {
    Seconds::new(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
}

fn socket(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
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
