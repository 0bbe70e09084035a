//! Section 2.6: members of a sync group change role together.

use vrrp::{FaultCause, Input, NodeInput, Role, Tracked, Tracker, TrackerState};

use crate::rig::*;

/// Two members, A on eth0 and B on eth1, with these priorities.
fn pair(a: u8, b: u8) -> Rig {
    let mut rig = Rig::new();
    let mut configs = [member("A", 1, "eth0"), member("B", 2, "eth1")];
    configs[0].priority = vrrp::Priority::new(a).unwrap();
    configs[1].priority = vrrp::Priority::new(b).unwrap();
    rig.configure(&configs, NOW).unwrap();
    rig.said();
    rig
}

fn masters() -> Rig {
    let mut rig = pair(100, 100);
    rig.run(DOWN);
    assert_eq!(rig.roles(), [Role::Master; 2]);
    rig
}

#[test]
fn row_2_6_all_members_must_want_mastership_before_any_goes() {
    let mut rig = pair(200, 100);
    assert_eq!(rig.run(DOWN - SECOND / 100), []);
    let promoted = rig.run(DOWN);
    let expected = [
        advert("A", 200),
        acquire("A", &[101]),
        announce("A", 5),
        role("A", Role::Master),
        advert("B", 100),
        acquire("B", &[102]),
        announce("B", 5),
        role("B", Role::Master),
        group("G", Role::Master),
    ];
    assert_eq!(promoted, expected);
}

#[test]
fn row_2_6_a_member_that_hears_a_better_master_keeps_the_others_from_going() {
    let mut rig = pair(100, 100);
    for second in 1..=20 {
        assert_eq!(rig.hear("B", 150, second * SECOND), []);
        assert_eq!(rig.run(second * SECOND), []);
    }
    assert_eq!(rig.roles(), [Role::Backup; 2]);
}

#[test]
fn row_2_6_one_going_backup_drags_the_others() {
    let mut rig = masters();
    let said = rig.hear("A", 150, 4 * SECOND);
    let expected = [
        release("A", &[101]),
        role("A", Role::Backup),
        group("G", Role::Backup),
        release("B", &[102]),
        role("B", Role::Backup),
    ];
    assert_eq!(said, expected);
}

#[test]
fn row_2_6_one_going_fault_drags_the_others_and_they_say_so_on_the_wire() {
    let mut rig = masters();
    rig.links.remove("eth1");
    let said = rig.tell_links(4 * SECOND);
    let expected = [
        release("B", &[102]),
        role("B", Role::Fault),
        group("G", Role::Fault),
        advert("A", 0),
        release("A", &[101]),
        role("A", Role::Fault),
    ];
    assert_eq!(said, expected);
    assert!(rig.router("A").faults().eq([FaultCause::Group]));

    let links = Rig::new().links;
    rig.links = links;
    let said = rig.tell_links(5 * SECOND);
    let expected = [
        role("B", Role::Backup),
        role("A", Role::Backup),
        group("G", Role::Backup),
    ];
    assert_eq!(said, expected);
    rig.run(5 * SECOND + DOWN);
    assert_eq!(rig.roles(), [Role::Master; 2]);
}

#[test]
fn row_2_6_a_fault_counter_of_the_group_counts_members() {
    let mut rig = masters();
    for (name, present) in [("A", true), ("B", true), ("A", false)] {
        let cause = FaultCause::Requested;
        rig.to(name, Input::Fault { cause, present }, 4 * SECOND);
        assert_eq!(rig.roles(), [Role::Fault; 2], "after {name} {present}");
    }
    let cause = FaultCause::Requested;
    let present = false;
    rig.to("B", Input::Fault { cause, present }, 5 * SECOND);
    assert_eq!(rig.roles(), [Role::Backup; 2]);
}

#[test]
fn row_2_3_a_rival_of_one_member_is_announced_against_by_all() {
    let mut rig = masters();
    let said = rig.hear("A", 50, 4 * SECOND);
    let expected = [advert("A", 100), announce("A", 5), announce("B", 5)];
    assert_eq!(said, expected);
}

#[test]
fn row_2_6_one_member_that_cannot_get_its_addresses_is_a_fault_of_all() {
    let mut rig = pair(100, 100);
    let said = rig.run_without_service(DOWN);
    assert!(said.contains(&acquire("A", &[101])));
    rig.to("B", Input::Acquired, DOWN);
    let said = rig.to("A", Input::AcquireFailed("refused".into()), DOWN);
    let expected = [
        advert("A", 0),
        release("A", &[101]),
        role("A", Role::Fault),
        group("G", Role::Fault),
        advert("B", 0),
        release("B", &[102]),
        role("B", Role::Fault),
    ];
    assert_eq!(said, expected);
    rig.run(DOWN + SECOND);
    assert_eq!(rig.roles(), [Role::Backup; 2]);
}

