//! The properties for which the schedulers beyond the kernel are there.

use std::time::Duration;

use proptest::prelude::*;
use sched::{
    Arrival, Flags, Kind, Protocol, Scheduler, ServerSettings,
    beyond::{BoundedLoads, PeakEwma, SmoothWrr},
};

use crate::{Bench, flow, number, server};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn smooth_wrr_spreads_a_heavy_servers_picks_as_nginx_shows_it() {
    // Weights 5, 1, 1: a a b a c a a. The first of the list is the one added last.
    let mut bench = bench(SmoothWrr::new(), &[1, 1, 5]);
    assert_eq!(bench.hold(14), [3, 3, 2, 3, 1, 3, 3, 3, 3, 2, 3, 1, 3, 3]);
}

#[test]
fn wrr_bursts_where_smooth_wrr_does_not() {
    let weights = [1, 1, 5];
    let mut kernel = Bench::with_weights(Kind::Wrr, &weights);
    assert_eq!(kernel.hold(3), [3, 2, 1], "the short first cycle");
    assert!(most_ahead(&kernel.hold(7), &weights) > 7.0);
}

#[test]
fn peak_ewma_takes_the_faster_of_two_and_a_slow_answer_counts_at_once() {
    let mut bench = bench(peak_ewma(), &[1, 1]);
    let observe = |bench: &mut Bench, number: u8, latency: Duration| {
        let id = bench.service.servers().find(server(number)).unwrap().id();
        let connection = bench.service.adopt(id, true, bench.now).unwrap();
        bench.service.observe(&connection, latency, bench.now);
        bench.service.expire(connection, bench.now);
    };
    observe(&mut bench, 1, MILLISECOND);
    observe(&mut bench, 2, 2 * MILLISECOND);
    assert_eq!(bench.visit(1), Some(1));
    observe(&mut bench, 1, 100 * MILLISECOND);
    assert_eq!(bench.visit(1), Some(2));
    // Ten time constants later one good answer outweighs the bad one, a moment later it would
    // not have.
    observe(&mut bench, 1, MILLISECOND);
    assert_eq!(bench.visit(1), Some(2));
    bench.now += Duration::from_secs(100);
    observe(&mut bench, 1, MILLISECOND);
    assert_eq!(bench.visit(1), Some(1));
}

#[test]
fn peak_ewma_weighs_connections_under_way_and_weight() {
    let mut bench = bench(peak_ewma(), &[1, 3]);
    assert_eq!(
        bench.hold(8),
        [2, 2, 1, 2, 2, 2, 1, 2],
        "as sed, but that a tie goes to the first drawn"
    );
}

#[test]
fn peak_ewma_draws_every_pair_alike() {
    let mut scheduler = peak_ewma();
    let bench = Bench::with_weights(Kind::Rr, &[1, 1, 1, 1, 1]);
    scheduler.start(bench.service.servers(), bench.now);
    // All are alike, so the first drawn is picked: every server as often as any other.
    let mut counts = [0_u32; 6];
    let grid = 100_u64;
    let step = (1 << 32) / grid;
    for first in 0..grid {
        for second in 0..grid {
            let random = ((first * step + step / 2) << 32) | (second * step + step / 2);
            let arrival = Arrival::new(flow(Protocol::Tcp, 1), bench.now, random);
            let list = bench.service.servers();
            let picked = scheduler.pick(&arrival, Flags::NONE, list).unwrap();
            counts[usize::from(number(list.get(picked).unwrap().address()))] += 1;
        }
    }
    assert_eq!(counts, [0, 2000, 2000, 2000, 2000, 2000]);
}

#[test]
fn bounded_loads_moves_only_the_clients_of_a_server_that_leaves() {
    let mut bench = bench(BoundedLoads::new(100_000), &[1; 8]);
    let before = bench.visits(0..2000);
    bench.remove(3);
    let after = bench.visits(0..2000);
    for (before, after) in before.iter().zip(&after) {
        assert!(
            after == before || *before == Some(3),
            "{before:?} became {after:?}"
        );
    }
    bench.add(3, 1);
    assert_eq!(
        bench.visits(0..2000),
        before,
        "and gives them back when it returns"
    );
}

#[test]
fn bounded_loads_hashes_the_port_with_the_flag_only() {
    for (flags, several) in [(Flags::NONE, false), (Flags::NONE.with_port(), true)] {
        let mut bench = bench(BoundedLoads::new(100_000), &[1; 8]).flags(flags);
        let mut servers: Vec<u8> = (1024..1100)
            .map(|port| {
                let client = std::net::SocketAddr::new([192, 168, 0, 1].into(), port);
                let flow = sched::Flow::tcp(client, crate::vip(1));
                bench.arrive(flow, 0).unwrap().0
            })
            .collect();
        servers.dedup();
        assert_eq!(servers.len() > 1, several);
    }
}

