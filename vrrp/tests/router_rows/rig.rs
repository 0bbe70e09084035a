//! A virtual router, and a clock that counts from when a test begins.

use std::{
    iter,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use vrrp::{
    Cause, Checksum, Delivery, Destination, Event, FaultCause, Input, Output, Priority, Received,
    Role, RouterConfig, TTL, Tracked, TrackerState, Vip, VirtualRouter, Vrid, Weight,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NOW: Duration = Duration::ZERO;

/// The router's own address, and one on each side of it.
pub(crate) const OWN: &str = "192.0.2.10";
pub(crate) const LOWER: &str = "192.0.2.9";
pub(crate) const HIGHER: &str = "192.0.2.11";

/// A virtual router of version 3, priority 100, one address and an interval of a second, unless
/// told otherwise.
pub(crate) struct Rig {
    pub(crate) router: VirtualRouter,
    origin: Instant,
}

impl Rig {
    /// Not started, and without knowledge of its link.
    pub(crate) fn new(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let mut config = config();
        change(&mut config);
        #[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
        let origin = Instant::now();
        let router = VirtualRouter::new(config).unwrap();
        Self { router, origin }
    }

    /// Started at time zero, with a link that runs and all that it requires.
    pub(crate) fn started(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let mut rig = Self::new(change);
        for required in rig.router.config().trackers.clone() {
            if required.weight == Weight::REQUIRED {
                let tracked = required.tracked;
                let state = TrackerState::Up;
                rig.give(Input::Tracker { tracked, state }, NOW);
            }
        }
        rig.give(link_up(), NOW);
        rig.give(Input::Start, NOW);
        rig
    }

    /// Master since time zero, addresses held and announced.
    pub(crate) fn master(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let mut rig = Self::started(change);
        if rig.router.role() == Role::Backup {
            rig.origin = rig.router.poll_timeout().unwrap();
            rig.give(Input::Timeout, NOW);
        }
        rig.give(Input::Acquired, NOW);
        assert_eq!(rig.router.told_role(), Role::Master);
        rig
    }

    /// Hands an input over and returns what follows.
    pub(crate) fn give(&mut self, input: Input, at: Duration) -> Vec<Output> {
        self.router.handle(input, self.origin + at);
        iter::from_fn(|| self.router.poll_output()).collect()
    }

    /// Hands an input over, of which exactly this must follow.
    #[track_caller]
    pub(crate) fn expect<const N: usize>(
        &mut self,
        input: Input,
        at: Duration,
        expected: [Output; N],
    ) {
        let described = format!("{input:?}");
        let outputs = self.give(input, at);
        assert!(
            outputs == expected,
            "after {described} at {at:?}\nexpected {expected:#?}\nbut got {outputs:#?}"
        );
    }

    /// The time until which the router waits.
    #[track_caller]
    pub(crate) fn expect_wait(&self, until: Duration) {
        let waits = self.router.poll_timeout().map(|at| at - self.origin);
        assert_eq!(waits, Some(until), "{:?}", self.router);
    }

    /// Lets time pass and returns what happens when, the addresses being acquired as asked.
    pub(crate) fn run(&mut self, until: Duration) -> Vec<(Duration, Output)> {
        let mut happened = Vec::new();
        while let Some(at) = self.router.poll_timeout().map(|at| at - self.origin)
            && at <= until
        {
            let mut outputs = self.give(Input::Timeout, at);
            if outputs
                .iter()
                .any(|output| matches!(output, Output::Acquire(_)))
            {
                outputs.extend(self.give(Input::Acquired, at));
            }
            happened.extend(outputs.into_iter().map(|output| (at, output)));
        }
        happened
    }

    /// The router sends this priority.
    pub(crate) fn advert(&self, priority: u8) -> Output {
        let config = self.router.config();
        let advert = config.advertisement().unwrap();
        Output::Transmit {
            advert: advert.with_priority(Priority::from_wire(priority)),
            delivery: Delivery::new(
                self.router.source().unwrap(),
                self.router.destination().clone(),
                TTL,
                config.checksum,
            ),
        }
    }

    pub(crate) fn acquire(&self) -> Output {
        Output::Acquire(self.vips())
    }

    pub(crate) fn release(&self) -> Output {
        Output::Release(self.vips())
    }

    pub(crate) fn announce(&self, rounds: u8) -> Output {
        let gap = self.router.config().announce.gap;
        let vips = self.vips();
        Output::Announce { vips, rounds, gap }
    }

    fn vips(&self) -> Arc<[Vip]> {
        Arc::clone(self.router.vips())
    }

    /// An advertisement of another node for the same router arrives.
    pub(crate) fn heard(&self, priority: u8, from: &str) -> Received {
        let advert = self.router.config().advertisement().unwrap();
        let to = match self.router.destination() {
            Destination::Group(group) => *group,
            Destination::Peers(_) => self.router.source().unwrap(),
        };
        Received::new(
            advert.with_priority(Priority::from_wire(priority)),
            address(from),
            to,
            TTL,
            Checksum::Message,
        )
    }

    /// The same as an input.
    pub(crate) fn hear(&self, priority: u8, from: &str) -> Input {
        Input::Advert(self.heard(priority, from))
    }
}

pub(crate) fn config() -> RouterConfig {
    let vip = "192.0.2.100/24".parse().unwrap();
    RouterConfig::new("VI_1", "eth0", Vrid::new(51).unwrap(), vec![vip])
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn link_up() -> Input {
    Input::Link {
        running: true,
        primary: Some(address(OWN)),
    }
}

pub(crate) fn link_down() -> Input {
    Input::Link {
        running: false,
        primary: Some(address(OWN)),
    }
}

pub(crate) fn fault(cause: FaultCause, present: bool) -> Input {
    Input::Fault { cause, present }
}

pub(crate) fn condition(name: &str) -> Tracked {
    Tracked::Condition(name.into())
}

pub(crate) fn tracker(name: &str, state: TrackerState) -> Input {
    Input::Tracker {
        tracked: condition(name),
        state,
    }
}

pub(crate) fn told(from: Role, to: Role, because: Cause) -> Output {
    Output::Event(Event::RoleChanged { from, to, because })
}

pub(crate) fn priority(value: u8) -> Priority {
    Priority::new(value).unwrap()
}

pub(crate) fn priority_changed(from: u8, to: u8) -> Output {
    let (from, to) = (priority(from), priority(to));
    Output::Event(Event::PriorityChanged { from, to })
}

pub(crate) fn outranked(by: &str, value: u8) -> Cause {
    Cause::Outranked {
        by: address(by),
        priority: priority(value),
    }
}

pub(crate) fn rival_heard(from: &str, value: u8) -> Output {
    Output::Event(Event::LowerPriorityReceived {
        from: address(from),
        priority: priority(value),
    })
}
