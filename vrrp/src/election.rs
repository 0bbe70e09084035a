//! The arithmetic of the election (RFC 9568 §6.1, §6.4; RFC 3768 §6.1).
//!
//! Pure functions; every timer and every comparison of two routers in this crate is made here.

use std::{cmp::Ordering, net::IpAddr, num::NonZeroU8, time::Duration};

use crate::{Priority, Version};

/// How much later than the others a router of this priority takes over.
///
/// Version 3: `(256 − priority) × master_interval / 256`; version 2: `(256 − priority) / 256`
/// seconds whatever the interval is. `master_interval` is the interval of the master that is waited
/// for.
#[must_use]
pub fn skew(version: Version, priority: Priority, master_interval: Duration) -> Duration {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => master_interval,
    };
    unit * (256 - u32::from(priority.as_u8())) / 256
}

/// How long a backup waits after an advertisement before it takes the master for dead:
/// `adverts × master_interval + skew`, with 3 adverts unless configured (`down_timer_adverts`).
#[must_use]
pub fn master_down(
    version: Version,
    priority: Priority,
    master_interval: Duration,
    adverts: NonZeroU8,
) -> Duration {
    master_interval * u32::from(adverts.get()) + skew(version, priority, master_interval)
}

/// One of two routers that both want to be master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the protocol compares these two and no more"
)]
pub struct Candidate {
    /// Its effective priority.
    pub priority: Priority,
    /// The address it sends from.
    pub address: IpAddr,
}

impl Candidate {
    /// Who wins: the higher priority, and of equal ones the higher address, as an unsigned number
    /// in network order (RFC 9568 §6.4.3).
    #[must_use]
    pub fn compare(&self, other: &Self) -> Ordering {
        (self.priority, self.address).cmp(&(other.priority, other.address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const THREE: NonZeroU8 = NonZeroU8::new(3).expect("three is not zero");

    #[test]
    fn a_v2_backup_of_priority_100_waits_3_609_375_microseconds() {
        let down = master_down(Version::V2, Priority::DEFAULT, SECOND, THREE);
        assert_eq!(down, Duration::from_micros(3_609_375));
    }

    #[test]
    fn the_v2_skew_does_not_depend_on_the_interval() {
        let skew_of = |interval| skew(Version::V2, Priority::DEFAULT, interval);
        assert_eq!(skew_of(SECOND), skew_of(10 * SECOND));
    }

    #[test]
    fn the_v3_skew_scales_with_the_masters_interval_and_is_exact() {
        let interval = Duration::from_millis(10);
        let skew = skew(Version::V3, Priority::OWNER, interval);
        assert_eq!(
            skew,
            Duration::from_nanos(39_062),
            "10 ms / 256, whole nanoseconds"
        );
    }

    #[test]
    fn the_skew_of_priority_1_is_almost_a_second() {
        let skew = skew(Version::V2, Priority::new(1).unwrap(), SECOND);
        assert_eq!(skew, Duration::from_nanos(996_093_750));
    }

    #[test]
    fn a_tie_goes_to_the_higher_address_as_a_number() {
        let candidate = |address: &str| Candidate {
            priority: Priority::DEFAULT,
            address: address.parse().unwrap(),
        };
        assert_eq!(
            candidate("10.0.0.9").compare(&candidate("10.0.0.10")),
            Ordering::Less
        );
        assert_eq!(
            candidate("fe80::2").compare(&candidate("fe80::1")),
            Ordering::Greater
        );
    }
}