proptest! {
    #[test]
    fn smooth_wrr_gives_every_server_its_exact_share_of_any_cycle(
        weights in proptest::collection::vec(0_u32..9, 1..9),
        skipped in 0_u32..60,
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let mut bench = bench(SmoothWrr::new(), &weights);
        bench.hold(skipped);
        let cycle = bench.hold(weights.iter().sum());
        for (server, weight) in (1..).zip(&weights) {
            let picks = cycle.iter().filter(|picked| **picked == server).count();
            prop_assert_eq!(picks, *weight as usize);
        }
    }

    #[test]
    fn smooth_wrr_never_gives_a_server_a_whole_pick_more_than_its_share_so_far(
        weights in proptest::collection::vec(1_u32..9, 1..7),
    ) {
        let total: u32 = weights.iter().sum();
        let picks = bench(SmoothWrr::new(), &weights).hold(2 * total);
        prop_assert!(most_ahead(&picks, &weights) < f64::from(total));
    }

    #[test]
    fn bounded_loads_never_gives_a_server_more_than_its_bound(
        weights in proptest::collection::vec(1_u32..9, 1..9),
        slack_percent in 0_u32..200,
        ends in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let mut bench = bench(BoundedLoads::new(slack_percent), &weights);
        let total_weight: u32 = weights.iter().sum();
        let mut held = Vec::new();
        for client in 0..120 {
            let (picked, connection) = bench.connect(client % 7).unwrap();
            held.push(connection);
            let it = bench.service.servers().find(server(picked)).unwrap();
            let share = held.len() as f64 * f64::from(it.weight()) / f64::from(total_weight);
            let bound = share * (1.0 + f64::from(slack_percent) / 100.0);
            prop_assert!((it.connections() as f64) < bound + 1.0, "{} of {}", it.connections(), bound);
            if let Some(end) = ends.get(client as usize / 2) {
                let end = end.index(held.len());
                bench.service.expire(held.swap_remove(end), bench.now);
            }
        }
    }

    #[test]
    fn peak_ewma_never_takes_the_worse_of_two(
        latencies in (1_u32..50, 1_u32..50),
        loads in (0_u32..9, 0_u32..9),
        weights in (1_u32..5, 1_u32..5),
        random in any::<u64>(),
    ) {
        let mut bench = bench(peak_ewma(), &[weights.0, weights.1]);
        let load = |bench: &mut Bench, number: u8, latency: u32, load: u32| {
            let id = bench.service.servers().find(server(number)).unwrap().id();
            for _ in 0..load {
                let _held = bench.service.adopt(id, true, bench.now).unwrap();
            }
            let measured = bench.service.adopt(id, true, bench.now).unwrap();
            bench.service.observe(&measured, latency * MILLISECOND, bench.now);
            bench.service.expire(measured, bench.now);
        };
        load(&mut bench, 1, latencies.0, loads.0);
        load(&mut bench, 2, latencies.1, loads.1);
        let (picked, _) = bench.arrive(flow(Protocol::Tcp, 1), random).unwrap();
        // Cross-multiplied, so that equal costs are equal.
        let one = latencies.0 * (loads.0 + 1) * weights.1;
        let two = latencies.1 * (loads.1 + 1) * weights.0;
        if one != two {
            prop_assert_eq!(picked, if one < two { 1 } else { 2 });
        }
    }
}

fn bench(scheduler: impl Scheduler + 'static, weights: &[u32]) -> Bench {
    let mut bench = Bench::with_weights(Kind::Rr, &[]);
    bench
        .service
        .set_scheduler(Box::new(scheduler), bench.now)
        .unwrap();
    for (number, weight) in (1..).zip(weights) {
        let settings = ServerSettings::new(*weight);
        bench
            .service
            .add_server(server(number), settings, bench.now)
            .unwrap();
    }
    bench
}

fn peak_ewma() -> PeakEwma {
    PeakEwma::new(Duration::from_secs(10), MILLISECOND)
}

/// By how much any server is ever ahead of its share, in picks times the sum of the weights.
fn most_ahead(picks: &[u8], weights: &[u32]) -> f64 {
    let total = f64::from(weights.iter().sum::<u32>());
    let mut ahead = vec![0.0; weights.len()];
    let mut most: f64 = 0.0;
    for picked in picks {
        for (ahead, weight) in ahead.iter_mut().zip(weights) {
            *ahead -= f64::from(*weight);
        }
        ahead[usize::from(*picked) - 1] += total;
        most = ahead.iter().copied().fold(most, f64::max);
    }
    most
}
