//! How long nobody has the addresses when their master leaves.

use std::time::Duration;

use vrrp::{
    AdvertInterval, NodeInput, Priority, RouterConfig, Version, Vip, Vrid, election,
    fake::Conditions,
};

use crate::{
    random::Random,
    world::{INTERFACES, World},
};

const LATENCY: Duration = Duration::from_millis(20);
const KERNEL: Duration = Duration::from_millis(5);
/// Smallest step of time that is looked at.
const STEP: Duration = Duration::from_micros(100);

#[test]
fn a_graceful_stop_leaves_nobody_for_no_longer_than_skew_and_latency() {
    for seed in 0..50 {
        let (mut world, config) = settled(seed);
        world.give(2, NodeInput::Stop);
        let gap = gap(&mut world);
        let skew = election::skew(
            config.version,
            config.priority,
            config.interval.as_duration(),
        );
        let bound = skew + LATENCY + KERNEL;
        assert!(gap <= bound, "seed {seed}: {gap:?} > {bound:?}");
    }
}

#[test]
fn a_crash_leaves_nobody_for_no_longer_than_master_down_and_latency() {
    for seed in 0..50 {
        let (mut world, config) = settled(seed);
        world.crash(2);
        let gap = gap(&mut world);
        let interval = config.interval.as_duration();
        let three = config.down_timer_adverts;
        let down = election::master_down(config.version, config.priority, interval, three);
        let bound = down + LATENCY + KERNEL;
        assert!(gap <= bound, "seed {seed}: {gap:?} > {bound:?}");
        let least = down.saturating_sub(interval);
        assert!(gap >= least, "seed {seed}: {gap:?} < {least:?}");
    }
}

/// Three machines of rising priority, of which the last is master; and the configuration of the one
/// that comes next.
fn settled(seed: u64) -> (World, RouterConfig) {
    let mut random = Random::new(seed);
    let mut world = World::new(1, seed);
    world.segments[0].set_conditions(Conditions::default().latency(LATENCY));
    let (version, interval) = match random.one_in(2) {
        true => (Version::V2, AdvertInterval::from_secs(random.byte(1..=3))),
        false => (
            Version::V3,
            AdvertInterval::from_centis(random.pick(&[10, 50, 100])),
        ),
    };
    let priorities = [1..=80, 81..=160, 161..=254].map(|range| random.byte(range));
    for priority in priorities {
        let vip = Vip::new([192, 0, 1, 100].into(), 24).unwrap();
        let vrid = Vrid::new(51).unwrap();
        let mut config = RouterConfig::new(INTERFACES[0], INTERFACES[0], vrid, vec![vip]);
        config.version = version;
        config.interval = interval.clone().unwrap();
        config.priority = Priority::new(priority).unwrap();
        world.add(vec![config], KERNEL);
    }
    (0..3).for_each(|machine| world.boot(machine));
    pass(
        &mut world,
        Duration::from_secs(60) + random.span(Duration::from_secs(1)),
    );
    assert_eq!(holders(&world), [2], "seed {seed}");
    let next = world.machines[1].configs[0].clone();
    (world, next)
}

/// The time that nobody has the addresses.
fn gap(world: &mut World) -> Duration {
    let mut gap = Duration::ZERO;
    let mut left = false;
    for _ in 0..200_000 {
        pass(world, STEP);
        match holders(world)[..] {
            [] => {
                left = true;
                gap += STEP;
            }
            [1] if left => return gap.saturating_sub(STEP),
            _ => {}
        }
    }
    gap
}

fn holders(world: &World) -> Vec<usize> {
    (0..world.machines.len())
        .filter(|machine| world.machines[*machine].holds[0])
        .collect()
}

fn pass(world: &mut World, span: Duration) {
    let until = world.now + span;
    while let Some(next) = world.next_at().filter(|at| *at <= until) {
        world.now = world.now.max(next);
        world.step();
    }
    world.now = until;
}
