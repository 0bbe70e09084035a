//! `twos`, against the distribution that its definition gives.

use proptest::prelude::*;
use sched::{Kind, Protocol};

use crate::{Bench, flow};

/// Numbers of a grid over all pairs of halves of the random bits, in place of random ones: what
/// is counted is the distribution itself, up to the width of the grid.
const GRID: u64 = 400;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn twos_draws_two_by_weight_and_takes_the_less_loaded(
        weights in proptest::collection::vec(0_u32..8, 1..6),
        loads in proptest::collection::vec(0_u32..5, 6),
    ) {
        let servers = loaded(&weights, &loads);
        // By list order: number, weight and load of the usable servers.
        let usable: Vec<(u8, f64, f64)> = servers
            .service
            .servers()
            .iter()
            .filter(|it| it.weight() > 0)
            .map(|it| {
                let load = f64::from(256 * it.active() + it.inactive());
                (crate::number(it.address()), f64::from(it.weight()), load)
            })
            .collect();
        prop_assume!(!usable.is_empty());

        let total: f64 = usable.iter().map(|(_, weight, _)| weight).sum();
        // Tickets 0 to the sum inclusive: the first server of the list has one more.
        let chance = |index: usize| {
            let (_, weight, _) = usable[index];
            (weight + if index == 0 { 1.0 } else { 0.0 }) / (total + 1.0)
        };
        let mut expected = [0.0; 8];
        for first in 0..usable.len() {
            for second in 0..usable.len() {
                let ((_, w1, l1), (_, w2, l2)) = (usable[first], usable[second]);
                let winner = if w2 * l1 > w1 * l2 { second } else { first };
                expected[usize::from(usable[winner].0)] += chance(first) * chance(second);
            }
        }

        let mut counted = [0.0; 8];
        let mut scheduler = Kind::Twos.scheduler(&sched::Rules::default());
        scheduler.start(servers.service.servers(), servers.now);
        let step = (1_u64 << 32) / GRID;
        for first in 0..GRID {
            for second in 0..GRID {
                let random = ((first * step + step / 2) << 32) | (second * step + step / 2);
                let arrival = sched::Arrival::new(flow(Protocol::Tcp, 1), servers.now, random);
                let list = servers.service.servers();
                let picked = scheduler.pick(&arrival, sched::Flags::NONE, list).unwrap();
                let server = crate::number(list.get(picked).unwrap().address());
                counted[usize::from(server)] += 1.0 / (GRID * GRID) as f64;
            }
        }
        for (server, (counted, expected)) in counted.iter().zip(expected).enumerate() {
            // Each edge between two servers falls within one line of the grid.
            let tolerance = 2.0 * usable.len() as f64 / GRID as f64;
            prop_assert!((counted - expected).abs() < tolerance, "server {}: {} for {}", server, counted, expected);
        }
    }
}

#[test]
fn twos_gives_the_first_server_one_ticket_more_than_its_weight() {
    // Weights 1 and 1: tickets 0 and 1 are the first server's, 2 the other's.
    let third = u64::from(u32::MAX / 3);
    for (ticket, picked) in [
        (0, 2),
        (third - 9, 2),
        (2 * third - 9, 2),
        (2 * third + 9, 1),
    ] {
        let mut bench = Bench::with_weights(Kind::Twos, &[1, 1]);
        let random = (ticket << 32) | ticket;
        assert_eq!(
            bench.arrive(flow(Protocol::Tcp, 1), random).unwrap().0,
            picked,
            "{ticket}"
        );
    }
}

fn loaded(weights: &[u32], loads: &[u32]) -> Bench {
    let mut bench = Bench::with_weights(Kind::Twos, weights);
    let ids: Vec<_> = bench
        .service
        .servers()
        .iter()
        .rev()
        .map(sched::Server::id)
        .collect();
    for (id, load) in ids.into_iter().zip(loads) {
        for connection in 0..*load {
            let _held = bench
                .service
                .adopt(id, connection % 2 == 0, bench.now)
                .unwrap();
        }
    }
    bench
}
