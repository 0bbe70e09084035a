//! Brings a kernel's table to what is desired, and keeps it there.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    Change, ChangeOutcome, Drain, DrainInput, Endpoint, Ownership, Refusal, RefusalReason,
    ServiceKey, Snapshot, Subject, Table,
};

mod compare;
mod holds;
mod leave;
mod types;

pub use types::{Claim, ReconcileEvent, ReconcileInput, ReconcileOutput, ReconcilePolicy, Removal};

use holds::Holds;

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
/// the expected one. What is refused is tried again later and later; but at once, and untold, what
/// is refused only because somebody else has changed the table since it was read. Until it is told
/// what is desired, the table is read and nothing in it is changed.
#[derive(Debug)]
pub struct Reconciler {
    policy: ReconcilePolicy,
    /// What is desired, once that is told.
    desired: Option<Table>,
    /// How destinations go of which nothing else is said.
    removal: Removal,
    /// How those go that were desired, until they are gone.
    ways: BTreeMap<(ServiceKey, Endpoint), Removal>,
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

/// The shortest time between looks, and before something is tried again.
const SHORTEST: Duration = Duration::from_millis(1);

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
            policy: ReconcilePolicy {
                interval: policy.interval.max(SHORTEST),
                ..policy
            },
            desired: None,
            removal: Removal::AtOnce,
            ways: BTreeMap::new(),
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

    /// What is desired; `None` until that is told.
    #[must_use]
    pub const fn desired(&self) -> Option<&Table> {
        self.desired.as_ref()
    }

    /// What the kernel refused when it was last asked for it, and is tried again.
    pub fn refused(&self) -> impl Iterator<Item = &Refusal> {
        self.holds.refusals()
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
            ReconcileInput::Leave(removal) => self.on_leave(removal, now),
            ReconcileInput::Cut(destinations) => self.on_cut(&destinations, now),
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
        self.stay_if_desired(&table);
        self.note_ways(&table, removal);
        self.removal = removal;
        if self.desired.as_ref() != Some(&table) {
            self.desired = Some(table);
            self.holds.retry();
            self.converged = false;
            self.may_differ = true;
        }
    }

    fn on_read(&mut self, snapshot: &Snapshot, now: Instant) {
        if !matches!(self.state, State::Reading) {
            return;
        }
        if std::mem::take(&mut self.told_unreachable) {
            self.tell(ReconcileEvent::Reachable);
        }
        self.state = State::Idle;
        self.read_at = after(now, self.policy.interval);
        let was_right = self.converged;
        self.known = Some(snapshot.table());
        self.may_differ = true;
        self.observe(snapshot, now);
        if was_right {
            let mut drift = self.differences();
            drift.retain(|change| !self.waits(change));
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
                    // A drain that begins well may end with a refusal all the same.
                    if !is_drain || matches!(change, Change::RemoveDestination { .. }) {
                        self.holds.done(change.subject());
                    }
                    let applied = self.known.as_mut().map(|known| known.apply(&change));
                    if !matches!(applied, Some(Ok(()))) {
                        self.forget(now);
                    }
                }
                ChangeOutcome::Refused(refusal) => {
                    self.forget(now);
                    if !is_drain && !self.follows(refusal) {
                        self.on_refused(refusal, now);
                    }
                }
                ChangeOutcome::Unanswered => self.forget(now),
            }
            if is_drain
                && let Some(key) = change.subject().destination()
                && let Some(drain) = self.leaving.get_mut(&key)
            {
                drain.handle(DrainInput::Applied(outcome), now);
            }
        }
        self.may_differ = true;
    }

    fn on_refused(&mut self, refusal: &Refusal, now: Instant) {
        if self.holds.refused(refusal, now) {
            self.tell(ReconcileEvent::Refused(refusal.clone()));
        }
    }

    /// Whether a destination was refused because its service was.
    fn follows(&self, refusal: &Refusal) -> bool {
        refusal.reason == RefusalReason::NoSuchService
            && refusal
                .change
                .subject()
                .destination()
                .is_some_and(|(service, _)| self.holds.holds(Subject::Service(service)))
    }

    /// What is known is not what is there: it is read before anything else is planned.
    fn forget(&mut self, now: Instant) {
        self.known = None;
        self.read_at = now;
    }

    /// The kernel could not be asked: later, then.
    fn on_trouble(&mut self, because: String, now: Instant) {
        self.known = None;
        self.converged = false;
        self.state = State::Idle;
        self.read_at = after(now, self.holds.trouble());
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
        let leaving = self.poll_drains(now);
        let compares = std::mem::take(&mut self.may_differ) && self.desired.is_some();
        let mut asked = match compares {
            true => self.compare(),
            false => Vec::new(),
        };
        // Who comes is there before who leaves loses its weight. Daemons still start last.
        let starts = |asked: &Asked| matches!(asked.change, Change::StartDaemon(_));
        let place = asked.iter().position(starts).unwrap_or(asked.len());
        asked.splice(place..place, leaving);
        if !asked.is_empty() {
            let changes = asked.iter().map(|asked| asked.change).collect();
            self.state = State::Applying(asked);
            self.outputs.push_back(ReconcileOutput::Apply(changes));
        } else if std::mem::take(&mut self.look) || self.read_at <= now {
            self.read();
        } else if compares {
            self.forget_ways();
            self.disown();
            if let (Some(known), Some(desired)) = (&mut self.known, &self.desired) {
                known.share(desired);
            }
            if !std::mem::replace(&mut self.converged, true) {
                self.holds.calm();
                self.tell(ReconcileEvent::Converged);
            }
        }
    }

    fn read(&mut self) {
        self.state = State::Reading;
        self.outputs.push_back(ReconcileOutput::Read);
    }

    fn tell(&mut self, event: ReconcileEvent) {
        self.outputs.push_back(ReconcileOutput::Event(event));
    }
}

/// A time after another; a year later if it is too far away to be told.
fn after(now: Instant, span: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    now.checked_add(span).unwrap_or_else(|| now + YEAR)
}
