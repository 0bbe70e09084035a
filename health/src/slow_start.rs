//! Slow start: a server that has come up gets its weight in steps.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// A weight that grows in equal steps from the time a server came up.
///
/// Not for schedulers that hash ([`SlowStart::suits`]): each step would move clients about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is these two numbers")]
pub struct SlowStart {
    /// From the first connection to the whole weight; more than a year counts as a year.
    pub span: Duration,
    /// In how many steps; each is a change of the table.
    pub steps: NonZeroU32,
}

impl SlowStart {
    /// Whether a scheduler, by its name in the kernel, can live with weights that change: all but
    /// those that hash addresses (`dh`, `mh`, `sh`).
    #[must_use]
    pub fn suits(scheduler: &str) -> bool {
        !matches!(scheduler, "dh" | "mh" | "sh")
    }

    /// The weight now of a server whose whole weight is `weight`: at least 1 unless that is 0.
    #[must_use]
    pub fn weight(&self, weight: u32, up_since: Instant, now: Instant) -> u32 {
        let (step, steps) = (
            u64::from(self.step(up_since, now)),
            u64::from(self.steps.get()),
        );
        let part = u64::from(weight) * step / steps;
        u32::try_from(part).unwrap_or(weight).max(weight.min(1))
    }

    /// When the next step is; `None` once the weight is whole.
    #[must_use]
    pub fn next_step_at(&self, up_since: Instant, now: Instant) -> Option<Instant> {
        let next = self.step(up_since, now) + 1;
        (next <= self.steps.get()).then(|| up_since + self.offset(next))
    }

    /// The steps that are done.
    fn step(&self, up_since: Instant, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(up_since);
        let (mut done, mut left) = (0, self.steps.get());
        // By halving, so that it agrees with `offset` to the nanosecond.
        while left > 0 {
            let half = left.div_ceil(2);
            if self.offset(done + half) <= elapsed {
                done += half;
                left -= half;
            } else {
                left = half - 1;
            }
        }
        done
    }

    /// When a step is, from the start; to the whole nanosecond after it.
    fn offset(&self, step: u32) -> Duration {
        const YEAR: Duration = Duration::from_secs(366 * 86_400);
        let nanos = self.span.min(YEAR).as_nanos() * u128::from(step);
        let nanos = nanos.div_ceil(u128::from(self.steps.get()));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to begin with"
    )]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn the_weight_grows_in_steps_to_the_whole() {
        let slow = SlowStart {
            span: Duration::from_secs(10),
            steps: NonZeroU32::new(5).unwrap(),
        };
        let start = start();
        let weights = [0, 1, 2, 5, 8, 10, 99]
            .map(|secs| slow.weight(100, start, start + Duration::from_secs(secs)));
        assert_eq!(weights, [1, 1, 20, 40, 80, 100, 100]);
        assert_eq!(slow.weight(0, start, start), 0);
    }

    #[test]
    fn schedulers_that_hash_get_no_slow_start() {
        assert!(
            ["rr", "wrr", "lc", "wlc", "sed", "nq"]
                .into_iter()
                .all(SlowStart::suits)
        );
        assert!(!["dh", "mh", "sh"].into_iter().any(SlowStart::suits));
    }

    proptest! {
        #[test]
        fn the_steps_come_one_by_one_when_announced_and_end_with_the_whole_weight(
            nanos in 0_u64..10_000,
            steps in 1_u32..50,
            weight in 0_u32..1000,
        ) {
            let span = Duration::from_nanos(nanos);
            let slow = SlowStart { span, steps: NonZeroU32::new(steps).unwrap() };
            let start = start();
            let (mut now, mut last) = (start, slow.weight(weight, start, start));
            while let Some(at) = slow.next_step_at(start, now) {
                prop_assert!(at > now && at <= start + span);
                now = at;
                let next = slow.weight(weight, start, now);
                prop_assert!(next >= last);
                last = next;
            }
            prop_assert_eq!(last, weight);
        }
    }
}
