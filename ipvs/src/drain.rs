//! Taking a destination out of service without cutting its connections.

mod types;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use types::{DrainEnd, DrainInput, DrainOutput, DrainPolicy, WaitFor};

use crate::{
    Change, ChangeOutcome, Counts, DestinationSettings, DestinationState, Endpoint, Refusal,
    RefusalReason, ServiceKey, Weight,
};

/// A destination on its way out: it gets weight 0, then its connections are waited for, then it is
/// removed.
///
/// A value: [`Drain::handle`] what has happened, do what [`Drain::poll_output`] says until it says
/// nothing more, and come back at [`Drain::poll_timeout`]. Results come back as inputs, one for
/// each [`DrainOutput::Apply`] and [`DrainOutput::Observe`].
///
/// Weight 0 keeps new clients away. Clients known by persistence still come, unless the sysctl
/// `net.ipv4.vs.expire_quiescent_template` is 1; and with `net.ipv4.vs.conn_reuse_mode` 0 so do
/// those that use a port again. A service with such clients needs a deadline.
#[derive(Debug, Clone)]
pub struct Drain {
    service: ServiceKey,
    destination: Endpoint,
    /// How it was set up before.
    before: DestinationSettings,
    policy: DrainPolicy,
    state: State,
    counts: Counts,
    outputs: VecDeque<DrainOutput>,
}

#[derive(Debug, Clone)]
enum State {
    /// Weight 0 is asked for.
    Quiescing {
        ask: Ask,
        deadline_at: Option<Instant>,
        cancelled: bool,
    },
    /// Connections are watched.
    Watching {
        look: Ask,
        deadline_at: Option<Instant>,
    },
    /// Removal is asked for.
    Removing {
        ask: Ask,
    },
    /// What was before is asked for.
    Restoring {
        ask: Ask,
    },
    Finished,
}

/// Something that is asked for, or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// The answer will come.
    Pending,
    /// It will be asked at this time.
    At(Instant),
}

impl Ask {
    const fn at(self) -> Option<Instant> {
        match self {
            Self::Pending => None,
            Self::At(at) => Some(at),
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self.at().is_some_and(|at| at <= now)
    }
}

impl Drain {
    /// Begins to drain a destination that is set up like this. A deadline counts from `now`.
    #[must_use]
    pub fn new(
        service: ServiceKey,
        destination: Endpoint,
        settings: DestinationSettings,
        policy: DrainPolicy,
        now: Instant,
    ) -> Self {
        let deadline_at = policy.deadline_at(now);
        let mut drain = Self {
            service,
            destination,
            before: settings,
            policy,
            state: State::Finished,
            counts: Counts::ZERO,
            outputs: VecDeque::new(),
        };
        drain.quiesce(deadline_at);
        drain
    }

    /// The connections it had when it was last seen.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether it is over.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Finished)
    }

    /// Takes notice of what has happened. An answer to nothing that was asked is passed over.
    pub fn handle(&mut self, input: DrainInput, now: Instant) {
        match input {
            DrainInput::Timeout => self.on_timeout(now),
            DrainInput::Applied(outcome) => self.on_applied(outcome, now),
            DrainInput::Observed(state) => self.on_observed(state, now),
            DrainInput::Unobserved => self.on_unobserved(now),
            DrainInput::Policy(policy) => self.on_policy(policy, now),
            DrainInput::Cancel => self.on_cancel(),
        }
    }

