//! Section 2.7: from one configuration to another.

use vrrp::{
    Change, ConfigProblem, Input, Node, NodeInput, Preempt, Role, RouterConfig, RouterId, Tracked,
    Tracker, TrackerState, Weight,
};

use crate::rig::*;

/// Routers A (101) and B (102) of one node, both master.
fn masters() -> (Rig, [RouterConfig; 2]) {
    let mut rig = Rig::new();
    let configs = [router("A", 1, &[101]), router("B", 2, &[102])];
    rig.configure(&configs, NOW).unwrap();
    rig.said();
    rig.run(DOWN);
    assert_eq!(rig.roles(), [Role::Master; 2]);
    (rig, configs)
}

fn ids(rig: &Rig) -> Vec<RouterId> {
    rig.node.routers().map(|(id, _)| id).collect()
}

#[test]
fn an_error_changes_nothing() {
    let (mut rig, [a, b]) = masters();
    let before = format!("{:?}", rig.node);
    let same_name = router("A", 3, &[103]);
    let same_wire = router("C", 1, &[103]);
    let no_vips = router("C", 3, &[]);
    let mut forever = router("C", 3, &[103]);
    forever.preempt = Preempt::After(std::time::Duration::MAX);
    for wrong in [same_name, same_wire, no_vips, forever] {
        let changed = router("B", 2, &[102, 104]);
        let configs = [a.clone(), changed, wrong.clone()];
        let error = rig.configure(&configs, 4 * SECOND).unwrap_err();
        assert_eq!(Node::check(&configs), Err(error.clone()));
        assert_eq!(error.name, wrong.name);
        assert_eq!(format!("{:?}", rig.node), before, "{error}");
    }
    assert_eq!(Node::check(&[a.clone(), b.clone()]), Ok(()));
    rig.configure(&[a, b], 4 * SECOND).unwrap();
}

#[test]
fn the_error_names_the_router_and_the_other_one() {
    let mut rig = Rig::new();
    let error = rig
        .configure(&[router("A", 1, &[1]), router("B", 1, &[2])], NOW)
        .unwrap_err();
    assert_eq!(&*error.name, "B");
    let other = "A".into();
    assert_eq!(error.problem, ConfigProblem::SameRouter { other });
}

#[test]
fn the_same_vrid_is_fine_on_another_interface_or_of_another_family() {
    let mut rig = Rig::new();
    let mut other_interface = router("B", 1, &[102]);
    other_interface.interface = "eth1".into();
    let mut other_family = router("C", 1, &[]);
    other_family.vips = vec!["fe80::100/64".parse().unwrap()];
    let configs = [router("A", 1, &[101]), other_interface, other_family];
    assert_eq!(rig.configure(&configs, NOW).unwrap().len(), 3);
}

#[test]
fn row_2_7_an_unchanged_router_is_not_touched() {
    let (mut rig, [a, b]) = masters();
    let id = rig.id("A");
    let timers_and_all = format!("{:?}", rig.router("A"));
    let next = rig.node.poll_timeout();
    let mut changed = b;
    changed.priority = vrrp::Priority::new(150).unwrap();
    let changes = rig
        .configure(&[a, changed, router("C", 3, &[103])], 4 * SECOND)
        .unwrap();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(rig.id("A"), id);
    assert_eq!(format!("{:?}", rig.router("A")), timers_and_all);
    assert_eq!(rig.node.poll_timeout(), next);
    let said = rig.said();
    assert!(
        !said
            .iter()
            .any(|said| format!("{said:?}").contains("\"A\"")),
        "{said:?}"
    );
}

#[test]
fn row_2_7_a_changed_router_keeps_its_id_and_role_and_advertises_at_once() {
    let (mut rig, [a, mut b]) = masters();
    let before = ids(&rig);
    b.interval = vrrp::AdvertInterval::from_centis(50).unwrap();
    let changes = rig.configure(&[a, b], 4 * SECOND).unwrap();
    assert_eq!(changes, [Change::Changed(before[1])]);
    assert_eq!(rig.said(), [advert("B", 100)]);
    assert_eq!(ids(&rig), before);
    assert_eq!(rig.roles(), [Role::Master; 2]);
}

