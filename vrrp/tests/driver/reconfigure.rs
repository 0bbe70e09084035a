//! Another configuration while the node runs.

use tokio::time::sleep;
use vrrp::{
    Change, Event, Happening, Priority, Role, Vrid,
    fake::{Operation, VipEvent},
};

use crate::rig::*;

fn second(vrid: u8) -> vrrp::RouterConfig {
    let mut config = config(100);
    config.name = "VI_2".into();
    config.vrid = Vrid::new(vrid).unwrap();
    config.vips = vec!["192.0.2.200/24".parse().unwrap()];
    config
}

/// When advertisements of a virtual router were sent, and their priorities.
fn sent_for(site: &Site, vrid: u8) -> Vec<(std::time::Duration, u8)> {
    site.frames()
        .into_iter()
        .map(|(at, _, frame)| (at, frame.decode().unwrap().advert))
        .filter(|(_, advert)| advert.vrid().as_u8() == vrid)
        .map(|(at, advert)| (at, advert.priority().as_u8()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_router_sends_its_next_advertisement_on_time() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100), second(52)]).await;
    a.becomes(Role::Master).await;
    sleep(SECOND * 3 / 10).await;
    let mut changed = second(52);
    changed.priority = Priority::new(120).unwrap();
    let changes = a.handle.configure([config(100), changed]).await.unwrap();
    assert!(matches!(changes[..], [Change::Changed(_)]), "{changes:?}");
    a.configure([config(100)]).await;
    sleep(3 * SECOND).await;
    let sent = sent_for(&site, 51);
    assert_eq!(sent.len(), 4, "{sent:?}");
    for (n, (at, _)) in (0..).zip(&sent) {
        about(*at, DOWN + n * SECOND);
    }
    assert!(a.is(Role::Master));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_is_added_is_on_the_wire_at_once() {
    let site = Site::new();
    let mut a = site.station(1);
    a.configure([config(255)]).await;
    assert_eq!(site.sent_by(&a), [(std::time::Duration::ZERO, 255)]);
    a.becomes(Role::Master).await;
    let told = a.told();
    assert!(
        matches!(
            &told[..],
            [Event::RoleChanged {
                to: Role::Master,
                ..
            }]
        ),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_router_that_is_removed_says_priority_0_and_its_addresses_go() {
    let site = Site::new();
    let mut a = site.station(1);
    a.configure([config(100), second(52)]).await;
    a.becomes(Role::Master).await;
    sleep(SECOND / 2).await;
    a.told();
    a.configure([config(100)]).await;
    let at = site.elapsed();
    sleep(TICK).await;
    assert_eq!(sent_for(&site, 52).last(), Some(&(at, 0)));
    assert!(!a.host.holds([192, 0, 2, 200].into()));
    assert!(a.holds());
    let Ok(Happening::Router {
        name,
        priority,
        event: Event::RoleChanged { to, .. },
    }) = a.events.try_recv()
    else {
        panic!("nothing was told");
    };
    assert_eq!((&*name, priority.as_u8(), to), ("VI_2", 100, Role::Stopped));
}

#[tokio::test(start_paused = true)]
async fn the_last_router_of_an_interface_has_its_last_word_too() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    a.configure([]).await;
    assert_eq!(sent_for(&site, 51).last(), Some(&(site.elapsed(), 0)));
    sleep(TICK).await;
    assert!(!a.holds());
    assert_eq!(a.handle.status().await.unwrap().ports, []);
}

#[tokio::test(start_paused = true)]
async fn the_role_of_a_name_is_that_of_the_router_that_bears_it_now() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([second(52)]).await;
    let mut role = a.handle.role("VI_2").unwrap();
    role.wait_for(|role| *role == Role::Master).await.unwrap();
    // The old one is long in leaving; the new one is there meanwhile.
    a.vips.delay(Operation::Release, 2 * SECOND);
    a.configure([second(53)]).await;
    sleep(3 * SECOND).await;
    assert_eq!(*a.handle.role("VI_2").unwrap().borrow(), Role::Backup);
    sleep(DOWN).await;
    assert_eq!(*role.borrow(), Role::Master);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_moves_between_routers_is_never_off_the_interface() {
    let site = Site::new();
    let a = site.station(1);
    a.configure([config(100), second(52)]).await;
    a.becomes(Role::Master).await;
    sleep(TICK).await;
    a.vips.take_journal();
    let moved: vrrp::Vip = "192.0.2.200/24".parse().unwrap();
    let mut first = config(100);
    first.vips.push(moved.clone());
    let mut other = second(52);
    other.vips = vec!["192.0.2.201/24".parse().unwrap()];
    a.configure([other, first]).await;
    for _ in 0..20 {
        assert!(a.host.holds(moved.address));
        sleep(TICK).await;
    }
    let released = a.vips.events().into_iter().filter_map(|event| {
        if let VipEvent::Released(vips) = event {
            Some(vips)
        } else {
            None
        }
    });
    assert!(released.flatten().all(|vip| vip.address != moved.address));
}

#[tokio::test(start_paused = true)]
async fn another_group_is_joined_before_anything_can_be_missed() {
    let site = Site::new();
    let [a, b] = [1, 2].map(|number| site.station(number));
    let group = |priority| {
        let mut config = config(priority);
        config.transport = vrrp::Transport::Multicast {
            group: Some([224, 0, 0, 77].into()),
        };
        config
    };
    a.configure([config(150)]).await;
    b.configure([config(100)]).await;
    a.becomes(Role::Master).await;
    a.configure([group(150)]).await;
    b.configure([group(100)]).await;
    sleep(20 * SECOND).await;
    assert!(a.is(Role::Master) && b.is(Role::Backup));
}