    /// What is to be done next.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<DrainOutput> {
        self.outputs.pop_front()
    }

    /// When [`DrainInput::Timeout`] is due; `None` while only an answer is waited for, and when it
    /// is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Watching { look, deadline_at } => {
                [look.at(), *deadline_at].into_iter().flatten().min()
            }
            State::Quiescing { ask, .. } | State::Removing { ask } | State::Restoring { ask } => {
                ask.at()
            }
            State::Finished => None,
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        match self.state {
            State::Quiescing {
                ask, deadline_at, ..
            } if ask.is_due(now) => {
                if deadline_at.is_some_and(|at| at <= now) {
                    self.remove();
                } else {
                    self.quiesce(deadline_at);
                }
            }
            State::Watching {
                deadline_at: Some(at),
                ..
            } if at <= now => self.remove(),
            State::Watching { look, deadline_at } if look.is_due(now) => self.look(deadline_at),
            State::Removing { ask } if ask.is_due(now) => self.remove(),
            State::Restoring { ask } if ask.is_due(now) => self.restore(),
            State::Quiescing { .. }
            | State::Watching { .. }
            | State::Removing { .. }
            | State::Restoring { .. }
            | State::Finished => {}
        }
    }

    fn on_applied(&mut self, outcome: ChangeOutcome, now: Instant) {
        let again = Ask::At(self.later(now));
        match (&mut self.state, outcome) {
            (
                State::Quiescing {
                    ask: Ask::Pending,
                    cancelled: true,
                    ..
                },
                outcome,
            ) => match outcome {
                ChangeOutcome::Refused(refusal) => self.on_refused(refusal),
                ChangeOutcome::Done | ChangeOutcome::Unanswered => self.restore(),
            },
            (
                State::Quiescing {
                    ask: ask @ Ask::Pending,
                    ..
                }
                | State::Removing {
                    ask: ask @ Ask::Pending,
                }
                | State::Restoring {
                    ask: ask @ Ask::Pending,
                },
                ChangeOutcome::Unanswered,
            ) => *ask = again,
            (
                State::Quiescing {
                    ask: Ask::Pending,
                    deadline_at,
                    ..
                },
                ChangeOutcome::Done,
            ) => {
                let deadline_at = *deadline_at;
                self.look(deadline_at);
            }
            (State::Removing { ask: Ask::Pending }, ChangeOutcome::Done) => {
                self.finish(DrainEnd::Removed { left: self.counts });
            }
            (State::Restoring { ask: Ask::Pending }, ChangeOutcome::Done) => {
                self.finish(DrainEnd::Cancelled);
            }
            (
                State::Quiescing {
                    ask: Ask::Pending, ..
                }
                | State::Removing { ask: Ask::Pending }
                | State::Restoring { ask: Ask::Pending },
                ChangeOutcome::Refused(refusal),
            ) => self.on_refused(refusal),
            (
                State::Quiescing { .. }
                | State::Watching { .. }
                | State::Removing { .. }
                | State::Restoring { .. }
                | State::Finished,
                _,
            ) => {}
        }
    }

    fn on_refused(&mut self, refusal: Refusal) {
        let gone = matches!(
            refusal.reason,
            RefusalReason::NoSuchDestination | RefusalReason::NoSuchService
        );
        let removing = matches!(self.state, State::Removing { .. });
        self.finish(match (gone, removing) {
            (true, true) => DrainEnd::Removed { left: self.counts },
            (true, false) => DrainEnd::Gone,
            (false, _) => DrainEnd::Refused(refusal),
        });
    }

    fn on_observed(&mut self, seen: Option<DestinationState>, now: Instant) {
        let State::Watching {
            look: Ask::Pending,
            deadline_at,
        } = self.state
        else {
            return;
        };
        let Some(seen) = seen else {
            self.finish(DrainEnd::Gone);
            return;
        };
        self.counts = seen.counts;
        if seen.settings.weight != Weight::ZERO {
            // Somebody gave it weight again.
            self.quiesce(deadline_at);
        } else if self.policy.wait_for.is_over(&self.service, seen.counts) {
            self.remove();
        } else {
            self.outputs.push_back(DrainOutput::Waiting(seen.counts));
            self.state = State::Watching {
                look: Ask::At(self.later(now)),
                deadline_at,
            };
        }
    }

    fn on_unobserved(&mut self, now: Instant) {
        let again = Ask::At(self.later(now));
        if let State::Watching {
            look: look @ Ask::Pending,
            ..
        } = &mut self.state
        {
            *look = again;
        }
    }

    fn on_policy(&mut self, policy: DrainPolicy, now: Instant) {
        self.policy = policy;
        match &mut self.state {
            State::Quiescing { deadline_at, .. } | State::Watching { deadline_at, .. } => {
                *deadline_at = policy.deadline_at(now);
            }
            State::Removing { .. } | State::Restoring { .. } | State::Finished => {}
        }
    }

    fn on_cancel(&mut self) {
        match &mut self.state {
            State::Quiescing {
                ask: Ask::Pending,
                cancelled,
                ..
            } => *cancelled = true,
            State::Quiescing {
                ask: Ask::At(_), ..
            }
            | State::Watching { .. } => self.restore(),
            State::Removing { .. } | State::Restoring { .. } | State::Finished => {}
        }
    }

    fn later(&self, now: Instant) -> Instant {
        let interval = self.policy.interval.max(Duration::from_millis(1));
        now.checked_add(interval)
            .unwrap_or(now + Duration::from_secs(1))
    }

    fn set(&mut self, settings: DestinationSettings) {
        let (service, destination) = (self.service, self.destination);
        let change = Change::SetDestination {
            service,
            destination,
            settings,
        };
        self.outputs.push_back(DrainOutput::Apply(change));
    }

    fn quiesce(&mut self, deadline_at: Option<Instant>) {
        self.set(self.before.with_weight(Weight::ZERO));
        self.state = State::Quiescing {
            ask: Ask::Pending,
            deadline_at,
            cancelled: false,
        };
    }

    fn look(&mut self, deadline_at: Option<Instant>) {
        self.outputs.push_back(DrainOutput::Observe);
        self.state = State::Watching {
            look: Ask::Pending,
            deadline_at,
        };
    }

    fn remove(&mut self) {
        let (service, destination) = (self.service, self.destination);
        let change = Change::RemoveDestination {
            service,
            destination,
        };
        self.outputs.push_back(DrainOutput::Apply(change));
        self.state = State::Removing { ask: Ask::Pending };
    }

    fn restore(&mut self) {
        self.set(self.before);
        self.state = State::Restoring { ask: Ask::Pending };
    }

    fn finish(&mut self, end: DrainEnd) {
        self.outputs.push_back(DrainOutput::Finished(end));
        self.state = State::Finished;
    }
}
