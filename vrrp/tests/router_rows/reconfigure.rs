//! Section 2.7: another configuration of a running router.

use std::time::Duration;

use vrrp::{
    Advertisement, Cause, FaultCause, Input, Output, Preempt, Role, RouterConfig, Tracker,
    TrackerState, Vip,
};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

fn configure(rig: &Rig, change: impl FnOnce(&mut RouterConfig)) -> Input {
    let mut config = rig.router.config().clone();
    change(&mut config);
    Input::Configure(Box::new(config))
}

fn vip(text: &str) -> Vip {
    text.parse::<Vip>().unwrap().on("eth0")
}

fn transmitted(outputs: &[Output]) -> Vec<&Advertisement> {
    outputs
        .iter()
        .filter_map(|output| {
            if let Output::Transmit { advert, .. } = output {
                Some(advert)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn row_2_7_a_master_stays_master_and_advertises_at_once_with_its_counters_kept() {
    let mut rig = Rig::master(|_| {});
    let input = configure(&rig, |config| config.preempt = Preempt::Never);
    rig.expect(input, ms(300), [rig.advert(100)]);
    rig.expect_wait(ms(1300));
    assert_eq!(rig.router.told_role(), Role::Master);
    assert_eq!(rig.router.counters().became_master, 1);
    assert_eq!(rig.router.counters().sent, 2);
}

#[test]
fn row_2_7_a_vip_added_is_acquired_advertised_and_all_are_announced() {
    let mut rig = Rig::master(|_| {});
    let input = configure(&rig, |config| config.vips.push(vip("192.0.2.101/24")));
    let outputs = rig.give(input, ms(300));
    assert_eq!(outputs, [rig.acquire(), rig.advert(100)]);
    assert_eq!(transmitted(&outputs)[0].addresses().len(), 2);
    rig.expect(Input::Acquired, ms(310), [rig.announce(5)]);
}

#[test]
fn row_2_7_a_vip_taken_away_is_removed_before_the_rest_is_made_sure_of() {
    let gone = vip("192.0.2.101/24");
    let mut rig = Rig::master(|config| config.vips.push(gone.clone()));
    let input = configure(&rig, |config| drop(config.vips.pop()));
    let outputs = rig.give(input, ms(300));
    let release = Output::Release([gone].into());
    assert_eq!(outputs, [release, rig.acquire(), rig.advert(100)]);
}

#[test]
fn a_vip_whose_attributes_change_is_not_lost_by_it() {
    let mut rig = Rig::master(|_| {});
    let old = rig.router.vips()[0].clone();
    let input = configure(&rig, |config| config.vips[0].label = Some("eth0:1".into()));
    let outputs = rig.give(input, ms(300));
    let release = Output::Release([old].into());
    assert_eq!(outputs, [release, rig.acquire(), rig.advert(100)]);
    // The gap in between is not taken for somebody else's doing.
    rig.expect(Input::AddressesLost, ms(301), []);
}

#[test]
fn a_backup_keeps_the_master_it_hears_and_that_ones_pace() {
    let mut rig = Rig::started(|config| {
        config.interval = vrrp::AdvertInterval::from_centis(10).unwrap();
    });
    let mut master = rig.router.config().clone();
    master.interval = vrrp::AdvertInterval::from_secs(1).unwrap();
    let mut received = rig.heard(200, HIGHER);
    received.advert = master.advertisement().unwrap().with_priority(priority(200));
    rig.give(Input::Advert(received), NOW);
    let input = configure(&rig, |config| config.preempt = Preempt::Never);
    rig.expect(input, ms(900), []);
    rig.expect_wait(ms(900) + DOWN);
    assert_eq!(rig.router.master().unwrap().address, address(HIGHER));
}

#[test]
fn a_backup_that_hears_nobody_waits_at_its_new_pace() {
    let mut rig = Rig::started(|_| {});
    let input = configure(&rig, |config| {
        config.interval = vrrp::AdvertInterval::from_centis(10).unwrap();
    });
    rig.expect(input, ms(900), []);
    rig.expect_wait(ms(900) + DOWN / 10);
}

#[test]
fn another_priority_is_told_and_counts_from_then_on() {
    let mut rig = Rig::master(|_| {});
    let input = configure(&rig, |config| config.priority = priority(120));
    rig.expect(
        input,
        ms(300),
        [priority_changed(100, 120), rig.advert(120)],
    );
}

#[test]
fn trackers_keep_their_state_when_their_weight_changes() {
    let weighted = |weight| {
        let weight = vrrp::Weight::new(weight).unwrap();
        vec![Tracker::weighted(condition("a"), weight)]
    };
    let mut rig = Rig::started(|config| config.trackers = weighted(10));
    rig.give(tracker("a", TrackerState::Up), NOW);
    let input = configure(&rig, |config| config.trackers = weighted(20));
    rig.expect(input, NOW, [priority_changed(110, 120)]);

    let input = configure(&rig, |config| {
        config.trackers = vec![Tracker::required(condition("a"))];
        config.trackers[0].reverse = true;
    });
    let cause = Cause::Fault(FaultCause::Tracker(condition("a")));
    rig.expect(
        input,
        NOW,
        [
            priority_changed(120, 100),
            told(Role::Backup, Role::Fault, cause),
        ],
    );
}

#[test]
fn a_fault_ends_with_the_tracker_that_caused_it() {
    let mut rig = Rig::started(|config| {
        config.trackers = vec![Tracker::required(condition("a"))];
    });
    rig.give(tracker("a", TrackerState::Down), NOW);
    let input = configure(&rig, |config| config.trackers.clear());
    let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
    rig.expect(input, SECOND, [told_backup]);
}

#[test]
fn a_router_that_leaves_its_sync_group_leaves_the_groups_fault() {
    let mut rig = Rig::started(|config| config.sync_group = Some("G".into()));
    rig.give(Input::Group(vrrp::GroupOrder::Fault), NOW);
    assert_eq!(rig.router.standing(), vrrp::Standing::Held);
    let input = configure(&rig, |config| config.sync_group = None);
    let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
    rig.expect(input, SECOND, [told_backup]);
}

#[test]
fn a_link_that_is_no_longer_tracked_is_no_fault() {
    let mut rig = Rig::started(|_| {});
    rig.give(link_down(), NOW);
    let input = configure(&rig, |config| config.track_interface = false);
    let told_backup = told(Role::Fault, Role::Backup, Cause::FaultCleared);
    rig.expect(input, SECOND, [told_backup]);
}
