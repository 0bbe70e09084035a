//! What holds for a virtual router whatever happens to it.
//!
//! Every sequence of inputs is fair: results of requests in any order and number, advertisements
//! of other versions, families, routers and priorities, links, faults, orders of a group, other
//! configurations, all at any time. `PROPTEST_CASES=100000` looks longer.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may do what tests may"
)]

use std::{
    iter,
    net::IpAddr,
    time::{Duration, Instant},
};

use proptest::{collection, option, prelude::*, sample};
use vrrp::{
    AddressListCheck, Addresses, AdvertInterval, Advertisement, Authentication, Checksum, Event,
    Family, FaultCause, GroupOrder, Input, OnHigherPriority, OnLowerPriority, Output, Password,
    Peer, Preempt, Priority, Received, Role, RouterConfig, Standing, StartAs, Tracked, Tracker,
    TrackerState, Transport, Unicast, Version, VirtualRouter, Vrid, Weight, strategy,
};

const OWN: [u8; 4] = [192, 0, 2, 10];

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(
        config in config(),
        steps in collection::vec((wait(), input()), 1..120),
    ) {
        Watched::new(&config).run(&steps);
    }

    #[test]
    fn a_router_that_is_served_well_keeps_the_invariants_too(
        config in config(),
        steps in collection::vec((wait(), input()), 1..120),
    ) {
        let mut watched = Watched::new(&config);
        watched.serves = true;
        watched.run(&start());
        watched.run(&steps);
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(
        config in config(),
        steps in collection::vec((wait(), input()), 1..60),
    ) {
        let origin = any_time();
        let (mut a, mut b) = [(); 2].map(|()| VirtualRouter::new(config.clone()).unwrap()).into();
        let mut now = origin;
        for (wait, input) in start().iter().chain(&steps) {
            now += *wait;
            a.handle(input.clone(), now);
            b.handle(input.clone(), now);
            loop {
                let (output, twin) = (a.poll_output(), b.poll_output());
                prop_assert_eq!(&output, &twin);
                if output.is_none() {
                    break;
                }
            }
            prop_assert_eq!(a.poll_timeout(), b.poll_timeout());
        }
    }
}

/// A router whose every step is checked.
struct Watched {
    router: VirtualRouter,
    now: Instant,
    /// Timers fire when they are due and addresses are held as soon as asked for, as with a good
    /// driver; otherwise nothing of that happens but by chance.
    serves: bool,
    /// By the requests made so far.
    holds: bool,
    told: Role,
    stopped: bool,
}

impl Watched {
    fn new(config: &RouterConfig) -> Self {
        Self {
            router: VirtualRouter::new(config.clone()).unwrap(),
            now: any_time(),
            serves: false,
            holds: false,
            told: Role::Init,
            stopped: false,
        }
    }

    fn run(&mut self, steps: &[(Duration, Input)]) {
        for (wait, input) in steps {
            let at = self.now + *wait;
            while self.serves
                && let Some(due) = self.router.poll_timeout()
                && due <= at
            {
                self.now = self.now.max(due);
                self.step(Input::Timeout);
            }
            self.now = at;
            self.step(input.clone());
        }
    }

