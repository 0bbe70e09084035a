//! Whether a service has enough servers, as keepalived counts.

use crate::Health;

/// What several checkers of one server come to: up if all are up, down if one is down, unknown
/// otherwise. A server without checkers is up, as with keepalived.
#[must_use]
pub fn all_must_pass(checks: impl IntoIterator<Item = Health>) -> Health {
    // The order of `Health` is that of its badness.
    checks.into_iter().min().unwrap_or(Health::Up)
}

/// How much weight a service needs, after keepalived's corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumConfig {
    quorum: u32,
    hysteresis: u32,
}

/// What was corrected in a quorum, or is odd about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumNote {
    /// More weight was wanted than the servers have.
    #[error("quorum {from} is more than the weight of all servers; lowered to {to}")]
    Lowered {
        /// What was configured.
        from: u32,
        /// What holds.
        to: u32,
    },
    /// No server has any weight, and so the service can never be up.
    #[error("all servers have weight 0; the quorum is never reached")]
    NoWeight,
    /// The hysteresis would let a service without servers be up.
    #[error("hysteresis {from} is not less than the quorum; lowered to {to}")]
    HysteresisLowered {
        /// What was configured.
        from: u32,
        /// What holds.
        to: u32,
    },
    /// Once down, the service never comes up again.
    #[error(
        "quorum and hysteresis are more than the weight of all servers ({weight}); a service that goes down stays down"
    )]
    Unreachable {
        /// The weight of all servers.
        weight: u64,
    },
}

impl QuorumConfig {
    /// A quorum among servers with `weight` in all. A `quorum` of 0 is taken for 1.
    ///
    /// keepalived lowers a quorum that cannot be reached, and a hysteresis of `quorum` or more to
    /// `quorum` - 1; where all weights are 0, its quorum becomes 0 and its hysteresis wraps to
    /// 4294967295. Here that one is a quorum of 1, which is never reached.
    #[must_use]
    pub fn new(quorum: u32, hysteresis: u32, weight: u64) -> (Self, Vec<QuorumNote>) {
        let mut notes = Vec::new();
        let reachable = u32::try_from(weight).unwrap_or(u32::MAX).max(1);
        let effective = quorum.clamp(1, reachable);
        if weight == 0 {
            notes.push(QuorumNote::NoWeight);
        } else if effective < quorum {
            notes.push(QuorumNote::Lowered {
                from: quorum,
                to: effective,
            });
        }
        let band = hysteresis.min(effective - 1);
        if band < hysteresis {
            notes.push(QuorumNote::HysteresisLowered {
                from: hysteresis,
                to: band,
            });
        }
        if weight > 0 && u64::from(effective) + u64::from(band) > weight {
            notes.push(QuorumNote::Unreachable { weight });
        }
        (
            Self {
                quorum: effective,
                hysteresis: band,
            },
            notes,
        )
    }

    /// The weight that is needed, 1 or more.
    #[must_use]
    pub const fn quorum(&self) -> u32 {
        self.quorum
    }

    /// How much more it takes to gain it and how much less is enough to keep it; less than the
    /// [`quorum`](Self::quorum).
    #[must_use]
    pub const fn hysteresis(&self) -> u32 {
        self.hysteresis
    }

    /// Whether the quorum is there when it was (`up`) or was not, with servers of `alive` weight.
    #[must_use]
    pub fn is_reached(&self, up: bool, alive: u64) -> bool {
        let (quorum, hysteresis) = (u64::from(self.quorum), u64::from(self.hysteresis));
        match up {
            true => alive > 0 && alive >= quorum - hysteresis,
            false => alive >= quorum + hysteresis,
        }
    }
}

/// The quorum of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    config: QuorumConfig,
    up: bool,
    told: bool,
}

/// What to do about a quorum: run `quorum_up` or `quorum_down`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two scripts")]
pub enum QuorumChange {
    /// It was lost, or is not there at the start.
    Down,
    /// It was gained, or is there at the start.
    Up,
}

impl Quorum {
    /// At the start of the program: up unless `alpha`. The first [`judge`](Self::judge) says how
    /// it is by then.
    #[must_use]
    pub const fn at_start(config: QuorumConfig, alpha: bool) -> Self {
        Self {
            config,
            up: !alpha,
            told: false,
        }
    }

