//! How many results of a kind change the state of a check.

use std::num::NonZeroU32;

/// What is known of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "users must decide what each means to them"
)]
pub enum CheckState {
    /// No result yet: no weight counts, and an instance without a weight waits.
    Unknown,
    /// The check passes.
    Up,
    /// The check fails.
    Down,
}

/// What is assumed before the first result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three ways a check comes into being"
)]
pub enum Initial {
    /// Nothing is: the first result decides at once, whatever `rise` and `fall` are.
    Unknown,
    /// `init_fail`: the check is down and needs `rise` successes.
    Failed,
    /// Added by a reload, where a check must not take a role away before it has run: up, and the
    /// first result decides at once.
    AssumedUp,
}

/// keepalived's rise / fall counter (`vrrp_script_child_thread`).
///
/// One number in `0 ..= rise + fall - 1`; the check is up iff it is at least `rise`. Successes
/// and failures count only while they follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RiseFall {
    rise: u64,
    fall: u64,
    result: u64,
    decided: bool,
    assumed: CheckState,
}

impl RiseFall {
    /// A counter without any result.
    #[must_use]
    pub fn new(rise: NonZeroU32, fall: NonZeroU32, initial: Initial) -> Self {
        let (rise, fall) = (u64::from(rise.get()), u64::from(fall.get()));
        let (result, decided, assumed) = match initial {
            Initial::Unknown => (rise - 1, false, CheckState::Unknown),
            Initial::Failed => (0, true, CheckState::Down),
            Initial::AssumedUp => (rise - 1, false, CheckState::Up),
        };
        Self {
            rise,
            fall,
            result,
            decided,
            assumed,
        }
    }

    /// The counter with other thresholds after a reload: the state stays, as with keepalived
    /// ("considered successful on reload"), and a partial streak is forgotten.
    #[must_use]
    pub fn with_thresholds(&self, rise: NonZeroU32, fall: NonZeroU32) -> Self {
        let mut next = Self::new(rise, fall, Initial::Unknown);
        next.decided = self.decided;
        next.assumed = self.assumed;
        if self.decided {
            next.result = if self.result >= self.rise {
                next.highest()
            } else {
                0
            };
        }
        next
    }

    /// Counts one result and returns the state after it.
    pub fn count(&mut self, success: bool) -> CheckState {
        self.result = match success {
            true if self.result + 1 < self.rise => self.result + 1,
            true => self.highest(),
            false if self.decided && self.result > self.rise => self.result - 1,
            false => 0,
        };
        self.decided = true;
        self.state()
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> CheckState {
        match self.decided {
            false => self.assumed,
            true if self.result >= self.rise => CheckState::Up,
            true => CheckState::Down,
        }
    }

    const fn highest(&self) -> u64 {
        self.rise + self.fall - 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counter(rise: u32, fall: u32, initial: Initial) -> RiseFall {
        RiseFall::new(
            NonZeroU32::new(rise).unwrap(),
            NonZeroU32::new(fall).unwrap(),
            initial,
        )
    }

    /// Counts `+` and `-` and writes the state after each as `U` or `D`.
    fn states(counter: &mut RiseFall, results: &str) -> String {
        let letter = |state| match state {
            CheckState::Unknown => '?',
            CheckState::Up => 'U',
            CheckState::Down => 'D',
        };
        results
            .chars()
            .map(|result| letter(counter.count(result == '+')))
            .collect()
    }

    #[test]
    fn every_row_of_keepalived_s_table_holds() {
        let table = [
            // (rise, fall, initial, results, states)
            (3, 3, Initial::Unknown, "+", "U"),
            (3, 3, Initial::Unknown, "-", "D"),
            (3, 3, Initial::Unknown, "+--+--+---", "UUUUUUUUUD"),
            (3, 3, Initial::Unknown, "-++-++-+++", "DDDDDDDDDU"),
            (1, 1, Initial::Unknown, "+-+-", "UDUD"),
            (1, 3, Initial::Unknown, "+---+", "UUUDU"),
            (3, 1, Initial::Unknown, "+-+++-", "UDDDUD"),
            (3, 1, Initial::Failed, "+++", "DDU"),
            (3, 2, Initial::Failed, "++-+++", "DDDDDU"),
            (3, 3, Initial::AssumedUp, "-", "D"),
            (3, 3, Initial::AssumedUp, "+--", "UUU"),
        ];
        for (rise, fall, initial, results, expected) in table {
            let got = states(&mut counter(rise, fall, initial), results);
            assert_eq!(
                got, expected,
                "rise {rise} fall {fall} {initial:?} {results}"
            );
        }
    }

    #[test]
    fn before_the_first_result_the_state_is_what_is_assumed() {
        assert_eq!(counter(2, 2, Initial::Unknown).state(), CheckState::Unknown);
        assert_eq!(counter(2, 2, Initial::Failed).state(), CheckState::Down);
        assert_eq!(counter(2, 2, Initial::AssumedUp).state(), CheckState::Up);
    }

    #[test]
    fn other_thresholds_keep_the_state_and_forget_the_streak() {
        let two = NonZeroU32::new(2).unwrap();
        let mut up = counter(3, 3, Initial::Unknown);
        assert_eq!(states(&mut up, "+--"), "UUU");
        let mut up = up.with_thresholds(two, two);
        assert_eq!(up.state(), CheckState::Up);
        assert_eq!(states(&mut up, "--"), "UD");

        let mut down = counter(3, 3, Initial::Unknown);
        assert_eq!(states(&mut down, "-++"), "DDD");
        let mut down = down.with_thresholds(two, two);
        assert_eq!(down.state(), CheckState::Down);
        assert_eq!(states(&mut down, "++"), "DU");

        let unknown = counter(3, 3, Initial::Unknown).with_thresholds(two, two);
        assert_eq!(unknown.state(), CheckState::Unknown);
    }

    proptest! {
        /// The state is a matter of streaks alone: this is the rule in other words.
        #[test]
        fn a_state_changes_after_a_streak_and_never_before(
            rise in 1_u32..6,
            fall in 1_u32..6,
            results in proptest::collection::vec(any::<bool>(), 1..60),
        ) {
            let mut counter = counter(rise, fall, Initial::Unknown);
            let (mut state, mut streak, mut last) = (CheckState::Unknown, 0, None);
            for result in results {
                streak = if last == Some(result) { streak + 1 } else { 1 };
                last = Some(result);
                state = match (state, result) {
                    (CheckState::Unknown, true) => CheckState::Up,
                    (CheckState::Unknown, false) => CheckState::Down,
                    (CheckState::Down, true) if streak >= rise => CheckState::Up,
                    (CheckState::Up, false) if streak >= fall => CheckState::Down,
                    (same, _) => same,
                };
                prop_assert_eq!(counter.count(result), state);
                prop_assert!(counter.result <= counter.highest());
            }
        }
    }
}
