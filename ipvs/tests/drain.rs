//! A destination is taken out of service on a kernel in memory, in virtual time.

use std::time::{Duration, Instant};

use ipvs::{
    Change, ChangeOutcome, Counts, DestinationSettings, Drain, DrainEnd, DrainInput, DrainOutput,
    DrainPolicy, Endpoint, Forwarding, IpvsBackend, Refusal, ServiceKey, ServiceSettings, WaitFor,
    Weight, fake::Kernel,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// A drain on a kernel that has one service with one destination.
struct Rig {
    kernel: Kernel,
    service: ServiceKey,
    now: Instant,
    drain: Drain,
    told: Vec<DrainOutput>,
}

fn destination() -> Endpoint {
    "10.0.0.1:80".parse().expect("an endpoint")
}

fn settings() -> DestinationSettings {
    DestinationSettings::new(Forwarding::DirectRoute).with_weight(Weight::new(3).expect("small"))
}

impl Rig {
    fn new(service: ServiceKey, policy: DrainPolicy, counts: Counts) -> Self {
        let kernel = Kernel::new();
        let (key, of_service) = (destination(), ServiceSettings::default());
        for change in [
            Change::AddService {
                service,
                settings: of_service,
            },
            Change::AddDestination {
                service,
                destination: key,
                settings: settings(),
            },
        ] {
            kernel.change(change).expect("the kernel takes it");
        }
        kernel.set_counts(service, key, counts);
        #[expect(clippy::disallowed_methods, reason = "virtual time starts somewhere")]
        let now = Instant::now();
        let drain = Drain::new(service, key, settings(), policy, now);
        let mut rig = Self {
            kernel,
            service,
            now,
            drain,
            told: Vec::new(),
        };
        rig.settle();
        rig
    }

    fn tcp(policy: DrainPolicy, counts: Counts) -> Self {
        Self::new(
            ServiceKey::tcp("10.1.0.100:80".parse().expect("an endpoint")),
            policy,
            counts,
        )
    }

    /// Does all that is wanted until nothing more is.
    fn settle(&mut self) {
        while let Some(output) = self.drain.poll_output() {
            let answer = match &output {
                DrainOutput::Apply(change) => {
                    Some(DrainInput::Applied(match self.kernel.change(*change) {
                        Ok(()) => ChangeOutcome::Done,
                        Err(refusal) => ChangeOutcome::Refused(refusal),
                    }))
                }
                DrainOutput::Observe => Some(DrainInput::Observed(self.state())),
                DrainOutput::Waiting(_) | DrainOutput::Finished(_) => None,
            };
            self.told.push(output);
            if let Some(answer) = answer {
                self.drain.handle(answer, self.now);
            }
        }
    }

    fn state(&self) -> Option<ipvs::DestinationState> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let snapshot = runtime
            .block_on(self.kernel.snapshot())
            .expect("it can be read");
        snapshot
            .service(&self.service)?
            .destination(&destination())
            .copied()
    }

    fn weight(&self) -> Option<u32> {
        self.state().map(|state| state.settings.weight.get())
    }

    /// Lets time pass up to the next timeout.
    fn wait(&mut self) -> Duration {
        let at = self.drain.poll_timeout().expect("it waits for something");
        let waited = at - self.now;
        self.now = at;
        self.drain.handle(DrainInput::Timeout, self.now);
        self.settle();
        waited
    }

    fn set_counts(&self, counts: Counts) {
        self.kernel.set_counts(self.service, destination(), counts);
    }

    fn end(&self) -> Option<&DrainEnd> {
        match self.told.last() {
            Some(DrainOutput::Finished(end)) => Some(end),
            _ => None,
        }
    }
}

const fn counts(active: u32, inactive: u32, persistent: u32) -> Counts {
    Counts {
        active,
        inactive,
        persistent,
    }
}

#[test]
fn a_destination_without_connections_goes_at_once() {
    let rig = Rig::tcp(DrainPolicy::default(), Counts::ZERO);
    assert_eq!(rig.end(), Some(&DrainEnd::Removed { left: Counts::ZERO }));
    assert_eq!(rig.weight(), None);
    assert_eq!(rig.drain.poll_timeout(), None);
}

