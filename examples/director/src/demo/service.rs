//! What the client's requests say: who answers, how fast, what failed, and the longest silence.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use super::requests::{Finished, Outcome};
use super::scenario::{PATIENCE, Server};

/// How far back [`Service::rate`] looks.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// For how long an answer is remembered: a step takes no longer.
const MEMORY: Duration = PATIENCE.saturating_add(RATE_WINDOW);

/// How many requests have ended, and how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) answered: u64,
    pub(super) refused: u64,
    pub(super) reset: u64,
    pub(super) timed_out: u64,
}

impl Counts {
    pub(super) const fn failed(&self) -> u64 {
        self.refused + self.reset + self.timed_out
    }

    pub(super) const fn all(&self) -> u64 {
        self.answered + self.failed()
    }

    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered(_) => self.answered += 1,
            Outcome::Refused => self.refused += 1,
            Outcome::Reset => self.reset += 1,
            Outcome::TimedOut => self.timed_out += 1,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered, {} refused, {} reset, {} timed out",
            self.answered, self.refused, self.reset, self.timed_out
        )
    }
}

/// What is known from the requests that have ended.
///
/// Times are those of the start of requests. A gap is the time from the start of one that was
/// answered to the start of the next one that was, as with probes.
#[derive(Debug, Default)]
pub(super) struct Service {
    total: Counts,
    /// Since measuring began.
    counts: Counts,
    /// Those within [`MEMORY`].
    answers: VecDeque<(Instant, Server)>,
    last_answered: Option<Instant>,
    /// The first and the last one that failed since measuring began.
    failed: Option<(Instant, Instant)>,
    /// The last one that failed, or that a server answered which should not.
    last_disturbed: Option<Instant>,
    longest_gap: Duration,
}

impl Service {
    /// Takes a request that has ended. `expected` are the servers that should answer.
    pub(super) fn on_finished(&mut self, finished: Finished, expected: &[Server]) {
        let Finished {
            started_at,
            outcome,
        } = finished;
        self.total.count(outcome);
        self.counts.count(outcome);
        match outcome {
            Outcome::Answered(server) => {
                self.remember(started_at, server);
                if let Some(last) = self.last_answered {
                    self.longest_gap = self
                        .longest_gap
                        .max(started_at.saturating_duration_since(last));
                }
                self.last_answered = self.last_answered.max(Some(started_at));
                if !expected.contains(&server) {
                    self.disturb(started_at);
                }
            }
            Outcome::Refused | Outcome::Reset | Outcome::TimedOut => {
                let (first, last) = self.failed.unwrap_or((started_at, started_at));
                self.failed = Some((first.min(started_at), last.max(started_at)));
                self.disturb(started_at);
            }
        }
    }

    fn remember(&mut self, started_at: Instant, server: Server) {
        let is_old = |&(at, _): &(Instant, _)| started_at.saturating_duration_since(at) > MEMORY;
        while self.answers.front().is_some_and(is_old) {
            self.answers.pop_front();
        }
        self.answers.push_back((started_at, server));
    }

    fn disturb(&mut self, at: Instant) {
        self.last_disturbed = self.last_disturbed.max(Some(at));
    }

    /// Forgets counts and gaps, except for a gap that lasts.
    pub(super) fn measure_again(&mut self) {
        self.counts = Counts::default();
        self.failed = None;
        self.longest_gap = Duration::ZERO;
    }

    /// Of all that have ended.
    pub(super) const fn total(&self) -> Counts {
        self.total
    }

    /// Of those that have ended since measuring began.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// The longest gap that has ended since measuring began.
    pub(super) const fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// How long after the first request that failed since measuring began the last one started.
    pub(super) fn failed_for(&self) -> Duration {
        self.failed
            .map_or(Duration::ZERO, |(first, last)| last - first)
    }

    /// When the last request started that was answered.
    pub(super) const fn last_answered(&self) -> Option<Instant> {
        self.last_answered
    }

    /// When the last request started that failed, or was answered by a server that should not.
    pub(super) const fn last_disturbed(&self) -> Option<Instant> {
        self.last_disturbed
    }

    /// How many requests each server has answered that were started at `since` or later.
    pub(super) fn shares(&self, since: Instant) -> BTreeMap<Server, u64> {
        let mut shares = BTreeMap::new();
        for (_, server) in self.answers.iter().filter(|(at, _)| *at >= since) {
            *shares.entry(*server).or_default() += 1;
        }
        shares
    }

