//! Section 2.1: the effective priority.

use std::time::Duration;

use vrrp::{
    FaultCause, Input, Preempt, Priority, Role, Tracked, Tracker, TrackerState, Version, Weight,
};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

fn weighted(name: &str, weight: i16) -> Tracker {
    Tracker::weighted(condition(name), Weight::new(weight).unwrap())
}

#[test]
fn row_2_1_1_effective_is_base_plus_contributions_within_1_and_254() {
    let mut rig = Rig::master(|config| {
        config.trackers = vec![weighted("a", 253), weighted("b", -253)];
    });
    let up = tracker("a", TrackerState::Up);
    rig.expect(up, NOW, [priority_changed(100, 254)]);
    let down = tracker("b", TrackerState::Down);
    rig.expect(down, NOW, [priority_changed(254, 100)]);
    let down = tracker("a", TrackerState::Down);
    rig.expect(down, NOW, [priority_changed(100, 1)]);
    rig.expect(Input::Timeout, SECOND, [rig.advert(1)]);
}

#[test]
fn row_2_1_1_base_255_is_never_changed_by_a_tracker() {
    let mut rig = Rig::new(|config| {
        config.priority = Priority::OWNER;
        config.trackers = vec![weighted("a", -100)];
    });
    rig.give(link_up(), NOW);
    rig.give(Input::Start, NOW);
    rig.expect(tracker("a", TrackerState::Down), NOW, []);
    rig.expect(Input::Timeout, SECOND, [rig.advert(255)]);
}

#[test]
fn row_2_1_3_fault_is_left_only_when_all_causes_are_gone() {
    let mut rig = Rig::master(|config| {
        config.trackers = ["a", "b"]
            .map(|name| Tracker::required(condition(name)))
            .to_vec();
    });
    let cause = |name| FaultCause::Tracker(condition(name));
    let told_fault = told(Role::Master, Role::Fault, vrrp::Cause::Fault(cause("a")));
    rig.expect(
        tracker("a", TrackerState::Down),
        NOW,
        [rig.advert(0), rig.release(), told_fault],
    );
    rig.expect(tracker("b", TrackerState::Down), SECOND, []);
    rig.expect(fault(FaultCause::Requested, true), SECOND, []);
    rig.expect(tracker("a", TrackerState::Up), 2 * SECOND, []);
    rig.expect(fault(FaultCause::Requested, false), 2 * SECOND, []);
    assert_eq!(rig.router.faults().collect::<Vec<_>>(), [cause("b")]);
    assert_eq!(rig.router.poll_timeout(), None);
    let told_backup = told(Role::Fault, Role::Backup, vrrp::Cause::FaultCleared);
    rig.expect(tracker("b", TrackerState::Up), 3 * SECOND, [told_backup]);
    rig.expect_wait(3 * SECOND + DOWN);
}

#[test]
fn row_2_1_3_one_cause_reported_twice_is_one_cause() {
    let mut rig = Rig::master(|_| {});
    rig.give(fault(FaultCause::Requested, true), NOW);
    rig.expect(fault(FaultCause::Requested, true), NOW, []);
    let told_backup = told(Role::Fault, Role::Backup, vrrp::Cause::FaultCleared);
    rig.expect(fault(FaultCause::Requested, false), NOW, [told_backup]);
    rig.expect(fault(FaultCause::Requested, false), NOW, []);
}

#[test]
fn row_2_1_5_a_change_as_backup_shifts_the_running_timer_by_the_difference_of_the_skews() {
    let mut rig = Rig::started(|_| {});
    rig.give(rig.hear(200, HIGHER), SECOND);
    let change = Input::Priority(priority(150));
    rig.expect(change, 2 * SECOND, [priority_changed(100, 150)]);
    rig.expect_wait(SECOND + DOWN - SECOND * 50 / 256);
    let change = Input::Priority(priority(100));
    rig.expect(change, 2 * SECOND, [priority_changed(150, 100)]);
    rig.expect_wait(SECOND + DOWN);
}

#[test]
fn row_2_1_5_the_shift_is_by_the_skew_of_the_version_and_of_the_masters_interval() {
    let mut rig = Rig::started(|config| {
        config.version = Version::V2;
        config.interval = vrrp::AdvertInterval::from_secs(10).unwrap();
    });
    rig.give(Input::Priority(priority(164)), NOW);
    rig.expect_wait(30 * SECOND + SECOND * 92 / 256);
}

#[test]
fn row_2_1_5_a_shift_into_the_past_is_due_at_once_and_not_before() {
    let mut rig = Rig::started(|config| config.priority = priority(1));
    let at = 3 * SECOND + SECOND * 200 / 256;
    rig.give(Input::Priority(priority(254)), at);
    rig.expect_wait(at);
    rig.expect(Input::Timeout, at, [rig.advert(254), rig.acquire()]);
}

#[test]
fn row_2_1_5_a_change_as_master_is_in_the_next_periodic_advert() {
    let mut rig = Rig::master(|_| {});
    let change = Input::Priority(priority(50));
    rig.expect(change, ms(300), [priority_changed(100, 50)]);
    rig.expect_wait(SECOND);
    rig.expect(Input::Timeout, SECOND, [rig.advert(50)]);
}

#[test]
fn row_2_1_5_a_tracker_that_does_not_change_the_priority_changes_nothing() {
    let mut rig = Rig::started(|config| config.trackers = vec![weighted("a", 10)]);
    rig.expect(tracker("a", TrackerState::Down), SECOND, []);
    rig.expect(tracker("other", TrackerState::Up), SECOND, []);
    rig.expect_wait(DOWN);
}

#[test]
fn row_2_1_8_with_nopreempt_a_raised_priority_does_not_move_the_address() {
    let mut rig = Rig::started(|config| {
        config.preempt = Preempt::Never;
        config.trackers = vec![weighted("a", 100)];
    });
    rig.give(rig.hear(150, HIGHER), SECOND);
    rig.give(tracker("a", TrackerState::Up), SECOND);
    assert_eq!(rig.router.priority(), priority(200));
    rig.expect(rig.hear(150, HIGHER), 2 * SECOND, []);
    rig.expect_wait(2 * SECOND + 3 * SECOND + SECOND * 56 / 256);
}

#[test]
fn row_2_1_8_with_nopreempt_a_fault_does_move_it() {
    let mut rig = Rig::master(|config| {
        config.preempt = Preempt::Never;
        config.trackers = vec![Tracker::required(condition("a"))];
    });
    let cause = FaultCause::Tracker(condition("a"));
    let told_fault = told(Role::Master, Role::Fault, vrrp::Cause::Fault(cause));
    rig.expect(
        tracker("a", TrackerState::Down),
        NOW,
        [rig.advert(0), rig.release(), told_fault],
    );
}

#[test]
fn track_interface_counts_as_any_tracker() {
    let uplink = Tracked::Interface("eth1".into());
    let mut rig = Rig::started(|config| {
        let weight = Weight::new(-30).unwrap();
        config.trackers = vec![Tracker::weighted(uplink.clone(), weight)];
    });
    let down = Input::Tracker {
        tracked: uplink,
        state: TrackerState::Down,
    };
    rig.expect(down, NOW, [priority_changed(100, 70)]);
}
