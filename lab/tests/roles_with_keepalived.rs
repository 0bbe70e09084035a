//! Who becomes master when: preemption, ties, tracked scripts, lost links, sync groups. The very
//! same test runs with keepalived and `director` on either side.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use lab::{Pair, Side, Software, VRRP, pairings, stays, wait_until};

pairings!(
    a_better_node_that_does_not_preempt_waits_for_its_turn,
    of_two_equal_masters_the_higher_address_stays,
    a_frozen_master_comes_back_to_its_address,
    a_cut_link_moves_the_address_and_a_restored_one_brings_it_back,
    a_failing_script_with_a_weight_lowers_the_priority,
    a_failing_script_without_a_weight_is_a_fault,
    a_sync_group_moves_as_one,
);

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));

/// For a daemon to start, and whatever has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

/// More advertisements than a backup waits for (three intervals and its skew).
const MANY: usize = 12;

fn a_better_node_that_does_not_preempt_waits_for_its_turn(a: Software, b: Software) {
    let mut pair = Pair::new("nopreempt", a, b);
    let nopreempt = "state BACKUP\nnopreempt";
    let mut b = pair.b.start(&pair.b.instance(&body(100, nopreempt)));
    pair.b.wait_for_state("MASTER", SOON);

    let _a = pair.a.start(&pair.a.instance(&body(200, nopreempt)));
    pair.a.wait_for_state("BACKUP", SOON);
    stays_with(&pair, &pair.b, &pair.a);

    b.stop(SOON);
    pair.wait_for_a(&[VIP], SOON);
    finish(&mut pair);
}

fn of_two_equal_masters_the_higher_address_stays(a: Software, b: Software) {
    let mut pair = Pair::new("tie", a, b);
    let a = pair.a.start(&pair.a.instance(&body(150, "")));
    pair.a.wait_for_state("MASTER", SOON);
    let _b = pair.b.start(&pair.b.instance(&body(150, "")));
    pair.b.wait_for_state("BACKUP", SOON);
    stays_with(&pair, &pair.a, &pair.b);

    a.freeze();
    pair.b.wait_for_state("MASTER", SOON);
    a.thaw();

    pair.wait_for_b(&[VIP], SOON);
    pair.a.wait_for_state("BACKUP", SOON);
    stays_with(&pair, &pair.b, &pair.a);
    finish(&mut pair);
}

fn a_frozen_master_comes_back_to_its_address(a: Software, b: Software) {
    let mut pair = Pair::new("freeze", a, b);
    let a = pair.a.start(&pair.a.instance(&body(200, "")));
    pair.a.wait_for_state("MASTER", SOON);
    let _b = pair.b.start(&pair.b.instance(&body(100, "")));
    pair.b.wait_for_state("BACKUP", SOON);

    a.freeze();
    pair.b.wait_for_state("MASTER", SOON);
    assert!(pair.a.holds(&[VIP]), "a frozen node cannot let go");
    a.thaw();

    pair.wait_for_a(&[VIP], SOON);
    pair.b.wait_for_state("BACKUP", SOON);
    stays_with(&pair, &pair.a, &pair.b);
    finish(&mut pair);
}

fn a_cut_link_moves_the_address_and_a_restored_one_brings_it_back(a: Software, b: Software) {
    let mut pair = Pair::new("link", a, b);
    let _a = pair.a.start(&pair.a.instance(&body(200, "")));
    pair.a.wait_for_state("MASTER", SOON);
    let _b = pair.b.start(&pair.b.instance(&body(100, "")));
    pair.b.wait_for_state("BACKUP", SOON);

    pair.a.cable.cut();
    pair.wait_for_b(&[VIP], SOON);
    pair.a.wait_for_state("FAULT", SOON);
    pair.a.cable.restore();

    pair.wait_for_a(&[VIP], SOON);
    pair.a.wait_for_state("MASTER", SOON);
    pair.b.wait_for_state("BACKUP", SOON);
    finish(&mut pair);
}

fn a_failing_script_with_a_weight_lowers_the_priority(a: Software, b: Software) {
    let mut pair = Pair::new("weight", a, b);
    let tracking = body(200, "track_script {\n check\n }");
    let _a = pair.a.start(&format!(
        "{}{}",
        script(&pair.a, -150),
        pair.a.instance(&tracking)
    ));
    pair.a.wait_for_state("MASTER", SOON);
    let _b = pair.b.start(&pair.b.instance(&body(100, "")));
    pair.b.wait_for_state("BACKUP", SOON);

    fail_script(&pair.a);
    pair.wait_for_b(&[VIP], SOON);
    pair.a.wait_for_state("BACKUP", SOON);
    let lowered = pair.sent_by(&pair.a, "ip proto 112 and ip[22] == 50");
    assert!(
        !lowered.is_empty(),
        "it says its lowered priority before it is outranked"
    );

    mend_script(&pair.a);
    pair.wait_for_a(&[VIP], SOON);
    pair.a.wait_for_state("MASTER", SOON);
    assert_eq!(pair.sent_by(&pair.a, "ip proto 112 and ip[22] == 0"), []);
    finish(&mut pair);
}