#[test]
fn row_2_6_priority_0_from_the_other_node_moves_the_whole_group_after_the_skew() {
    let mut rig = pair(100, 100);
    rig.hear("A", 150, SECOND);
    rig.hear("B", 150, SECOND);
    rig.hear("A", 0, 2 * SECOND);
    rig.hear("B", 0, 2 * SECOND);
    rig.run(3 * SECOND);
    assert_eq!(rig.roles(), [Role::Master; 2]);
}

#[test]
fn a_tracker_of_one_member_is_everybodys_fault() {
    let mut rig = Rig::new();
    let mut configs = [member("A", 1, "eth0"), member("B", 2, "eth1")];
    configs[0].trackers = vec![Tracker::required(Tracked::Condition("web".into()))];
    rig.configure(&configs, NOW).unwrap();
    assert_eq!(rig.roles(), [Role::Init, Role::Backup]);
    rig.run(10 * SECOND);
    assert_eq!(rig.roles(), [Role::Init, Role::Backup]);
    rig.track("web", TrackerState::Down, 10 * SECOND);
    assert_eq!(rig.roles(), [Role::Fault; 2]);
    rig.track("web", TrackerState::Up, 11 * SECOND);
    assert_eq!(rig.roles(), [Role::Backup; 2]);
}

#[test]
fn a_node_that_stops_stops_every_member_by_its_own_will() {
    let mut rig = masters();
    let said = rig.give(NodeInput::Stop, 4 * SECOND);
    for name in ["A", "B"] {
        let own: Vec<_> = said
            .iter()
            .filter(|said| **said == advert(name, 0))
            .collect();
        assert_eq!(own.len(), 1, "{said:#?}");
    }
    assert_eq!(said.last(), Some(&group("G", Role::Stopped)));
}

#[test]
fn a_new_member_of_a_group_of_masters_follows_them_as_soon_as_it_can() {
    let mut rig = masters();
    let mut configs = vec![member("A", 1, "eth0"), member("B", 2, "eth1")];
    configs.push(member("C", 3, "eth0"));
    rig.configure(&configs, 4 * SECOND).unwrap();
    rig.said();
    assert_eq!(rig.roles(), [Role::Master, Role::Master, Role::Backup]);
    rig.run(4 * SECOND + DOWN);
    assert_eq!(rig.roles(), [Role::Master; 3]);
}

#[test]
fn a_member_in_fault_that_is_removed_lets_the_others_go_on() {
    let mut rig = masters();
    let cause = FaultCause::Requested;
    let present = true;
    rig.to("B", Input::Fault { cause, present }, 4 * SECOND);
    assert_eq!(rig.roles(), [Role::Fault; 2]);
    rig.configure(&[member("A", 1, "eth0")], 5 * SECOND)
        .unwrap();
    let said = rig.said();
    assert!(said.contains(&role("A", Role::Backup)), "{said:#?}");
    rig.run(5 * SECOND + DOWN);
    assert_eq!(rig.roles(), [Role::Master]);
}

#[test]
fn a_member_that_leaves_its_group_goes_its_own_way() {
    let mut rig = masters();
    let cause = FaultCause::Requested;
    let present = true;
    rig.to("B", Input::Fault { cause, present }, 4 * SECOND);
    let mut alone = member("A", 1, "eth0");
    alone.sync_group = None;
    rig.configure(&[alone, member("B", 2, "eth1")], 5 * SECOND)
        .unwrap();
    assert_eq!(rig.roles(), [Role::Backup, Role::Fault]);
    rig.run(5 * SECOND + DOWN);
    assert_eq!(rig.roles(), [Role::Master, Role::Fault]);
}

#[test]
fn a_member_that_waited_for_one_that_is_removed_is_promoted() {
    let mut rig = pair(100, 100);
    for second in 1..=6 {
        rig.hear("B", 150, second * SECOND);
        rig.run(second * SECOND);
    }
    assert_eq!(rig.roles(), [Role::Backup; 2]);
    rig.configure(&[member("A", 1, "eth0")], 7 * SECOND)
        .unwrap();
    let said = rig.said();
    assert!(said.contains(&acquire("A", &[101])), "{said:#?}");
}
