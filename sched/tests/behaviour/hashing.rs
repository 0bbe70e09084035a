//! `dh`, `sh` and `mh`.

use std::net::SocketAddr;

use proptest::prelude::*;
use sched::{Flags, Flow, Kind, MaglevTable, Rules, ServerSettings, ServiceError};

use crate::{Bench, server, vip};

#[test]
fn mh_gives_clients_the_servers_a_kernel_gave_them() {
    let mut bench = Bench::with_weights(Kind::Mh, &[1, 1, 1]);
    let picked: Vec<_> = bench.visits(1..9).into_iter().flatten().collect();
    assert_eq!(picked, [2, 3, 2, 2, 1, 1, 3, 2]);
}

#[test]
fn a_server_of_weight_0_has_a_bucket_of_sh_whose_clients_are_refused() {
    // Three of these eight clients failed with a kernel.
    let mut bench = Bench::with_weights(Kind::Sh, &[1, 0, 1]);
    assert_eq!(
        bench
            .visits(1..9)
            .iter()
            .filter(|picked| picked.is_none())
            .count(),
        3
    );
    let mut bench = bench.flags(Flags::NONE.with_fallback());
    assert!(bench.visits(1..9).iter().all(Option::is_some));
}

#[test]
fn a_quiesced_server_keeps_its_slots_of_mh_whose_clients_are_refused() {
    let mut bench = Bench::with_weights(Kind::Mh, &[1, 1, 1]);
    let before = bench.visits(1..9);
    bench.edit(2, 0);
    let after = bench.visits(1..9);
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(*after, before.filter(|server| *server != 2));
    }
    assert_eq!(
        after.iter().filter(|picked| picked.is_none()).count(),
        4,
        "half, as recorded"
    );
    let mut bench = bench.flags(Flags::NONE.with_fallback());
    assert!(bench.visits(1..9).iter().all(Option::is_some));
}

#[test]
fn a_weight_edit_moves_many_clients_of_sh_and_few_of_mh() {
    let moved = |kind| {
        let mut bench = Bench::with_weights(kind, &[10, 10, 10, 10]);
        let before = bench.visits(0..1000);
        bench.edit(2, 11);
        let after = bench.visits(0..1000);
        before
            .iter()
            .zip(after)
            .filter(|(before, after)| **before != *after)
            .count()
    };
    assert!(moved(Kind::Sh) > 150, "{}", moved(Kind::Sh));
    assert!(moved(Kind::Mh) < 100, "{}", moved(Kind::Mh));
}

#[test]
fn mh_refuses_to_start_with_more_servers_than_slots_and_keeps_its_table_when_one_more_comes() {
    let mut rules = Rules::default();
    rules.maglev_table = MaglevTable::new(8).unwrap();
    let mut bench = Bench::with_rules(Kind::Rr, rules);
    let settings = ServerSettings::new(1);
    let many = |number: u32| SocketAddr::from((std::net::Ipv4Addr::from_bits(number), 80));
    for number in 0..251 {
        bench
            .service
            .add_server(many(number), settings, bench.now)
            .unwrap();
    }
    bench.service.set_kind(Kind::Mh, bench.now).unwrap();
    let before = picks(&mut bench);
    bench
        .service
        .add_server(many(251), settings, bench.now)
        .unwrap();
    assert_eq!(
        picks(&mut bench),
        before,
        "a kernel does not tell, and goes on with the old table"
    );

    bench.service.set_kind(Kind::Rr, bench.now).unwrap();
    assert_eq!(
        bench.service.set_kind(Kind::Mh, bench.now),
        Err(ServiceError::TooManyServers {
            max: 251,
            servers: 252
        })
    );
    assert_eq!(bench.service.scheduler().name(), "rr");
}

#[test]
fn the_port_counts_only_with_the_flag() {
    for kind in [Kind::Sh, Kind::Mh] {
        let servers = |flags| {
            let mut bench = Bench::with_weights(kind, &[1; 8]).flags(flags);
            let mut servers: Vec<_> = (1024..1124)
                .map(|port| {
                    let client = SocketAddr::new([192, 168, 0, 1].into(), port);
                    bench.arrive(Flow::tcp(client, vip(1)), 0).unwrap().0
                })
                .collect();
            servers.sort_unstable();
            servers.dedup();
            servers.len()
        };
        assert_eq!(servers(Flags::NONE), 1, "{kind}");
        assert_eq!(servers(Flags::NONE.with_port()), 8, "{kind}");
    }
}