    fn step(&mut self, input: Input) {
        let said = input.clone();
        let timeout = input == Input::Timeout;
        let due_before = self.router.poll_timeout();
        let stops = input == Input::Stop;
        let was_master = self.router.role() == Role::Master;
        let sent_before = *self.router.counters();

        self.router.handle(input, self.now);
        let outputs: Vec<_> = iter::from_fn(|| self.router.poll_output()).collect();
        let context = || format!("{said:?} led to {outputs:#?} of {:#?}", self.router);

        let (mut sent, mut released) = (0, 0);
        for (place, output) in outputs.iter().enumerate() {
            match output {
                Output::Transmit { advert, .. } => {
                    assert!(!self.stopped, "an advertisement after Stop: {}", context());
                    sent += 1;
                    if advert.priority().is_release() {
                        released += 1;
                        let leaves = matches!(self.router.role(), Role::Stopped | Role::Fault);
                        assert!(was_master && leaves, "priority 0: {}", context());
                        let next = outputs.get(place + 1);
                        assert!(
                            matches!(next, Some(Output::Release(_))),
                            "priority 0 is said before the addresses go: {}",
                            context()
                        );
                    } else {
                        assert!(
                            matches!(advert.priority().as_u8(), 1..=255),
                            "{}",
                            context()
                        );
                    }
                }
                Output::Acquire(vips) => {
                    assert!(!self.stopped, "addresses after Stop: {}", context());
                    assert!(!vips.is_empty(), "{}", context());
                    self.holds = true;
                }
                Output::Release(vips) => {
                    assert!(!self.stopped, "addresses after Stop: {}", context());
                    // Those that a configuration took away are no longer among its own.
                    self.holds &= vips != self.router.vips();
                }
                Output::Announce { rounds, .. } => {
                    assert!(
                        *rounds > 0 && self.router.holds_addresses(),
                        "{}",
                        context()
                    );
                }
                Output::Event(Event::RoleChanged { from, to, .. }) => {
                    assert!(from != to, "{}", context());
                    assert_eq!(*from, self.told, "{}", context());
                    self.told = *to;
                }
                Output::Event(Event::PriorityChanged { from, to }) => {
                    assert!(from != to, "{}", context());
                }
                // Of other events there is nothing to be said in general; Output may grow.
                Output::Event(_) | _ => {}
            }
        }

        let role = self.router.role();
        let link_down = |cause| matches!(cause, FaultCause::InterfaceDown(_));
        let can_send = self.router.source().is_some() && !self.router.faults().any(link_down);
        let left = was_master && matches!(role, Role::Stopped | Role::Fault);
        let expected = u64::from(left && can_send);
        assert_eq!(released, expected, "one farewell: {}", context());
        if !was_master && role == Role::Master && can_send {
            let first = outputs
                .iter()
                .find(|output| matches!(output, Output::Transmit { .. } | Output::Acquire(_)));
            assert!(
                matches!(first, Some(Output::Transmit { .. })),
                "a new master says so first: {}",
                context()
            );
        }
        let counters = *self.router.counters();
        assert_eq!(counters.sent - sent_before.sent, sent, "{}", context());
        assert_eq!(
            counters.released - sent_before.released,
            released,
            "{}",
            context()
        );

        // Addresses are held, as far as asked for, exactly by a master.
        assert_eq!(self.holds, role == Role::Master, "{}", context());
        assert_eq!(self.told, self.router.told_role(), "{}", context());
        assert!(
            self.told != Role::Master || role == Role::Master,
            "{}",
            context()
        );
        assert!(self.router.priority() >= Priority::new(1).unwrap());
        let faulty = self.router.faults().next().is_some();
        assert!(
            !faulty || !matches!(role, Role::Backup | Role::Master) || !self.started(),
            "takes part in spite of a fault: {}",
            context()
        );
        let standing = self.router.standing();
        assert_eq!(
            matches!(standing, Standing::Master),
            role == Role::Master,
            "{}",
            context()
        );

        match self.router.poll_timeout() {
            // No timer keeps its owner busy.
            Some(due) if timeout => assert!(due > self.now, "{}", context()),
            // Nothing is due in the past that was not due before.
            Some(due) => assert!(
                due >= self.now || due_before.is_some_and(|before| before <= self.now),
                "{}",
                context()
            ),
            None => assert!(
                matches!(role, Role::Init | Role::Stopped | Role::Fault),
                "{}",
                context()
            ),
        }
        if stops {
            assert_eq!(role, Role::Stopped);
        }
        self.stopped |= stops;

        if self.serves
            && outputs
                .iter()
                .any(|output| matches!(output, Output::Acquire(_)))
        {
            self.step(Input::Acquired);
        }
    }

    fn started(&self) -> bool {
        self.router.role() != Role::Init
    }
}

fn any_time() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
    let now = Instant::now();
    now
}

fn start() -> [(Duration, Input); 2] {
    let primary = Some(IpAddr::from(OWN));
    let link = Input::Link {
        running: true,
        primary,
    };
    [link, Input::Start].map(|input| (Duration::ZERO, input))
}

