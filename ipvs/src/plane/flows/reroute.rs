//! Connections that go elsewhere than they were scheduled to.

use std::time::Instant;

use super::{FlowId, Flows, Route, at_port, socket};
use crate::{Endpoint, ServiceKey};

impl Flows {
    /// Counts a connection to another destination of its service.
    pub(in crate::plane) fn reroute(
        &mut self,
        id: FlowId,
        tried: &[Endpoint],
        now: Instant,
    ) -> Option<Route> {
        let entry = self.slots.get_mut(id)?;
        let scheduler = &mut self.services.get_mut(&entry.service)?.scheduler;
        let usable = scheduler.servers().iter().filter(|it| it.is_usable());
        let untried = usable.filter(|it| !tried.iter().any(|old| socket(*old) == it.address()));
        // Fractions are compared by multiplying crosswise.
        let best = untried.min_by(|a, b| {
            let load = |server: &sched::Server, other: &sched::Server| {
                u128::from(server.connections()) * u128::from(other.weight())
            };
            load(a, b).cmp(&load(b, a))
        })?;
        let (server, listed) = (best.id(), Endpoint::from(best.address()));
        let counted = scheduler.adopt(server, entry.counted.is_active(), now)?;
        let old = std::mem::replace(&mut entry.counted, counted);
        scheduler.expire(old, now);
        entry.destination = at_port(listed, entry.flow.to.port);
        Some(Route {
            id: Some(id),
            service: entry.service,
            listed,
            destination: entry.destination,
        })
    }

    /// How many connections of a service are remembered.
    pub(in crate::plane) fn connections_of(&self, service: &ServiceKey) -> usize {
        self.services.get(service).map_or(0, |it| it.connections)
    }
}
