//! Addresses that cannot be added or removed, or that somebody else removes.

use std::{sync::Arc, time::Duration};

use vrrp::{Cause, Event, FaultCause, Input, Output, Role};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

fn refused() -> Arc<str> {
    "refused".into()
}

fn acquire_failed(retry_in: Duration) -> Output {
    let error = refused();
    Output::Event(Event::AcquireFailed { error, retry_in })
}

fn told_fault(from: Role) -> Output {
    told(from, Role::Fault, Cause::Fault(FaultCause::Addresses))
}

#[test]
fn an_address_that_cannot_be_added_is_a_fault_and_is_tried_again_ever_later() {
    let mut rig = Rig::started(|_| {});
    let mut at = DOWN;
    for (attempt, retry_in) in [1, 2, 4, 8, 16, 32, 64, 64].into_iter().enumerate() {
        let retry_in = retry_in * SECOND;
        rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
        // Nobody was told that it was master.
        rig.expect(
            Input::AcquireFailed(refused()),
            at,
            [
                acquire_failed(retry_in),
                rig.advert(0),
                rig.release(),
                told_fault(Role::Backup),
            ],
        );
        at += retry_in;
        rig.expect_wait(at);
        let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
        rig.expect(Input::Timeout, at, [told_backup]);
        at += DOWN;
        rig.expect_wait(at);
        let failures = u64::try_from(attempt).unwrap() + 1;
        assert_eq!(rig.router.counters().acquire_failures, failures);
    }
    rig.give(Input::Timeout, at);
    rig.give(Input::Acquired, at);
    rig.give(rig.hear(200, HIGHER), at);
    at += DOWN;
    rig.give(Input::Timeout, at);
    // It worked once, so it starts from the beginning.
    let outputs = rig.give(Input::AcquireFailed(refused()), at);
    assert_eq!(outputs[0], acquire_failed(SECOND));
}

#[test]
fn a_failure_that_ends_while_another_fault_holds_does_not_let_the_router_take_part() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    rig.give(Input::AcquireFailed(refused()), DOWN);
    rig.expect(fault(FaultCause::Requested, true), DOWN, []);
    rig.expect(Input::Timeout, DOWN + SECOND, []);
    assert_eq!(rig.router.poll_timeout(), None);
    let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
    rig.expect(
        fault(FaultCause::Requested, false),
        10 * SECOND,
        [told_backup],
    );
}

#[test]
fn an_answer_to_an_earlier_request_says_nothing_about_the_last_one() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    rig.give(rig.hear(200, HIGHER), DOWN + ms(1));
    rig.give(rig.hear(0, HIGHER), DOWN + ms(2));
    let at = DOWN + ms(2) + SECOND * 156 / 256;
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
    // The first request ends only now.
    rig.expect(Input::Acquired, at, []);
    assert!(!rig.router.holds_addresses());
    let told_master = told(Role::Backup, Role::Master, Cause::MasterReleased);
    rig.expect(Input::Acquired, at, [rig.announce(5), told_master]);
}

#[test]
fn an_answer_that_comes_after_the_router_has_left_changes_nothing() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    rig.give(rig.hear(200, HIGHER), DOWN + ms(1));
    rig.expect(Input::Acquired, DOWN + ms(2), []);
    assert_eq!(rig.router.told_role(), Role::Backup);
}

#[test]
fn a_master_advertises_while_its_addresses_are_being_added() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    for n in 1..=3 {
        rig.expect(Input::Timeout, DOWN + n * SECOND, [rig.advert(100)]);
    }
    assert_eq!(rig.router.told_role(), Role::Backup);
}

#[test]
fn row_2_5_a_vip_removed_by_someone_else_is_put_back_at_once() {
    let mut rig = Rig::master(|_| {});
    let lost = Output::Event(Event::AddressesLost);
    rig.expect(Input::AddressesLost, ms(500), [lost, rig.acquire()]);
    assert_eq!(rig.router.role(), Role::Master);
    rig.expect(Input::Acquired, ms(500), [rig.announce(5)]);
    assert_eq!(rig.router.counters().addresses_lost, 1);
}

