//! Upper and lower thresholds, and the overload mark.

use sched::{Flags, Flow, Kind, OverloadRule, Rules, ServerSettings, ServiceError, SettingsError};

use crate::{Bench, address, server, vip};

#[test]
fn a_server_at_its_upper_threshold_is_marked_and_recovers_below_the_lower_one() {
    let mut bench = bench(OverloadRule::OnConnections, 4, 2);
    let mut held: Vec<_> = (0..4)
        .map(|client| bench.connect(client).unwrap().1)
        .collect();
    assert!(is_marked(&bench));
    assert_eq!(bench.connect(9), None);
    for left in [3, 2] {
        bench.service.expire(held.pop().unwrap(), bench.now);
        assert!(is_marked(&bench), "still marked with {left}");
    }
    bench.service.expire(held.pop().unwrap(), bench.now);
    assert!(!is_marked(&bench));
    assert!(bench.connect(9).is_some());
}

#[test]
fn without_a_lower_threshold_three_quarters_of_the_upper_one_is_it() {
    for (rule, upper, below) in [
        (OverloadRule::OnConnections, 1, 1),
        (OverloadRule::OnConnections, 4, 3),
        (OverloadRule::OnConnections, 5, 4),
        (OverloadRule::OnEveryChange, 5, 4),
        (OverloadRule::OnEveryChange, 8, 6),
    ] {
        let mut bench = bench(rule, upper, 0);
        let mut held: Vec<_> = (0..upper)
            .map(|client| bench.connect(client).unwrap().1)
            .collect();
        while is_marked(&bench) {
            bench
                .service
                .expire(held.pop().expect("recovers at last"), bench.now);
        }
        assert_eq!(
            held.len() + 1,
            below as usize,
            "upper threshold {upper}, {rule:?}"
        );
    }
}

#[test]
fn closing_a_connection_does_not_touch_the_mark() {
    let mut bench = bench(OverloadRule::OnConnections, 1, 0);
    let (_, mut connection) = bench.connect(1).unwrap();
    bench.service.set_active(&mut connection, false);
    assert!(is_marked(&bench));
    bench.service.set_active(&mut connection, true);
    bench.service.set_active(&mut connection, true);
    let only = bench.service.servers().find(server(1)).unwrap();
    assert_eq!((only.active(), only.inactive()), (1, 0));
}

#[test]
fn an_edit_clears_the_mark_as_the_kernel_of_the_rules_does() {
    // From 4 connections at upper threshold 4; the mark after an edit to these thresholds.
    for (upper, lower, classic, of_2026) in [
        (0, 0, false, false),
        (4, 0, true, true),
        (5, 0, false, true),
        (9, 0, false, false),
        (9, 3, false, true),
        (3, 0, true, true),
    ] {
        for (rule, expected) in [
            (OverloadRule::OnConnections, classic),
            (OverloadRule::OnEveryChange, of_2026),
        ] {
            let mut bench = bench(rule, 4, 0);
            bench.hold(4);
            let settings = ServerSettings::new(1).with_thresholds(upper, lower);
            bench
                .service
                .edit_server(server(1), settings, bench.now)
                .unwrap();
            assert_eq!(
                is_marked(&bench),
                expected,
                "edited to {upper}, {lower}: {rule:?}"
            );
        }
    }
}

#[test]
fn only_the_kernels_of_2026_mark_by_an_edit() {
    for (rule, marked) in [
        (OverloadRule::OnConnections, false),
        (OverloadRule::OnEveryChange, true),
    ] {
        let mut bench = bench(rule, 0, 0);
        bench.hold(3);
        let settings = ServerSettings::new(1).with_thresholds(2, 0);
        bench
            .service
            .edit_server(server(1), settings, bench.now)
            .unwrap();
        assert_eq!(is_marked(&bench), marked, "{rule:?}");
    }
}

#[test]
fn a_one_packet_service_leaves_no_connection_and_no_mark() {
    let mut bench = bench(OverloadRule::OnConnections, 1, 0).flags(Flags::NONE.with_one_packet());
    for client in 0..3 {
        let flow = Flow::udp(address(client), vip(1));
        let pick = bench
            .service
            .connect(&sched::Arrival::new(flow, bench.now, 0))
            .unwrap();
        assert_eq!(pick.connection, None);
        assert!(!is_marked(&bench));
    }
    let (_, tcp) = bench.connect(1).expect("TCP is connected as ever");
    assert!(tcp.is_active());
    assert!(is_marked(&bench));
}

#[test]
fn settings_that_a_kernel_refuses_are_refused_and_change_nothing() {
    let mut bench = bench(OverloadRule::OnConnections, 4, 2);
    let now = bench.now;
    let lower_alone = ServerSettings::new(1).with_thresholds(0, 1);
    let error = bench
        .service
        .edit_server(server(1), lower_alone, now)
        .unwrap_err();
    let source = SettingsError::LowerThreshold { lower: 1, upper: 0 };
    assert_eq!(
        error,
        ServiceError::Settings {
            address: server(1),
            source
        }
    );
    assert_eq!(
        std::error::Error::source(&error).unwrap().to_string(),
        "lower threshold 1 is above the upper threshold 0"
    );
    let too_heavy = ServerSettings::new(1 << 31);
    assert!(bench.service.add_server(server(2), too_heavy, now).is_err());
    let too_high = ServerSettings::new(1).with_thresholds(1 << 31, 0);
    assert!(bench.service.add_server(server(2), too_high, now).is_err());
    assert_eq!(bench.service.servers().len(), 1);
    assert_eq!(
        bench
            .service
            .servers()
            .find(server(1))
            .unwrap()
            .upper_threshold(),
        4
    );
}

/// One server of weight 1 with these thresholds.
fn bench(rule: OverloadRule, upper: u32, lower: u32) -> Bench {
    let mut rules = Rules::default();
    rules.overload = rule;
    let mut bench = Bench::with_rules(Kind::Rr, rules);
    let settings = ServerSettings::new(1).with_thresholds(upper, lower);
    bench
        .service
        .add_server(server(1), settings, bench.now)
        .unwrap();
    bench
}

fn is_marked(bench: &Bench) -> bool {
    bench
        .service
        .servers()
        .find(server(1))
        .unwrap()
        .is_overloaded()
}
