//! Section 2.3: what a master does about an advertisement.

use std::time::Duration;

use vrrp::{
    Cause, Event, Input, OnHigherPriority, OnLowerPriority, Output, Priority, RejectReason, Role,
};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

#[test]
fn row_2_3_master_priority_0_sends_its_own_advert_at_once() {
    let mut rig = Rig::master(|_| {});
    rig.expect(rig.hear(0, LOWER), ms(500), [rig.advert(100)]);
    rig.expect_wait(ms(1500));
}

#[test]
fn row_2_3_master_lower_prio_sends_an_advert_and_announces_now_and_after_the_delay() {
    let mut rig = Rig::master(|config| {
        config.announce.delay = Duration::ZERO;
        config.announce.lower_priority_repeat = 3;
        config.announce.lower_priority_delay = 2 * SECOND;
    });
    rig.expect(
        rig.hear(99, HIGHER),
        ms(500),
        [rig.advert(100), rig.announce(3), rival_heard(HIGHER, 99)],
    );
    let adverts = [ms(1500), ms(2500)].map(|at| (at, rig.advert(100)));
    let [first, second] = adverts;
    let repeated = (ms(2500), rig.announce(3));
    assert_eq!(rig.run(ms(3000)), [first, second, repeated]);
}

#[test]
fn row_2_3_master_equal_prio_and_lower_address_is_lower() {
    let mut rig = Rig::master(|_| {});
    rig.expect(
        rig.hear(100, LOWER),
        ms(500),
        [rig.advert(100), rig.announce(5), rival_heard(LOWER, 100)],
    );
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn row_2_3_master_lower_prio_no_advert_stays_silent_until_the_next_one_is_due() {
    let mut rig = Rig::master(|config| config.lower_priority = OnLowerPriority::StaySilent);
    rig.expect(
        rig.hear(99, HIGHER),
        ms(500),
        [rig.announce(5), rival_heard(HIGHER, 99)],
    );
    rig.expect_wait(SECOND);
}

#[test]
fn row_2_3_master_lower_prio_is_not_announced_against_before_the_addresses_are_there() {
    let mut rig = Rig::started(|_| {});
    rig.give(Input::Timeout, DOWN);
    rig.expect(
        rig.hear(99, HIGHER),
        DOWN,
        [rig.advert(100), rival_heard(HIGHER, 99)],
    );
}

#[test]
fn row_2_3_master_higher_prio_makes_it_backup_without_priority_0() {
    let mut rig = Rig::master(|_| {});
    let told_backup = told(Role::Master, Role::Backup, outranked(LOWER, 101));
    rig.expect(rig.hear(101, LOWER), ms(500), [rig.release(), told_backup]);
    rig.expect_wait(ms(500) + DOWN);
    assert_eq!(rig.router.counters().released, 0);
}

#[test]
fn row_2_3_master_equal_prio_and_higher_address_makes_it_backup() {
    let mut rig = Rig::master(|_| {});
    let told_backup = told(Role::Master, Role::Backup, outranked(HIGHER, 100));
    rig.expect(rig.hear(100, HIGHER), ms(500), [rig.release(), told_backup]);
}

#[test]
fn row_2_3_master_higher_prio_send_advert_sends_one_first() {
    let advertise = OnHigherPriority::AdvertiseAndYield;
    let mut rig = Rig::master(|config| config.higher_priority = advertise);
    let told_backup = told(Role::Master, Role::Backup, outranked(HIGHER, 200));
    rig.expect(
        rig.hear(200, HIGHER),
        ms(500),
        [rig.advert(100), rig.release(), told_backup],
    );
}

#[test]
fn row_2_3_master_the_interval_of_who_outranks_it_is_learnt() {
    let mut rig = Rig::master(|_| {});
    let mut config = rig.router.config().clone();
    config.interval = vrrp::AdvertInterval::from_secs(5).unwrap();
    let mut received = rig.heard(200, HIGHER);
    received.advert = config.advertisement().unwrap().with_priority(priority(200));
    rig.give(Input::Advert(received), NOW);
    rig.expect_wait(15 * SECOND + 5 * SECOND * 156 / 256);
}

#[test]
fn row_2_3_master_equal_prio_and_same_source_address_is_a_warning_only() {
    let mut rig = Rig::master(|_| {});
    let warning = Output::Event(Event::Rejected {
        reason: RejectReason::Source,
        from: address(OWN),
    });
    rig.expect(rig.hear(100, OWN), ms(500), [warning]);
    rig.expect(rig.hear(200, OWN), ms(500), []);
    assert_eq!(rig.router.role(), Role::Master);
    assert_eq!(rig.router.counters().rejected.of(RejectReason::Source), 2);
    rig.expect_wait(SECOND);
}

fn owner() -> Rig {
    let mut rig = Rig::new(|config| config.priority = Priority::OWNER);
    rig.give(link_up(), NOW);
    rig.give(Input::Start, NOW);
    rig.give(Input::Acquired, NOW);
    assert_eq!(rig.router.told_role(), Role::Master);
    rig
}

#[test]
fn row_2_3_master_equal_255_and_lower_address_reverts_to_backup() {
    let mut rig = owner();
    let told_backup = told(Role::Master, Role::Backup, outranked(HIGHER, 255));
    rig.expect(rig.hear(255, HIGHER), ms(500), [rig.release(), told_backup]);
    // It does not come back while the other one is there, owner or not.
    rig.expect(rig.hear(255, HIGHER), ms(1500), []);
    rig.expect_wait(ms(1500) + 3 * SECOND + SECOND / 256);
}

#[test]
fn row_2_3_master_equal_255_and_higher_address_waits_1_2_intervals_then_steps_down_to_254() {
    let mut rig = owner();
    rig.expect(
        rig.hear(255, LOWER),
        ms(500),
        [rig.advert(255), rig.announce(5), rival_heard(LOWER, 255)],
    );
    rig.expect(rig.hear(255, LOWER), ms(1500), []);
    rig.expect(Input::Timeout, ms(1500), [rig.advert(255)]);
    let disputed = Output::Event(Event::OwnerDisputed { by: address(LOWER) });
    let told_backup = told(Role::Master, Role::Backup, outranked(LOWER, 255));
    rig.expect(
        rig.hear(255, LOWER),
        ms(1700),
        [disputed, rig.release(), told_backup],
    );
    assert_eq!(rig.router.priority(), Priority::HIGHEST_BACKUP);
    assert_eq!(rig.router.counters().released, 0);
}

#[test]
fn row_2_3_master_priority_255_is_restored_when_the_rogue_owner_is_gone() {
    let mut rig = owner();
    for at in [500, 1700] {
        rig.give(rig.hear(255, LOWER), ms(at));
    }
    assert_eq!(rig.router.role(), Role::Backup);
    let down = ms(1700) + 3 * SECOND + SECOND * 2 / 256;
    rig.expect_wait(down);
    rig.expect(Input::Timeout, down, [rig.advert(255), rig.acquire()]);
    let told_master = told(Role::Backup, Role::Master, Cause::MasterSilent);
    rig.expect(Input::Acquired, down, [rig.announce(5), told_master]);
}

#[test]
fn a_rogue_owner_that_yielded_and_comes_back_much_later_is_asked_to_yield_again() {
    let mut rig = owner();
    rig.give(rig.hear(255, LOWER), ms(500));
    rig.run(100 * SECOND);
    rig.expect(
        rig.hear(255, LOWER),
        100 * SECOND,
        [rig.advert(255), rig.announce(5), rival_heard(LOWER, 255)],
    );
    assert_eq!(rig.router.role(), Role::Master);
}

#[test]
fn rfc_9568_6_4_3_a_master_advertises_every_interval_without_drift() {
    let mut rig = Rig::master(|_| {});
    for (due, late) in [(1, 3), (2, 400), (3, 0), (4, 90)] {
        let at = due * SECOND;
        rig.expect_wait(at);
        rig.expect(Input::Timeout, at + ms(late), [rig.advert(100)]);
    }
}

#[test]
fn a_master_that_was_stopped_does_not_make_up_for_what_it_missed() {
    let mut rig = Rig::master(|config| config.announce.delay = Duration::ZERO);
    rig.expect(Input::Timeout, ms(1900), [rig.advert(100)]);
    rig.expect_wait(ms(2400));

    let overslept = Output::Event(Event::Overslept { by: ms(27_600) });
    rig.expect(
        Input::Timeout,
        30 * SECOND,
        [overslept, rig.advert(100), rig.announce(5)],
    );
    rig.expect_wait(ms(30_500));
}
