//! What is and what shall be, compared.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use super::{Asked, Claim, Reconciler};
use crate::{Change, Service, ServiceKey, Subject, Table, plan, plan_owned};

impl Reconciler {
    /// What is to be changed now. Of what is no longer different no refusal is remembered.
    pub(super) fn compare(&mut self) -> Vec<Asked> {
        let mut changes = self.differences();
        let subjects: BTreeSet<_> = changes.iter().map(Change::subject).collect();
        let leaving = &self.leaving;
        self.holds.retain(|subject| {
            let leaves = subject
                .destination()
                .is_some_and(|key| leaving.contains_key(&key));
            leaves || subjects.contains(&subject)
        });
        changes.retain(|change| !self.waits(change));
        let asked = |change| Asked {
            change,
            is_drain: false,
        };
        changes.into_iter().map(asked).collect()
    }

    /// What has to be changed, but for what leaves.
    pub(super) fn differences(&self) -> Vec<Change> {
        let (Some(known), Some(desired)) = (&self.known, &self.desired) else {
            return Vec::new();
        };
        let target = self.target(known, desired);
        match self.policy.claim {
            Claim::Own => plan_owned(known, &target, &self.owned),
            Claim::Whole => plan(known, &target),
        }
    }

    /// Whether it was refused just now, or its service was, which is not there.
    pub(super) fn waits(&self, change: &Change) -> bool {
        let subject = change.subject();
        let is_missing = |service: &ServiceKey| {
            let known = self.known.as_ref();
            !known.is_some_and(|known| known.services.contains_key(service))
        };
        let waits_for_service = subject.destination().is_some_and(|(service, _)| {
            is_missing(&service) && self.holds.holds(Subject::Service(service))
        });
        waits_for_service || self.holds.holds(subject)
    }

    /// What is desired, and what leaves as it is.
    fn target<'a>(&self, known: &Table, desired: &'a Table) -> Cow<'a, Table> {
        let mut target = Cow::Borrowed(desired);
        for (service, destination) in self.leaving.keys() {
            let Some(present) = known.services.get(service) else {
                continue;
            };
            let Some(settings) = present.destinations.get(destination) else {
                continue;
            };
            let services = &mut target.to_mut().services;
            let kept = services
                .entry(*service)
                .or_insert_with(|| Arc::new(Service::new(present.settings)));
            Arc::make_mut(kept)
                .destinations
                .insert(*destination, *settings);
        }
        target
    }

    /// What is gone and not desired is no longer ours, should somebody else set it up.
    pub(super) fn disown(&mut self) {
        if let Some(known) = &self.known {
            let owned = &mut self.owned;
            owned
                .services
                .retain(|key| known.services.contains_key(key));
            owned
                .daemons
                .retain(|role| known.daemons.contains_key(role));
            self.desired
                .iter()
                .for_each(|desired| owned.extend(desired));
        }
    }
}
