//! Who takes part, their configuration, the steps and what VRRP promises for each.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::{Priority, Version, election};

use super::step::{Action, Promise, Step};

/// The address that moves.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
/// Who asks for it.
pub(super) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The client's hardware address.
pub(super) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 10];
/// The length of the network's prefix.
pub(super) const PREFIX_LEN: u8 = 24;
/// The interface of every machine.
pub(super) const INTERFACE: &str = "eth0";

/// Time between two advertisements of the master.
pub(super) const ADVERT_INTERVAL: Duration = Duration::from_millis(100);
/// Time between two probes, and so how exact a measured gap is.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_millis(2);
/// The port of the service, at the virtual address and at the real servers.
pub(super) const SERVICE_PORT: u16 = 80;
/// Time between the starts of two requests, and so how exact a silence of the service is.
pub(super) const REQUEST_INTERVAL: Duration = Duration::from_millis(10);
/// How long a request may take. Less than the second after which TCP tries again to connect: one
/// that was begun while nobody was there has failed, and does not pass for a slow one.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_millis(500);
/// Time between two checks of a real server (`delay_loop`).
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(300);
/// How often a failed check is tried again (`retry`).
pub(super) const CHECK_RETRIES: u32 = 2;
/// How long before that (`delay_before_retry`).
pub(super) const CHECK_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a check may take (`connect_timeout`). A killed process refuses at once.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_millis(500);
/// How long everything stays as it is before the next step. By then a director that was just started
/// has checked the real servers, the first time after a second and a random part of the interval:
/// one that fails its very first check is down without being tried again.
pub(super) const CALM: Duration = Duration::from_millis(1500);
/// How long a step may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// By how much a gap may exceed what the protocol promises, for a busy machine. A takeover without
/// a goodbye takes at least this much longer than one with it, so neither passes for the other.
pub(super) const ALLOWANCE: Duration = ADVERT_INTERVAL.saturating_mul(2);

/// By how much a change of the pool may come later than the checks promise, for a busy machine. Each
/// of the checks that it takes may come late; still, a check too many does not pass unseen.
pub(super) const CHECK_ALLOWANCE: Duration = CHECK_INTERVAL.saturating_mul(2);

pub(super) const VERSION: Version = Version::V3;
pub(super) const DOWN_TIMER_ADVERTS: NonZeroU8 = NonZeroU8::new(3).expect("three is not zero");

/// One of the two machines that run a director.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// The one of higher priority.
    Alpha,
    /// The other.
    Beta,
}

impl Node {
    pub(super) const ALL: [Self; 2] = [Self::Alpha, Self::Beta];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
        }
    }

    pub(super) const fn address(self) -> Ipv4Addr {
        match self {
            Self::Alpha => Ipv4Addr::new(192, 0, 2, 1),
            Self::Beta => Ipv4Addr::new(192, 0, 2, 2),
        }
    }

    /// Its hardware address, which tells its answers from the other's.
    pub(super) const fn mac(self) -> [u8; 6] {
        match self {
            Self::Alpha => [2, 0, 0, 0, 0, 1],
            Self::Beta => [2, 0, 0, 0, 0, 2],
        }
    }

    pub(super) const fn priority(self) -> u8 {
        match self {
            Self::Alpha => 150,
            Self::Beta => 100,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One of the two machines that do the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    One,
    Two,
}

impl Server {
    pub(super) const ALL: [Self; 2] = [Self::One, Self::Two];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Two => "two",
        }
    }

    pub(super) const fn address(self) -> Ipv4Addr {
        match self {
            Self::One => Ipv4Addr::new(192, 0, 2, 11),
            Self::Two => Ipv4Addr::new(192, 0, 2, 12),
        }
    }

    pub(super) const fn mac(self) -> [u8; 6] {
        match self {
            Self::One => [2, 0, 0, 0, 0, 11],
            Self::Two => [2, 0, 0, 0, 0, 12],
        }
    }

    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|server| server.name() == name)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens, in this order.
