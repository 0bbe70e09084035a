//! What a data plane asks that carries the packets itself.

use std::time::Instant;

use super::{FlowId, Plane, Route, Step};
use crate::{Endpoint, ServiceKey, ServiceState, Snapshot, Statistics, Traffic};

/// What went through a connection since the last time it was told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed {
    /// Bytes and packets; not connections.
    pub(crate) traffic: Traffic,
    /// What became of the connection.
    pub(crate) step: Step,
    /// When the last of it went through.
    pub(crate) at: Instant,
}

impl Plane {
    /// An empty table of a data plane through which the answers pass too, whatever the forwarding
    /// method.
    pub(crate) fn carrying() -> Self {
        let mut plane = Self::new();
        plane.flows.carries_answers = true;
        plane
    }

    /// Enters what went through a connection: it counts for its service and destination, and
    /// prolongs the connection even if the destination was removed.
    pub(crate) fn passed(&mut self, id: FlowId, passed: Passed) {
        let Some(route) = self.flows.route(id) else {
            return;
        };
        let timeouts = self.running.timeouts;
        self.flows.prolong(id, passed.step, timeouts, passed.at);
        self.count(&route, passed.traffic);
    }

    /// Adds to the counters of a route.
    fn count(&mut self, route: &Route, traffic: Traffic) {
        if let Some(destination) = self.destination_mut(&route.service, &route.listed) {
            add(&mut destination.statistics, traffic);
        }
        let services = &mut self.running.services;
        if let Some(service) = services.iter_mut().find(|it| it.key == route.service) {
            add(&mut service.statistics, traffic);
        }
    }

    /// Moves a connection, whose destination could not be reached, to another one that takes new
    /// connections and is not among `tried`: the one with the fewest connections for its weight.
    /// `None`: there is none, and the connection is as it was.
    pub(crate) fn reroute(
        &mut self,
        id: FlowId,
        tried: &[Endpoint],
        now: Instant,
    ) -> Option<Route> {
        let route = self.flows.reroute(id, tried, now)?;
        if let Some(destination) = self.destination_mut(&route.service, &route.listed) {
            let connections = &mut destination.statistics.total.connections;
            *connections = connections.saturating_add(1);
        }
        Some(route)
    }

    /// Forgets a connection that is over. Nothing happens to one that was forgotten.
    pub(crate) fn forget(&mut self, id: FlowId, now: Instant) {
        self.flows.forget(id, now);
        self.look_at_trash(now);
    }

    /// Estimates the rates if two seconds have passed. Does nothing if called early.
    pub(crate) fn estimate(&mut self, now: Instant) {
        self.rates.handle_timeout(&mut self.running.services, now);
    }

    /// How many connections of a service are remembered.
    pub(crate) fn connections_of(&self, service: &ServiceKey) -> usize {
        self.flows.connections_of(service)
    }

    /// The services.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceState> {
        self.running.services.iter()
    }

    /// Everything that is listed, with counters and rates.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.running.clone();
        for service in &mut snapshot.services {
            service.destinations = self.destinations(&service.key);
        }
        snapshot
    }
}

fn add(statistics: &mut Statistics, more: Traffic) {
    let total = &mut statistics.total;
    total.packets_in = total.packets_in.saturating_add(more.packets_in);
    total.packets_out = total.packets_out.saturating_add(more.packets_out);
    total.bytes_in = total.bytes_in.saturating_add(more.bytes_in);
    total.bytes_out = total.bytes_out.saturating_add(more.bytes_out);
}