    /// Which real server has had less than its turn of the requests that were started at `since` or
    /// later: with round robin the shares are equal, but for answers that are still on their way.
    pub(super) fn unfair_share(&self, since: Instant, pool: &[Server]) -> Option<String> {
        let shares = self.shares(since);
        let all: u64 = shares.values().sum();
        pool.iter().find_map(|server| {
            let share = shares.get(server).copied().unwrap_or_default();
            let is_fair = share * 10 * u64::try_from(pool.len()).unwrap_or(u64::MAX) >= all * 9;
            (!is_fair).then(|| format!("{server} has answered {share} of {all} requests"))
        })
    }

    /// How many requests each server has answered in the last second.
    pub(super) fn rate(&self, now: Instant) -> BTreeMap<Server, u64> {
        now.checked_sub(RATE_WINDOW)
            .map_or_else(BTreeMap::new, |since| self.shares(since))
    }
}

#[cfg(test)]
mod tests {
    use super::super::now;
    use super::*;
    use Outcome::{Answered, Refused, Reset, TimedOut};
    use Server::{One, Two};

    #[test]
    fn every_outcome_is_counted_under_its_name() {
        let seen = seen(&[
            (0, Answered(One)),
            (10, Refused),
            (20, Reset),
            (30, TimedOut),
            (40, TimedOut),
        ]);

        let counts = seen.counts();
        assert_eq!((counts.all(), counts.failed()), (5, 4));
        assert_eq!(
            counts.to_string(),
            "1 answered, 1 refused, 1 reset, 2 timed out"
        );
    }

    #[test]
    fn a_gap_spans_what_failed_in_between() {
        let seen = seen(&[(0, Answered(One)), (10, TimedOut), (370, Answered(Two))]);

        assert_eq!(seen.longest_gap(), ms(370));
    }

    #[test]
    fn measuring_again_forgets_counts_and_gaps_but_not_a_gap_that_lasts() {
        let start = now();
        let mut seen = Service::default();
        finish(
            &mut seen,
            start,
            &[(0, Answered(One)), (500, Answered(One))],
        );

        seen.measure_again();
        finish(&mut seen, start, &[(510, Refused), (580, Answered(One))]);

        assert_eq!(seen.longest_gap(), ms(80));
        assert_eq!((seen.counts().answered, seen.counts().refused), (1, 1));
    }

    #[test]
    fn a_slow_answer_ends_no_gap_twice() {
        let seen = seen(&[(0, Answered(One)), (20, Answered(One)), (10, Answered(Two))]);

        assert_eq!(seen.longest_gap(), ms(20));
    }

    #[test]
    fn requests_fail_from_the_first_to_the_last_that_does() {
        let start = now();
        let mut seen = Service::default();
        let ends = [
            (0, TimedOut),
            (20, Answered(One)),
            (10, Refused),
            (70, Reset),
        ];
        finish(&mut seen, start, &ends);
        assert_eq!(seen.failed_for(), ms(70));

        seen.measure_again();
        assert_eq!(seen.failed_for(), ms(0));
        finish(&mut seen, start, &[(90, Reset)]);
        assert_eq!(seen.failed_for(), ms(0));
    }

    #[test]
    fn a_failure_and_an_answer_of_the_wrong_server_disturb() {
        let start = now();
        let mut seen = Service::default();
        finish(&mut seen, start, &[(0, Answered(One))]);
        assert_eq!(seen.last_disturbed(), None);

        finish(&mut seen, start, &[(10, Reset)]);
        assert_eq!(seen.last_disturbed(), Some(start + ms(10)));

        finish(
            &mut seen,
            start,
            &[(20, Answered(Two)), (30, Answered(One))],
        );
        assert_eq!(seen.last_disturbed(), Some(start + ms(20)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let start = now();
        let mut seen = Service::default();
        let ends: Vec<_> = (0..300)
            .map(|number| (number * 10, Answered(One)))
            .collect();
        finish(&mut seen, start, &ends);

        assert_eq!(seen.rate(start + ms(2995)), BTreeMap::from([(One, 100)]));
        assert_eq!(seen.rate(start + ms(9000)), BTreeMap::new());
    }

    /// Server one is the one that should answer.
    fn seen(ends: &[(u64, Outcome)]) -> Service {
        let mut seen = Service::default();
        finish(&mut seen, now(), ends);
        seen
    }

    fn finish(seen: &mut Service, start: Instant, ends: &[(u64, Outcome)]) {
        for &(millis, outcome) in ends {
            let started_at = start + ms(millis);
            let finished = Finished {
                started_at,
                outcome,
            };
            seen.on_finished(finished, &[One]);
        }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }
}