#[test]
fn it_gets_no_new_connections_and_keeps_its_own_until_the_last_is_gone() {
    let mut rig = Rig::tcp(DrainPolicy::default(), counts(2, 0, 0));
    assert_eq!(rig.weight(), Some(0));
    for left in [counts(1, 1, 0), counts(0, 2, 1), counts(0, 0, 1)] {
        rig.set_counts(left);
        assert_eq!(rig.wait(), SECOND);
        assert_eq!(rig.told.last(), Some(&DrainOutput::Waiting(left)));
        assert_eq!((rig.weight(), rig.drain.counts()), (Some(0), left));
    }
    rig.set_counts(Counts::ZERO);
    rig.wait();
    assert_eq!(rig.end(), Some(&DrainEnd::Removed { left: Counts::ZERO }));
}

#[test]
fn at_the_deadline_it_goes_with_what_is_left() {
    let mut policy = DrainPolicy::default();
    policy.deadline = Some(SECOND * 5 / 2);
    let mut rig = Rig::tcp(policy, counts(7, 0, 1));
    assert_eq!(
        [rig.wait(), rig.wait(), rig.wait()],
        [SECOND, SECOND, SECOND / 2]
    );
    assert_eq!(
        rig.end(),
        Some(&DrainEnd::Removed {
            left: counts(7, 0, 1)
        })
    );
    assert_eq!(rig.weight(), None);
}

#[test]
fn traffic_is_what_the_protocol_makes_of_it() {
    let endpoint: Endpoint = "10.1.0.100:80".parse().unwrap();
    let mark = ServiceKey::fwmark(7.try_into().unwrap(), ipvs::Family::V4);
    let closing = counts(0, 5, 5);
    for (service, over) in [
        (ServiceKey::tcp(endpoint), true),
        (ServiceKey::sctp(endpoint), true),
        (ServiceKey::udp(endpoint), false),
        (mark, false),
    ] {
        assert_eq!(
            WaitFor::Traffic.is_over(&service, closing),
            over,
            "{service}"
        );
        assert!(WaitFor::Traffic.is_over(&service, counts(0, 0, 5)));
        assert!(!WaitFor::Traffic.is_over(&service, counts(1, 0, 0)));
        assert!(!WaitFor::Everything.is_over(&service, counts(0, 0, 5)));
    }
}

#[test]
fn a_cancelled_drain_gives_back_what_was_before() {
    let mut rig = Rig::tcp(DrainPolicy::default(), counts(1, 0, 0));
    rig.drain.handle(DrainInput::Cancel, rig.now);
    rig.settle();
    assert_eq!(rig.end(), Some(&DrainEnd::Cancelled));
    assert_eq!(rig.state().unwrap().settings, settings());
}

#[test]
fn a_drain_cancelled_before_its_first_answer_restores_after_it() {
    let mut rig = Rig::tcp(DrainPolicy::default(), Counts::ZERO);
    let mut drain = Drain::new(
        rig.service,
        destination(),
        settings(),
        DrainPolicy::default(),
        rig.now,
    );
    let Some(DrainOutput::Apply(_)) = drain.poll_output() else {
        unreachable!("it begins with weight 0");
    };
    drain.handle(DrainInput::Cancel, rig.now);
    assert_eq!(drain.poll_output(), None, "one change at a time");
    drain.handle(DrainInput::Applied(ChangeOutcome::Done), rig.now);
    rig.told.clear();
    let (service, destination, settings) = (rig.service, destination(), settings());
    let restore = Change::SetDestination {
        service,
        destination,
        settings,
    };
    assert_eq!(drain.poll_output(), Some(DrainOutput::Apply(restore)));
}

#[test]
fn weight_that_somebody_gives_back_is_taken_again() {
    let mut rig = Rig::tcp(DrainPolicy::default(), counts(1, 0, 0));
    let (service, destination, settings) = (rig.service, destination(), settings());
    rig.kernel
        .change(Change::SetDestination {
            service,
            destination,
            settings,
        })
        .unwrap();
    rig.wait();
    assert_eq!(rig.weight(), Some(0));
    assert!(!rig.drain.is_finished());
}

