//! What passes in a second, as the kernel estimates it (`ip_vs_est.c`).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{Endpoint, ServiceKey, ServiceState, Statistics, Traffic};

/// How often the kernel looks.
const INTERVAL: Duration = Duration::from_secs(2);

/// The estimators of a table.
#[derive(Debug, Default)]
pub(super) struct Rates {
    of: BTreeMap<(ServiceKey, Option<Endpoint>), Estimator>,
    look_at: Option<Instant>,
}

/// A moving average of each counter: every look counts for a quarter.
#[derive(Debug, Clone, Copy, Default)]
struct Estimator {
    last: Traffic,
    /// In parts of a thousandth, so that small rates are not lost in rounding.
    average: Traffic,
}

/// Fractions of one in which averages are kept.
const SCALE: u64 = 1024;

impl Rates {
    /// Looks at all counters if it is time.
    pub(super) fn handle_timeout(&mut self, services: &mut [ServiceState], now: Instant) {
        if services.is_empty() {
            *self = Self::default();
            return;
        }
        let due = *self.look_at.get_or_insert(now + INTERVAL);
        if due > now {
            return;
        }
        let late = now.saturating_duration_since(due).as_millis() / INTERVAL.as_millis();
        // After thirty looks without traffic nothing is left of an average.
        let looks = u32::try_from(late).unwrap_or(u32::MAX).min(30) + 1;
        self.look_at = Some(now + INTERVAL);
        let old = std::mem::take(&mut self.of);
        for service in services {
            let key = service.key;
            let mut look = |of: Option<Endpoint>, statistics: &mut Statistics| {
                let mut estimator = old.get(&(key, of)).copied().unwrap_or_default();
                estimator.look(statistics, looks);
                self.of.insert((key, of), estimator);
            };
            look(None, &mut service.statistics);
            for destination in &mut service.destinations {
                look(Some(destination.key), &mut destination.statistics);
            }
        }
    }

    /// Begins anew with a service, as its counters do.
    pub(super) fn zero(&mut self, service: &ServiceKey) {
        self.of.retain(|(key, _), _| key != service);
    }
}

impl Estimator {
    /// What passed since the last look passed in the first of `looks` intervals.
    fn look(&mut self, statistics: &mut Statistics, looks: u32) {
        let Statistics { total, rate } = statistics;
        for field in FIELDS {
            let (now, last) = (*field(total), *field(&mut self.last));
            let mut passed = now.saturating_sub(last);
            let average = field(&mut self.average);
            for _ in 0..looks {
                let seen = passed.saturating_mul(SCALE) / INTERVAL.as_secs();
                *average = average
                    .saturating_sub(*average / 4)
                    .saturating_add(seen / 4);
                passed = 0;
            }
            *field(rate) = average.saturating_add(SCALE / 2 - 1) / SCALE;
        }
        self.last = *total;
    }
}

const FIELDS: [fn(&mut Traffic) -> &mut u64; 5] = [
    |it| &mut it.connections,
    |it| &mut it.packets_in,
    |it| &mut it.packets_out,
    |it| &mut it.bytes_in,
    |it| &mut it.bytes_out,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServiceSettings;

    fn look(rates: &mut Rates, service: &mut ServiceState, at: Instant) -> u64 {
        rates.handle_timeout(std::slice::from_mut(service), at);
        service.statistics.rate.connections
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant serves as a start")]
    fn a_look_counts_for_a_quarter() {
        let start = Instant::now();
        let key = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
        let mut service = ServiceState::new(key, ServiceSettings::default());
        let mut rates = Rates::default();
        assert_eq!(look(&mut rates, &mut service, start), 0);

        service.statistics.total.connections = 800;
        assert_eq!(
            look(&mut rates, &mut service, start + INTERVAL / 2),
            0,
            "early"
        );
        assert_eq!(look(&mut rates, &mut service, start + INTERVAL), 100);
        assert_eq!(look(&mut rates, &mut service, start + 2 * INTERVAL), 75);
        for times in 3..40 {
            service.statistics.total.connections += 800;
            look(&mut rates, &mut service, start + times * INTERVAL);
        }
        assert_eq!(service.statistics.rate.connections, 400);
        assert_eq!(
            look(&mut rates, &mut service, start + 200 * INTERVAL),
            0,
            "a late look"
        );

        service.statistics.total.connections = 8;
        rates.zero(&key);
        assert_eq!(look(&mut rates, &mut service, start + 201 * INTERVAL), 1);
    }
}