#[test]
fn row_2_5_a_vip_removed_again_and_again_is_not_fought_for() {
    let mut rig = Rig::master(|_| {});
    rig.give(Input::AddressesLost, SECOND);
    rig.give(Input::Acquired, SECOND);
    let gave_up = Output::Event(Event::AcquireFailed {
        error: "somebody keeps removing them".into(),
        retry_in: SECOND,
    });
    rig.expect(
        Input::AddressesLost,
        10 * SECOND,
        [
            gave_up,
            rig.advert(0),
            rig.release(),
            told_fault(Role::Master),
        ],
    );
    rig.expect_wait(11 * SECOND);
}

#[test]
fn a_vip_that_is_removed_whenever_it_is_back_is_tried_later_each_time() {
    let mut rig = Rig::master(|_| {});
    let mut now = SECOND;
    rig.give(Input::AddressesLost, now);
    rig.give(Input::Acquired, now);
    for secs in [1, 2, 4] {
        let outputs = rig.give(Input::AddressesLost, now);
        let retry_in = Duration::from_secs(secs);
        let gave_up = outputs.iter().any(|output| {
            matches!(output, Output::Event(Event::AcquireFailed { retry_in: told, .. })
                if *told == retry_in)
        });
        assert!(gave_up, "{retry_in:?}: {outputs:?}");
        now += retry_in;
        rig.give(Input::Timeout, now);
        now += DOWN;
        rig.give(Input::Timeout, now);
        rig.give(Input::Acquired, now);
    }
}

#[test]
fn row_2_5_a_vip_removed_once_in_a_while_is_put_back_each_time() {
    let mut rig = Rig::master(|_| {});
    for at in [1, 11, 21] {
        let lost = Output::Event(Event::AddressesLost);
        rig.expect(Input::AddressesLost, at * SECOND, [lost, rig.acquire()]);
        rig.give(Input::Acquired, at * SECOND);
    }
}

#[test]
fn a_backup_does_not_miss_addresses() {
    let mut rig = Rig::started(|_| {});
    rig.expect(Input::AddressesLost, NOW, []);
}

#[test]
fn addresses_that_cannot_be_removed_are_removed_again_every_second() {
    let mut rig = Rig::master(|_| {});
    rig.give(rig.hear(200, HIGHER), NOW);
    let failed = Output::Event(Event::ReleaseFailed { error: refused() });
    for at in 0..3 {
        let input = Input::ReleaseFailed(refused());
        rig.expect(input, at * SECOND, [failed.clone()]);
        rig.expect_wait((at + 1) * SECOND);
        rig.expect(Input::Timeout, (at + 1) * SECOND, [rig.release()]);
    }
    rig.expect_wait(DOWN);
}

#[test]
fn addresses_that_could_not_be_removed_stay_once_the_router_is_master_again() {
    let mut rig = Rig::master(|_| {});
    rig.give(rig.hear(200, HIGHER), NOW);
    rig.give(Input::ReleaseFailed(refused()), DOWN - ms(500));
    rig.expect(Input::Timeout, DOWN, [rig.advert(100), rig.acquire()]);
    rig.expect_wait(DOWN + SECOND);
}

#[test]
fn a_stop_tries_once_more_to_remove_what_is_still_there() {
    let mut rig = Rig::master(|_| {});
    rig.give(rig.hear(200, HIGHER), NOW);
    rig.give(Input::ReleaseFailed(refused()), ms(100));
    let told_stop = told(Role::Backup, Role::Stopped, Cause::Stopped);
    rig.expect(Input::Stop, ms(200), [rig.release(), told_stop]);
}

#[test]
fn failures_to_send_are_counted_and_told_once_a_minute() {
    let mut rig = Rig::master(|_| {});
    let failed = Output::Event(Event::SendFailed { error: refused() });
    let input = || Input::SendFailed(refused());
    rig.expect(input(), NOW, [failed.clone()]);
    rig.expect(input(), SECOND, []);
    rig.expect(input(), 59 * SECOND, []);
    rig.expect(input(), 60 * SECOND, [failed]);
    assert_eq!(rig.router.counters().send_failures, 4);
    assert_eq!(rig.router.role(), Role::Master);
}