#[test]
fn what_somebody_else_removed_is_gone() {
    let mut rig = Rig::tcp(DrainPolicy::default(), counts(1, 0, 0));
    rig.kernel.change(Change::Flush).unwrap();
    rig.wait();
    assert_eq!(rig.end(), Some(&DrainEnd::Gone));
}

#[test]
fn what_was_not_answered_is_asked_again_and_a_refusal_ends_it() {
    let rig = Rig::tcp(DrainPolicy::default(), Counts::ZERO);
    let (service, key, now) = (rig.service, destination(), rig.now);
    let mut drain = Drain::new(service, key, settings(), DrainPolicy::default(), now);
    let Some(DrainOutput::Apply(change)) = drain.poll_output() else {
        unreachable!("it begins with weight 0");
    };
    drain.handle(DrainInput::Applied(ChangeOutcome::Unanswered), now);
    assert_eq!(
        (drain.poll_output(), drain.poll_timeout()),
        (None, Some(now + SECOND))
    );
    drain.handle(DrainInput::Timeout, now + SECOND);
    assert_eq!(drain.poll_output(), Some(DrainOutput::Apply(change)));
    let refusal = Refusal::from_errno(change, 1);
    drain.handle(
        DrainInput::Applied(ChangeOutcome::Refused(refusal.clone())),
        now + SECOND,
    );
    assert_eq!(
        drain.poll_output(),
        Some(DrainOutput::Finished(DrainEnd::Refused(refusal)))
    );
}

fn input() -> impl Strategy<Value = DrainInput> {
    let change = Change::Flush;
    let seen = ipvs::strategy::destination_state().prop_map(Some);
    prop_oneof![
        3 => Just(DrainInput::Timeout),
        3 => Just(DrainInput::Applied(ChangeOutcome::Done)),
        1 => Just(DrainInput::Applied(ChangeOutcome::Unanswered)),
        1 => prop_oneof![Just(1), Just(2), Just(3)].prop_map(move |errno| {
            DrainInput::Applied(ChangeOutcome::Refused(Refusal::from_errno(change, errno)))
        }),
        4 => seen.prop_map(DrainInput::Observed),
        1 => Just(DrainInput::Observed(None)),
        1 => Just(DrainInput::Unobserved),
        1 => Just(DrainInput::Cancel),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_it_asks_for_one_thing_at_a_time_and_ends_once(
        inputs in proptest::collection::vec((input(), 0..3_u32), 0..60),
        deadline in proptest::option::of(0..20_u32),
    ) {
        let mut policy = DrainPolicy::default();
        policy.deadline = deadline.map(|deadline| SECOND * deadline);
        let mut rig = Rig::tcp(DrainPolicy::default(), Counts::ZERO);
        let service = rig.service;
        let mut drain = Drain::new(service, destination(), settings(), policy, rig.now);
        let mut ended = false;
        for (input, later) in inputs {
            let mut asked = 0;
            while let Some(output) = drain.poll_output() {
                prop_assert!(!ended, "nothing follows the end");
                asked += usize::from(matches!(
                    output,
                    DrainOutput::Apply(_) | DrainOutput::Observe
                ));
                ended = matches!(output, DrainOutput::Finished(_));
            }
            prop_assert!(asked <= 1);
            prop_assert_eq!(ended, drain.is_finished());
            prop_assert!(!ended || drain.poll_timeout().is_none());
            rig.now += SECOND * later;
            drain.handle(input, rig.now);
        }
    }

    #[test]
    fn after_a_timeout_the_next_one_is_later(steps in 1..20_u32, deadline in 1..10_u32) {
        let mut policy = DrainPolicy::default();
        policy.deadline = Some(SECOND * deadline);
        let mut rig = Rig::tcp(policy, counts(1, 1, 1));
        for _ in 0..steps {
            if rig.drain.is_finished() {
                break;
            }
            prop_assert!(rig.wait() > Duration::ZERO);
        }
        prop_assert_eq!(rig.drain.is_finished(), steps >= deadline);
    }
}
