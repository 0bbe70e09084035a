//! `rr` and `wrr`.

use proptest::prelude::*;
use sched::{Kind, ServerSettings};

use crate::Bench;

#[test]
fn rr_goes_on_after_the_server_picked_last_when_that_one_is_removed() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1, 1]);
    assert_eq!(bench.hold(2), [4, 3]);
    bench.remove(3);
    assert_eq!(bench.hold(1), [2]);
    bench.add(3, 1);
    assert_eq!(bench.hold(3), [1, 3, 4]);
}

#[test]
fn rr_begins_at_the_front_when_the_first_server_was_picked_last_and_removed() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1]);
    assert_eq!(bench.hold(1), [3]);
    bench.remove(3);
    bench.add(4, 1);
    assert_eq!(bench.hold(3), [4, 2, 1]);
}

#[test]
fn wrr_begins_with_a_short_cycle_after_setting_up() {
    // Recorded from a kernel.
    let mut bench = Bench::with_weights(Kind::Wrr, &[4, 3, 2]);
    assert_eq!(bench.hold(12), [3, 2, 1, 1, 2, 1, 3, 2, 1, 3, 2, 1]);
}

#[test]
fn wrr_gives_up_without_a_search_through_every_level_of_weight() {
    let mut bench = Bench::with_weights(Kind::Wrr, &[1]);
    let settings = ServerSettings::new(ServerSettings::MAX_WEIGHT).with_thresholds(1, 0);
    bench
        .service
        .add_server(crate::server(2), settings, bench.now)
        .unwrap();
    assert_eq!(bench.hold(1), [2]);
    // Two billion levels lie between the heavy server, now overloaded, and the light one.
    assert_eq!(bench.hold(3), [1, 1, 1]);
}

proptest! {
    #[test]
    fn rr_picks_each_usable_server_once_in_a_round(
        weights in proptest::collection::vec(0_u32..3, 1..12),
        skipped in 0_u32..20,
    ) {
        let mut bench = Bench::with_weights(Kind::Rr, &weights);
        let usable: Vec<u8> =
            (1..).zip(&weights).filter(|(_, weight)| **weight > 0).map(|(it, _)| it).collect();
        prop_assume!(!usable.is_empty());
        bench.hold(skipped);
        let mut round = bench.hold(u32::try_from(usable.len()).unwrap());
        round.sort_unstable();
        prop_assert_eq!(round, usable);
    }

    #[test]
    fn wrr_gives_every_server_its_exact_share_of_any_cycle(
        weights in proptest::collection::vec(0_u32..12, 1..10),
        factor in 1_u32..4,
        skipped in 0_u32..100,
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let weights: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
        let mut bench = Bench::with_weights(Kind::Wrr, &weights);
        bench.hold(skipped);
        let divisor = weights.iter().copied().fold(0, gcd);
        let cycle = bench.hold(weights.iter().sum::<u32>() / divisor);
        for (server, weight) in (1..).zip(weights) {
            let picks = cycle.iter().filter(|picked| **picked == server).count();
            prop_assert_eq!(picks, (weight / divisor) as usize, "server {}", server);
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
