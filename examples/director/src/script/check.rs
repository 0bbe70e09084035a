//! One tracked script as a value: when it runs and what its results mean.
//!
//! Contract: after every [`handle`](Check::handle) drain [`poll_output`](Check::poll_output) to
//! `None`, then arm [`poll_timeout`](Check::poll_timeout).

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::script::outcome::Outcome;
use crate::script::rise_fall::{CheckState, Initial, RiseFall};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// `interval`, `timeout`, `rise`, `fall` and `init_fail` of a `vrrp_script`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the keywords of vrrp_script that time a check"
)]
pub struct CheckConfig {
    /// From one start to the next; 1 ms to a year, anything else is moved there.
    pub interval: Duration,
    /// A run that takes longer has failed and is terminated; same range. keepalived's default is
    /// the interval.
    pub timeout: Duration,
    /// Successes in a row that bring the check up.
    pub rise: NonZeroU32,
    /// Failures in a row that bring it down.
    pub fall: NonZeroU32,
    /// The check starts down and needs `rise` successes.
    pub init_fail: bool,
}

impl CheckConfig {
    /// keepalived's defaults for an interval: the timeout is the interval, `rise` and `fall` 1.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self {
            interval,
            timeout: interval,
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN,
            init_fail: false,
        }
    }
}

/// What happens to a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every one")]
pub enum Input {
    /// The time of [`Check::poll_timeout`] has come; earlier it does nothing.
    Timeout,
    /// The run is over and nothing of it is left that could be waited for.
    Finished(Outcome),
}

/// What a check asks for or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle every one")]
pub enum Output {
    /// Start a run. Never before the previous one was [`Input::Finished`].
    Run,
    /// The run is at its deadline and has failed: end it, then say [`Input::Finished`].
    Terminate,
    /// A run was due while the previous one was going on, and was left out. Told once per run.
    Skipped {
        /// How long the run that is in the way has been going on.
        running_for: Duration,
    },
    /// A run ended otherwise than the one before ("now returning"), the first one otherwise than
    /// well. Left out when [`Changed`](Self::Changed) says the same.
    Differs(Outcome),
    /// The state has changed.
    Changed {
        /// The state now.
        to: CheckState,
        /// What changed it.
        because: Because,
    },
}

/// Why a check is in its state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// It has not run yet.
    NotRunYet,
    /// `init_fail` is set and it has not run yet.
    InitFail,
    /// A reload added it, and it has not run yet.
    AddedByReload,
    /// The outcome of a run.
    Ended(Outcome),
}

impl std::fmt::Display for Because {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotRunYet => f.write_str("has not run yet"),
            Self::InitFail => f.write_str("considered failed until it has run (init_fail)"),
            Self::AddedByReload => f.write_str("considered successful on reload"),
            Self::Ended(outcome) => outcome.fmt(f),
        }
    }
}

/// What was counted since the check exists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Runs started.
    pub runs: u64,
    /// Runs that succeeded in time.
    pub succeeded: u64,
    /// Runs that failed in any other way than by time.
    pub failed: u64,
    /// Runs that were still going at their deadline.
    pub timed_out: u64,
    /// Runs left out because the previous one was still going.
    pub skipped: u64,
    /// Results of runs that were not asked for: a fault of the driver.
    pub unexpected: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Idle,
    Running {
        since: Instant,
        terminate_at: Instant,
        skip_told: bool,
    },
    Overdue {
        since: Instant,
        skip_told: bool,
    },
}

