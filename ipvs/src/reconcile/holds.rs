//! What was refused, and is not tried again for a while.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{ReconcilePolicy, SHORTEST, after};
use crate::{Refusal, RefusalReason, Subject};

/// Whether a change was refused because the table is not what it was made for.
const fn tells_of_another_table(reason: &RefusalReason) -> bool {
    matches!(
        reason,
        RefusalReason::ServiceExists
            | RefusalReason::NoSuchService
            | RefusalReason::DestinationExists
            | RefusalReason::NoSuchDestination
            | RefusalReason::DaemonRuns
            | RefusalReason::NoDaemon
    )
}

/// What was refused, and how long that is not tried again.
#[derive(Debug)]
pub(super) struct Holds {
    shortest: Duration,
    longest: Duration,
    refused: BTreeMap<Subject, Hold>,
    /// The next wait after the kernel could not be asked.
    trouble: Duration,
}

#[derive(Debug)]
struct Hold {
    refusal: Refusal,
    wait: Duration,
    /// Whether it may be that it was asked for only because somebody else had changed the table:
    /// that is known once it is refused again.
    may_be_stale: bool,
    /// `None` once it is tried again.
    until: Option<Instant>,
}

impl Holds {
    pub(super) fn new(policy: &ReconcilePolicy) -> Self {
        let shortest = policy.shortest_retry.max(SHORTEST);
        Self {
            shortest,
            longest: policy.longest_retry.max(shortest),
            refused: BTreeMap::new(),
            trouble: shortest,
        }
    }

    /// Notes a refusal. Tells whether it is news.
    pub(super) fn refused(&mut self, refusal: &Refusal, now: Instant) -> bool {
        let subject = refusal.change.subject();
        let earlier = self.refused.get(&subject);
        let is_news = earlier.is_none_or(|it| it.may_be_stale || it.refusal != *refusal);
        let may_be_stale = earlier.is_none() && tells_of_another_table(&refusal.reason);
        let wait = match earlier {
            Some(earlier) if !earlier.may_be_stale => {
                earlier.wait.saturating_mul(2).min(self.longest)
            }
            Some(_) | None => self.shortest,
        };
        let hold = Hold {
            refusal: refusal.clone(),
            wait,
            may_be_stale,
            until: (!may_be_stale).then(|| after(now, wait)),
        };
        self.refused.insert(subject, hold);
        is_news && !may_be_stale
    }

    /// It was done.
    pub(super) fn done(&mut self, subject: Subject) {
        self.refused.remove(&subject);
    }

    /// Forgets all but what is about some subjects.
    pub(super) fn retain(&mut self, keep: impl Fn(Subject) -> bool) {
        self.refused.retain(|subject, _| keep(*subject));
    }

    /// Everything may be tried at once, because something else is asked for.
    pub(super) fn retry(&mut self) {
        for hold in self.refused.values_mut() {
            hold.until = None;
        }
    }

    /// What was refused and not done since.
    pub(super) fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        let refused = self.refused.values().filter(|hold| !hold.may_be_stale);
        refused.map(|hold| &hold.refusal)
    }

    /// Whether changes of it are to wait.
    pub(super) fn holds(&self, subject: Subject) -> bool {
        let hold = self.refused.get(&subject);
        hold.is_some_and(|hold| hold.until.is_some())
    }

    /// When the next one may be tried again.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.refused.values().filter_map(|hold| hold.until).min()
    }

    /// Lets those be tried again whose time has come. Tells whether there are any.
    pub(super) fn release(&mut self, now: Instant) -> bool {
        let due = |hold: &&mut Hold| hold.until.is_some_and(|until| until <= now);
        let mut any = false;
        for hold in self.refused.values_mut().filter(due) {
            hold.until = None;
            any = true;
        }
        any
    }

    /// How long to wait after the kernel could not be asked.
    pub(super) fn trouble(&mut self) -> Duration {
        let wait = self.trouble;
        self.trouble = wait.saturating_mul(2).min(self.longest);
        wait
    }

    /// The kernel does as it is asked.
    pub(super) const fn calm(&mut self) {
        self.trouble = self.shortest;
    }
}
