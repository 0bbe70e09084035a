//! Destinations that are drained before they go.

use std::{collections::BTreeMap, time::Instant};

use super::{Asked, Claim, ReconcileEvent, ReconcileOutput, Reconciler, Removal};
use crate::{
    Change, Drain, DrainEnd, DrainInput, DrainOutput, DrainPolicy, Endpoint, ServiceKey, Snapshot,
    Subject, Table,
};

impl Reconciler {
    /// Who is desired again is drained no longer. The plan gives it back its weight, or the place
    /// that it loses just now.
    pub(super) fn stay_if_desired(&mut self, table: &Table) {
        let mut stays = Vec::new();
        self.leaving.retain(|(service, destination), _| {
            let wanted = table.services.get(service);
            let wanted = wanted.is_some_and(|it| it.destinations.contains_key(destination));
            if wanted {
                stays.push((*service, *destination));
            }
            !wanted
        });
        for (service, destination) in stays {
            self.tell_drained(service, destination, DrainEnd::Cancelled);
        }
    }

    /// Notes how those go that this table takes out: it is said with it, and may be otherwise said
    /// with the next one before anything was done.
    pub(super) fn note_ways(&mut self, table: &Table, removal: Removal) {
        let is_in = |table: &Table, (service, destination): &(ServiceKey, Endpoint)| {
            let service = table.services.get(service);
            service.is_some_and(|service| service.destinations.contains_key(destination))
        };
        self.ways.retain(|key, _| !is_in(table, key));
        for (key, service) in self.desired.iter().flat_map(|before| &before.services) {
            if table.services.get(key) == Some(service) {
                continue;
            }
            let ours = service.destinations.keys().map(|it| (*key, *it));
            let out = ours.filter(|destination| !is_in(table, destination));
            self.ways
                .extend(out.map(|destination| (destination, removal)));
        }
    }

    /// Forgets how those go that are gone.
    pub(super) fn forget_ways(&mut self) {
        let Some(known) = &self.known else {
            return;
        };
        self.ways.retain(|(service, destination), _| {
            let service = known.services.get(service);
            service.is_some_and(|service| service.destinations.contains_key(destination))
        });
    }

    /// Everybody goes like that from now on.
    pub(super) fn on_leave(&mut self, removal: Removal, now: Instant) {
        self.ways.clear();
        self.removal = removal;
        self.may_differ = true;
        let policy = match removal {
            Removal::Drain(policy) => policy,
            Removal::AtOnce => DrainPolicy::at_once(),
        };
        self.each_drain(|drain| drain.handle(DrainInput::Policy(policy), now));
    }

    /// These go at once from now on, if they go.
    pub(super) fn on_cut(&mut self, destinations: &[(ServiceKey, Endpoint)], now: Instant) {
        for destination in destinations {
            if let Some(way) = self.ways.get_mut(destination) {
                *way = Removal::AtOnce;
            }
            if let Some(drain) = self.leaving.get_mut(destination) {
                drain.handle(DrainInput::Policy(DrainPolicy::at_once()), now);
            }
        }
    }

    /// Shows drains what there is.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, now: Instant) {
        if self.leaving.is_empty() {
            return;
        }
        let services: BTreeMap<_, _> = snapshot
            .services
            .iter()
            .map(|service| (service.key, service))
            .collect();
        for ((service, destination), drain) in &mut self.leaving {
            let service = services.get(service);
            let seen = service.and_then(|service| service.destination(destination));
            drain.handle(DrainInput::Observed(seen.copied()), now);
        }
    }

    /// Destinations of ours that are not desired are drained, where that is how they are to go.
    pub(super) fn begin_drains(&mut self, now: Instant) {
        let (true, Some(known), Some(desired)) = (self.may_differ, &self.known, &self.desired)
        else {
            return;
        };
        let is_ours = |service: &ServiceKey| {
            self.policy.claim == Claim::Whole || self.owned.services.contains(service)
        };
        for (key, service) in known.services.iter().filter(|(key, _)| is_ours(key)) {
            let desired = desired.services.get(key);
            if desired == Some(service) {
                continue;
            }
            for (destination, settings) in &service.destinations {
                let name = (*key, *destination);
                let way = self.ways.get(&name).unwrap_or(&self.removal);
                let Removal::Drain(policy) = *way else {
                    continue;
                };
                let wanted = desired.is_some_and(|it| it.destinations.contains_key(destination));
                let held = self.holds.holds(Subject::Destination(*key, *destination));
                if !wanted && !held {
                    let begun = || Drain::new(*key, *destination, *settings, policy, now);
                    self.leaving.entry(name).or_insert_with(begun);
                }
            }
        }
    }

    /// What drains want done. What was refused is tried again later, which is told once.
    pub(super) fn poll_drains(&mut self, now: Instant) -> Vec<Asked> {
        let (mut asked, mut ended) = (Vec::new(), Vec::new());
        for ((service, destination), drain) in &mut self.leaving {
            while let Some(output) = drain.poll_output() {
                match output {
                    DrainOutput::Apply(change) => asked.push(Asked {
                        change,
                        is_drain: true,
                    }),
                    DrainOutput::Observe => self.look = true,
                    DrainOutput::Waiting(counts) => {
                        let event = ReconcileEvent::Draining {
                            service: *service,
                            destination: *destination,
                            counts,
                        };
                        self.outputs.push_back(ReconcileOutput::Event(event));
                    }
                    DrainOutput::Finished(end) => ended.push((*service, *destination, end)),
                }
            }
        }
        for (service, destination, end) in ended {
            self.leaving.remove(&(service, destination));
            self.may_differ = true;
            let is_news = match &end {
                DrainEnd::Refused(refusal) => {
                    // It was waited for: what is left is to try again.
                    if matches!(refusal.change, Change::RemoveDestination { .. }) {
                        self.ways.insert((service, destination), Removal::AtOnce);
                    }
                    self.holds.refused(refusal, now)
                }
                DrainEnd::Removed { .. } | DrainEnd::Gone | DrainEnd::Cancelled => true,
            };
            if is_news {
                self.tell_drained(service, destination, end);
            }
        }
        asked
    }

    pub(super) fn each_drain(&mut self, work: impl FnMut(&mut Drain)) {
        self.leaving.values_mut().for_each(work);
    }

    fn tell_drained(&mut self, service: ServiceKey, destination: Endpoint, end: DrainEnd) {
        self.tell(ReconcileEvent::Drained {
            service,
            destination,
            end,
        });
    }
}
