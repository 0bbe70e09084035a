//! Section 2.5: leaving mastership, stopping, faults of the link.

use std::time::Duration;

use vrrp::{Cause, Event, FaultCause, GroupOrder, Input, Output, Priority, Role, Standing};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

#[test]
fn row_2_5_stop_sends_exactly_one_priority_0_then_removes_the_addresses() {
    let mut rig = Rig::master(|_| {});
    let told_stop = told(Role::Master, Role::Stopped, Cause::Stopped);
    rig.expect(
        Input::Stop,
        ms(500),
        [rig.advert(0), rig.release(), told_stop],
    );
    assert_eq!(rig.router.counters().released, 1);
    rig.expect(Input::Stop, ms(500), []);
    assert_eq!(rig.router.poll_timeout(), None);
}

#[test]
fn row_2_5_stop_of_a_master_whose_addresses_are_not_there_yet_takes_them_back() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    let told_stop = told(Role::Backup, Role::Stopped, Cause::Stopped);
    rig.expect(Input::Stop, DOWN, [rig.advert(0), rig.release(), told_stop]);
    rig.expect(Input::Acquired, DOWN + ms(5), []);
}

#[test]
fn row_2_5_stop_of_a_backup_sends_nothing() {
    let mut rig = Rig::started(|_| {});
    let told_stop = told(Role::Backup, Role::Stopped, Cause::Stopped);
    rig.expect(Input::Stop, SECOND, [told_stop]);
}

#[test]
fn after_stop_there_is_nothing_but_events() {
    let mut rig = Rig::master(|_| {});
    rig.give(Input::Stop, NOW);
    for input in [
        Input::Start,
        Input::Timeout,
        rig.hear(0, LOWER),
        rig.hear(255, HIGHER),
        link_down(),
        link_up(),
        fault(FaultCause::Requested, true),
        fault(FaultCause::Requested, false),
        Input::Acquired,
        Input::AcquireFailed("late".into()),
        Input::AddressesLost,
        Input::Group(GroupOrder::Promote),
        Input::Group(GroupOrder::FaultCleared),
        Input::Configure(Box::new(config())),
    ] {
        rig.expect(input, SECOND, []);
    }
    let error: std::sync::Arc<str> = "busy".into();
    let failed = Output::Event(Event::ReleaseFailed {
        error: error.clone(),
    });
    rig.expect(Input::ReleaseFailed(error), SECOND, [failed]);
    let change = Input::Priority(priority(1));
    rig.expect(change, SECOND, [priority_changed(100, 1)]);
    assert_eq!(rig.router.role(), Role::Stopped);
    assert_eq!(rig.router.poll_timeout(), None);
}

#[test]
fn row_2_5_fault_sends_one_priority_0() {
    let mut rig = Rig::master(|_| {});
    let told_fault = told(
        Role::Master,
        Role::Fault,
        Cause::Fault(FaultCause::Requested),
    );
    rig.expect(
        fault(FaultCause::Requested, true),
        NOW,
        [rig.advert(0), rig.release(), told_fault],
    );
}

#[test]
fn row_2_5_nothing_can_be_sent_on_a_link_that_is_down() {
    let mut rig = Rig::master(|_| {});
    let cause = FaultCause::InterfaceDown("eth0".into());
    let told_fault = told(Role::Master, Role::Fault, Cause::Fault(cause));
    rig.expect(link_down(), NOW, [rig.release(), told_fault]);
    let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
    rig.expect(link_up(), SECOND, [told_backup]);
    rig.expect_wait(SECOND + DOWN);
}

#[test]
fn dont_track_primary_a_link_that_is_down_changes_nothing() {
    let mut rig = Rig::master(|config| config.track_interface = false);
    rig.expect(link_down(), NOW, []);
    rig.expect(Input::Timeout, SECOND, [rig.advert(100)]);
}

#[test]
fn a_router_whose_interface_loses_its_last_address_is_in_fault() {
    let mut rig = Rig::master(|_| {});
    let bare = Input::Link {
        running: true,
        primary: None,
    };
    let cause = FaultCause::NoSourceAddress("eth0".into(), vrrp::Family::V4);
    let told_fault = told(Role::Master, Role::Fault, Cause::Fault(cause));
    rig.expect(bare, NOW, [rig.release(), told_fault]);
}