fn a_failing_script_without_a_weight_is_a_fault(a: Software, b: Software) {
    let mut pair = Pair::new("fault", a, b);
    let tracking = body(200, "track_script {\n check\n }");
    let _a = pair.a.start(&format!(
        "{}{}",
        script(&pair.a, 0),
        pair.a.instance(&tracking)
    ));
    pair.a.wait_for_state("MASTER", SOON);
    let _b = pair.b.start(&pair.b.instance(&body(100, "")));
    pair.b.wait_for_state("BACKUP", SOON);

    fail_script(&pair.a);
    pair.wait_for_b(&[VIP], SOON);
    pair.a.wait_for_state("FAULT", SOON);

    mend_script(&pair.a);
    pair.wait_for_a(&[VIP], SOON);
    pair.a.wait_for_state("MASTER", SOON);
    pair.b.wait_for_state("BACKUP", SOON);
    finish(&mut pair);
}

fn a_sync_group_moves_as_one(a: Software, b: Software) {
    let mut pair = Pair::new("sync", a, b);
    let inside = pair.lab.lan("inside");
    let inside_cable = inside.connect(&pair.a.node, "eth1", &["198.51.100.1/24"]);
    inside.connect(&pair.b.node, "eth1", &["198.51.100.2/24"]);
    let vips = [VIP, IpAddr::V4(Ipv4Addr::new(198, 51, 100, 100))];
    let grouped = |side: &Side, priority| {
        format!(
            "vrrp_sync_group G1 {{
                group {{
                    VI_1
                    VI_2
                }}
                notify {}
            }}
            {}
            vrrp_instance VI_2 {{
                interface eth1
                virtual_router_id 52
                version 3
                priority {priority}
                advert_int 0.1
                virtual_ipaddress {{
                    198.51.100.100/24
                }}
            }}
            ",
            side.notifications.script(),
            side.instance(&body(priority, "")),
        )
    };
    let group_is = |side: &Side, state: &str| {
        let what = format!("the group of {} is {state}", side.node.name());
        wait_until(&what, SOON, || {
            side.state_of("G1").as_deref() == Some(state)
        });
    };
    let _a = pair.a.start(&grouped(&pair.a, 200));
    group_is(&pair.a, "MASTER");
    let _b = pair.b.start(&grouped(&pair.b, 100));
    group_is(&pair.b, "BACKUP");
    pair.wait_for_a(&vips, SOON);

    inside_cable.cut();
    pair.wait_for_b(&vips, SOON);
    group_is(&pair.a, "FAULT");
    group_is(&pair.b, "MASTER");

    inside_cable.restore();
    pair.wait_for_a(&vips, SOON);
    group_is(&pair.a, "MASTER");
    group_is(&pair.b, "BACKUP");
    finish(&mut pair);
}

fn body(priority: u8, more: &str) -> String {
    format!(
        "version 3
        priority {priority}
        advert_int 0.1
        virtual_ipaddress {{
            192.0.2.100/24
        }}
        {more}"
    )
}

/// A script `check` that passes until [`fail_script`].
fn script(side: &Side, weight: i16) -> String {
    let file = side.node.path("failing");
    let check = side.node.write_script(
        "check.sh",
        &format!("#!/bin/sh\ntest ! -e {}\n", file.display()),
    );
    format!(
        "vrrp_script check {{
            script {}
            interval 1
            fall 1
            rise 1
            weight {weight}
        }}
        ",
        check.display()
    )
}

fn fail_script(side: &Side) {
    side.node.write("failing", "");
}

fn mend_script(side: &Side) {
    side.node.remove("failing");
}

/// Nothing changes while the holder advertises for longer than anybody would wait for it.
fn stays_with(pair: &Pair, holder: &Side, other: &Side) {
    let before = pair.sent_by(holder, VRRP).len();
    stays(
        &format!("{} alone holds the address", holder.node.name()),
        SOON,
        || holder.holds(&[VIP]) && other.is_free_of(&[VIP]),
        || pair.sent_by(holder, VRRP).len() >= before + MANY,
    );
}

/// Whatever happened, every packet was well formed.
fn finish(pair: &mut Pair) {
    pair.capture.stop();
    pair.capture.assert_flawless(VRRP);
}
