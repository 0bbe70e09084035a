//! The checker: when to probe one server, and whether it is up.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::random;

mod config;
mod counters;
mod damper;

pub use config::{CheckConfig, ConfigError, Counted, Damping, Initial, KeepalivedTiming, WhenDown};
pub use counters::{Counters, Streak};

use damper::Damper;

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "users must decide what each means to them"
)]
pub enum Health {
    /// It fails its checks.
    Down,
    /// No result yet: not to be used.
    Unknown,
    /// It passes its checks.
    Up,
}

/// The number of a probe of one checker; each has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Run(u64);

/// What a checker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever writes a driver makes them all"
)]
pub enum Input {
    /// The time of [`Checker::poll_timeout`] has come. Too early does no harm.
    Timeout,
    /// A probe has ended.
    Outcome {
        /// The one that [`Output::Probe`] asked for.
        run: Run,
        /// Whether the server did what was expected.
        passed: bool,
    },
    /// No more probes; a probe under way is abandoned. Health stays.
    Pause,
    /// Probes again, from now on. Nothing if it was not paused.
    Resume,
    /// The next probe is due now. Nothing while one is under way or it is paused.
    ProbeNow,
}

/// What a checker wants done, or tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do them all")]
pub enum Output {
    /// Probe the server now, and say how it went.
    Probe {
        /// To be given back with the outcome.
        run: Run,
        /// Which of the [`steps`](CheckConfig::steps), from 0.
        step: u32,
        /// When the checker counts it as failed, whatever has come by then.
        deadline: Instant,
    },
    /// Stop that probe: its outcome is of no interest any more.
    Abandon {
        /// Which one.
        run: Run,
    },
    /// The server's health has changed.
    Changed {
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
    },
}

/// Says when to probe one server and whether it is up.
///
/// Never has more than one probe under way. After every [`handle`](Self::handle) take all outputs
/// before waiting for [`poll_timeout`](Self::poll_timeout), which is later than `now` after
/// [`Input::Timeout`], but for a step that [follows at once](CheckConfig::fast_recovery).
#[derive(Debug, Clone)]
pub struct Checker {
    config: CheckConfig,
    seed: u64,
    health: Health,
    phase: Phase,
    /// Whether a result has been counted: until then [`Initial::AssumedUp`] is an assumption.
    proven: bool,
    step: u32,
    passes: u32,
    failures: u32,
    next_run: u64,
    damper: Damper,
    counters: Counters,
    outputs: VecDeque<Output>,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// `due` is the slot without its jitter: it is what the next slot counts from.
    Waiting {
        due: Instant,
        probe_at: Instant,
    },
    Probing {
        run: Run,
        due: Instant,
        deadline: Instant,
    },
    Paused,
}