pub(super) fn steps() -> Vec<Step> {
    use Node::{Alpha, Beta};
    use Server::{One, Two};
    let silence = |limit, because: &str| Promise {
        limit,
        allowance: ALLOWANCE,
        because: because.to_owned(),
    };
    let unheard = |because| Some(silence(Duration::ZERO, because));
    let leaves = Promise {
        limit: CHECK_INTERVAL + CHECK_RETRY_INTERVAL * CHECK_RETRIES,
        allowance: CHECK_ALLOWANCE,
        because: format!(
            "at most {} until the next check, and {CHECK_RETRIES} × {} to try again",
            millis(CHECK_INTERVAL),
            millis(CHECK_RETRY_INTERVAL)
        ),
    };
    let skew = election::skew(VERSION, priority(Beta), ADVERT_INTERVAL);
    let down = election::master_down(VERSION, priority(Beta), ADVERT_INTERVAL, DOWN_TIMER_ADVERTS);
    let power_loss = silence(
        down,
        &format!(
            "at most {DOWN_TIMER_ADVERTS} × {} without an advertisement and a skew of {}",
            millis(ADVERT_INTERVAL),
            millis(skew)
        ),
    );
    let goodbye = silence(
        skew,
        "the backup's skew after an advertisement of priority 0",
    );
    vec![
        Step {
            title: "All start; the director of higher priority becomes master",
            short: "start",
            actions: vec![
                Action::StartServer(One),
                Action::StartServer(Two),
                Action::PowerOn(Alpha),
                Action::PowerOn(Beta),
            ],
            holder: Alpha,
            pool: &[One, Two],
            silence: None,
            change: None,
            failing: None,
        },
        Step {
            title: "A real server is killed: its checks fail, and it gets no more requests",
            short: "death of a real server",
            actions: vec![Action::KillServer(Two)],
            holder: Alpha,
            pool: &[One],
            silence: unheard("the other real server answers all the time"),
            change: Some(leaves.clone()),
            failing: Some(leaves),
        },
        Step {
            title: "The master loses its power: processes killed, cable dead, no goodbye",
            short: "power loss of the master",
            actions: vec![Action::PowerOff(Alpha)],
            holder: Beta,
            pool: &[One],
            silence: Some(power_loss.clone()),
            change: None,
            failing: Some(power_loss),
        },
        Step {
            title: "The real server comes back: a check passes, and it gets requests again",
            short: "return of the real server",
            actions: vec![Action::StartServer(Two)],
            holder: Beta,
            pool: &[One, Two],
            silence: unheard("the other real server answers all the time"),
            change: Some(Promise {
                limit: CHECK_INTERVAL,
                allowance: CHECK_ALLOWANCE,
                because: format!("at most {} until the next check", millis(CHECK_INTERVAL)),
            }),
            failing: unheard("a real server gets no request before it serves"),
        },
        Step {
            title: "The director comes back and takes its address again",
            short: "return of the master",
            actions: vec![Action::PowerOn(Alpha)],
            holder: Alpha,
            pool: &[One, Two],
            silence: unheard("the old master answers until it hears the new one"),
            change: None,
            failing: unheard("those that the old master has just taken"),
        },
        Step {
            title: "The master is stopped gracefully (SIGTERM): it says goodbye",
            short: "graceful stop",
            actions: vec![Action::Stop(Alpha)],
            holder: Beta,
            pool: &[One, Two],
            silence: Some(goodbye.clone()),
            change: None,
            failing: Some(goodbye),
        },
    ]
}

/// A span in milliseconds.
pub(super) fn millis(span: Duration) -> String {
    format!("{:.0} ms", span.as_secs_f64() * 1000.0)
}

pub(super) fn priority(node: Node) -> Priority {
    Priority::new(node.priority()).expect("between 1 and 255")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_loss_costs_three_intervals_and_the_skew_and_a_goodbye_the_skew_alone() {
        let promises: Vec<_> = steps()
            .into_iter()
            .map(|step| step.silence.map(|promise| promise.limit))
            .collect();

        let (down, skew) = (
            Duration::from_nanos(360_937_500),
            Duration::from_nanos(60_937_500),
        );
        let none = Some(Duration::ZERO);
        assert_eq!(promises, [None, none, Some(down), none, none, Some(skew)]);
    }

    #[test]
    fn a_goodbye_that_is_not_heard_does_not_pass_for_one() {
        let [_, _, crash, _, _, stop] = &steps()[..] else {
            panic!("six steps");
        };
        let gap = |step: &Step| step.silence.as_ref().unwrap().limit;
        // The last advertisement may be almost an interval old when the power goes.
        let shortest_crash = gap(crash) - ADVERT_INTERVAL;

        assert!(gap(stop) + ALLOWANCE <= shortest_crash);
    }

    #[test]
    fn requests_fail_no_longer_than_the_address_is_silent_or_a_dead_server_is_in_the_pool() {
        let limits: Vec<_> = steps()
            .into_iter()
            .map(|step| {
                let leaves = step.change.filter(|_| step.pool.len() == 1);
                let expected = leaves.or(step.silence).map(|promise| promise.limit);
                (step.failing.map(|promise| promise.limit), expected)
            })
            .collect();

        assert_eq!(limits.len(), 6);
        for (limit, expected) in limits {
            assert_eq!(limit, expected);
        }
    }

    #[test]
    fn a_real_server_leaves_after_its_retries_and_is_back_after_one_check() {
        let changes: Vec<_> = steps()
            .into_iter()
            .filter_map(|step| step.change.map(|promise| promise.limit))
            .collect();

        assert_eq!(
            changes,
            [Duration::from_millis(500), Duration::from_millis(300)]
        );
    }
}