#[test]
fn a_configured_source_needs_no_address_on_the_interface() {
    let mut rig = Rig::master(|config| config.source = Some(address(LOWER)));
    let bare = Input::Link {
        running: true,
        primary: None,
    };
    rig.expect(bare, NOW, []);
    assert_eq!(rig.router.source(), Some(address(LOWER)));
}

#[test]
fn a_master_whose_address_changes_advertises_from_the_new_one_at_once() {
    let mut rig = Rig::master(|_| {});
    let moved = Input::Link {
        running: true,
        primary: Some(address(LOWER)),
    };
    let outputs = rig.give(moved, ms(300));
    assert_eq!(outputs, [rig.advert(100)]);
    assert_eq!(rig.router.source(), Some(address(LOWER)));
    rig.expect_wait(ms(1300));
}

#[test]
fn a_router_that_cannot_take_part_at_the_start_removes_what_an_earlier_process_left() {
    let mut rig = Rig::new(|_| {});
    rig.give(Input::Start, NOW);
    let cause = FaultCause::InterfaceDown("eth0".into());
    let told_fault = told(Role::Init, Role::Fault, Cause::Fault(cause));
    rig.expect(link_down(), NOW, [rig.release(), told_fault]);
}

#[test]
fn an_owner_is_master_again_as_soon_as_its_fault_is_gone() {
    let mut rig = Rig::new(|config| config.priority = Priority::OWNER);
    rig.give(link_up(), NOW);
    rig.give(Input::Start, NOW);
    rig.give(Input::Acquired, NOW);
    rig.give(fault(FaultCause::Requested, true), SECOND);
    rig.expect(
        fault(FaultCause::Requested, false),
        2 * SECOND,
        [rig.advert(255), rig.acquire()],
    );
    let told_master = told(Role::Fault, Role::Master, Cause::Owner);
    rig.expect(Input::Acquired, 2 * SECOND, [rig.announce(5), told_master]);
}

#[test]
fn row_2_6_a_member_claims_and_is_promoted_by_its_group() {
    let mut rig = Rig::started(|config| config.sync_group = Some("G".into()));
    rig.expect(Input::Timeout, DOWN, []);
    assert_eq!(rig.router.standing(), Standing::Claiming);
    rig.expect_wait(2 * DOWN);
    rig.expect(
        Input::Group(GroupOrder::Promote),
        4 * SECOND,
        [rig.advert(100), rig.acquire()],
    );
    let told_master = told(Role::Backup, Role::Master, Cause::Group);
    rig.expect(Input::Acquired, 4 * SECOND, [rig.announce(5), told_master]);
}

#[test]
fn row_2_6_a_member_that_hears_a_better_master_claims_no_longer() {
    let mut rig = Rig::started(|config| config.sync_group = Some("G".into()));
    rig.give(Input::Timeout, DOWN);
    rig.expect(rig.hear(99, LOWER), 4 * SECOND, []);
    assert_eq!(rig.router.standing(), Standing::Claiming);
    rig.expect(rig.hear(150, LOWER), 4 * SECOND, []);
    assert_eq!(rig.router.standing(), Standing::Waiting);
}

#[test]
fn row_2_6_a_member_that_is_demoted_leaves_without_priority_0() {
    let mut rig = Rig::started(|config| config.sync_group = Some("G".into()));
    rig.give(Input::Timeout, DOWN);
    rig.give(Input::Group(GroupOrder::Promote), DOWN);
    rig.give(Input::Acquired, DOWN);
    let told_backup = told(Role::Master, Role::Backup, Cause::Group);
    rig.expect(
        Input::Group(GroupOrder::Demote),
        5 * SECOND,
        [rig.release(), told_backup],
    );
    rig.expect_wait(5 * SECOND + DOWN);
    rig.expect(Input::Group(GroupOrder::Demote), 6 * SECOND, []);
    rig.expect_wait(5 * SECOND + DOWN);
}
