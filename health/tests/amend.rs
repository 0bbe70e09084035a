//! A fleet that is told differences, and one that is told everything.

#![expect(clippy::disallowed_methods, reason = "a test begins at some instant")]

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use health::{
    Ask, CheckConfig, Fleet, FleetInput,
    fake::{Behaviour, Flapping, Model, World},
};
use proptest::{collection, prelude::*};

const SECOND: Duration = Duration::from_secs(1);

/// By service: what is probed, and every how many seconds.
type Wishes = BTreeMap<u8, (u8, u32)>;

#[derive(Debug, Clone)]
enum Step {
    Wish(Wishes),
    Pause(u8),
    Resume(u8),
    Run(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    let wishes = collection::btree_map(0..8_u8, (0..4_u8, 1..3_u32), 0..8);
    let run = (0..10_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        3 => wishes.prop_map(Step::Wish),
        1 => (0..8_u8).prop_map(Step::Pause),
        1 => (0..8_u8).prop_map(Step::Resume),
        3 => run.prop_map(Step::Run),
    ]
}

fn world(start: Instant) -> World<u8, u8> {
    let mut world = World::new(Fleet::new(NonZeroUsize::MIN, 1), start);
    for probe in 0..4 {
        let behaviour = Behaviour {
            flapping: (probe > 1).then_some(Flapping {
                up: 5 * SECOND,
                down: 5 * SECOND,
            }),
            ..Behaviour::default()
        };
        let model = Model::new(behaviour, probe.into(), start);
        world.models().insert(probe, model);
    }
    world
}

fn ask((service, (probe, seconds)): (&u8, &(u8, u32))) -> Ask<u8, u8> {
    Ask {
        service: *service,
        probe: *probe,
        config: CheckConfig::plain(*seconds * SECOND, SECOND),
        start_delay: Duration::ZERO,
        warm_up: 2 * SECOND,
        known: None,
    }
}

/// All that shows of a fleet.
fn seen(world: &mut World<u8, u8>) -> String {
    let reports: Vec<_> = world.fleet().reports().collect();
    format!("{:?} {reports:#?}", world.fleet().snapshot().standings)
}

proptest! {
    #[test]
    fn who_is_told_differences_is_where_who_is_told_everything_is(
        steps in collection::vec(step(), 1..30),
    ) {
        let mut now = Instant::now();
        let (mut whole, mut amended) = (world(now), world(now));
        let mut wishes = Wishes::new();
        for step in steps {
            match step {
                Step::Wish(next) => {
                    whole.fleet().configure(next.iter().map(ask), now).unwrap();
                    let gone = wishes.keys().filter(|it| !next.contains_key(*it)).copied();
                    let new = next.iter().filter(|(key, it)| wishes.get(*key) != Some(*it));
                    let foreseen = amended.fleet().foresee(new.clone().map(ask)).unwrap();
                    amended.fleet().amend(gone, new.clone().map(ask), now).unwrap();
                    let standings = amended.fleet().snapshot().standings;
                    for (service, _) in new {
                        prop_assert_eq!(foreseen.get(service), standings.get(service));
                    }
                    wishes = next;
                }
                // One that nobody asks for would be paused as soon as somebody does.
                Step::Pause(service) if wishes.contains_key(&service) => {
                    whole.fleet().handle(FleetInput::Pause(service), now);
                    amended.fleet().handle(FleetInput::Pause(service), now);
                }
                Step::Pause(_) => {}
                Step::Resume(service) => {
                    whole.fleet().handle(FleetInput::Resume(service), now);
                    amended.fleet().handle(FleetInput::Resume(service), now);
                }
                Step::Run(span) => {
                    whole.run(span);
                    amended.run(span);
                    now += span;
                }
            }
            prop_assert_eq!(seen(&mut whole), seen(&mut amended));
        }
    }
}
