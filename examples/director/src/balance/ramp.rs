//! `slow_start`: a server that comes back gets its weight in steps.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use health::SlowStart;

/// Each is a change of the table, which a scheduler takes a moment to follow.
const STEPS: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// A server's way to its whole weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ramp {
    /// When it came back.
    pub since: Instant,
    /// How long it takes.
    pub span: Duration,
}

impl Ramp {
    /// Of a whole weight, what it has now.
    pub(super) fn weight(&self, whole: u32, now: Instant) -> u32 {
        self.steps().weight(whole, self.since, now)
    }

    /// When it has more; `None` once it has all.
    pub(super) fn next_step_at(&self, now: Instant) -> Option<Instant> {
        self.steps().next_step_at(self.since, now)
    }

    const fn steps(&self) -> SlowStart {
        SlowStart {
            span: self.span,
            steps: STEPS,
        }
    }
}