/// Mostly what matters at an interval of a second, now and then long.
fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(0_u64),
        8 => 1..=1_500_000_000_u64,
        4 => 1_500_000_000..=8_000_000_000_u64,
        1 => 8_000_000_000..=70_000_000_000_u64,
    ]
    .prop_map(Duration::from_nanos)
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => Just(Input::Timeout),
        8 => received().prop_map(Input::Advert),
        3 => Just(Input::Acquired),
        1 => Just(Input::AcquireFailed("refused".into())),
        1 => Just(Input::ReleaseFailed("busy".into())),
        1 => Just(Input::SendFailed("no buffer".into())),
        1 => Just(Input::AddressesLost),
        2 => link(),
        1 => any::<u8>().prop_map(|value| Input::Priority(Priority::from_wire(value))),
        2 => (tracked(), tracker_state())
            .prop_map(|(tracked, state)| Input::Tracker { tracked, state }),
        2 => (fault_cause(), any::<bool>())
            .prop_map(|(cause, present)| Input::Fault { cause, present }),
        2 => group_order().prop_map(Input::Group),
        1 => config().prop_map(|config| Input::Configure(Box::new(config))),
        1 => Just(Input::Start),
        1 => prop_oneof![5 => Just(Input::Start), 1 => Just(Input::Stop)],
    ]
}

fn link() -> impl Strategy<Value = Input> {
    let primary = option::weighted(0.8, peer_address());
    (prop::bool::weighted(0.7), primary)
        .prop_map(|(running, primary)| Input::Link { running, primary })
}

/// Of this router and from a neighbour as a rule, anything else as an exception.
fn received() -> impl Strategy<Value = Received> {
    let advert = prop_oneof![9 => likely_advert().boxed(), 1 => strategy::advertisement().boxed()];
    let from = prop_oneof![
        9 => peer_address().boxed(),
        1 => strategy::family().prop_flat_map(strategy::address).boxed(),
    ];
    let to = prop_oneof![
        9 => Just(Family::V4.multicast_group()),
        1 => Just(IpAddr::from(OWN)),
    ];
    let ttl = prop_oneof![9 => Just(255), 1 => any::<u8>()];
    (advert, from, to, ttl, strategy::checksum()).prop_map(|(advert, from, to, ttl, checksum)| {
        Received::new(advert, from, to, ttl, checksum)
    })
}

fn likely_advert() -> impl Strategy<Value = Advertisement> {
    let centis = sample::select(vec![100_u16, 100, 100, 200]);
    (any::<bool>(), likely_priority(0), centis, 1..=2_u8).prop_map(
        |(v2, priority, centis, count)| {
            let (vrid, interval) = (Vrid::new(51).unwrap(), AdvertInterval::from_centis(centis));
            let vips = (100..100 + count).map(|host| IpAddr::from([192, 0, 2, host]));
            let (interval, vips) = (interval.unwrap(), Addresses::new(vips).unwrap());
            match v2 {
                true => Advertisement::v2(vrid, priority, interval, vips, Authentication::None),
                false => Advertisement::v3(vrid, priority, interval, vips),
            }
            .unwrap()
        },
    )
}

fn likely_priority(lowest: u8) -> impl Strategy<Value = Priority> + Clone {
    prop_oneof![
        sample::select(vec![lowest, 1, 99, 100, 101, 254, 255]),
        lowest..=u8::MAX,
    ]
    .prop_map(Priority::from_wire)
}

fn peer_address() -> impl Strategy<Value = IpAddr> + Clone {
    (9..=11_u8).prop_map(|host| IpAddr::from([192, 0, 2, host]))
}

fn tracked() -> impl Strategy<Value = Tracked> + Clone {
    sample::select(vec![
        Tracked::Condition("web".into()),
        Tracked::Condition("db".into()),
        Tracked::Interface("eth1".into()),
    ])
}

fn tracker_state() -> impl Strategy<Value = TrackerState> + Clone {
    sample::select(vec![
        TrackerState::Unknown,
        TrackerState::Up,
        TrackerState::Down,
    ])
}

fn fault_cause() -> impl Strategy<Value = FaultCause> + Clone {
    sample::select(vec![
        FaultCause::InterfaceDown("eth0".into()),
        FaultCause::NoSourceAddress("eth0".into(), Family::V4),
        FaultCause::NoAdvertiser("eth0".into()),
        FaultCause::Addresses,
        FaultCause::Group,
        FaultCause::Requested,
    ])
}