    /// After a reload: the quorum has to be reached with hysteresis, as if it had been lost.
    #[must_use]
    pub fn after_reload(config: QuorumConfig, alive: u64) -> Self {
        Self {
            config,
            up: config.is_reached(false, alive),
            told: true,
        }
    }

    /// Takes the weight of the servers that are up. Idempotent.
    pub fn judge(&mut self, alive: u64) -> Option<QuorumChange> {
        let up = self.config.is_reached(self.up, alive);
        let changed = up != self.up || !self.told;
        (self.up, self.told) = (up, true);
        changed.then_some(match up {
            true => QuorumChange::Up,
            false => QuorumChange::Down,
        })
    }

    /// What to do when the program stops: with `omega` a service that is up goes down.
    #[must_use]
    pub fn at_stop(&self, omega: bool) -> Option<QuorumChange> {
        (omega && self.up).then_some(QuorumChange::Down)
    }

    /// Whether it is there.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.up
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quorum(quorum: u32, hysteresis: u32) -> QuorumConfig {
        QuorumConfig::new(quorum, hysteresis, 100).0
    }

    #[test]
    fn row_7_a_server_is_up_only_if_all_its_checkers_are() {
        use Health::{Down, Unknown, Up};
        assert_eq!(all_must_pass([Up, Up]), Up);
        assert_eq!(all_must_pass([Up, Down, Unknown]), Down);
        assert_eq!(all_must_pass([Up, Unknown]), Unknown);
        assert_eq!(all_must_pass([]), Up);
    }

    #[test]
    fn row_8_up_at_quorum_plus_hysteresis_and_down_below_quorum_minus_hysteresis() {
        let mut service = Quorum::at_start(quorum(5, 2), false);
        let changes = [3, 2, 6, 7, 3, 0].map(|alive| service.judge(alive));
        let (up, down) = (Some(QuorumChange::Up), Some(QuorumChange::Down));
        assert_eq!(changes, [up, down, None, up, None, down]);
    }

    #[test]
    fn row_8_a_reload_asks_for_the_hysteresis_too() {
        assert!(!Quorum::after_reload(quorum(5, 2), 6).is_up());
        assert!(Quorum::after_reload(quorum(5, 2), 7).is_up());
    }

    #[test]
    fn row_9_a_quorum_out_of_reach_is_lowered_and_says_so() {
        let (config, notes) = QuorumConfig::new(9, 0, 4);
        assert_eq!(notes, [QuorumNote::Lowered { from: 9, to: 4 }]);
        assert!(config.is_reached(false, 4));
    }

    #[test]
    fn row_9_without_any_weight_nothing_wraps_and_nothing_is_up() {
        let (config, notes) = QuorumConfig::new(1, 0, 0);
        assert_eq!(notes, [QuorumNote::NoWeight]);
        assert!(!config.is_reached(true, 0) && !config.is_reached(false, 0));
    }

    #[test]
    fn row_12_how_the_quorum_is_at_start_is_told_once() {
        for (alpha, alive, told) in [
            (true, 0, QuorumChange::Down),
            (true, 1, QuorumChange::Up),
            (false, 0, QuorumChange::Down),
            (false, 1, QuorumChange::Up),
        ] {
            let mut service = Quorum::at_start(quorum(1, 0), alpha);
            assert_eq!(service.judge(alive), Some(told));
            assert_eq!(service.judge(alive), None);
        }
    }

    #[test]
    fn row_12_omega_takes_a_service_down_at_stop() {
        let mut service = Quorum::at_start(quorum(1, 0), false);
        assert_eq!(service.at_stop(true), Some(QuorumChange::Down));
        assert_eq!(service.at_stop(false), None);
        service.judge(0);
        assert_eq!(service.at_stop(true), None);
    }

    proptest! {
        #[test]
        fn a_quorum_is_never_up_without_weight_and_judging_twice_changes_nothing(
            (wanted, band, weight) in (any::<u32>(), any::<u32>(), any::<u64>()),
            alive in proptest::collection::vec(0_u64..20, 1..20),
        ) {
            let (config, _) = QuorumConfig::new(wanted, band, weight);
            let mut service = Quorum::at_start(config, false);
            for alive in alive {
                service.judge(alive);
                prop_assert!(alive > 0 || !service.is_up());
                prop_assert_eq!(service.judge(alive), None);
            }
        }
    }
}
