//! `lblc` and `lblcr`: what is cached for a virtual address, and for how long.

use std::time::Duration;

use sched::{Connection, Flow, Kind, Rules, ServerSettings};

use crate::{Bench, address, server, vip};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_virtual_address_keeps_its_server_until_that_one_is_crowded_and_another_is_not() {
    let mut bench = Bench::with_weights(Kind::Lblc, &[4, 4]);
    let held: Vec<_> = (0..6).map(|_| to(&mut bench, 1)).collect();
    let servers: Vec<u8> = held.iter().map(|(server, _)| *server).collect();
    // With 5 active connections, more than its weight, it is left for the idle one.
    assert_eq!(servers, [2, 2, 2, 2, 2, 1]);
}

#[test]
fn a_cached_server_is_kept_by_lblc_even_with_the_overload_mark() {
    for (kind, picked) in [(Kind::Lblc, 2), (Kind::Lblcr, 1)] {
        let mut bench = Bench::with_weights(kind, &[4]);
        let settings = ServerSettings::new(4).with_thresholds(1, 0);
        bench
            .service
            .add_server(server(2), settings, bench.now)
            .unwrap();
        let _held = to(&mut bench, 1);
        assert_eq!(to(&mut bench, 1).0, picked, "{kind}");
    }
}

#[test]
fn an_entry_unused_for_a_day_is_dropped_at_the_next_half_hour() {
    for kind in [Kind::Lblc, Kind::Lblcr] {
        let mut bench = Bench::with_weights(kind, &[4, 4]);
        assert_eq!(passing(&mut bench, 1), 2);
        // Server 1 is now the better choice for whatever is not cached.
        let one = bench.service.servers().find(server(2)).unwrap().id();
        let _held = bench.service.adopt(one, true, bench.now).unwrap();
        assert_eq!(passing(&mut bench, 2), 1, "{kind}");

        bench.now += 24 * HOUR - Duration::from_secs(1);
        assert_eq!(passing(&mut bench, 1), 2, "{kind}: cached, and used again");
        bench.now += 24 * HOUR + HOUR / 2;
        assert_eq!(passing(&mut bench, 1), 1, "{kind}: not cached any more");
    }
}

#[test]
fn a_set_of_lblcr_unchanged_for_its_expiration_loses_its_most_loaded_member() {
    let mut rules = Rules::default();
    rules.lblcr_expiration = 2 * HOUR;
    let mut bench = Bench::with_rules(Kind::Lblcr, rules);
    bench.add(1, 2);
    bench.add(2, 2);
    let held: Vec<_> = (0..4).map(|_| to(&mut bench, 1)).collect();
    let servers: Vec<u8> = held.iter().map(|(server, _)| *server).collect();
    assert_eq!(
        servers,
        [2, 2, 2, 1],
        "crowded with 3, server 2 gets company"
    );
    for (_, connection) in held {
        bench.service.expire(connection, bench.now);
    }

    let two = bench.service.servers().find(server(2)).unwrap().id();
    let busy = bench.service.adopt(two, true, bench.now).unwrap();
    bench.now += 2 * HOUR;
    assert_eq!(
        passing(&mut bench, 1),
        1,
        "at the expiration itself both are members still"
    );
    bench.now += Duration::from_secs(1);
    assert_eq!(
        passing(&mut bench, 1),
        1,
        "chosen before server 2 is dropped"
    );
    bench.service.expire(busy, bench.now);
    assert_eq!(
        passing(&mut bench, 1),
        1,
        "server 2, the better one of a tie, is no member"
    );
    assert_eq!(passing(&mut bench, 2), 2);
}

#[test]
fn a_cached_server_is_not_forgotten_and_is_used_when_it_returns() {
    for kind in [Kind::Lblc, Kind::Lblcr] {
        let mut bench = Bench::with_weights(kind, &[4, 4]);
        assert_eq!(passing(&mut bench, 1), 2);
        let id = bench.service.servers().find(server(2)).unwrap().id();
        bench.remove(2);
        bench.now += HOUR;
        bench.service.handle_timeout(bench.now);
        assert!(
            bench.service.servers().get(id).is_some(),
            "{kind} refers to it"
        );
        bench.now += 26 * HOUR;
        bench.service.handle_timeout(bench.now);
        bench.service.handle_timeout(bench.now + HOUR);
        assert!(
            bench.service.servers().get(id).is_none(),
            "{kind} refers to it no more"
        );
    }
}

fn to(bench: &mut Bench, vip_number: u8) -> (u8, Connection) {
    bench
        .arrive(Flow::tcp(address(1), vip(vip_number)), 0)
        .unwrap()
}

fn passing(bench: &mut Bench, vip_number: u8) -> u8 {
    let (server, connection) = to(bench, vip_number);
    bench.service.expire(connection, bench.now);
    server
}
