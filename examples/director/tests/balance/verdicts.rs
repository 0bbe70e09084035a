//! What configuration and health make of the table.

use health::Health;
use ipvs::{SyncRole, Timeouts};
use proptest::prelude::*;
use vrrp::Role;

use crate::rig::{ONE, Rig, SERVICE, TWO, config, told, web};

#[test]
fn a_server_is_there_from_the_start_leaves_when_it_fails_and_comes_back() {
    let mut rig = Rig::new(&web(""));
    assert_eq!(rig.table(), format!("{SERVICE}{ONE}{TWO}"));
    assert_eq!(rig.at_start, ["quorum up"]);
    rig.check(0, Health::Down);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"));
    rig.check(0, Health::Up);
    assert_eq!(rig.table(), format!("{SERVICE}{ONE}{TWO}"));
    assert_eq!(
        rig.notices,
        ["10.0.0.1:8080 down /bin/down", "10.0.0.1:8080 up /bin/up"]
    );
    assert_eq!(rig.tables, 3);
}

#[test]
fn rs_init_notifies_tells_once_of_a_server_that_begins_up() {
    let told_at_start = |more: &str| {
        let mut config = web(more);
        config.lvs.rs_init_notifies = true;
        let mut rig = Rig::new(&config);
        // What goes on is not at its start.
        rig.configure(&config);
        assert_eq!(rig.notices, [] as [&str; 0]);
        rig.at_start
    };
    let both = ["10.0.0.1:8080 up /bin/up", "10.0.0.2:8080 up", "quorum up"];
    assert_eq!(told_at_start(""), both);
    assert_eq!(told_at_start("alpha"), ["quorum down"]);
}

#[test]
fn with_alpha_nobody_is_there_before_it_has_passed() {
    let mut rig = Rig::new(&web("alpha\n quorum_up /bin/qup\n quorum_down /bin/qdown"));
    assert_eq!(rig.table(), SERVICE);
    assert_eq!(rig.at_start, ["quorum down /bin/qdown"]);
    rig.check(0, Health::Up);
    assert_eq!(rig.table(), format!("{SERVICE}{ONE}"));
    let expected = ["10.0.0.1:8080 up /bin/up", "quorum up /bin/qup"];
    assert_eq!(rig.notices, expected);
}

#[test]
fn without_a_quorum_the_sorry_server_serves() {
    let mut rig = Rig::new(&web("sorry_server 10.0.0.9 80"));
    rig.check(0, Health::Down);
    rig.check(1, Health::Down);
    let sorry = "-a -t 10.1.0.100:80 -r 10.0.0.9:80 -m -w 1\n";
    assert_eq!(rig.table(), format!("{SERVICE}{sorry}"));
    rig.check(1, Health::Up);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"));
}

#[test]
fn a_reload_keeps_what_is_known_by_name() {
    let mut rig = Rig::new(&web(""));
    rig.check(0, Health::Down);
    rig.notices.clear();
    rig.configure(&web("persistence_timeout 300"));
    assert_eq!(
        rig.table(),
        format!("-A -t 10.1.0.100:80 -s rr -p 300\n{TWO}")
    );
    assert_eq!(rig.notices, [] as [&str; 0]);
}

#[test]
fn omega_tells_of_what_goes() {
    let rig = Rig::new(&web("omega\n quorum_down /bin/qdown"));
    let notices: Vec<_> = rig.balancer.stop().map(told).collect();
    assert_eq!(
        notices,
        [
            "10.0.0.1:8080 down /bin/down",
            "10.0.0.2:8080 down",
            "quorum down /bin/qdown"
        ]
    );
    assert_eq!(Rig::new(&web("")).balancer.stop().count(), 0);
}

