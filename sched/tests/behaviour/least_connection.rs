//! `lc`, `wlc`, `sed`, `nq`, `fo` and `ovf`. What each picks is compared with its definition
//! in `properties`; here are the sequences recorded from a kernel, and UDP.

use sched::{Kind, Overhead, Protocol, Rules, ServerSettings};

use crate::{Bench, flow, server};

#[test]
fn sed_and_nq_hold_connections_as_recorded() {
    let mut sed = Bench::with_weights(Kind::Sed, &[1, 2, 3]);
    assert_eq!(sed.hold(9), [3, 2, 3, 3, 2, 1, 3, 2, 3]);
    let mut nq = Bench::with_weights(Kind::Nq, &[1, 2, 3]);
    assert_eq!(nq.hold(9), [3, 2, 1, 3, 3, 2, 3, 2, 3]);
}

#[test]
fn ovf_lets_a_server_have_one_connection_more_than_weight_and_then_refuses() {
    let mut bench = Bench::with_weights(Kind::Ovf, &[1, 3]);
    assert_eq!(bench.hold(6), [2, 2, 2, 2, 1, 1]);
    assert_eq!(bench.connect(7), None);
}

#[test]
fn schedulers_that_look_at_active_connections_do_not_see_udp() {
    for (kind, picked) in [(Kind::Sed, 2), (Kind::Nq, 3), (Kind::Ovf, 2)] {
        let mut bench = Bench::with_weights(kind, &[1, 5, 2]);
        for client in 0..20 {
            let (server, _) = bench.arrive(flow(Protocol::Udp, client), 0).unwrap();
            assert_eq!(server, picked, "{kind}");
        }
    }
}

#[test]
fn the_overhead_of_2026_weighs_one_active_connection_as_257_inactive_ones() {
    for (overhead, inactive, picked) in [
        (Overhead::ActiveAndInactive, 255, 2),
        (Overhead::ActiveAndInactive, 256, 2),
        (Overhead::ActiveAndInactive, 257, 1),
        (Overhead::ActiveAndTotal, 257, 2),
        (Overhead::ActiveAndTotal, 258, 1),
    ] {
        let mut rules = Rules::default();
        rules.overhead = overhead;
        let mut bench = Bench::with_rules(Kind::Lc, rules);
        let settings = ServerSettings::new(1);
        let one = bench
            .service
            .add_server(server(1), settings, bench.now)
            .unwrap();
        let two = bench
            .service
            .add_server(server(2), settings, bench.now)
            .unwrap();
        let _active = bench.service.adopt(one, true, bench.now).unwrap();
        for _ in 0..inactive {
            let _inactive = bench.service.adopt(two, false, bench.now).unwrap();
        }
        assert_eq!(
            bench.visit(1),
            Some(picked),
            "{overhead:?}, {inactive} inactive"
        );
    }
}
