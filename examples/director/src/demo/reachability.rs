//! Who answers, and the longest time without an answer.

use std::time::{Duration, Instant};

use super::scenario::Node;

/// What the answered probes say.
///
/// A gap is the time from the sending of a probe that was answered to the sending of the next one
/// that was; so it is never shorter than the time between two probes.
#[derive(Debug, Default)]
pub(super) struct Reachability {
    last_answered: Option<Instant>,
    longest_gap: Duration,
    holder: Option<Holder>,
}

/// Who answers, without the other answering in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) node: Node,
    /// When the first probe was sent that it answered.
    pub(super) since: Instant,
}

impl Reachability {
    /// Takes an answer to the probe that was sent at that time. One that was overtaken by a later
    /// one is of no interest.
    pub(super) fn on_answer(&mut self, by: Node, sent_at: Instant) {
        if let Some(last) = self.last_answered {
            if sent_at <= last {
                return;
            }
            self.longest_gap = self.longest_gap.max(sent_at - last);
        }
        self.last_answered = Some(sent_at);
        if self.holder.is_none_or(|holder| holder.node != by) {
            self.holder = Some(Holder {
                node: by,
                since: sent_at,
            });
        }
    }

    /// Forgets the gaps so far, except for one that lasts.
    pub(super) fn measure_again(&mut self) {
        self.longest_gap = Duration::ZERO;
    }

    /// The longest gap that has ended since measuring began.
    pub(super) const fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// Who gave the last answer.
    pub(super) const fn holder(&self) -> Option<Holder> {
        self.holder
    }

    /// When the last probe was sent that was answered.
    pub(super) const fn last_answered(&self) -> Option<Instant> {
        self.last_answered
    }
}

#[cfg(test)]
mod tests {
    use super::super::now;
    use super::*;
    use Node::{Alpha, Beta};

    #[test]
    fn a_gap_spans_from_the_last_answered_probe_to_the_next_answered() {
        let seen = seen(&[(0, Alpha), (2, Alpha), (363, Beta), (365, Beta)]);

        assert_eq!(seen.longest_gap(), Duration::from_millis(361));
    }

    #[test]
    fn a_gap_that_lasts_when_measuring_begins_again_is_measured_whole() {
        let start = now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut seen = Reachability::default();
        seen.on_answer(Alpha, at(0));
        seen.on_answer(Alpha, at(500));

        seen.measure_again();
        seen.on_answer(Beta, at(580));

        assert_eq!(seen.longest_gap(), Duration::from_millis(80));
    }

    #[test]
    fn nobody_answered_before_the_first_answer_which_is_no_gap() {
        assert_eq!(seen(&[(900, Alpha)]).longest_gap(), Duration::ZERO);
    }

    #[test]
    fn an_overtaken_answer_neither_ends_a_gap_nor_names_the_holder() {
        let seen = seen(&[(0, Alpha), (10, Beta), (5, Alpha), (12, Beta)]);

        assert_eq!(seen.longest_gap(), Duration::from_millis(10));
        assert_eq!(seen.holder().unwrap().node, Beta);
    }

    #[test]
    fn the_holder_holds_since_its_first_answer_after_the_others_last() {
        let start = now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut seen = Reachability::default();
        for (millis, by) in [(0, Alpha), (2, Beta), (4, Alpha), (6, Alpha)] {
            seen.on_answer(by, at(millis));
        }

        let since = at(4);
        assert_eq!(seen.holder(), Some(Holder { node: Alpha, since }));
    }

    fn seen(answers: &[(u64, Node)]) -> Reachability {
        let start = now();
        let mut seen = Reachability::default();
        for &(millis, by) in answers {
            seen.on_answer(by, start + Duration::from_millis(millis));
        }
        seen
    }
}
