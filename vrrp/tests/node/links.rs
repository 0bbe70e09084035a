//! What the interfaces of a host do to the routers on them.

use vrrp::{FaultCause, Input, Link, LinkAddress, Priority, Role, Tracked, Tracker, Weight};

use crate::rig::*;

fn master() -> Rig {
    let mut rig = Rig::new();
    rig.configure(&[router("A", 1, &[101])], NOW).unwrap();
    rig.said();
    rig.run(DOWN);
    hold(&mut rig, 101);
    assert_eq!(rig.tell_links(DOWN), []);
    rig
}

/// The kernel shows an address on eth0.
fn hold(rig: &mut Rig, host: u8) {
    let address = LinkAddress::usable(ip(host), 24);
    rig.links.get_mut("eth0").unwrap().addresses.push(address);
}

fn lose(rig: &mut Rig, host: u8) {
    let addresses = &mut rig.links.get_mut("eth0").unwrap().addresses;
    addresses.retain(|known| known.address != ip(host));
}

#[test]
fn a_router_on_an_interface_that_does_not_exist_is_in_fault_until_it_does() {
    let mut rig = Rig::new();
    let eth0 = rig.links.remove("eth0").unwrap();
    rig.tell_links(NOW);
    rig.configure(&[router("A", 1, &[101])], NOW).unwrap();
    let left_behind = release("A", &[101]);
    assert_eq!(rig.said(), [left_behind, role("A", Role::Fault)]);
    rig.links.insert("eth0".into(), eth0);
    assert_eq!(rig.tell_links(SECOND), [role("A", Role::Backup)]);
}

#[test]
fn before_the_interfaces_are_known_a_router_waits_in_init() {
    let mut rig = Rig::new();
    rig.node = vrrp::Node::new();
    rig.configure(&[router("A", 1, &[101])], NOW).unwrap();
    assert_eq!(rig.said(), []);
    assert_eq!(rig.node.poll_timeout(), None);
    let said = rig.tell_links(SECOND);
    assert_eq!(said, [release("A", &[101]), role("A", Role::Backup)]);
}

#[test]
fn an_interface_that_goes_takes_the_master_along_and_gives_it_back() {
    let mut rig = master();
    let eth0 = rig.links.remove("eth0").unwrap();
    let said = rig.tell_links(4 * SECOND);
    assert_eq!(said, [release("A", &[101]), role("A", Role::Fault)]);
    let expected = FaultCause::InterfaceDown("eth0".into());
    assert!(rig.router("A").faults().eq([expected]));
    rig.links.insert("eth0".into(), eth0);
    assert_eq!(rig.tell_links(5 * SECOND), [role("A", Role::Backup)]);
}

#[test]
fn a_cable_that_is_pulled_is_an_interface_that_is_down() {
    let mut rig = master();
    rig.links.get_mut("eth0").unwrap().running = false;
    let said = rig.tell_links(4 * SECOND);
    assert_eq!(said, [release("A", &[101]), role("A", Role::Fault)]);
}

#[test]
fn an_interface_that_is_renumbered_is_advertised_from_at_once() {
    let mut rig = master();
    let eth0 = rig.links.get_mut("eth0").unwrap();
    eth0.addresses[0] = LinkAddress::usable(ip(20), 24);
    assert_eq!(rig.tell_links(ms(3800)), [advert("A", 100)]);
    assert_eq!(rig.router("A").source(), Some(ip(20)));
}

#[test]
fn a_virtual_address_is_no_primary_address_whosever_it_is() {
    let mut rig = Rig::new();
    let eth0 = rig.links.get_mut("eth0").unwrap();
    let left_behind = [101, 102].map(|host| LinkAddress::usable(ip(host), 24));
    eth0.addresses.splice(0..0, left_behind);
    rig.tell_links(NOW);
    let configs = [router("A", 1, &[101]), router("B", 2, &[102])];
    rig.configure(&configs, NOW).unwrap();
    for name in ["A", "B"] {
        assert_eq!(rig.router(name).source(), Some(ip(10)), "{name}");
    }
}

