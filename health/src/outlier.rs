//! Passive outlier detection: servers that fail those who use them.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// When a server is ejected, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is these four numbers")]
pub struct OutlierConfig {
    /// Connections in a row that failed.
    pub failures: NonZeroU32,
    /// How long the first ejection is; each further one is longer by as much again.
    pub ejection: Duration,
    /// No ejection is longer; more than a year counts as a year. A server that has gone that long
    /// without an ejection begins anew.
    pub longest: Duration,
    /// No more than this many percent of the servers, rounded down, are ejected at a time.
    pub most_percent: u8,
}

/// Ejects servers by what became of the connections to them, which their user tells.
///
/// It knows nothing of probes: use a server that is up and not ejected.
#[derive(Debug, Clone)]
pub struct Outliers<K> {
    config: OutlierConfig,
    servers: BTreeMap<K, State>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    failures: u32,
    ejections: u32,
    /// The end of the last ejection.
    until: Option<Instant>,
}

impl State {
    fn is_ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl<K: Ord + Clone> Outliers<K> {
    /// None of no servers.
    #[must_use]
    pub const fn new(config: OutlierConfig) -> Self {
        Self {
            config,
            servers: BTreeMap::new(),
        }
    }

    /// Has exactly these servers from now on; what is known of those that stay is kept.
    pub fn configure(&mut self, servers: impl IntoIterator<Item = K>) {
        let mut known = std::mem::take(&mut self.servers);
        self.servers = servers
            .into_iter()
            .map(|key| {
                let state = known.remove(&key).unwrap_or_default();
                (key, state)
            })
            .collect();
    }

    /// Takes what became of a connection, and says whether the server is ejected because of it.
    ///
    /// Servers that it does not have are ignored, and so are connections to one that is ejected:
    /// they began before.
    pub fn record(&mut self, server: &K, succeeded: bool, now: Instant) -> bool {
        let most = self.servers.len() * usize::from(self.config.most_percent.min(100)) / 100;
        let longest = self.config.longest.min(crate::CheckConfig::LONGEST);
        let Some(state) = self.servers.get_mut(server) else {
            return false;
        };
        if state.is_ejected(now) {
            return false;
        }
        if succeeded {
            state.failures = 0;
            return false;
        }
        state.failures = state.failures.saturating_add(1);
        // The others are counted only now: this is called for every connection.
        if state.failures < self.config.failures.get() || self.ejected(now).count() >= most {
            return false;
        }
        let Some(state) = self.servers.get_mut(server) else {
            return false;
        };
        if state
            .until
            .is_some_and(|until| now.duration_since(until) >= longest)
        {
            state.ejections = 0;
        }
        state.ejections = state.ejections.saturating_add(1);
        state.failures = 0;
        let span = self.config.ejection.checked_mul(state.ejections);
        state.until = Some(now + span.map_or(longest, |span| span.min(longest)));
        true
    }

    /// The servers that are ejected.
    pub fn ejected(&self, now: Instant) -> impl Iterator<Item = &K> {
        let ejected = self
            .servers
            .iter()
            .filter(move |(_, state)| state.is_ejected(now));
        ejected.map(|(key, _)| key)
    }

    /// When the next of them comes back; `None` if none is ejected.
    #[must_use]
    pub fn next_return_at(&self, now: Instant) -> Option<Instant> {
        let ends = self.servers.values().filter_map(|state| state.until);
        ends.filter(|until| now < *until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to begin with"
    )]
    fn outliers() -> (Outliers<u32>, Instant) {
        let mut outliers = Outliers::new(OutlierConfig {
            failures: NonZeroU32::new(3).unwrap(),
            ejection: 10 * SECOND,
            longest: 25 * SECOND,
            most_percent: 50,
        });
        outliers.configure(0..4);
        (outliers, Instant::now())
    }

    fn fail(outliers: &mut Outliers<u32>, server: u32, now: Instant) -> bool {
        (0..3).any(|_| outliers.record(&server, false, now))
    }

    #[test]
    fn only_failures_in_a_row_eject() {
        let (mut outliers, now) = outliers();
        for succeeded in [false, false, true, false, false] {
            assert!(!outliers.record(&1, succeeded, now));
        }
        assert!(outliers.record(&1, false, now));
        assert!(outliers.ejected(now).eq(&[1]));
    }

    #[test]
    fn each_ejection_is_longer_up_to_a_limit_and_a_good_while_forgives() {
        let (mut outliers, mut now) = outliers();
        for span in [10, 20, 25, 25] {
            assert!(fail(&mut outliers, 1, now));
            let back = outliers.next_return_at(now).unwrap();
            assert_eq!(back, now + span * SECOND);
            assert_eq!(outliers.ejected(back).count(), 0);
            now = back;
        }
        now += 25 * SECOND;
        assert!(fail(&mut outliers, 1, now));
        assert_eq!(outliers.next_return_at(now), Some(now + 10 * SECOND));
    }

    #[test]
    fn no_more_than_the_share_is_ejected_at_a_time() {
        let (mut outliers, now) = outliers();
        let ejected = [0, 1, 2, 3].map(|server| fail(&mut outliers, server, now));
        assert_eq!(ejected, [true, true, false, false]);
        assert!(outliers.record(&2, false, now + 10 * SECOND));
    }

    #[test]
    fn servers_keep_their_state_by_identity_and_strangers_are_ignored() {
        let (mut outliers, now) = outliers();
        assert!(fail(&mut outliers, 3, now));
        outliers.configure([9, 8, 3]);
        assert!(outliers.ejected(now).eq(&[3]));
        assert!(!fail(&mut outliers, 0, now));
    }
}
