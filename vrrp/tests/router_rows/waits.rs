//! Sections 2.2: how long a router waits.

use std::time::Duration;

use vrrp::{
    AdvertInterval, Cause, Event, FaultCause, Input, Output, Preempt, Priority, Role, StartAs,
    Tracker, TrackerState, Version,
};

use crate::rig::*;

#[test]
fn row_2_2_first_wait_is_the_master_down_interval() {
    let mut rig = Rig::new(|_| {});
    rig.expect(link_up(), NOW, []);
    let told_backup = told(Role::Init, Role::Backup, Cause::Started);
    // What an earlier process may have left behind goes first.
    rig.expect(Input::Start, NOW, [rig.release(), told_backup]);
    rig.expect_wait(Duration::from_micros(3_609_375));
}

#[test]
fn row_2_2_measured_a_v2_router_of_priority_100_advertises_after_3_609_s() {
    let mut rig = Rig::started(|config| config.version = Version::V2);
    let at = Duration::from_micros(3_609_375);
    rig.expect(Input::Timeout, at - Duration::from_nanos(1), []);
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
}

#[test]
fn row_2_2_first_wait_with_state_master_is_one_interval_and_the_smallest_skew() {
    let rig = Rig::started(|config| config.start_as = StartAs::Master);
    rig.expect_wait(SECOND + SECOND / 256);
}

#[test]
fn row_2_2_first_wait_of_an_owner_is_nothing() {
    let mut rig = Rig::new(|config| config.priority = Priority::OWNER);
    rig.give(link_up(), NOW);
    rig.expect(Input::Start, NOW, [rig.advert(255), rig.acquire()]);
    let told_master = told(Role::Init, Role::Master, Cause::Owner);
    rig.expect(Input::Acquired, NOW, [rig.announce(5), told_master]);
}

#[test]
fn row_2_2_first_wait_has_the_startup_delay_added_even_for_an_owner() {
    let delay = |config: &mut vrrp::RouterConfig| config.startup_delay = 10 * SECOND;
    Rig::started(delay).expect_wait(10 * SECOND + Duration::from_micros(3_609_375));
    let owner = Rig::started(|config| {
        delay(config);
        config.priority = Priority::OWNER;
    });
    owner.expect_wait(10 * SECOND);
    assert_eq!(owner.router.role(), Role::Backup);
}

#[test]
fn row_2_2_only_the_first_wait_is_special() {
    let mut rig = Rig::started(|config| {
        config.start_as = StartAs::Master;
        config.startup_delay = 10 * SECOND;
    });
    rig.give(fault(FaultCause::Requested, true), NOW);
    rig.give(fault(FaultCause::Requested, false), NOW);
    rig.expect_wait(Duration::from_micros(3_609_375));
}

#[test]
fn row_2_2_skew_v2_does_not_depend_on_the_interval() {
    let rig = Rig::started(|config| {
        config.version = Version::V2;
        config.interval = AdvertInterval::from_secs(10).unwrap();
    });
    rig.expect_wait(30 * SECOND + SECOND * 156 / 256);
}

#[test]
fn row_2_2_skew_v3_is_a_part_of_the_interval() {
    let rig = Rig::started(|config| config.interval = AdvertInterval::from_centis(50).unwrap());
    rig.expect_wait(ms(1500) + ms(500) * 156 / 256);
}

#[test]
fn row_2_2_prio_used_for_the_skew_is_the_effective_one() {
    let weight = vrrp::Weight::new(-50).unwrap();
    let mut rig = Rig::new(|config| {
        config.trackers = vec![Tracker::weighted(condition("web"), weight)];
    });
    rig.give(link_up(), NOW);
    rig.give(tracker("web", TrackerState::Down), NOW);
    rig.give(Input::Start, NOW);
    rig.expect_wait(3 * SECOND + SECOND * 206 / 256);
}

#[test]
fn row_2_2_master_down_counts_as_many_adverts_as_configured() {
    let rig = Rig::started(|config| config.down_timer_adverts = 5.try_into().unwrap());
    rig.expect_wait(5 * SECOND + SECOND * 156 / 256);
}

