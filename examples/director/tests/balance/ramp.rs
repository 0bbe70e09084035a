//! `slow_start`: the weight of a server that comes back.

use std::time::Duration;

use director::balance::{Action, OrderedWeight};
use director::conf::model::Config;
use health::Health;
use proptest::prelude::*;

use crate::rig::{Rig, config};

const TEN: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// Two real servers of weight 100 that are checked, of which the second comes back in 4 s.
fn slow(more: &str) -> Config {
    config(&format!(
        "virtual_server 10.1.0.100 80 {{\n lvs_sched wlc\n lvs_method NAT\n protocol TCP\n \
         slow_start 10\n {more}\n \
         real_server 10.0.0.1 80 {{\n weight 100\n TCP_CHECK {{\n }}\n }}\n \
         real_server 10.0.0.2 80 {{\n weight 100\n slow_start 4\n TCP_CHECK {{\n }}\n }}\n}}\n"
    ))
}

/// The weight of a server in the table; `None` if it is not there.
fn weight(rig: &Rig, address: &str) -> Option<u32> {
    let table = rig.balancer.table();
    let mut services = table.services.values();
    let destinations = &services.next().unwrap().destinations;
    let found = destinations
        .iter()
        .find(|(endpoint, _)| endpoint.address == address.parse::<std::net::IpAddr>().unwrap());
    found.map(|(_, settings)| settings.weight.get())
}

fn first(rig: &Rig) -> Option<u32> {
    weight(rig, "10.0.0.1")
}

#[test]
fn a_server_that_comes_back_gets_its_weight_in_ten_steps_and_the_others_keep_theirs() {
    let mut rig = Rig::new(&slow(""));
    assert_eq!(
        (first(&rig), rig.balancer.poll_timeout()),
        (Some(100), None)
    );
    rig.check(0, Health::Down);
    assert_eq!(first(&rig), None);
    rig.check(0, Health::Up);
    let mut weights = vec![first(&rig).unwrap()];
    for _ in 0..10 {
        rig.pass(SECOND);
        weights.push(first(&rig).unwrap());
        assert_eq!(weight(&rig, "10.0.0.2"), Some(100));
    }
    assert_eq!(weights, [1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    assert_eq!(rig.balancer.poll_timeout(), None);
    assert_eq!(rig.tables, 1 + 2 + 10, "a step is one change of the table");
}

#[test]
fn a_real_servers_own_time_wins_and_zero_is_none() {
    let mut rig = Rig::new(&slow(""));
    rig.check(1, Health::Down);
    rig.check(1, Health::Up);
    rig.pass(2 * SECOND);
    assert_eq!(weight(&rig, "10.0.0.2"), Some(50));
    let mut none = Rig::new(&config(
        "virtual_server 10.1.0.100 80 {\n lvs_sched wlc\n lvs_method NAT\n protocol TCP\n \
         slow_start 10\n \
         real_server 10.0.0.1 80 {\n weight 100\n slow_start 0\n TCP_CHECK {\n }\n }\n}\n",
    ));
    none.check(0, Health::Down);
    none.check(0, Health::Up);
    assert_eq!(first(&none), Some(100));
}

#[test]
fn the_quorum_counts_whole_weights() {
    let mut rig = Rig::new(&slow("quorum 200\n sorry_server 10.0.0.9 80"));
    rig.check(0, Health::Down);
    assert_eq!(weight(&rig, "10.0.0.9"), Some(1));
    rig.check(0, Health::Up);
    assert_eq!((first(&rig), weight(&rig, "10.0.0.9")), (Some(1), None));
    assert_eq!(
        weight(&rig, "10.0.0.2"),
        Some(100),
        "one that was up all the time has nothing to warm up for"
    );
}

#[test]
fn one_that_fails_on_its_way_begins_anew() {
    let mut rig = Rig::new(&slow(""));
    rig.check(0, Health::Down);
    rig.check(0, Health::Up);
    rig.pass(7 * SECOND);
    rig.check(0, Health::Down);
    assert_eq!(rig.balancer.poll_timeout(), None);
    rig.check(0, Health::Up);
    assert_eq!(first(&rig), Some(1));
}

#[test]
fn an_order_that_is_taken_back_is_a_return_too_and_an_ordered_weight_is_grown_to() {
    let mut rig = Rig::new(&slow(""));
    let order = |rig: &mut Rig, action| rig.act("10.0.0.1", None, action).unwrap();
    order(&mut rig, Action::Drain);
    assert_eq!(first(&rig), Some(0));
    order(&mut rig, Action::Undrain);
    assert_eq!(first(&rig), Some(1));
    order(
        &mut rig,
        Action::Weight(Some(OrderedWeight::new(50).unwrap())),
    );
    rig.pass(5 * SECOND);
    assert_eq!(first(&rig), Some(25));
    order(&mut rig, Action::Disable { drain: false });
    rig.pass(TEN);
    order(&mut rig, Action::Enable);
    assert_eq!(first(&rig), Some(1));
    rig.pass(TEN);
    assert_eq!(first(&rig), Some(50));
}

#[test]
fn a_reload_neither_begins_a_ramp_nor_ends_one_whose_keyword_is_still_there() {
    let mut rig = Rig::new(&slow(""));
    rig.check(0, Health::Down);
    rig.check(0, Health::Up);
    rig.pass(5 * SECOND);
    rig.configure(&slow("quorum 2"));
    assert_eq!(first(&rig), Some(50));
    assert_eq!(weight(&rig, "10.0.0.2"), Some(100));
    rig.pass(SECOND);
    assert_eq!(first(&rig), Some(60));
    // Half of the way by the new time.
    let mut text = slow("");
    let server = std::sync::Arc::make_mut(&mut text.virtual_servers[0]);
    server.real_servers[0].slow_start = Some(Duration::from_secs(12));
    rig.configure(&text);
    assert_eq!(first(&rig), Some(50));
    let server = std::sync::Arc::make_mut(&mut text.virtual_servers[0]);
    server.real_servers[0].slow_start = None;
    rig.configure(&text);
    assert_eq!(
        (first(&rig), rig.balancer.poll_timeout()),
        (Some(100), None)
    );
}

proptest! {
    /// Whatever happens, who waits long enough has the table as it is without slow start.
    #[test]
    fn in_the_end_every_weight_is_whole(events: Vec<(bool, bool, u8)>) {
        let mut ramped = Rig::new(&slow(""));
        let mut plain = slow("");
        let server = std::sync::Arc::make_mut(&mut plain.virtual_servers[0]);
        server.real_servers.iter_mut().for_each(|server| server.slow_start = None);
        let mut plain = Rig::new(&plain);
        for (which, up, seconds) in events {
            let health = if up { Health::Up } else { Health::Down };
            for rig in [&mut ramped, &mut plain] {
                rig.check(usize::from(which), health);
                rig.pass(SECOND * u32::from(seconds % 8));
            }
            for address in ["10.0.0.1", "10.0.0.2"] {
                let [slow, whole] = [&ramped, &plain].map(|rig| weight(rig, address));
                prop_assert_eq!(slow.is_some(), whole.is_some());
                prop_assert!(slow <= whole && slow != Some(0));
            }
        }
        ramped.pass(TEN);
        prop_assert_eq!(ramped.table(), plain.table());
        prop_assert_eq!(ramped.balancer.poll_timeout(), None);
    }
}