/// One tracked script. See the [module](self).
#[derive(Debug, Clone)]
pub struct Check {
    config: CheckConfig,
    counter: RiseFall,
    because: Because,
    last: Outcome,
    run_at: Instant,
    phase: Phase,
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl Check {
    /// A check of a daemon that starts; its first run is at `first_run_at`.
    ///
    /// Unlike keepalived 2.2.7, where any first result decides, `init_fail` holds until `rise`
    /// successes.
    #[must_use]
    pub fn new(config: CheckConfig, first_run_at: Instant) -> Self {
        let initial = if config.init_fail {
            Initial::Failed
        } else {
            Initial::Unknown
        };
        Self::with_initial(config, initial, first_run_at)
    }

    /// A check that a reload adds: considered successful until its first result, so that a
    /// reload alone takes no role away; `init_fail` is honoured here too.
    #[must_use]
    pub fn added_by_reload(config: CheckConfig, first_run_at: Instant) -> Self {
        let initial = if config.init_fail {
            Initial::Failed
        } else {
            Initial::AssumedUp
        };
        Self::with_initial(config, initial, first_run_at)
    }

    fn with_initial(mut config: CheckConfig, initial: Initial, first_run_at: Instant) -> Self {
        config.interval = config.interval.clamp(SHORTEST, LONGEST);
        config.timeout = config.timeout.clamp(SHORTEST, LONGEST);
        let mut check = Self {
            config,
            counter: RiseFall::new(config.rise, config.fall, initial),
            because: match initial {
                Initial::Unknown => Because::NotRunYet,
                Initial::Failed => Because::InitFail,
                Initial::AssumedUp => Because::AddedByReload,
            },
            last: Outcome::Success,
            run_at: first_run_at,
            phase: Phase::Idle,
            counters: Counters::default(),
            outputs: VecDeque::new(),
        };
        if check.state() != CheckState::Unknown {
            check.tell_state();
        }
        check
    }

    /// The check with another configuration after a reload: the state stays, a partial streak is
    /// forgotten, and it runs at `now`. A run that is going on is no longer its own: the driver
    /// ends it and does not report it.
    #[must_use]
    pub fn reconfigured(self, config: CheckConfig, now: Instant) -> Self {
        Self {
            counter: self.counter.with_thresholds(config.rise, config.fall),
            because: self.because,
            last: self.last,
            counters: self.counters,
            outputs: self.outputs,
            ..Self::with_initial(config, Initial::Unknown, now)
        }
    }

    /// Takes an input. Time must not run backwards.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Timeout => self.on_timeout(now),
            Input::Finished(outcome) => self.on_finished(outcome),
        }
    }

    /// The next thing to do, in order; `None` when there is nothing left.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to say [`Input::Timeout`] next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Running { terminate_at, .. } => Some(self.run_at.min(terminate_at)),
            Phase::Idle | Phase::Overdue { .. } => Some(self.run_at),
        }
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> CheckState {
        self.counter.state()
    }

    /// Why it is so.
    #[must_use]
    pub const fn because(&self) -> &Because {
        &self.because
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn on_timeout(&mut self, now: Instant) {
        if let Phase::Running {
            since,
            terminate_at,
            skip_told,
        } = self.phase
            && now >= terminate_at
        {
            self.phase = Phase::Overdue { since, skip_told };
            self.outputs.push_back(Output::Terminate);
            self.counters.timed_out += 1;
            self.count(Outcome::TimedOut);
        }
        if now >= self.run_at {
            self.on_run_due(now);
        }
    }

    fn on_run_due(&mut self, now: Instant) {
        // From start to start, so that a slow script is not run less often; after a stall of the
        // whole daemon from now on, so that nothing is made up for.
        self.run_at += self.config.interval;
        if self.run_at <= now {
            self.run_at = now + self.config.interval;
        }
        match &mut self.phase {
            Phase::Idle => {
                self.counters.runs += 1;
                let terminate_at = now + self.config.timeout;
                self.phase = Phase::Running {
                    since: now,
                    terminate_at,
                    skip_told: false,
                };
                self.outputs.push_back(Output::Run);
            }
            Phase::Running {
                since, skip_told, ..
            }
            | Phase::Overdue { since, skip_told } => {
                self.counters.skipped += 1;
                if !*skip_told {
                    *skip_told = true;
                    let running_for = now.duration_since(*since);
                    self.outputs.push_back(Output::Skipped { running_for });
                }
            }
        }
    }

    fn on_finished(&mut self, outcome: Outcome) {
        match self.phase {
            Phase::Idle => self.counters.unexpected += 1,
            // Its result was counted at the deadline, whatever it says now.
            Phase::Overdue { .. } => self.phase = Phase::Idle,
            Phase::Running { .. } => {
                self.phase = Phase::Idle;
                let counter = match outcome {
                    Outcome::Success => &mut self.counters.succeeded,
                    Outcome::TimedOut | Outcome::Unkillable { .. } => &mut self.counters.timed_out,
                    Outcome::Failure { .. }
                    | Outcome::Signalled { .. }
                    | Outcome::CannotRun { .. } => &mut self.counters.failed,
                };
                *counter += 1;
                self.count(outcome);
            }
        }
    }

    fn count(&mut self, outcome: Outcome) {
        let before = self.state();
        let changed = self.counter.count(outcome.is_success()) != before;
        // An exit status has a line of its own, as keepalived's users know it.
        if outcome != self.last && !(changed && outcome.exit_status().is_none()) {
            self.outputs.push_back(Output::Differs(outcome.clone()));
        }
        self.last = outcome.clone();
        if changed {
            self.because = Because::Ended(outcome);
            self.tell_state();
        } else if self.because == Because::AddedByReload {
            self.because = Because::Ended(outcome);
        }
    }

    fn tell_state(&mut self) {
        let (to, because) = (self.state(), self.because.clone());
        self.outputs.push_back(Output::Changed { to, because });
    }
}

#[cfg(test)]
#[path = "check/tests.rs"]
mod tests;
