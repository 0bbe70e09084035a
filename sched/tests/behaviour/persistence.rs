//! Templates: who shares one, what it overrides, and how long it lives.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use sched::{Arrival, Flow, Kind, Persistence, Rules, ServerSettings};

use crate::{Bench, address, server, vip};

const TIMEOUT: Duration = Duration::from_secs(360);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn clients_of_one_network_share_a_server_whatever_virtual_address_and_port() {
    let mut bench = bench(&[1, 1, 1]);
    bench.service.set_persistence(Some(
        Persistence::new(TIMEOUT).with_netmask(Ipv4Addr::new(255, 255, 255, 0)),
    ));
    assert_eq!(by_template(&mut bench, address(1), vip(1)), (3, false));
    assert_eq!(by_template(&mut bench, address(200), vip(2)), (3, true));
    assert_eq!(by_template(&mut bench, address(256), vip(1)), (2, false));
    assert_eq!(
        bench.service.servers().find(server(3)).unwrap().templates(),
        1
    );
}

#[test]
fn ipv6_clients_are_told_apart_by_the_prefix() {
    let client = |text: &str| SocketAddr::new(text.parse().unwrap(), 1024);
    for (prefix, same) in [
        (128, false),
        (65, false),
        (64, true),
        (0, true),
        (200, false),
    ] {
        let mut bench = bench(&[1, 1]);
        bench
            .service
            .set_persistence(Some(Persistence::new(TIMEOUT).with_prefix(prefix)));
        let first = by_template(&mut bench, client("2001:db8::1"), vip(1)).0;
        let second = by_template(&mut bench, client("2001:db8::8000:0:0:1"), vip(1)).0;
        assert_eq!(first == second, same, "/{prefix}");
    }
}

#[test]
fn a_template_beats_weight_0_and_the_overload_mark_but_not_removal() {
    let mut bench = bench(&[1, 1]);
    assert_eq!(bench.connect(1).unwrap().0, 2);
    bench.edit(2, 0);
    assert_eq!(bench.connect(1).unwrap().0, 2, "quiesced");
    let full = ServerSettings::new(1).with_thresholds(1, 0);
    bench
        .service
        .edit_server(server(2), full, bench.now)
        .unwrap();
    assert_eq!(bench.connect(1).unwrap().0, 2);
    assert!(
        bench
            .service
            .servers()
            .find(server(2))
            .unwrap()
            .is_overloaded()
    );
    assert_eq!(bench.connect(1).unwrap().0, 2, "overloaded");
    bench.remove(2);
    assert_eq!(bench.connect(1).unwrap().0, 1, "removed");
    bench.add(2, 1);
    assert_eq!(
        bench.connect(1).unwrap().0,
        1,
        "the old template is gone for good"
    );
}

#[test]
fn a_template_not_used_while_its_server_is_away_is_good_when_it_returns() {
    let mut bench = bench(&[1, 1]);
    assert_eq!(bench.connect(1).unwrap().0, 2);
    bench.remove(2);
    bench.add(2, 1);
    assert_eq!(by_template(&mut bench, address(1), vip(1)), (2, true));
}

#[test]
fn with_expire_quiescent_template_weight_0_ends_a_template() {
    let mut rules = Rules::default();
    rules.expire_quiescent_template = true;
    let mut bench = Bench::with_rules(Kind::Rr, rules);
    bench
        .service
        .set_persistence(Some(Persistence::new(TIMEOUT)));
    bench.add(1, 1);
    bench.add(2, 1);
    assert_eq!(bench.connect(1).unwrap().0, 2);
    bench.edit(2, 0);
    assert_eq!(bench.connect(1).unwrap().0, 1);
    bench.edit(2, 1);
    assert_eq!(bench.connect(1).unwrap().0, 1);
}

