//! A table with its connections as a value: what a data plane knows and decides.
//!
//! [`Plane`] takes changes as Linux does, with its errors; schedules as Linux does, by crate
//! `sched`; and remembers connections and persistent clients for as long. It has neither clock nor
//! sockets. [`fake::Kernel`](crate::fake::Kernel) is one whose clients are simulated, the
//! user-space data plane one whose clients are real.
//!
//! # How a data plane uses it
//!
//! | what happens | what to call |
//! | --- | --- |
//! | the table shall change | [`Plane::apply`], which never forgets a connection |
//! | a client's first packet came | [`Plane::connect`]: a [`Route`] with the number of its connection, or [`Dropped`] with the reason |
//! | the same, where the socket says that it is a new one (TCP) | [`Plane::begin`]: what was known of the same flow is forgotten |
//! | what follows a datagram | [`Plane::connect`] again: it finds the connection and prolongs it; or [`Plane::send`], by its number |
//! | a handshake is over, an end sends no more, an end broke off | [`Plane::send`] with the [`Step`] |
//! | it is over, no row shall stay | `Plane::forget` |
//! | bytes went through | `Plane::passed`, now and then: they count, and the connection is prolonged to the last of them |
//! | the destination cannot be reached | `Plane::reroute`, to another one |
//! | two seconds passed | `Plane::estimate`: the rates |
//! | some time passed | [`Plane::poll_timeout`] tells until when nothing happens, then [`Plane::handle_timeout`]; late and early calls change no decision |
//! | after each of them | [`Plane::poll_output`] until `None`: the connections that were forgotten because their time is over, or another took their place. Whatever belongs to them is to be closed |
//!
//! A destination that was removed keeps its connections. Whether packets still go there is the
//! data plane's to decide: [`Plane::send`] and [`Plane::connect`] answer [`Dropped::Removed`], as
//! the kernel drops them; `Plane::passed` takes what went there nevertheless.

mod apply;
#[cfg(feature = "userspace")]
mod carry;
mod flow;
mod flows;
#[cfg(feature = "userspace")]
mod rates;

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    time::{Duration, Instant},
};

#[cfg(feature = "userspace")]
pub(crate) use carry::Passed;
pub use flow::{Dropped, Flow};
pub(crate) use flows::{FlowId, Route, Step};

use crate::{
    Connection, Counts, DestinationState, Endpoint, SchedulerName, ServiceKey, Snapshot,
    plane::flows::Flows,
};

/// How long a destination that was removed and has no connections is kept
/// (`IP_VS_DEST_TRASH_PERIOD`).
const TRASH_PERIOD: Duration = Duration::from_secs(120);

/// The number of an error.
pub(crate) type Errno = i32;

/// A table with its connections. See the module.
#[derive(Debug)]
pub(crate) struct Plane {
    /// The table, without the connections of `flows`.
    pub(crate) running: Snapshot,
    /// Those that can be used.
    pub(crate) schedulers: BTreeSet<SchedulerName>,
    trash: Vec<Trashed>,
    flows: Flows,
    #[cfg(feature = "userspace")]
    rates: rates::Rates,
}

/// A destination that was removed.
#[derive(Debug, Clone, Copy)]
struct Trashed {
    service: ServiceKey,
    state: DestinationState,
    /// When its last connection was found to be gone.
    idle_since: Option<Instant>,
}

impl Plane {
    /// An empty table with the fourteen schedulers of Linux.
    pub(crate) fn new() -> Self {
        let known = SchedulerName::KNOWN.into_iter();
        let schedulers = known.map(|name| SchedulerName::new(name).expect("it is a name"));
        let mut running = Snapshot::default();
        running.info.version = crate::Version {
            major: 1,
            minor: 2,
            patch: 1,
        };
        running.info.table_size = 4096;
        Self {
            running,
            schedulers: schedulers.collect(),
            trash: Vec::new(),
            flows: Flows::default(),
            #[cfg(feature = "userspace")]
            rates: rates::Rates::default(),
        }
    }

    /// The destination of a service, or the one in the trash that was it.
    pub(crate) fn destination_mut(
        &mut self,
        service: &ServiceKey,
        destination: &Endpoint,
    ) -> Option<&mut DestinationState> {
        let services = &mut self.running.services;
        let listed = services
            .iter_mut()
            .find(|it| it.key == *service)
            .and_then(|it| it.destinations.iter_mut().find(|it| it.key == *destination));
        if listed.is_some() {
            return listed;
        }
        let trashed = |it: &&mut Trashed| it.service == *service && it.state.key == *destination;
        self.trash.iter_mut().find(trashed).map(|it| &mut it.state)
    }

