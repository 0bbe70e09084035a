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

    /// Adds to the counters of a route, of which there may be no connection.
    pub(crate) fn count(&mut self, route: &Route, traffic: Traffic) {
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

    /// Whether a connection is remembered.
    pub(crate) fn knows(&self, id: FlowId) -> bool {
        self.flows.route(id).is_some()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        Change, Counts, DestinationSettings, Forwarding, Seconds, ServiceSettings, TimeoutChange,
        Weight, plane::Flow,
    };

    struct Rig {
        plane: Plane,
        now: Instant,
        service: ServiceKey,
    }

    fn server(host: u8) -> Endpoint {
        Endpoint::new([10, 0, 0, host].into(), 8080)
    }

    impl Rig {
        /// A service whose destinations have these weights.
        #[expect(clippy::disallowed_methods, reason = "any instant serves as a start")]
        fn new(weights: &[u32]) -> Self {
            let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
            let (plane, now) = (Plane::carrying(), Instant::now());
            let mut rig = Self {
                plane,
                now,
                service,
            };
            let settings = ServiceSettings::default();
            rig.make(Change::AddService { service, settings });
            for (host, weight) in (1..).zip(weights) {
                let weight = Weight::new(*weight).unwrap();
                rig.make(Change::AddDestination {
                    service,
                    destination: server(host),
                    settings: DestinationSettings::new(Forwarding::DirectRoute).with_weight(weight),
                });
            }
            rig
        }

        fn make(&mut self, change: Change) {
            self.plane.apply(&change, self.now).unwrap();
        }

        fn begin(&mut self, port: u16) -> Route {
            let client = Endpoint::new([192, 0, 2, 7].into(), port);
            let to = "10.1.0.100:80".parse().unwrap();
            self.plane
                .begin(Flow::tcp(client, to), None, self.now)
                .unwrap()
        }

        fn counts(&self, host: u8) -> Counts {
            self.plane.flows.counts(&self.service, &server(host))
        }

        fn passed(&mut self, id: FlowId, step: Step, bytes_in: u64, after: u64) {
            let traffic = Traffic {
                bytes_in,
                ..Traffic::ZERO
            };
            let at = self.now + Duration::from_secs(after);
            self.plane.passed(id, Passed { traffic, step, at });
        }

        fn state(&self, id: FlowId) -> String {
            self.plane.connection(id, self.now).unwrap().state
        }
    }

    #[test]
    fn what_passes_counts_and_prolongs_though_the_destination_was_removed() {
        let mut rig = Rig::new(&[1]);
        let tcp = Some(Seconds::new(10));
        rig.make(Change::SetTimeouts(TimeoutChange {
            tcp,
            ..TimeoutChange::default()
        }));
        let id = rig.begin(4000).id.unwrap();
        assert_eq!(rig.state(id), "SYN_RECV");
        rig.passed(id, Step::Established, 5, 0);
        assert_eq!(rig.state(id), "ESTABLISHED");
        let (service, destination) = (rig.service, server(1));
        rig.make(Change::RemoveDestination {
            service,
            destination,
        });
        rig.passed(id, Step::Data, 7, 9);
        rig.plane.handle_timeout(rig.now + Duration::from_secs(18));
        assert_eq!(rig.plane.poll_output(), None);
        let settings = DestinationSettings::new(Forwarding::DirectRoute);
        rig.make(Change::AddDestination {
            service,
            destination,
            settings,
        });
        let snapshot = rig.plane.snapshot();
        let of_service = &snapshot.services[0];
        assert_eq!(of_service.statistics.total.bytes_in, 12);
        assert_eq!(of_service.destinations[0].statistics.total.bytes_in, 12);
        assert_eq!(of_service.destinations[0].counts.active, 1);

        rig.plane.handle_timeout(rig.now + Duration::from_secs(19));
        assert_eq!(rig.plane.poll_output(), Some(id));
        rig.passed(id, Step::Data, 1, 20);
        let total = rig.plane.snapshot().services[0].statistics.total;
        assert_eq!(total.bytes_in, 12, "what is forgotten counts no more");
    }

    #[test]
    fn both_ends_are_seen_to_close_whatever_the_forwarding_method() {
        for (first, state, second) in [
            (Step::ClientFin, "CLOSE_WAIT", Step::DestinationFin),
            (Step::DestinationFin, "FIN_WAIT", Step::ClientFin),
        ] {
            let mut rig = Rig::new(&[1]);
            let id = rig.begin(4000).id.unwrap();
            rig.passed(id, first, 0, 0);
            assert_eq!(rig.state(id), state);
            assert_eq!((rig.counts(1).active, rig.counts(1).inactive), (0, 1));
            rig.passed(id, second, 0, 0);
            assert_eq!(rig.state(id), "TIME_WAIT");
            rig.plane.forget(id, rig.now);
            assert!(rig.counts(1).is_zero());
            assert_eq!(rig.plane.poll_output(), None, "it was told");
        }
    }

    #[test]
    fn a_connection_goes_to_whom_has_the_fewest_for_its_weight() {
        let mut rig = Rig::new(&[1, 3, 0]);
        let taken: Vec<_> = (4000..4008).map(|port| rig.begin(port)).collect();
        assert_eq!((rig.counts(1).active, rig.counts(2).active), (2, 6));
        let moved = taken
            .iter()
            .find(|route| route.listed == server(2))
            .unwrap();
        let id = moved.id.unwrap();
        let route = rig.plane.reroute(id, &[server(2)], rig.now).unwrap();
        assert_eq!((route.listed, route.destination), (server(1), server(1)));
        assert_eq!((rig.counts(1).active, rig.counts(2).active), (3, 5));
        let rows = rig.plane.connections(rig.now);
        let to_first = rows.iter().filter(|row| row.destination == server(1));
        assert_eq!(to_first.count(), 3);

        let tried = [server(1), server(2)];
        assert_eq!(
            rig.plane.reroute(id, &tried, rig.now),
            None,
            "weight 0 takes none"
        );
        rig.plane.forget(id, rig.now);
        assert_eq!(rig.plane.reroute(id, &[], rig.now), None);
        assert_eq!((rig.counts(1).active, rig.counts(2).active), (2, 5));
    }

    #[test]
    fn a_client_that_comes_again_takes_the_place_of_its_old_connection() {
        let mut rig = Rig::new(&[1]);
        let old = rig.begin(4000).id.unwrap();
        let new = rig.begin(4000).id.unwrap();
        assert_ne!(old, new);
        assert_eq!(rig.plane.poll_output(), Some(old));
        assert_eq!(rig.plane.connections_of(&rig.service), 1);
        rig.plane.forget(old, rig.now);
        assert_eq!(rig.counts(1).active, 1);
    }

    #[test]
    fn connections_that_are_over_leave_nothing_to_be_looked_at() {
        let mut rig = Rig::new(&[1]);
        let [short, kept] = [1, 2].map(|port| rig.begin(port).id.unwrap());
        rig.passed(short, Step::Established, 0, 0);
        let due = rig.plane.poll_timeout();
        assert!(due.is_some());
        rig.plane.forget(short, rig.now);
        assert_eq!(rig.plane.poll_timeout(), due, "the other one's");
        rig.plane.forget(kept, rig.now);
        assert_eq!(rig.plane.poll_timeout(), None);
    }
}
