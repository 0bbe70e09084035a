//! Section 2.5: becoming master, and when its addresses are announced.

use std::time::Duration;

use vrrp::{Cause, GroupOrder, Input, Output, Role};

use crate::rig::*;

/// When addresses are announced, and how often each.
fn announcements(happened: &[(Duration, Output)]) -> Vec<(Duration, u8)> {
    happened
        .iter()
        .filter_map(|(at, output)| {
            if let Output::Announce { rounds, .. } = output {
                Some((*at, *rounds))
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn row_2_5_order_on_master_is_advert_addresses_announcements_told() {
    let mut rig = Rig::started(|_| {});
    let at = Duration::from_micros(3_609_375);
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
    assert_eq!(rig.router.role(), Role::Master);
    assert_eq!(rig.router.told_role(), Role::Backup);
    assert!(!rig.router.holds_addresses());

    let told_master = told(Role::Backup, Role::Master, Cause::MasterSilent);
    rig.expect(Input::Acquired, at + ms(20), [rig.announce(5), told_master]);
    assert!(rig.router.holds_addresses());
    // The next advertisement is an interval after the first one, however long that took.
    rig.expect_wait(at + SECOND);
}

#[test]
fn row_2_5_second_burst_is_as_long_and_after_the_delay() {
    let mut rig = Rig::master(|_| {});
    let happened = rig.run(60 * SECOND);
    assert_eq!(announcements(&happened), [(5 * SECOND, 5)]);
}

#[test]
fn row_2_5_garp_master_refresh_repeats_for_as_long_as_it_is_master() {
    let mut rig = Rig::master(|config| {
        config.announce.delay = Duration::ZERO;
        config.announce.refresh = 20 * SECOND;
        config.announce.refresh_repeat = 2;
    });
    let happened = rig.run(65 * SECOND);
    let expected = [20, 40, 60].map(|at| (at * SECOND, 2));
    assert_eq!(announcements(&happened), expected);
}

#[test]
fn row_2_5_without_delay_there_is_one_burst_only() {
    let mut rig = Rig::master(|config| config.announce.delay = Duration::ZERO);
    assert_eq!(announcements(&rig.run(60 * SECOND)), []);
}

#[test]
fn row_2_5_vrrp_min_garp_announces_once() {
    let mut rig = Rig::new(|config| {
        config.priority = vrrp::Priority::OWNER;
        config.announce.repeat = 1;
        config.announce.delay = Duration::ZERO;
    });
    rig.give(link_up(), NOW);
    rig.give(Input::Start, NOW);
    let told_master = told(Role::Init, Role::Master, Cause::Owner);
    rig.expect(Input::Acquired, NOW, [rig.announce(1), told_master]);
}

#[test]
fn row_2_5_the_gap_between_announcements_is_passed_on() {
    let mut rig = Rig::started(|config| config.announce.gap = ms(5));
    let at = Duration::from_micros(3_609_375);
    rig.give(Input::Timeout, at);
    let outputs = rig.give(Input::Acquired, at);
    assert!(matches!(outputs[0], Output::Announce { gap, .. } if gap == ms(5)));
}

#[test]
fn row_2_3_the_repeat_against_a_lower_prio_is_counted_from_the_last_one_heard() {
    let mut rig = Rig::master(|config| config.announce.delay = Duration::ZERO);
    rig.give(rig.hear(1, LOWER), SECOND);
    rig.give(rig.hear(1, LOWER), 4 * SECOND);
    let happened = rig.run(60 * SECOND);
    assert_eq!(announcements(&happened), [(9 * SECOND, 5)]);
}

#[test]
fn row_2_3_a_rival_of_another_member_of_the_sync_group_is_announced_against() {
    let mut rig = Rig::master(|_| {});
    let order = Input::Group(GroupOrder::Announce);
    rig.expect(order.clone(), ms(100), [rig.announce(5)]);
    rig.give(rig.hear(200, HIGHER), SECOND);
    rig.expect(order, 2 * SECOND, []);
}

#[test]
fn what_was_still_to_be_announced_is_forgotten_with_the_addresses() {
    let mut rig = Rig::master(|config| config.announce.refresh = 20 * SECOND);
    rig.give(rig.hear(1, LOWER), SECOND);
    rig.give(rig.hear(200, HIGHER), 2 * SECOND);
    rig.expect_wait(2 * SECOND + Duration::from_micros(3_609_375));
}
