//! Section 2.3: what a backup does about an advertisement.

use std::time::Duration;

use vrrp::{Cause, Input, Preempt, Priority, Role};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);
const SKEW: Duration = Duration::from_micros(609_375);

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn row_2_3_backup_priority_0_waits_for_the_skew_only() {
    let mut rig = Rig::started(|_| {});
    rig.give(rig.hear(200, HIGHER), SECOND);
    rig.expect(rig.hear(0, HIGHER), 2 * SECOND, []);
    rig.expect_wait(2 * SECOND + SKEW);
    let at = 2 * SECOND + SKEW;
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
    let because = Cause::MasterReleased;
    let told_master = told(Role::Backup, Role::Master, because);
    rig.expect(Input::Acquired, at, [rig.announce(5), told_master]);
    assert_eq!(rig.router.counters().received_release, 1);
}

#[test]
fn row_2_3_backup_a_master_that_came_back_after_priority_0_is_not_taken_for_gone() {
    let mut rig = Rig::started(|_| {});
    rig.give(rig.hear(0, HIGHER), SECOND);
    rig.give(rig.hear(200, HIGHER), ms(1100));
    rig.expect_wait(ms(1100) + DOWN);
    rig.give(Input::Timeout, ms(1100) + DOWN);
    let because = Cause::MasterSilent;
    let told_master = told(Role::Backup, Role::Master, because);
    rig.expect(Input::Acquired, 5 * SECOND, [rig.announce(5), told_master]);
}

#[test]
fn row_2_3_backup_a_priority_as_high_or_higher_is_accepted() {
    let mut rig = Rig::started(|_| {});
    for (at, priority) in [(1, 100), (2, 101), (3, 255)] {
        rig.expect(rig.hear(priority, LOWER), at * SECOND, []);
        rig.expect_wait(at * SECOND + DOWN);
        let master = rig.router.master().unwrap();
        assert_eq!(master.address, address(LOWER));
        assert_eq!(master.priority, Priority::from_wire(priority));
    }
}

#[test]
fn row_2_3_backup_a_lower_priority_is_discarded_and_the_timer_runs_on() {
    let mut rig = Rig::started(|_| {});
    for at in 1..=3 {
        rig.expect(rig.hear(99, HIGHER), at * SECOND, []);
        rig.expect_wait(DOWN);
    }
    rig.expect(Input::Timeout, DOWN, [rig.advert(100), rig.acquire()]);
    let told_master = told(Role::Backup, Role::Master, Cause::Preempted);
    rig.expect(Input::Acquired, DOWN, [rig.announce(5), told_master]);
}

#[test]
fn row_2_3_backup_nopreempt_accepts_a_lower_priority() {
    let mut rig = Rig::started(|config| config.preempt = Preempt::Never);
    rig.expect(rig.hear(1, LOWER), SECOND, []);
    rig.expect_wait(SECOND + DOWN);
}

#[test]
fn rfc_9568_6_1_an_owner_preempts_even_with_nopreempt() {
    let mut rig = Rig::started(|config| {
        config.priority = Priority::OWNER;
        config.preempt = Preempt::Never;
        config.startup_delay = 2 * SECOND;
    });
    rig.expect(rig.hear(254, HIGHER), SECOND, []);
    rig.expect_wait(2 * SECOND);
}

#[test]
fn row_2_3_preempt_delay_starts_at_the_first_lower_advert_and_accepts_until_it_ends() {
    let mut rig = Rig::started(|config| config.preempt = Preempt::After(10 * SECOND));
    for at in 1..=10 {
        rig.expect(rig.hear(99, LOWER), at * SECOND, []);
        rig.expect_wait(at * SECOND + DOWN);
    }
    // The delay has run out: from here on they are discarded.
    rig.expect(rig.hear(99, LOWER), 11 * SECOND, []);
    rig.expect_wait(10 * SECOND + DOWN);
    let at = 10 * SECOND + DOWN;
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
}

#[test]
fn row_2_3_preempt_delay_is_cancelled_by_an_equal_or_higher_advert() {
    let mut rig = Rig::started(|config| config.preempt = Preempt::After(3 * SECOND));
    rig.give(rig.hear(99, LOWER), SECOND);
    rig.give(rig.hear(100, HIGHER), 2 * SECOND);
    rig.give(rig.hear(99, LOWER), 3 * SECOND);
    rig.give(rig.hear(99, LOWER), 5 * SECOND);
    rig.expect_wait(5 * SECOND + DOWN);
    rig.give(rig.hear(99, LOWER), 6 * SECOND);
    rig.expect_wait(5 * SECOND + DOWN);
}

#[test]
fn row_2_3_preempt_delay_does_not_hold_back_from_an_address_that_nobody_has() {
    let mut rig = Rig::started(|config| config.preempt = Preempt::After(1000 * SECOND));
    rig.give(rig.hear(99, LOWER), SECOND);
    rig.expect(
        Input::Timeout,
        SECOND + DOWN,
        [rig.advert(100), rig.acquire()],
    );
}

#[test]
fn a_master_with_our_own_address_is_still_a_master() {
    let mut rig = Rig::started(|_| {});
    rig.expect(rig.hear(100, OWN), SECOND, []);
    rig.expect_wait(SECOND + DOWN);
}

#[test]
fn differences_are_told_once_for_each_master_even_if_it_is_about_to_be_preempted() {
    // A backup that stays one for the minute after which another master is told of.
    let mut rig = Rig::started(|config| config.startup_delay = 2 * MINUTE);
    let mut config = rig.router.config().clone();
    config.vips.push("192.0.2.101".parse().unwrap());
    let hear = |rig: &Rig, priority, from| {
        let mut received = rig.heard(priority, from);
        received.advert = config
            .advertisement()
            .unwrap()
            .with_priority(Priority::from_wire(priority));
        Input::Advert(received)
    };
    let differs = |from| {
        vrrp::Output::Event(vrrp::Event::AddressListDiffers {
            from: address(from),
        })
    };
    rig.expect(hear(&rig, 99, LOWER), SECOND, [differs(LOWER)]);
    rig.expect(hear(&rig, 101, LOWER), SECOND, []);
    let later = SECOND + MINUTE;
    rig.give(hear(&rig, 101, LOWER), later - SECOND);
    rig.expect(hear(&rig, 101, HIGHER), later, [differs(HIGHER)]);
    assert_eq!(rig.router.counters().address_list_differs, 4);
    assert_eq!(rig.router.counters().received, 4);
}