impl Checker {
    /// A checker whose first probe is at `first_probe_at`.
    ///
    /// keepalived's is a second after start plus a random part of `warmup`. The seed decides the
    /// jitter and nothing else; give each checker another.
    ///
    /// # Errors
    /// [`CheckConfig::validate`] refuses the configuration.
    pub fn new(
        config: CheckConfig,
        first_probe_at: Instant,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            health: config.initial.health(),
            config,
            seed,
            phase: Phase::Waiting {
                due: first_probe_at,
                probe_at: first_probe_at,
            },
            proven: false,
            step: 0,
            passes: 0,
            failures: 0,
            next_run: 0,
            damper: Damper::default(),
            counters: Counters::default(),
            outputs: VecDeque::new(),
        })
    }

    /// A checker that knows the server's health from elsewhere, such as from before a restart, as if
    /// its own probes had shown it: a server that is up falls and one that is down rises as
    /// configured. Unknown health makes it a [`new`](Self::new) one.
    ///
    /// # Errors
    /// [`CheckConfig::validate`] refuses the configuration.
    pub fn knowing(
        health: Health,
        config: CheckConfig,
        first_probe_at: Instant,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut checker = Self::new(config, first_probe_at, seed)?;
        if health != Health::Unknown {
            checker.health = health;
            checker.proven = true;
        }
        Ok(checker)
    }

    /// A checker with another configuration that knows what this one does: health stays, and so do
    /// the falls that damping counts; a streak is begun anew, and nothing is under way.
    ///
    /// # Errors
    /// [`CheckConfig::validate`] refuses the configuration.
    pub fn carry_over(
        &self,
        config: CheckConfig,
        first_probe_at: Instant,
        seed: u64,
    ) -> Result<Self, ConfigError> {
        let mut next = Self::new(config, first_probe_at, seed)?;
        next.health = self.health_under(next.config());
        if self.proven {
            next.proven = true;
            next.damper = self.damper.clone();
        }
        Ok(next)
    }

    /// Whether its health is what results have shown.
    pub(crate) const fn is_proven(&self) -> bool {
        self.proven
    }

    /// The health that [`carry_over`](Self::carry_over) begins with.
    pub(crate) const fn health_under(&self, config: &CheckConfig) -> Health {
        match self.proven {
            true => self.health,
            false => config.initial.health(),
        }
    }

    /// Takes what has happened.
    pub fn handle(&mut self, input: Input, now: Instant) {
        // Whatever woke us, a deadline that has passed comes first: an answer after it is late.
        self.on_deadline(now);
        match input {
            Input::Timeout => self.on_timeout(now),
            Input::Outcome { run, passed } => self.on_outcome(run, passed, now),
            Input::Pause => self.on_pause(),
            Input::Resume if matches!(self.phase, Phase::Paused) => self.wait_until(now),
            Input::ProbeNow if matches!(self.phase, Phase::Waiting { .. }) => self.wait_until(now),
            Input::Resume | Input::ProbeNow => {}
        }
    }

    /// The next thing to do or to tell, in order; `None` when that was all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to hand it [`Input::Timeout`]; `None` while it is paused.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { probe_at, .. } => Some(probe_at),
            Phase::Probing { deadline, .. } => Some(deadline),
            Phase::Paused => None,
        }
    }

    /// Whether the server is up.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    /// The probe that is under way.
    #[must_use]
    pub const fn running(&self) -> Option<Run> {
        match self.phase {
            Phase::Probing { run, .. } => Some(run),
            Phase::Waiting { .. } | Phase::Paused => None,
        }
    }

    /// What was seen in a row.
    #[must_use]
    pub const fn streak(&self) -> Streak {
        Streak {
            passes: self.passes,
            failures: self.failures,
        }
    }

    /// Until when [`Damping`] keeps the server down.
    #[must_use]
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.damper.held_until(now)
    }

    /// What it was made with.
    #[must_use]
    pub const fn config(&self) -> &CheckConfig {
        &self.config
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn on_timeout(&mut self, now: Instant) {
        let Phase::Waiting { due, probe_at } = self.phase else {
            return;
        };
        if now < probe_at {
            return;
        }
        let run = Run(self.next_run);
        self.next_run += 1;
        let deadline = now + self.config.timeout;
        self.phase = Phase::Probing { run, due, deadline };
        self.outputs.push_back(Output::Probe {
            run,
            step: self.step,
            deadline,
        });
    }

    fn on_deadline(&mut self, now: Instant) {
        if let Phase::Probing { run, due, deadline } = self.phase
            && now >= deadline
        {
            self.counters.timed_out += 1;
            self.outputs.push_back(Output::Abandon { run });
            self.on_result(false, due, now);
        }
    }

    fn on_outcome(&mut self, run: Run, passed: bool, now: Instant) {
        match self.phase {
            Phase::Probing {
                run: current, due, ..
            } if run == current => {
                self.on_result(passed, due, now);
            }
            Phase::Probing { .. } | Phase::Waiting { .. } | Phase::Paused => {
                self.counters.late += 1;
            }
        }
    }

    fn on_pause(&mut self) {
        if let Phase::Probing { run, .. } = self.phase {
            self.outputs.push_back(Output::Abandon { run });
        }
        self.phase = Phase::Paused;
    }

    const fn wait_until(&mut self, at: Instant) {
        self.phase = Phase::Waiting {
            due: at,
            probe_at: at,
        };
    }

    fn on_result(&mut self, passed: bool, due: Instant, now: Instant) {
        let wait = match passed {
            true => self.on_pass(now),
            false => self.on_failure(now),
        };
        self.proven = true;
        if wait.is_zero() {
            // The slot stays: the steps together take one.
            self.phase = Phase::Waiting { due, probe_at: now };
            return;
        }
        let due = self.slot(due, wait, now);
        let fraction = random::number(self.seed, self.next_run);
        let probe_at = due + random::part(self.config.jitter, fraction);
        self.phase = Phase::Waiting { due, probe_at };
    }

    /// Counts a pass and says how long to wait.
    fn on_pass(&mut self, now: Instant) -> Duration {
        self.counters.passed += 1;
        self.failures = 0;
        self.step += 1;
        if self.step < self.config.steps.get() {
            return match self.config.fast_recovery && self.health != Health::Up {
                true => Duration::ZERO,
                false => self.config.interval,
            };
        }
        self.step = 0;
        self.passes = self.passes.saturating_add(1);
        let enough = self.health == Health::Unknown || self.passes >= self.config.rise.get();
        if self.health != Health::Up && !enough {
            return self.config.retry_interval;
        }
        if self.health == Health::Down && self.damper.held_until(now).is_some() {
            self.counters.held += 1;
            return self.config.interval;
        }
        self.become_health(Health::Up);
        self.config.interval
    }

    /// Counts a failure and says how long to wait.
    fn on_failure(&mut self, now: Instant) -> Duration {
        self.counters.failed += 1;
        self.passes = 0;
        self.failures = self.failures.saturating_add(1);
        let enough = self.failures >= self.config.fall.get();
        let assumed = !self.proven && self.config.initial == Initial::AssumedUp;
        match self.health {
            Health::Up if !enough && !assumed => return self.config.retry_interval,
            Health::Up | Health::Unknown => {
                if let Some(damping) = &self.config.damping {
                    self.damper.on_fall(damping, now);
                }
                self.become_health(Health::Down);
            }
            Health::Down => {
                self.step = 0;
                if self.config.when_down == WhenDown::Retry && !enough {
                    return self.config.retry_interval;
                }
            }
        }
        self.failures = 0;
        self.step = 0;
        self.config.down_interval
    }

    fn become_health(&mut self, to: Health) {
        let from = std::mem::replace(&mut self.health, to);
        if from != to {
            self.outputs.push_back(Output::Changed { from, to });
        }
    }

    /// The first slot after `now`.
    fn slot(&self, due: Instant, wait: Duration, now: Instant) -> Instant {
        match self.config.counted {
            Counted::FromEnd => now + wait,
            Counted::FromStart => {
                let past = now.saturating_duration_since(due).as_nanos();
                let into_slot = nanos(past % wait.as_nanos());
                let behind = now.max(due);
                behind + (wait - into_slot)
            }
        }
    }
}

/// A remainder of at most [`CheckConfig::LONGEST`], which fits.
fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
