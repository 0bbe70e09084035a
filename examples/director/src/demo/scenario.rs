//! Who takes part, their configuration, the steps and what VRRP promises for each.

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU8;
use std::time::Duration;

use vrrp::{Priority, Version, election};

use super::story::{Action, Promise, Step};

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
/// How long the address stays where it is before the next step.
pub(super) const CALM: Duration = Duration::from_millis(1200);
/// How long a step may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// By how much a gap may exceed what the protocol promises, for a busy machine. A takeover without
/// a goodbye takes at least this much longer than one with it, so neither passes for the other.
pub(super) const ALLOWANCE: Duration = ADVERT_INTERVAL.saturating_mul(2);

const VERSION: Version = Version::V3;
const DOWN_TIMER_ADVERTS: NonZeroU8 = NonZeroU8::new(3).expect("three is not zero");

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

    /// Its keepalived.conf.
    pub(super) fn configuration(self) -> String {
        let state = match self {
            Self::Alpha => "MASTER",
            Self::Beta => "BACKUP",
        };
        format!(
            "vrrp_instance VI_1 {{\n    \
                 state {state}\n    \
                 interface {INTERFACE}\n    \
                 virtual_router_id 51\n    \
                 version 3\n    \
                 priority {priority}\n    \
                 advert_int {interval}\n    \
                 virtual_ipaddress {{\n        \
                     {VIP}/{PREFIX_LEN}\n    \
                 }}\n\
             }}\n",
            priority = self.priority(),
            interval = ADVERT_INTERVAL.as_secs_f64(),
        )
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What happens, in this order.
pub(super) fn steps() -> Vec<Step> {
    use Node::{Alpha, Beta};
    let skew = election::skew(VERSION, priority(Beta), ADVERT_INTERVAL);
    let down = election::master_down(VERSION, priority(Beta), ADVERT_INTERVAL, DOWN_TIMER_ADVERTS);
    vec![
        Step {
            title: "Both directors start; the one of higher priority becomes master",
            short: "start",
            actions: vec![Action::PowerOn(Alpha), Action::PowerOn(Beta)],
            holder: Alpha,
            promise: None,
        },
        Step {
            title: "The master loses its power: processes killed, cable dead, no goodbye",
            short: "power loss of the master",
            actions: vec![Action::PowerOff(Alpha)],
            holder: Beta,
            promise: Some(Promise {
                gap: down,
                because: format!(
                    "at most {DOWN_TIMER_ADVERTS} × {} without an advertisement and a skew of {}",
                    millis(ADVERT_INTERVAL),
                    millis(skew)
                ),
            }),
        },
        Step {
            title: "It comes back and takes its address again",
            short: "its return",
            actions: vec![Action::PowerOn(Alpha)],
            holder: Alpha,
            promise: Some(Promise {
                gap: Duration::ZERO,
                because: String::from("the old master answers until it hears the new one"),
            }),
        },
        Step {
            title: "The master is stopped gracefully (SIGTERM): it says goodbye",
            short: "graceful stop",
            actions: vec![Action::Stop(Alpha)],
            holder: Beta,
            promise: Some(Promise {
                gap: skew,
                because: String::from("the backup's skew after an advertisement of priority 0"),
            }),
        },
    ]
}

/// A span in milliseconds.
pub(super) fn millis(span: Duration) -> String {
    format!("{:.0} ms", span.as_secs_f64() * 1000.0)
}

fn priority(node: Node) -> Priority {
    Priority::new(node.priority()).expect("between 1 and 255")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{MemoryEnvironment, Options, load};

    #[test]
    fn the_directors_files_are_good_and_say_what_the_demo_counts_on() {
        for node in Node::ALL {
            let machine = MemoryEnvironment::with_file("/demo.conf", node.configuration());
            let loaded = load("/demo.conf", &machine, &Options::default()).unwrap();

            assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
            let [instance] = &loaded.config.unwrap().instances[..] else {
                panic!("one instance");
            };
            let router = &instance.router;
            assert_eq!(&*router.interface, INTERFACE);
            assert_eq!(router.version, VERSION);
            assert_eq!(router.priority, priority(node));
            assert_eq!(router.interval.as_duration(), ADVERT_INTERVAL);
            assert_eq!(router.down_timer_adverts, DOWN_TIMER_ADVERTS);
            let [vip] = &router.vips[..] else {
                panic!("one address");
            };
            assert_eq!(vip.address, VIP);
            assert_eq!(vip.prefix_len, PREFIX_LEN);
        }
    }

    #[test]
    fn a_power_loss_costs_three_intervals_and_the_skew_and_a_goodbye_the_skew_alone() {
        let promises: Vec<_> = steps()
            .into_iter()
            .map(|step| step.promise.map(|promise| promise.gap))
            .collect();

        let (down, skew) = (
            Duration::from_nanos(360_937_500),
            Duration::from_nanos(60_937_500),
        );
        assert_eq!(
            promises,
            [None, Some(down), Some(Duration::ZERO), Some(skew)]
        );
    }

    #[test]
    fn a_goodbye_that_is_not_heard_does_not_pass_for_one() {
        let [_, crash, _, stop] = &steps()[..] else {
            panic!("four steps");
        };
        let gap = |step: &Step| step.promise.as_ref().unwrap().gap;
        // The last advertisement may be almost an interval old when the power goes.
        let shortest_crash = gap(crash) - ADVERT_INTERVAL;

        assert!(gap(stop) + ALLOWANCE <= shortest_crash);
    }
}
