//! Fleets on servers that misbehave by a seed.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test begins at some instant, and fails by panicking"
)]

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use health::{
    Ask, CheckConfig, Fleet, Health,
    fake::{Behaviour, Flapping, Model, World},
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn world(behaviours: &[Behaviour], seed: u64, start: Instant) -> World<usize, usize> {
    let fleet = Fleet::new(NonZeroUsize::new(behaviours.len()).unwrap(), seed);
    let mut world = World::new(fleet, start);
    for (number, behaviour) in behaviours.iter().enumerate() {
        let model = Model::new(*behaviour, seed.wrapping_add(number as u64), start);
        world.models().insert(number, model);
    }
    let asked = (0..behaviours.len()).map(|number| Ask {
        service: number,
        probe: number,
        config: CheckConfig::plain(2 * SECOND, SECOND),
        start_delay: Duration::ZERO,
        warm_up: 2 * SECOND,
        known: None,
    });
    world.fleet().configure(asked, start).unwrap();
    world
}

#[test]
fn each_kind_of_server_is_judged_as_it_behaves() {
    let healthy = Behaviour::default();
    let hanging = Behaviour {
        hanging_per_mille: 1000,
        ..healthy
    };
    let too_slow = Behaviour {
        fastest: 2 * SECOND,
        ..healthy
    };
    let flapping = Behaviour {
        flapping: Some(Flapping {
            up: 60 * SECOND,
            down: 60 * SECOND,
        }),
        ..healthy
    };
    let mut world = world(&[healthy, hanging, too_slow, flapping], 1, Instant::now());
    world.run(600 * SECOND);
    let last = |service| {
        let mut all = world
            .journal()
            .iter()
            .filter(|happening| happening.service == service);
        let count = all.clone().count();
        (all.next_back().map(|happening| happening.to), count)
    };
    assert_eq!(last(0), (Some(Health::Up), 1));
    assert_eq!(last(1), (Some(Health::Down), 1));
    assert_eq!(last(2), (Some(Health::Down), 1));
    assert_eq!(last(3), (Some(Health::Down), 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn a_seed_gives_the_same_history_and_every_server_its_share_of_probes(
        seed in any::<u64>(),
        flaky_per_mille in 0_u16..=1000,
        hanging_per_mille in 0_u16..=1000,
        slowest in (0_u64..3000).prop_map(Duration::from_millis),
    ) {
        let behaviour = Behaviour {
            flaky_per_mille,
            hanging_per_mille,
            slowest,
            ..Behaviour::default()
        };
        let start = Instant::now();
        let run = || {
            let mut world = world(&[behaviour; 10], seed, start);
            world.run(120 * SECOND);
            world
        };
        let (mut first, second) = (run(), run());
        prop_assert_eq!(first.journal(), second.journal());
        for report in first.fleet().reports() {
            let runs = report.lateness.total();
            prop_assert!((59..=61).contains(&runs), "{} runs in 120 s", runs);
        }
    }
}