fn group_order() -> impl Strategy<Value = GroupOrder> + Clone {
    sample::select(vec![
        GroupOrder::Promote,
        GroupOrder::Demote,
        GroupOrder::Fault,
        GroupOrder::FaultCleared,
        GroupOrder::Announce,
    ])
}

/// Configurations of one router on the wire, so that each can follow on each.
fn config() -> impl Strategy<Value = RouterConfig> + Clone {
    let wire = (
        prop_oneof![Just(Version::V2), Just(Version::V3)],
        likely_priority(1),
        prop_oneof![8 => Just(100_u16), 1 => Just(200), 1 => Just(1)],
        1..=3_u8,
        prop_oneof![4 => Just(Authentication::None), 1 => Just(password())],
        prop_oneof![4 => Just(Transport::default()), 1 => Just(unicast())],
    );
    let manners = (
        preempt(),
        prop_oneof![Just(StartAs::Backup), Just(StartAs::Master)],
        delay(),
        1..=5_u8,
        any::<(bool, bool, bool, bool)>(),
        option::weighted(0.1, peer_address()),
    );
    let rest = (
        collection::vec(tracker(), 0..3),
        option::weighted(0.3, Just("G")),
        (0..=2_u8, delay(), delay(), 0..=2_u8, 0..=2_u8, delay()),
    );
    (wire, manners, rest).prop_map(|(wire, manners, rest)| {
        let (version, priority, centis, vips, authentication, transport) = wire;
        let (preempt, start_as, startup_delay, adverts, flags, source) = manners;
        let (trackers, sync_group, announce) = rest;
        let vips = (100..100 + vips).map(|host| vrrp::Vip::host([192, 0, 2, host].into()));
        let vrid = Vrid::new(51).unwrap();
        let mut config = RouterConfig::new("VI_1", "eth0", vrid, vips.collect());
        config.version = version;
        config.priority = priority;
        config.interval = AdvertInterval::from_centis(match version {
            Version::V2 => centis.max(100),
            Version::V3 => centis,
        })
        .unwrap();
        config.authentication = authentication;
        config.transport = transport;
        config.preempt = preempt;
        config.start_as = start_as;
        config.startup_delay = startup_delay;
        config.down_timer_adverts = adverts.try_into().unwrap();
        let (silent, advertises, rejects, tracks) = flags;
        if silent {
            config.lower_priority = OnLowerPriority::StaySilent;
        }
        if advertises {
            config.higher_priority = OnHigherPriority::AdvertiseAndYield;
        }
        if rejects {
            config.address_list = AddressListCheck::Reject;
        }
        config.track_interface = tracks;
        config.source = source;
        config.trackers = trackers;
        config.sync_group = sync_group.map(Into::into);
        let schedule = &mut config.announce;
        (schedule.repeat, schedule.delay, schedule.refresh) = (announce.0, announce.1, announce.2);
        (schedule.refresh_repeat, schedule.lower_priority_repeat) = (announce.3, announce.4);
        schedule.lower_priority_delay = announce.5;
        config.checksum = Checksum::PseudoHeader;
        config
    })
}

fn tracker() -> impl Strategy<Value = Tracker> + Clone {
    let weight = prop_oneof![1 => Just(0), 3 => -253..=253_i16];
    (tracked(), weight, any::<bool>()).prop_map(|(tracked, weight, reverse)| {
        let mut tracker = Tracker::weighted(tracked, Weight::new(weight).unwrap());
        tracker.reverse = reverse;
        tracker
    })
}

fn preempt() -> impl Strategy<Value = Preempt> + Clone {
    prop_oneof![
        Just(Preempt::Never),
        Just(Preempt::default()),
        delay().prop_map(Preempt::After),
    ]
}

fn delay() -> impl Strategy<Value = Duration> + Clone {
    (0..=6000_u64).prop_map(|millis| Duration::from_millis(millis.saturating_sub(2000)))
}

fn password() -> Authentication {
    Authentication::Pass(Password::new("1111").unwrap())
}

fn unicast() -> Transport {
    let mut unicast = Unicast::to([]);
    unicast.peers = vec![Peer::new([192, 0, 2, 11].into())];
    Transport::Unicast(unicast)
}