#[test]
fn dh_and_lblc_go_by_the_virtual_address_and_ipv6_is_scheduled_as_ipv4_is() {
    let client: SocketAddr = "[2001:db8::1]:1024".parse().unwrap();
    for kind in [Kind::Dh, Kind::Lblc, Kind::Sh, Kind::Mh] {
        let mut bench = Bench::new(kind);
        for host in 1..=8_u16 {
            let address = SocketAddr::from(([0xfd00, 0, 0, 0, 0, 0, 0, host], 80));
            bench
                .service
                .add_server(address, ServerSettings::new(1), bench.now)
                .unwrap();
        }
        let mut servers: Vec<_> = (1..=64_u16)
            .map(|host| {
                let vip = SocketAddr::from(([0xfd07, 0, 0, 0, 0, 0, 0, host], 80));
                let first = bench.arrive(Flow::tcp(client, vip), 0).unwrap().0;
                let second = bench.arrive(Flow::tcp(client, vip), 0).unwrap().0;
                assert_eq!(first, second, "{kind}");
                first
            })
            .collect();
        servers.sort_unstable();
        servers.dedup();
        let by_client = matches!(kind, Kind::Sh | Kind::Mh);
        assert_eq!(servers.len() == 1, by_client, "{kind} used {servers:?}");
    }
}

proptest! {
    #[test]
    fn hashing_depends_on_the_list_and_nothing_else(
        kind in prop::sample::select(vec![Kind::Dh, Kind::Sh, Kind::Mh]),
        weights in proptest::collection::vec(1_u32..20, 1..12),
        connections in 0_u32..50,
    ) {
        let mut bench = Bench::with_weights(kind, &weights);
        let before = bench.visits(0..60);
        bench.hold(connections);
        prop_assert_eq!(&bench.visits(0..60), &before, "load does not matter");
        prop_assert_eq!(&Bench::with_weights(kind, &weights).visits(0..60), &before);
    }

    #[test]
    fn a_server_that_leaves_mh_moves_hardly_any_client_of_the_others(
        weights in proptest::collection::vec(1_u32..6, 3..12),
        leaver in 0_usize..12,
    ) {
        let leaver = u8::try_from(leaver % weights.len() + 1).unwrap();
        let mut bench = Bench::with_weights(Kind::Mh, &weights);
        let before = bench.visits(0..2000);
        bench.remove(leaver);
        let after = bench.visits(0..2000);
        let stayed = before.iter().zip(&after).filter(|(before, _)| **before != Some(leaver));
        let moved = stayed.clone().filter(|(before, after)| before != after).count();
        prop_assert!(moved * 25 <= stayed.count(), "{} moved", moved);
    }

    #[test]
    fn mh_keeps_to_the_weights(weights in proptest::collection::vec(1_u32..6, 2..12)) {
        let mut bench = Bench::with_weights(Kind::Mh, &weights);
        let picks = bench.visits(0..4000);
        let total: u32 = weights.iter().sum();
        for (number, weight) in (1..).zip(&weights) {
            let share = picks.iter().filter(|picked| **picked == Some(number)).count() as f64 / 4000.0;
            let fair = f64::from(*weight) / f64::from(total);
            // Seven standard deviations of drawing 4,000 clients.
            let tolerance = 7.0 * (fair * (1.0 - fair) / 4000.0).sqrt();
            prop_assert!((share - fair).abs() < tolerance, "{}: {} for {}", number, share, fair);
        }
    }
}

fn picks(bench: &mut Bench) -> Vec<SocketAddr> {
    (0..200)
        .map(|client| {
            let flow = Flow::tcp(crate::address(client), server(0));
            let arrival = sched::Arrival::new(flow, bench.now, 0);
            bench.service.connect(&arrival).unwrap().address
        })
        .collect()
}