    /// Sets the connections of a destination beside those of `flows`, also of one that was removed.
    pub(crate) fn set_counts(
        &mut self,
        service: &ServiceKey,
        destination: &Endpoint,
        counts: Counts,
        now: Instant,
    ) -> bool {
        let found = self.destination_mut(service, destination);
        let found = found.map(|it| it.counts = counts).is_some();
        self.look_at_trash(now);
        found
    }

    /// Notes which destinations in the trash have lost their last connection.
    fn look_at_trash(&mut self, now: Instant) {
        for trashed in &mut self.trash {
            let counts = self.flows.counts(&trashed.service, &trashed.state.key);
            trashed.idle_since = match trashed.state.counts.is_zero() && counts.is_zero() {
                true => trashed.idle_since.or(Some(now)),
                false => None,
            };
        }
    }

    /// The destinations of a service as they are listed: with their connections.
    pub(crate) fn destinations(&self, service: &ServiceKey) -> Vec<DestinationState> {
        let found = self.running.service(service);
        let mut destinations = found.map(|it| it.destinations.clone()).unwrap_or_default();
        for DestinationState { key, counts, .. } in &mut destinations {
            let more = self.flows.counts(service, key);
            counts.active = counts.active.saturating_add(more.active);
            counts.inactive = counts.inactive.saturating_add(more.inactive);
            counts.persistent = counts.persistent.saturating_add(more.persistent);
        }
        destinations
    }

    /// A client's packet that may be its first: a flow that is known goes on where it is.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub(crate) fn connect(
        &mut self,
        flow: Flow,
        mark: Option<NonZeroU32>,
        now: Instant,
    ) -> Result<Route, Dropped> {
        let known = self.flows.known(&flow, now);
        self.look_at_trash(now);
        let Some(id) = known else {
            return self.begin(flow, mark, now);
        };
        self.send(id, Step::Data, now)?;
        let (client, to) = (flow.client, flow.to);
        let route = self.flows.route(id);
        route.ok_or(Dropped::NoConnection { client, to })
    }

    /// A client's first packet, whatever is known of its flow. A connection is in the state
    /// `SYN_RECV` from now on, a flow of datagrams in its only one.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub(crate) fn begin(
        &mut self,
        flow: Flow,
        mark: Option<NonZeroU32>,
        now: Instant,
    ) -> Result<Route, Dropped> {
        let timeouts = self.running.timeouts;
        let services = &mut self.running.services;
        let mut keys = flow.services(mark);
        let found = keys.find_map(|key| services.iter().position(|it| it.key == key));
        let found = found.and_then(|place| services.get_mut(place));
        let service = found.ok_or(Dropped::NoService { to: flow.to })?;
        let route = self.flows.begin(flow, service, timeouts, now)?;
        let destinations = service.destinations.iter_mut();
        let chosen = destinations.filter(|it| it.key == route.listed);
        let statistics = chosen.map(|it| &mut it.statistics);
        for statistics in statistics.chain([&mut service.statistics]) {
            let connections = &mut statistics.total.connections;
            *connections = connections.saturating_add(1);
        }
        Ok(route)
    }

    /// The number of a flow's connection.
    ///
    /// # Errors
    /// [`Dropped::NoConnection`].
    pub(crate) fn find(&self, flow: &Flow) -> Result<FlowId, Dropped> {
        self.flows.find(flow)
    }

    /// More packets of a connection, which is remembered anew for the whole of its time-out.
    /// Nothing happens to one that was forgotten.
    ///
    /// # Errors
    /// [`Dropped::Removed`].
    pub(crate) fn send(&mut self, id: FlowId, step: Step, now: Instant) -> Result<(), Dropped> {
        self.flows.send(id, step, self.running.timeouts, now)
    }

    /// A connection as it is listed; `None` if it was forgotten.
    pub(crate) fn connection(&self, id: FlowId, now: Instant) -> Option<Connection> {
        self.flows.connection(id, self.running.timeouts, now)
    }

    /// The connections, in the order of their flows, and the templates.
    pub(crate) fn connections(&self, now: Instant) -> Vec<Connection> {
        self.flows.list(self.running.timeouts, now)
    }

    /// When [`Plane::handle_timeout`] has something to do; `None` if nothing is waiting.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let trash = self.trash.iter().filter_map(|it| it.idle_since);
        let trash = trash.map(|since| since + TRASH_PERIOD);
        trash.chain(self.flows.poll_timeout()).min()
    }

    /// Does what is due: connections and templates are forgotten, and what is in the trash without
    /// connections for long enough. Does nothing if called early.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.flows.handle_timeout(now);
        self.look_at_trash(now);
        self.trash.retain(|trashed| {
            trashed
                .idle_since
                .is_none_or(|since| now.saturating_duration_since(since) < TRASH_PERIOD)
        });
    }

    /// A connection that was forgotten without having been told to [`Plane::forget`]; `None` when
    /// there is no more of them.
    pub(crate) fn poll_output(&mut self) -> Option<FlowId> {
        self.flows.poll_output()
    }
}
