//! Brings a kernel's table to what is desired, and keeps it there.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

use crate::{
    Change, ChangeOutcome, Drain, DrainEnd, DrainInput, DrainOutput, Endpoint, Ownership, Refusal,
    RefusalReason, ServiceKey, Snapshot, Table, plan, plan_owned,
};

mod holds;
mod types;

pub use types::{Claim, ReconcileEvent, ReconcileInput, ReconcileOutput, ReconcilePolicy, Removal};

use holds::{Holds, Subject};

/// Brings a table to what is desired and keeps it there: whatever differs, for whatever reason, is
/// planned and changed. What is right is left untouched, so a restarted program takes over what it
/// left behind.
///
/// A value: [`handle`](Self::handle) what has happened, do what [`poll_output`](Self::poll_output)
/// says until it says nothing more, and come back at [`poll_timeout`](Self::poll_timeout). Results
/// come back as inputs, one for each [`ReconcileOutput::Read`] and [`ReconcileOutput::Apply`]; there
/// is never more than one of both under way.
///
/// Changes are planned from what the kernel is known to have; it is read at the start, every
/// [`ReconcilePolicy::interval`], while destinations are drained, and whenever an answer was not
/// the expected one. What is refused is tried again later and later.
#[derive(Debug)]
pub struct Reconciler {
    policy: ReconcilePolicy,
    desired: Table,
    removal: Removal,
    owned: Ownership,
    /// What the kernel has, as far as is known.
    known: Option<Table>,
    /// Destinations on their way out. Nobody but their drain changes them.
    leaving: BTreeMap<(ServiceKey, Endpoint), Drain>,
    state: State,
    /// When the table is read next.
    read_at: Instant,
    /// Whether known and desired table may differ.
    may_differ: bool,
    /// Whether a drain waits to see its destination.
    look: bool,
    /// Whether the table was as desired when it was last compared.
    converged: bool,
    /// Whether it was told that the kernel cannot be asked.
    told_unreachable: bool,
    holds: Holds,
    outputs: VecDeque<ReconcileOutput>,
}

#[derive(Debug)]
enum State {
    Idle,
    Reading,
    Applying(Vec<Asked>),
}

/// A change that is under way.
#[derive(Debug)]
struct Asked {
    change: Change,
    is_drain: bool,
}

impl Reconciler {
    /// Begins with a table that nothing is known about: it is read at once. `owned` is what an
    /// earlier life of the program set up, as far as that is known.
    #[must_use]
    pub fn new(policy: ReconcilePolicy, owned: Ownership, now: Instant) -> Self {
        let mut reconciler = Self {
            holds: Holds::new(&policy),
            policy,
            desired: Table::default(),
            removal: Removal::AtOnce,
            owned,
            known: None,
            leaving: BTreeMap::new(),
            state: State::Idle,
            read_at: now,
            may_differ: true,
            look: false,
            converged: false,
            told_unreachable: false,
            outputs: VecDeque::new(),
        };
        reconciler.go_on(now);
        reconciler
    }

    /// What is desired.
    #[must_use]
    pub const fn desired(&self) -> &Table {
        &self.desired
    }

    /// Whether the table was as desired when it was last compared, but for what is refused and what
    /// is being drained.
    #[must_use]
    pub const fn is_converged(&self) -> bool {
        self.converged
    }

    /// The destinations that are being drained.
    pub fn leaving(&self) -> impl Iterator<Item = (ServiceKey, Endpoint, &Drain)> {
        let leaving = self.leaving.iter();
        leaving.map(|((service, destination), drain)| (*service, *destination, drain))
    }

    /// Takes notice of what has happened. A result that nothing asked for is passed over.
    pub fn handle(&mut self, input: ReconcileInput, now: Instant) {
        match input {
            ReconcileInput::Timeout => self.on_timeout(now),
            ReconcileInput::Desired { table, removal } => self.on_desired(table, removal),
            ReconcileInput::Look => self.look = true,
            ReconcileInput::Read(snapshot) => self.on_read(&snapshot, now),
            ReconcileInput::NotRead { because } => {
                if matches!(self.state, State::Reading) {
                    self.each_drain(|drain| drain.handle(DrainInput::Unobserved, now));
                    self.on_trouble(because, now);
                }
            }
            ReconcileInput::Applied(outcomes) => self.on_applied(outcomes, now),
            ReconcileInput::NotApplied { because } => {
                if let State::Applying(asked) = &self.state {
                    let outcomes = vec![ChangeOutcome::Unanswered; asked.len()];
                    self.on_outcomes(outcomes, now);
                    self.on_trouble(because, now);
                }
            }
        }
        self.go_on(now);
    }

