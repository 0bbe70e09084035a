//! An address that moves from one machine to another.

use tokio::time::sleep;
use vrrp::{Cause, Event, Priority, Role, Tracked, Tracker, TrackerState, fake::VipEvent};

use crate::rig::*;

/// The first has priority 150 and is master, the second 100; the time at which it became so.
async fn pair(site: &Site) -> [Station; 2] {
    let [a, b] = [1, 2].map(|number| site.station(number));
    a.configure([config(150)]).await;
    b.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    assert!(b.is(Role::Backup) && a.holds() && !b.holds());
    [a, b]
}

#[tokio::test(start_paused = true)]
async fn the_first_master_is_there_after_its_first_wait() {
    let site = Site::new();
    let [mut a, mut b] = pair(&site).await;
    about(site.elapsed(), 3 * SECOND + SECOND * 106 / 256);
    sleep(10 * SECOND).await;
    assert_eq!(a.told_roles(), [Role::Backup, Role::Master]);
    assert_eq!(b.told_roles(), [Role::Backup]);
    // Advertised, then added, then announced in two bursts.
    let mut expected = vec![released(), acquired()];
    expected.extend(vec![announced(); 10]);
    assert_eq!(a.vips.events(), expected);
    assert_eq!(b.vips.events(), [released()]);
    let journal = a.vips.journal();
    let announced_at = |n: usize| journal[2 + n].at - site.started_at.into_std();
    about(announced_at(5), announced_at(0) + 5 * SECOND);
    let (advertised_at, _) = site.sent_by(&a)[0];
    assert!(advertised_at <= announced_at(0));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_dies_is_replaced_after_the_master_down_interval() {
    let site = Site::new();
    let [a, b] = pair(&site).await;
    sleep(SECOND / 2).await;
    a.host.crash();
    let (last_heard, _) = *site.sent_by(&a).last().unwrap();
    b.becomes(Role::Master).await;
    about(site.elapsed(), last_heard + DOWN);
    assert!(b.holds());
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_is_followed_after_the_skew() {
    let site = Site::new();
    let [a, b] = pair(&site).await;
    sleep(SECOND / 2).await;
    let (host, vips) = (a.host.clone(), a.vips.clone());
    let (port, stopped_at) = (a.host.port("eth0"), site.elapsed());
    a.handle.shutdown().await;
    assert!(!host.holds(vip().address), "gone when it returns");
    assert_eq!(vips.events().last(), Some(&released()));
    let sent = site.sent();
    let releases = sent.iter().filter(|(_, _, priority)| *priority == 0);
    assert_eq!(releases.count(), 1);
    assert_eq!(sent.last(), Some(&(stopped_at, port, 0)));
    // It was on the wire before the addresses went.
    let gone_at = vips.journal().last().unwrap().at - site.started_at.into_std();
    assert!(stopped_at <= gone_at);

    b.becomes(Role::Master).await;
    about(site.elapsed(), stopped_at + SECOND * 156 / 256);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_stops_its_node_just_as_well() {
    let site = Site::new();
    let [a, b] = pair(&site).await;
    let (host, port, stopped_at) = (a.host.clone(), a.host.port("eth0"), site.elapsed());
    drop(a);
    b.becomes(Role::Master).await;
    about(site.elapsed(), stopped_at + SECOND * 156 / 256);
    assert!(!host.holds(vip().address));
    let released: Vec<_> = site
        .sent()
        .into_iter()
        .filter(|(_, from, priority)| (*from, *priority) == (port, 0))
        .collect();
    assert_eq!(released.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn set_priority_moves_the_address_to_who_preempts() {
    let site = Site::new();
    let [mut a, b] = pair(&site).await;
    a.told();
    a.handle.set_priority("VI_1", Priority::new(50).unwrap());
    a.handle.set_priority("no such router", Priority::DEFAULT);
    b.becomes(Role::Master).await;
    a.becomes(Role::Backup).await;
    assert!(b.holds() && !a.holds());
    let told = a.told();
    let (from, to) = (Priority::new(150).unwrap(), Priority::new(50).unwrap());
    assert_eq!(told[0], Event::PriorityChanged { from, to });
    let because = Cause::Outranked {
        by: [192, 0, 2, 2].into(),
        priority: Priority::new(100).unwrap(),
    };
    let (from, to) = (Role::Master, Role::Backup);
    assert_eq!(told[1], Event::RoleChanged { from, to, because });
    assert!(site.sent_by(&a).iter().all(|(_, priority)| *priority != 0));
}

#[tokio::test(start_paused = true)]
async fn set_condition_puts_a_router_in_fault_and_takes_it_out() {
    let site = Site::new();
    let [a, b] = [1, 2].map(|number| site.station(number));
    let mut tracking = config(150);
    tracking.trackers = vec![Tracker::required(Tracked::Condition("web".into()))];
    a.configure([tracking]).await;
    b.configure([config(100)]).await;
    b.becomes(Role::Master).await;
    assert!(a.is(Role::Init));
    a.handle.set_condition("web", TrackerState::Up);
    a.becomes(Role::Master).await;
    b.becomes(Role::Backup).await;

    let failed_at = site.elapsed();
    a.handle.set_condition("web", TrackerState::Down);
    b.becomes(Role::Master).await;
    about(site.elapsed(), failed_at + SECOND * 156 / 256);
    assert!(a.is(Role::Fault) && !a.holds());
    a.handle.set_condition("web", TrackerState::Up);
    a.becomes(Role::Master).await;
}

#[tokio::test(start_paused = true)]
async fn set_fault_moves_the_address_and_gives_it_back() {
    let site = Site::new();
    let [a, b] = pair(&site).await;
    a.handle.set_fault("VI_1", true);
    b.becomes(Role::Master).await;
    assert!(a.is(Role::Fault));
    a.handle.set_fault("VI_1", false);
    a.becomes(Role::Master).await;
    assert!(!b.holds());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_hears_the_others_before_it_speaks() {
    let site = Site::new();
    let [a, b] = pair(&site).await;
    a.host.freeze();
    b.becomes(Role::Master).await;
    sleep(30 * SECOND).await;
    // It is the better one, so it takes over again; but it was late, and says so.
    a.host.thaw();
    a.becomes(Role::Master).await;
    b.becomes(Role::Backup).await;
    sleep(5 * SECOND).await;
    assert!(a.holds() && !b.holds());
}

#[tokio::test(start_paused = true)]
async fn an_address_that_somebody_removes_is_back_at_once() {
    let site = Site::new();
    let [mut a, b] = pair(&site).await;
    sleep(SECOND).await;
    a.told();
    a.host.remove_address("eth0", vip().address);
    sleep(TICK).await;
    assert!(a.holds());
    assert_eq!(a.told(), [Event::AddressesLost]);
    let events = a.vips.events();
    let acquired = events.iter().filter(|event| **event == acquired());
    assert_eq!(acquired.count(), 2);
    assert!(matches!(events.last(), Some(VipEvent::Announced(_))));
    assert!(b.is(Role::Backup));
}

#[tokio::test(start_paused = true)]
async fn members_of_a_sync_group_move_together() {
    let site = Site::new();
    let other = vrrp::fake::Lan::new(2);
    let member = |priority, name: &str, interface: &str, number: u8| {
        let mut config = config(priority);
        (config.name, config.interface) = (name.into(), interface.into());
        config.vips = vec![vrrp::Vip::new([192, 0, number, 100].into(), 24).unwrap()];
        config.sync_group = Some("G".into());
        config
    };
    let [mut a, b] = [1, 2].map(|number| {
        let station = site.station(number);
        let address = vrrp::LinkAddress::usable([192, 0, 3, number].into(), 24);
        station.host.add_interface("eth1", &other, [address]);
        station
    });
    for (station, priority) in [(&a, 150), (&b, 100)] {
        station
            .configure([
                member(priority, "VI_1", "eth0", 2),
                member(priority, "VI_2", "eth1", 3),
            ])
            .await;
    }
    a.becomes(Role::Master).await;
    sleep(10 * TICK).await;
    let status = a.handle.status().await.unwrap();
    assert_eq!(status.groups, [("G".into(), Role::Master)]);
    a.host.link_down("eth1");
    b.becomes(Role::Master).await;
    let roles = |station: &Station| {
        ["VI_1", "VI_2"].map(|name| *station.handle.role(name).unwrap().borrow())
    };
    sleep(10 * TICK).await;
    assert_eq!(roles(&a), [Role::Fault; 2]);
    assert_eq!(roles(&b), [Role::Master; 2]);
    let mut groups = Vec::new();
    while let Ok(happening) = a.events.try_recv() {
        if let vrrp::Happening::Group { to, .. } = happening {
            groups.push(to);
        }
    }
    assert_eq!(groups, [Role::Backup, Role::Master, Role::Fault]);
}