#[test]
fn the_sync_daemon_follows_its_instance() {
    let text = "global_defs {\n lvs_sync_daemon eth0 VI_1\n lvs_timeouts tcp 60\n}\n\
                vrrp_instance VI_1 {\n interface eth0\n virtual_router_id 51\n \
                virtual_ipaddress {\n 10.1.0.100\n }\n}\n";
    let mut rig = Rig::new(&config(text));
    let roles = |rig: &Rig| {
        rig.balancer
            .table()
            .daemons
            .keys()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(roles(&rig), [SyncRole::Backup]);
    let instance = "VI_1".into();
    rig.balancer.on_role(&instance, Role::Master);
    rig.drain();
    assert_eq!(roles(&rig), [SyncRole::Master]);
    rig.balancer.on_role(&instance, Role::Backup);
    rig.drain();
    assert_eq!((roles(&rig), rig.tables), (vec![SyncRole::Backup], 3));
    let timeouts = rig.balancer.table().timeouts.unwrap();
    assert_eq!(
        (timeouts.tcp.get(), timeouts.udp),
        (60, Timeouts::default().udp)
    );
}

#[test]
fn timeouts_that_the_file_no_longer_names_are_the_kernels_own_again() {
    let timed = |line: &str| config(&format!("global_defs {{\n {line}\n}}\n"));
    let mut rig = Rig::new(&timed(""));
    assert_eq!(rig.balancer.table().timeouts, None);
    rig.configure(&timed("lvs_timeouts tcp 60"));
    let timeouts = rig.balancer.table().timeouts.unwrap();
    assert_eq!(timeouts.tcp.get(), 60);
    rig.configure(&timed(""));
    assert_eq!(rig.balancer.table().timeouts, Some(Timeouts::default()));
}

#[test]
fn with_ha_suspend_checks_rest_while_the_address_is_elsewhere_and_what_is_known_stays() {
    let mut rig = Rig::new(&web("ha_suspend"));
    assert_eq!(rig.resting.len(), 2);
    rig.hold(&["10.1.0.1", "10.1.0.100"]);
    assert!(rig.resting.is_empty());
    rig.check(0, Health::Down);
    rig.hold(&["10.1.0.1"]);
    assert_eq!(rig.resting.len(), 2);
    assert_eq!(rig.table(), format!("{SERVICE}{TWO}"));
    rig.configure(&web("ha_suspend\n persistence_timeout 300"));
    assert_eq!(rig.resting.len(), 2);
    rig.configure(&web(""));
    assert!(rig.resting.is_empty());
    rig.hold(&[]);
    assert!(rig.resting.is_empty());
}

#[test]
fn one_address_of_a_group_is_enough_and_with_a_mark_nothing_is_waited_for() {
    let group = |entries: &str| {
        config(&format!(
            "virtual_server_group G {{\n{entries}\n}}\nvirtual_server group G {{\n lvs_sched rr\n \
             lvs_method NAT\n protocol TCP\n ha_suspend\n real_server 10.0.0.1 80 {{\n \
             TCP_CHECK {{\n }}\n }}\n}}\n"
        ))
    };
    let mut rig = Rig::new(&group("10.1.0.1-20 80"));
    assert_eq!(rig.resting.len(), 1);
    rig.hold(&["10.1.0.20"]);
    assert!(rig.resting.is_empty());
    rig.hold(&["10.1.0.21"]);
    assert_eq!(rig.resting.len(), 1);
    for marked in ["fwmark 7", "10.1.0.1-20 80\nfwmark 7"] {
        assert!(Rig::new(&group(marked)).resting.is_empty());
    }
}

proptest! {
    /// However addresses come and go: checks rest exactly while theirs is not here.
    #[test]
    fn checks_rest_while_their_address_is_not_here(held in proptest::collection::vec(any::<bool>(), 0..20)) {
        let mut rig = Rig::new(&web("ha_suspend"));
        for here in held {
            rig.hold(if here { &["10.1.0.100"] } else { &["10.1.0.101"] });
            prop_assert_eq!(rig.resting.is_empty(), here);
        }
    }

    /// Whatever the checks say in whatever order: who is up is used, nobody else, and the table
    /// depends on the last word of each check alone.
    #[test]
    fn the_table_depends_on_the_last_results_alone(
        results in proptest::collection::vec((0..2_usize, any::<bool>()), 0..30),
    ) {
        let config = web("");
        let mut rig = Rig::new(&config);
        for (nth, up) in results {
            rig.check(nth, if up { Health::Up } else { Health::Down });
        }
        let mut expected = SERVICE.to_owned();
        for (health, line) in rig.checks.values().zip([ONE, TWO]) {
            expected += if *health == Health::Up { line } else { "" };
        }
        prop_assert_eq!(rig.table(), expected);
    }
}