#[test]
fn row_2_7_a_removed_router_sends_priority_0_and_its_name_is_known_until_then() {
    let (mut rig, [a, _]) = masters();
    let gone = rig.id("B");
    let changes = rig.configure(std::slice::from_ref(&a), 4 * SECOND).unwrap();
    assert_eq!(changes, [Change::Removed(gone, "B".into())]);
    let said = rig.said();
    let expected = [
        advert("B", 0),
        release("B", &[102]),
        role("B", Role::Stopped),
    ];
    assert_eq!(said, expected);
    assert_eq!(ids(&rig), [rig.id("A")]);
    // Its timers are gone, and nothing reaches it any more.
    assert!(!rig.run(20 * SECOND).contains(&advert("B", 100)));
    rig.configure(&[a], 20 * SECOND).unwrap();
    assert!(rig.node.router(gone).is_none());
}

#[test]
fn a_router_that_is_another_one_on_the_wire_is_removed_and_added_under_a_new_id() {
    let (mut rig, [a, _]) = masters();
    let old = rig.id("B");
    let moved = router("B", 7, &[102]);
    let changes = rig.configure(&[a, moved], 4 * SECOND).unwrap();
    let new = rig.id("B");
    assert_ne!(old, new);
    let expected = [Change::Added(new), Change::Removed(old, "B".into())];
    assert_eq!(changes, expected);
    let said = rig.said();
    let expected = [
        advert("B", 0),
        release("B", &[102]),
        role("B", Role::Stopped),
        release("B", &[102]),
        role("B", Role::Backup),
    ];
    assert_eq!(said, expected);
}

#[test]
fn ids_are_never_used_again() {
    let (mut rig, [a, b]) = masters();
    let first = ids(&rig);
    rig.configure(&[], 4 * SECOND).unwrap();
    rig.configure(&[a, b], 5 * SECOND).unwrap();
    assert!(ids(&rig).iter().all(|id| !first.contains(id)));
}

#[test]
fn two_routers_can_swap_their_place_on_the_wire() {
    let (mut rig, _) = masters();
    let swapped = [router("A", 2, &[101]), router("B", 1, &[102])];
    rig.configure(&swapped, 4 * SECOND).unwrap();
    rig.said();
    rig.run(4 * SECOND + DOWN);
    assert_eq!(rig.roles(), [Role::Master; 2]);
    rig.hear("A", 150, 9 * SECOND);
    assert_eq!(rig.roles(), [Role::Backup, Role::Master]);
}

#[test]
fn row_2_7_a_vip_that_moves_between_routers_in_one_configuration_is_not_lost() {
    for (a, b) in [(&[101, 102][..], &[103][..]), (&[], &[101, 102])] {
        for reversed in [false, true] {
            let (mut rig, _) = masters();
            let first = [router("A", 1, &[101, 103]), router("B", 2, &[102, 104])];
            rig.configure(&first, 4 * SECOND).unwrap();
            let said = rig.said();
            rig.serve(said, 4 * SECOND);
            // What nobody holds in the end goes; everything else stays wherever it is named.
            let mut second = vec![router("B", 2, b)];
            if !a.is_empty() {
                second.push(router("A", 1, a));
            }
            if reversed {
                second.reverse();
            }
            rig.configure(&second, 5 * SECOND).unwrap();
            let mut gone: Vec<_> = rig
                .said()
                .into_iter()
                .filter_map(|said| match said {
                    Said::Release(_, addresses) => Some(addresses),
                    _ => None,
                })
                .flatten()
                .collect();
            gone.sort();
            let kept = [a, b].concat();
            let mut expected: Vec<_> = [101, 102, 103, 104]
                .into_iter()
                .filter(|host| !kept.contains(host))
                .map(ip)
                .collect();
            expected.sort();
            assert_eq!(gone, expected, "to {second:?}");
        }
    }
}