    /// What is to be done or told next.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<ReconcileOutput> {
        self.outputs.pop_front()
    }

    /// When [`ReconcileInput::Timeout`] is due; `None` while a result is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let drains = self.leaving.values().filter_map(Drain::poll_timeout);
        let holds = self.holds.next_at();
        drains.chain(holds).chain([self.read_at]).min()
    }

    fn on_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Idle) {
            self.each_drain(|drain| {
                if drain.poll_timeout().is_some_and(|at| at <= now) {
                    drain.handle(DrainInput::Timeout, now);
                }
            });
            self.may_differ |= self.holds.release(now);
        }
    }

    fn on_desired(&mut self, table: Table, removal: Removal) {
        self.owned.extend(&table);
        let is_wanted = |(service, destination): &(ServiceKey, Endpoint)| {
            let service = table.services.get(service);
            service.is_some_and(|service| service.destinations.contains_key(destination))
        };
        let leaving = std::mem::take(&mut self.leaving);
        let (stay, leave) = leaving.into_iter().partition(|(key, _)| is_wanted(key));
        self.leaving = leave;
        let stay: BTreeMap<_, Drain> = stay;
        for (service, destination) in stay.into_keys() {
            self.tell_drained(service, destination, DrainEnd::Cancelled);
        }
        self.may_differ |= table != self.desired || removal != self.removal;
        if table != self.desired {
            self.holds.forget();
            self.converged = false;
        }
        (self.desired, self.removal) = (table, removal);
    }

    fn on_read(&mut self, snapshot: &Snapshot, now: Instant) {
        if !matches!(self.state, State::Reading) {
            return;
        }
        if std::mem::take(&mut self.told_unreachable) {
            self.tell(ReconcileEvent::Reachable);
        }
        self.state = State::Idle;
        self.read_at = now + self.policy.interval;
        let was_right = self.converged;
        self.known = Some(snapshot.table());
        self.may_differ = true;
        for ((service, destination), drain) in &mut self.leaving {
            let service = snapshot.service(service);
            let seen = service.and_then(|service| service.destination(destination));
            drain.handle(DrainInput::Observed(seen.copied()), now);
        }
        if was_right {
            let drift = self.differences();
            if !drift.is_empty() {
                self.converged = false;
                self.tell(ReconcileEvent::Drift(drift));
            }
        }
    }

    fn on_applied(&mut self, outcomes: Vec<ChangeOutcome>, now: Instant) {
        let State::Applying(asked) = &self.state else {
            return;
        };
        let all_there =
            asked.len() == outcomes.len() && !outcomes.contains(&ChangeOutcome::Unanswered);
        self.on_outcomes(outcomes, now);
        if !all_there {
            self.on_trouble("the kernel has not answered every change".into(), now);
        }
    }

    fn on_outcomes(&mut self, outcomes: Vec<ChangeOutcome>, now: Instant) {
        let State::Applying(asked) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        let missing = std::iter::repeat(ChangeOutcome::Unanswered);
        for (asked, outcome) in asked.into_iter().zip(outcomes.into_iter().chain(missing)) {
            let Asked { change, is_drain } = asked;
            match &outcome {
                ChangeOutcome::Done => {
                    self.holds.done(Subject::of(&change));
                    let applied = self.known.as_mut().map(|known| known.apply(&change));
                    if !matches!(applied, Some(Ok(()))) {
                        self.known = None;
                    }
                }
                // What is known of it is not what is there.
                ChangeOutcome::Refused(refusal) => {
                    self.look = true;
                    if !is_drain && !self.follows(refusal) {
                        self.on_refused(refusal, now);
                    }
                }
                ChangeOutcome::Unanswered => self.known = None,
            }
            if is_drain
                && let Some(key) = Subject::of(&change).destination()
                && let Some(drain) = self.leaving.get_mut(&key)
            {
                drain.handle(DrainInput::Applied(outcome), now);
            }
        }
        self.may_differ = true;
    }

    fn on_refused(&mut self, refusal: &Refusal, now: Instant) {
        let subject = Subject::of(&refusal.change);
        if self.holds.refused(subject, refusal, now) {
            self.tell(ReconcileEvent::Refused(refusal.clone()));
        }
    }

    /// Whether a destination was refused because its service was.
    fn follows(&self, refusal: &Refusal) -> bool {
        refusal.reason == RefusalReason::NoSuchService
            && Subject::of(&refusal.change)
                .destination()
                .is_some_and(|(service, _)| self.holds.holds(Subject::Service(service)))
    }

    /// The kernel could not be asked: later, then.
    fn on_trouble(&mut self, because: String, now: Instant) {
        self.known = None;
        self.converged = false;
        self.state = State::Idle;
        self.read_at = now + self.holds.trouble();
        if !std::mem::replace(&mut self.told_unreachable, true) {
            self.tell(ReconcileEvent::Unreachable { because });
        }
    }

    /// Does the next thing, if nothing is under way.
    fn go_on(&mut self, now: Instant) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        if self.known.is_none() {
            if self.read_at <= now {
                self.read();
            }
            return;
        }
        self.begin_drains(now);
        let mut asked = self.poll_drains(now);
        if std::mem::take(&mut self.may_differ) {
            let differences = self.differences().into_iter();
            asked.extend(differences.map(|change| Asked {
                change,
                is_drain: false,
            }));
        }
        if !asked.is_empty() {
            let changes = asked.iter().map(|asked| asked.change).collect();
            self.state = State::Applying(asked);
            self.outputs.push_back(ReconcileOutput::Apply(changes));
        } else if std::mem::take(&mut self.look) || self.read_at <= now {
            self.read();
        } else if !std::mem::replace(&mut self.converged, true) {
            self.holds.calm();
            self.disown();
            self.tell(ReconcileEvent::Converged);
        }
    }

    fn read(&mut self) {
        self.state = State::Reading;
        self.outputs.push_back(ReconcileOutput::Read);
    }

    /// What has to be changed, but for what leaves and what was refused just now.
    fn differences(&self) -> Vec<Change> {
        let Some(known) = &self.known else {
            return Vec::new();
        };
        let target = self.target(known);
        let mut changes = match self.policy.claim {
            Claim::Own => plan_owned(known, &target, &self.owned),
            Claim::Whole => plan(known, &target),
        };
        // What a service that could not be added lacks waits with it.
        let is_missing = |service: &ServiceKey| !known.services.contains_key(service);
        changes.retain(|change| {
            let subject = Subject::of(change);
            let waits_for_service = subject.destination().is_some_and(|(service, _)| {
                is_missing(&service) && self.holds.holds(Subject::Service(service))
            });
            !waits_for_service && !self.holds.holds(subject)
        });
        changes
    }

    /// What is desired, and what leaves as it is.
    fn target(&self, known: &Table) -> Cow<'_, Table> {
        let mut target = Cow::Borrowed(&self.desired);
        for (service, destination) in self.leaving.keys() {
            let Some(present) = known.services.get(service) else {
                continue;
            };
            let Some(settings) = present.destinations.get(destination) else {
                continue;
            };
            let services = &mut target.to_mut().services;
            let kept = services.entry(*service).or_insert_with(|| crate::Service {
                settings: present.settings,
                destinations: BTreeMap::new(),
            });
            kept.destinations.insert(*destination, *settings);
        }
        target
    }

    /// What is gone and not desired is no longer ours, should somebody else set it up.
    fn disown(&mut self) {
        if let Some(known) = &self.known {
            let owned = &mut self.owned;
            owned
                .services
                .retain(|key| known.services.contains_key(key));
            owned
                .daemons
                .retain(|role| known.daemons.contains_key(role));
            owned.extend(&self.desired);
        }
    }

    /// Destinations of ours that are not desired are drained, where that is how they are to go.
    fn begin_drains(&mut self, now: Instant) {
        let (Removal::Drain(policy), true, Some(known)) =
            (self.removal, self.may_differ, &self.known)
        else {
            return;
        };
        let is_ours = |service: &ServiceKey| {
            self.policy.claim == Claim::Whole || self.owned.services.contains(service)
        };
        for (key, service) in known.services.iter().filter(|(key, _)| is_ours(key)) {
            let desired = self.desired.services.get(key);
            for (destination, settings) in &service.destinations {
                let wanted = desired.is_some_and(|it| it.destinations.contains_key(destination));
                let held = self.holds.holds(Subject::Destination(*key, *destination));
                if !wanted && !held {
                    let begun = || Drain::new(*key, *destination, *settings, policy, now);
                    self.leaving
                        .entry((*key, *destination))
                        .or_insert_with(begun);
                }
            }
        }
    }

    /// What drains want done. One that was refused is left for the plan, which removes it later.
    fn poll_drains(&mut self, now: Instant) -> Vec<Asked> {
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
            if let DrainEnd::Refused(refusal) = &end {
                let subject = Subject::Destination(service, destination);
                self.holds.refused(subject, refusal, now);
            }
            self.tell_drained(service, destination, end);
        }
        asked
    }

    fn each_drain(&mut self, work: impl FnMut(&mut Drain)) {
        self.leaving.values_mut().for_each(work);
    }

    fn tell_drained(&mut self, service: ServiceKey, destination: Endpoint, end: DrainEnd) {
        self.tell(ReconcileEvent::Drained {
            service,
            destination,
            end,
        });
    }

    fn tell(&mut self, event: ReconcileEvent) {
        self.outputs.push_back(ReconcileOutput::Event(event));
    }
}