#[test]
fn the_addresses_of_an_owner_are_its_own() {
    let mut rig = Rig::new();
    let mut config = router("A", 1, &[10]);
    config.priority = Priority::OWNER;
    rig.configure(&[config], NOW).unwrap();
    assert_eq!(rig.router("A").source(), Some(ip(10)));
    assert_eq!(rig.router("A").role(), Role::Master);
}

#[test]
fn an_address_that_cannot_be_used_yet_is_not_sent_from() {
    let mut rig = Rig::new();
    rig.links.get_mut("eth0").unwrap().addresses[0].usable = false;
    rig.tell_links(NOW);
    rig.configure(&[router("A", 1, &[101])], NOW).unwrap();
    let expected = FaultCause::NoSourceAddress("eth0".into(), vrrp::Family::V4);
    assert!(rig.router("A").faults().eq([expected]));
}

#[test]
fn an_ipv6_router_sends_from_a_link_local_address() {
    let mut rig = Rig::new();
    let global = LinkAddress::usable("2001:db8::1".parse().unwrap(), 64);
    let link_local = LinkAddress::usable("fe80::1".parse().unwrap(), 64);
    let eth0 = Link::running(1, vec![global, link_local]);
    rig.links.insert("eth0".into(), eth0);
    rig.tell_links(NOW);
    let mut config = router("A", 1, &[]);
    config.vips = vec!["fe80::100/64".parse().unwrap()];
    rig.configure(&[config], NOW).unwrap();
    assert_eq!(rig.router("A").source(), Some("fe80::1".parse().unwrap()));
}

#[test]
fn row_2_5_a_vip_that_somebody_removes_is_put_back() {
    let mut rig = master();
    lose(&mut rig, 101);
    assert_eq!(rig.tell_links(4 * SECOND), [acquire("A", &[101])]);
    let said = rig.to("A", Input::Acquired, 4 * SECOND);
    assert_eq!(said, [announce("A", 5)]);
}

#[test]
fn what_the_router_removed_itself_is_not_missed() {
    let mut rig = master();
    rig.hear("A", 150, 4 * SECOND);
    lose(&mut rig, 101);
    assert_eq!(rig.tell_links(4 * SECOND), []);
    assert_eq!(rig.router("A").counters().addresses_lost, 0);
}

#[test]
fn what_goes_with_its_interface_is_not_missed() {
    let mut rig = master();
    rig.links.get_mut("eth0").unwrap().running = false;
    lose(&mut rig, 101);
    let said = rig.tell_links(4 * SECOND);
    assert_eq!(said, [release("A", &[101]), role("A", Role::Fault)]);
    assert_eq!(rig.router("A").counters().addresses_lost, 0);
}

#[test]
fn an_address_that_was_never_seen_is_not_missed() {
    let mut rig = Rig::new();
    rig.configure(&[router("A", 1, &[101])], NOW).unwrap();
    rig.said();
    rig.run(DOWN);
    // The listing of the interfaces lags behind.
    assert_eq!(rig.tell_links(DOWN), []);
}

#[test]
fn a_tracked_interface_counts_while_it_runs() {
    let mut rig = Rig::new();
    let mut config = router("A", 1, &[101]);
    let uplink = || Tracked::Interface("eth1".into());
    config.trackers = vec![Tracker::weighted(uplink(), Weight::new(50).unwrap())];
    let mut required = router("B", 2, &[102]);
    required.trackers = vec![Tracker::required(uplink())];
    rig.configure(&[config, required], NOW).unwrap();
    assert_eq!(rig.router("A").priority().as_u8(), 150);
    assert_eq!(rig.roles(), [Role::Backup; 2]);

    rig.links.get_mut("eth1").unwrap().running = false;
    rig.tell_links(SECOND);
    assert_eq!(rig.router("A").priority().as_u8(), 100);
    assert_eq!(rig.roles(), [Role::Backup, Role::Fault]);

    rig.links.remove("eth1");
    rig.tell_links(2 * SECOND);
    assert_eq!(rig.roles(), [Role::Backup, Role::Fault]);
}