#[test]
fn a_template_expires_its_timeout_after_its_last_use() {
    let mut bench = bench(&[1, 1]);
    assert_eq!(bench.visit(1), Some(2));
    bench.now += TIMEOUT - SECOND;
    assert_eq!(bench.visit(1), Some(2), "used, and thereby renewed");
    bench.now += TIMEOUT - SECOND;
    assert_eq!(bench.visit(1), Some(2));
    bench.now += TIMEOUT;
    let client = address(1);
    assert_eq!(by_template(&mut bench, client, vip(1)), (1, false));
    assert_eq!(
        bench.service.servers().find(server(2)).unwrap().templates(),
        0
    );
}

#[test]
fn the_driver_is_told_when_a_template_is_due() {
    let mut bench = bench(&[1]);
    assert_eq!(bench.service.poll_timeout(), None);
    bench.visit(1);
    assert_eq!(bench.service.poll_timeout(), Some(bench.now + TIMEOUT));
    bench.service.handle_timeout(bench.now + TIMEOUT - SECOND);
    assert_eq!(
        bench.service.servers().find(server(1)).unwrap().templates(),
        1
    );
    bench.service.handle_timeout(bench.now + TIMEOUT);
    assert_eq!(
        bench.service.servers().find(server(1)).unwrap().templates(),
        0
    );
    assert_eq!(bench.service.poll_timeout(), None);
}

#[test]
fn a_template_with_a_connection_lives_on_by_the_minute() {
    let mut bench = bench(&[1, 1]);
    let (_, connection) = bench.connect(1).unwrap();
    let templates = |bench: &Bench| bench.service.servers().find(server(2)).unwrap().templates();
    bench.now += TIMEOUT;
    bench.service.handle_timeout(bench.now);
    assert_eq!(templates(&bench), 1);
    assert_eq!(bench.service.poll_timeout(), Some(bench.now + 60 * SECOND));
    bench.service.expire(connection, bench.now);
    bench.now += 30 * SECOND;
    assert_eq!(
        bench.visit(1),
        Some(2),
        "a use now renews it by a minute, not by its timeout"
    );
    bench.now += 60 * SECOND;
    bench.service.handle_timeout(bench.now);
    assert_eq!(templates(&bench), 0);
}

#[test]
fn the_templates_are_told_also_of_a_removed_server_and_those_in_whose_place_are_others() {
    let mut bench = bench(&[1, 1]);
    let told = |bench: &Bench| {
        let templates = bench.service.templates();
        let mut told: Vec<_> = templates
            .map(|it| {
                let address = bench.service.servers().get(it.server).unwrap().address();
                (it.network, address, it.expires_at.duration_since(bench.now))
            })
            .collect();
        told.sort_unstable();
        told
    };
    assert_eq!(told(&bench), []);
    by_template(&mut bench, address(1), vip(1));
    let network = address(1).ip();
    assert_eq!(told(&bench), [(network, server(2), TIMEOUT)]);

    bench.service.remove_server(server(2), bench.now).unwrap();
    by_template(&mut bench, address(1), vip(1));
    assert_eq!(
        told(&bench),
        [(network, server(1), TIMEOUT), (network, server(2), TIMEOUT)]
    );
}

#[test]
fn the_scheduler_hashes_the_client_and_not_its_network() {
    let mut plain = Bench::with_weights(Kind::Sh, &[1; 8]);
    let mut bench = Bench::with_weights(Kind::Sh, &[1; 8]);
    let everyone = Persistence::new(TIMEOUT).with_netmask(Ipv4Addr::UNSPECIFIED);
    bench.service.set_persistence(Some(everyone));
    assert_eq!(bench.visit(77), plain.visit(77));
    assert_eq!(bench.visit(78), plain.visit(77));
}

/// A persistent `rr` service.
fn bench(weights: &[u32]) -> Bench {
    let mut bench = Bench::with_weights(Kind::Rr, weights);
    bench
        .service
        .set_persistence(Some(Persistence::new(TIMEOUT)));
    bench
}

fn by_template(bench: &mut Bench, client: SocketAddr, vip: SocketAddr) -> (u8, bool) {
    let arrival = Arrival::new(Flow::tcp(client, vip), bench.now, 0);
    let pick = bench.service.connect(&arrival).unwrap();
    (crate::number(pick.address), pick.by_template)
}