#[test]
fn a_vip_that_moves_to_a_router_that_is_backup_is_removed() {
    let (mut rig, [_, b]) = masters();
    rig.hear("A", 150, 4 * SECOND);
    let mut without = b;
    without.vips = vec![vip(104)];
    let configs = [router("A", 1, &[101, 102]), without];
    rig.configure(&configs, 5 * SECOND).unwrap();
    assert!(rig.said().contains(&release("B", &[102])));
}

#[test]
fn a_new_router_learns_what_was_reported_before_it_came() {
    let mut rig = Rig::new();
    rig.track("web", TrackerState::Up, NOW);
    rig.track("db", TrackerState::Down, NOW);
    let mut config = router("A", 1, &[101]);
    let weighted = |name: &str, weight| {
        Tracker::weighted(
            Tracked::Condition(name.into()),
            Weight::new(weight).unwrap(),
        )
    };
    config.trackers = vec![
        weighted("web", 20),
        weighted("db", -5),
        Tracker::required(Tracked::Condition("web".into())),
        Tracker::required(Tracked::Interface("eth1".into())),
    ];
    rig.configure(&[config], NOW).unwrap();
    assert_eq!(rig.router("A").priority().as_u8(), 115);
    assert_eq!(rig.roles(), [Role::Backup]);
}

#[test]
fn a_changed_router_learns_what_was_reported_before_it_tracked_it() {
    let (mut rig, [a, b]) = masters();
    rig.track("web", TrackerState::Down, 4 * SECOND);
    let mut tracking = a;
    tracking.trackers = vec![Tracker::required(Tracked::Condition("web".into()))];
    rig.configure(&[tracking, b], 5 * SECOND).unwrap();
    assert_eq!(rig.roles(), [Role::Fault, Role::Master]);
}

#[test]
fn advertisements_go_to_the_router_they_are_for_and_strangers_are_counted() {
    let (mut rig, _) = masters();
    rig.hear("A", 150, 4 * SECOND);
    assert_eq!(rig.roles(), [Role::Backup, Role::Master]);

    let received = vrrp::Received::new(
        router("X", 9, &[109]).advertisement().unwrap(),
        neighbour("eth0"),
        vrrp::Family::V4.multicast_group(),
        vrrp::TTL,
        vrrp::Checksum::Message,
    );
    let before = rig.node.unknown_vrids();
    for interface in ["eth0", "eth0", "eth1"] {
        let received = received.clone();
        let interface = interface.into();
        rig.give(
            NodeInput::Received {
                interface,
                received,
            },
            4 * SECOND,
        );
    }
    assert_eq!(rig.node.unknown_vrids(), before + 3);
}

#[test]
fn a_stranger_is_told_of_once_a_minute() {
    let mut rig = Rig::new();
    let received = vrrp::Received::new(
        router("X", 9, &[109]).advertisement().unwrap(),
        neighbour("eth0"),
        vrrp::Family::V4.multicast_group(),
        vrrp::TTL,
        vrrp::Checksum::Message,
    );
    let told: Vec<_> = (0..=60)
        .flat_map(|second| {
            let received = received.clone();
            let interface = "eth0".into();
            rig.give(
                NodeInput::Received {
                    interface,
                    received,
                },
                second * SECOND,
            )
        })
        .collect();
    assert_eq!(told, [Said::Unknown(9), Said::Unknown(9)]);
}

#[test]
fn an_input_for_a_router_that_does_not_exist_is_harmless() {
    let (mut rig, _) = masters();
    let id = rig.id("A");
    for _ in 0..2 {
        rig.configure(&[], 4 * SECOND).unwrap();
        rig.said();
    }
    let input = Input::Acquired;
    assert_eq!(rig.give(NodeInput::Router { id, input }, 5 * SECOND), []);
    assert_eq!(rig.node.poll_timeout(), None);
}
