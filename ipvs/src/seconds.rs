//! Time as IPVS counts it, and its timeouts.

use std::{fmt, time::Duration};

/// Whole seconds, as the kernel is told them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(u32);

impl Seconds {
    /// So many seconds.
    #[must_use]
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The number of seconds.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl From<Seconds> for Duration {
    fn from(seconds: Seconds) -> Self {
        Self::from_secs(u64::from(seconds.0))
    }
}

/// The number alone.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How long an idle connection is remembered (`--set` of ipvsadm, which are the ones that can be
/// set; the kernel has more).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the three that the kernel lets set"
)]
pub struct Timeouts {
    /// An established TCP connection.
    pub tcp: Seconds,
    /// A TCP connection after a FIN.
    pub tcp_fin: Seconds,
    /// A UDP flow.
    pub udp: Seconds,
}

/// The kernel's own: 900, 120 and 300 s.
impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp: Seconds(900),
            tcp_fin: Seconds(120),
            udp: Seconds(300),
        }
    }
}

/// Timeouts to set; those that are `None` stay as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "the three that the kernel lets set"
)]
pub struct TimeoutChange {
    /// Of an established TCP connection.
    pub tcp: Option<Seconds>,
    /// Of a TCP connection after a FIN.
    pub tcp_fin: Option<Seconds>,
    /// Of a UDP flow.
    pub udp: Option<Seconds>,
}

impl TimeoutChange {
    /// The longest timeout that every kernel takes: 2,147,483 s, 2³¹ ticks of a millisecond.
    pub const MAX: Seconds = Seconds(2_147_483);

    /// What turns `current` into `desired`; `None` if nothing has to be.
    #[must_use]
    pub fn between(current: Option<Timeouts>, desired: Timeouts) -> Option<Self> {
        let differing = |of: fn(&Timeouts) -> Seconds| {
            Some(of(&desired)).filter(|wanted| current.as_ref().map(of) != Some(*wanted))
        };
        let change = Self {
            tcp: differing(|timeouts| timeouts.tcp),
            tcp_fin: differing(|timeouts| timeouts.tcp_fin),
            udp: differing(|timeouts| timeouts.udp),
        };
        (change != Self::default()).then_some(change)
    }

    /// The timeouts after the change.
    #[must_use]
    pub fn applied_to(self, current: Timeouts) -> Timeouts {
        Timeouts {
            tcp: self.tcp.unwrap_or(current.tcp),
            tcp_fin: self.tcp_fin.unwrap_or(current.tcp_fin),
            udp: self.udp.unwrap_or(current.udp),
        }
    }

    /// Each with its name, of those that are set.
    pub fn named(self) -> impl Iterator<Item = (&'static str, Seconds)> {
        [
            ("tcp", self.tcp),
            ("tcpfin", self.tcp_fin),
            ("udp", self.udp),
        ]
        .into_iter()
        .filter_map(|(name, timeout)| Some((name, timeout?)))
    }
}

impl From<Timeouts> for TimeoutChange {
    fn from(Timeouts { tcp, tcp_fin, udp }: Timeouts) -> Self {
        Self {
            tcp: Some(tcp),
            tcp_fin: Some(tcp_fin),
            udp: Some(udp),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_timeouts_that_differ_are_changed() {
        let current = Timeouts::default();
        assert_eq!(TimeoutChange::between(Some(current), current), None);
        let desired = Timeouts {
            udp: Seconds(10),
            ..current
        };
        let change = TimeoutChange::between(Some(current), desired).unwrap();
        assert_eq!(
            change,
            TimeoutChange {
                udp: Some(Seconds(10)),
                ..Default::default()
            }
        );
        assert_eq!(change.applied_to(current), desired);
        assert_eq!(TimeoutChange::between(None, desired), Some(desired.into()));
    }
}