#[test]
fn row_2_2_master_adver_int_is_learnt_in_v3_from_accepted_adverts_only() {
    let mut rig = Rig::started(|_| {});
    let slow = AdvertInterval::from_secs(2).unwrap();
    let hear = |rig: &Rig, priority| {
        let mut config = rig.router.config().clone();
        config.interval = slow;
        let mut received = rig.heard(priority, LOWER);
        received.advert = config
            .advertisement()
            .unwrap()
            .with_priority(Priority::from_wire(priority));
        Input::Advert(received)
    };
    let differs = Output::Event(Event::IntervalDiffers {
        from: address(LOWER),
        interval: slow,
    });
    rig.expect(hear(&rig, 99), SECOND, [differs]);
    rig.expect_wait(Duration::from_micros(3_609_375));

    rig.expect(hear(&rig, 101), SECOND, []);
    rig.expect_wait(SECOND + 6 * SECOND + 2 * SECOND * 156 / 256);
    // Its skew too is of the master's interval.
    rig.expect(hear(&rig, 0), 2 * SECOND, []);
    rig.expect_wait(2 * SECOND + 2 * SECOND * 156 / 256);
}

/// RFC 9568 and keepalived learn from everybody; with intervals that differ, backups then take a
/// slow master for dead each time a fast one yields to it, for ever (`VRRP_SEED=18639`).
#[test]
fn row_2_2_master_adver_int_of_one_that_yields_does_not_shorten_the_wait_for_its_better() {
    let mut rig = Rig::started(|_| {});
    let hear = |rig: &Rig, priority, from, centis| {
        let mut config = rig.router.config().clone();
        config.interval = AdvertInterval::from_centis(centis).unwrap();
        let mut received = rig.heard(priority, from);
        received.advert = config
            .advertisement()
            .unwrap()
            .with_priority(Priority::from_wire(priority));
        Input::Advert(received)
    };
    rig.give(hear(&rig, 200, HIGHER, 100), SECOND);
    rig.expect(hear(&rig, 150, LOWER, 20), ms(1010), []);
    rig.expect_wait(SECOND + Duration::from_micros(3_609_375));
    assert_eq!(rig.router.master().unwrap().address, address(HIGHER));

    // If it does not yield, because its better is dead, it is the master that is waited for.
    let late = ms(4100);
    rig.give(hear(&rig, 150, LOWER, 20), late);
    rig.expect_wait(late + Duration::from_micros(3_609_375) / 5);
    assert_eq!(rig.router.master().unwrap().address, address(LOWER));
}

#[test]
fn row_2_2_the_own_interval_counts_again_once_the_learnt_master_is_gone() {
    let mut rig = Rig::started(|config| config.preempt = Preempt::Never);
    let mut config = rig.router.config().clone();
    config.interval = AdvertInterval::from_secs(2).unwrap();
    let mut received = rig.heard(200, HIGHER);
    received.advert = config
        .advertisement()
        .unwrap()
        .with_priority(Priority::from_wire(200));
    rig.give(Input::Advert(received), NOW);
    let at = 6 * SECOND + 2 * SECOND * 156 / 256;
    rig.expect(Input::Timeout, at, [rig.advert(100), rig.acquire()]);
    rig.expect_wait(at + SECOND);
}

#[test]
fn rfc_9568_6_4_1_nothing_happens_before_the_start() {
    let mut rig = Rig::new(|_| {});
    rig.expect(link_up(), NOW, []);
    rig.expect(Input::Timeout, 10 * SECOND, []);
    rig.expect(rig.hear(200, HIGHER), 10 * SECOND, []);
    assert_eq!(rig.router.role(), Role::Init);
    assert_eq!(rig.router.poll_timeout(), None);
}

#[test]
fn a_router_waits_in_init_for_its_link_and_for_required_trackers() {
    let required = Tracker::required(condition("web"));
    let mut rig = Rig::new(|config| config.trackers = vec![required]);
    rig.expect(Input::Start, NOW, []);
    assert_eq!(rig.router.standing(), vrrp::Standing::NotReady);
    rig.expect(link_up(), SECOND, []);
    let told_backup = told(Role::Init, Role::Backup, Cause::Started);
    let up = tracker("web", TrackerState::Up);
    rig.expect(up, 2 * SECOND, [rig.release(), told_backup]);
    rig.expect_wait(2 * SECOND + Duration::from_micros(3_609_375));
}

#[test]
fn a_timeout_that_comes_early_or_twice_is_harmless() {
    let mut rig = Rig::master(|_| {});
    rig.expect(Input::Timeout, ms(999), []);
    rig.expect(Input::Timeout, SECOND, [rig.advert(100)]);
    rig.expect(Input::Timeout, SECOND, []);
    rig.expect_wait(2 * SECOND);
}
