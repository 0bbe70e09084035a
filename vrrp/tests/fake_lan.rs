//! Hosts on a fake segment, under tokio's paused clock.

#![expect(clippy::unwrap_used, reason = "a test that goes wrong may panic")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::time::{self, Instant};
use vrrp::{
    Addresses, AdvertInterval, Advertisement, Advertiser, AdvertiserError, Checksum, Delivery,
    Destination, Family, LinkAddress, Network, Priority, RejectReason, TTL, Vrid,
    fake::{Conditions, Frame, FrameEvent, Host, Lan},
};

const GROUP: IpAddr = Family::V4.multicast_group();
const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn an_advertisement_arrives_as_sent_and_tells_how_it_came() {
    let (_, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    let delivery = Delivery::new(
        a.address,
        Destination::Group(GROUP),
        64,
        Checksum::PseudoHeader,
    );
    a.socket.send(&advert(), &delivery).await.unwrap();
    let received = b.socket.recv().await.unwrap();
    assert_eq!(received.advert, advert());
    assert_eq!((received.from, received.to), (a.address, GROUP));
    assert_eq!(
        (received.ttl, received.checksum),
        (64, Checksum::PseudoHeader)
    );
    assert_eq!(b.socket.rejections().total(), 0);
}

#[tokio::test(start_paused = true)]
async fn unicast_reaches_the_peer_that_has_the_address_in_either_family() {
    let (_, [a, b]) = pair();
    let peers = Destination::Peers([IpAddr::from([192, 0, 2, 9]), b.address].into());
    a.send_to(peers).await.unwrap();
    assert_eq!(b.socket.recv().await.unwrap().to, b.address);

    let [from, to] = [1, 2].map(|n| IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n)));
    for (node, address) in [(&a, from), (&b, to)] {
        node.host
            .add_address("eth0", LinkAddress::usable(address, 64));
    }
    let [a, b] = [&a, &b].map(|node| node.host.open("eth0", Family::V6).unwrap());
    let delivery = Delivery::new(
        from,
        Destination::Peers([to].into()),
        TTL,
        Checksum::Message,
    );
    a.send(&advert_v6(), &delivery).await.unwrap();
    let received = b.recv().await.unwrap();
    assert_eq!(received.advert, advert_v6());
    assert_eq!(received.checksum, Checksum::PseudoHeader);
}

#[tokio::test(start_paused = true)]
async fn latency_passes_on_tokios_clock() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    lan.with(|segment, _| segment.set_conditions(Conditions::default().latency(250 * MS)));
    let start = now();
    a.advertise().await.unwrap();
    b.socket.recv().await.unwrap();
    let took = now() - start;
    // Tokio's timers tick once a millisecond.
    assert!((250 * MS..=251 * MS).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_overtakes_what_a_receiver_waits_for_wakes_it() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    lan.with(|segment, _| segment.set_conditions(Conditions::default().latency(10_000 * MS)));
    a.advertise().await.unwrap();
    let start = now();
    let waiting = tokio::spawn({
        let socket = Arc::clone(&b.socket);
        async move { socket.recv().await }
    });
    time::sleep(MS).await;
    lan.with(|segment, _| segment.set_conditions(Conditions::default()));
    let stranger = IpAddr::from([192, 0, 2, 77]);
    lan.inject(Frame::encode(
        &advert(),
        stranger,
        GROUP,
        TTL,
        Checksum::Message,
    ));
    assert_eq!(waiting.await.unwrap().unwrap().from, stranger);
    assert!(now() - start < 5 * MS);
}

#[tokio::test(start_paused = true)]
async fn recv_is_cancel_safe() {
    let (_, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    for _ in 0..3 {
        let mut dropped = b.socket.recv();
        assert!(waits(dropped.as_mut()).await);
        a.advertise().await.unwrap();
        drop(dropped);
        assert_eq!(b.socket.recv().await.unwrap().advert, advert());
    }
    assert!(waits(b.socket.recv()).await);
}

#[tokio::test(start_paused = true)]
async fn several_sockets_of_one_family_each_get_a_copy_and_the_sender_none() {
    let (_, [a, b]) = pair();
    let second = b.host.open("eth0", Family::V4).unwrap();
    for socket in [&a.socket, &b.socket, &second] {
        socket.join(GROUP).await.unwrap();
    }
    a.advertise().await.unwrap();
    b.socket.recv().await.unwrap();
    second.recv().await.unwrap();
    assert!(waits(a.socket.recv()).await);
    // The group is left with the last socket that was in it.
    drop(second);
    a.advertise().await.unwrap();
    b.socket.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn multicast_does_not_reach_a_socket_that_has_not_joined() {
    let (_, [a, b]) = pair();
    let other = b.host.open("eth0", Family::V4).unwrap();
    other.join(GROUP).await.unwrap();
    a.advertise().await.unwrap();
    assert!(waits(b.socket.recv()).await);
    other.recv().await.unwrap();
    let error = other.join(b.address).await.unwrap_err();
    assert!(matches!(error, AdvertiserError::Io { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn garbage_is_counted_by_reason_and_passed_over() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    let good = Frame::encode(&advert(), a.address, GROUP, TTL, Checksum::Message);
    let mut wrong_sum = good.message.to_vec();
    wrong_sum[7] ^= 1;
    for message in [&b"garbage"[..], &[0xff; 600], &wrong_sum] {
        lan.inject(Frame::new(a.address, GROUP, TTL, message));
    }
    let mut wrong_ttl = good;
    wrong_ttl.ttl = 1;
    let port = a.host.port("eth0");
    lan.with(|segment, now| segment.send(port, wrong_ttl, now));
    // Whether the TTL is good is for the virtual router to say.
    assert_eq!(b.socket.recv().await.unwrap().ttl, 1);
    let rejections = b.socket.rejections();
    assert_eq!(rejections.total(), 3);
    for reason in [
        RejectReason::Length,
        RejectReason::Version,
        RejectReason::Checksum,
    ] {
        assert_eq!(rejections.of(reason), 1, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_down_refuses_to_send_and_hears_nothing_until_it_is_up() {
    let (_, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    let mut links = b.host.links();
    links.mark_unchanged();
    b.host.link_down("eth0");
    assert!(!links.borrow_and_update()["eth0"].running);
    let error = b.advertise().await.unwrap_err();
    assert!(!error.is_final(), "{error}");
    a.advertise().await.unwrap();
    assert!(waits(b.socket.recv()).await);
    b.host.link_up("eth0");
    assert!(links.has_changed().unwrap());
    assert!(links.borrow()["eth0"].running);
    a.advertise().await.unwrap();
    b.socket.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_gone_closes_what_was_opened_on_it_for_good() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    let mut waiting = b.socket.recv();
    assert!(waits(waiting.as_mut()).await);
    let index = b.host.links().borrow()["eth0"].index;
    b.host.remove_interface("eth0");
    assert!(waiting.await.unwrap_err().is_final());
    assert!(b.advertise().await.unwrap_err().is_final());
    assert!(b.socket.join(GROUP).await.unwrap_err().is_final());
    let missing = b.host.open("eth0", Family::V4).err().unwrap();
    assert!(missing.is_final(), "{missing}");
    assert!(b.host.links().borrow().is_empty());

    b.host
        .add_interface("eth0", &lan, [LinkAddress::usable(b.address, 24)]);
    assert_ne!(b.host.links().borrow()["eth0"].index, index);
    assert!(b.socket.recv().await.unwrap_err().is_final());
    let again = b.host.open("eth0", Family::V4).unwrap();
    again.join(GROUP).await.unwrap();
    a.advertise().await.unwrap();
    again.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn links_tell_the_addresses_and_say_nothing_when_nothing_changes() {
    let (_, [a, _]) = pair();
    let mut links = a.host.links();
    links.mark_unchanged();
    let second = IpAddr::from([192, 0, 2, 50]);
    let mut address = LinkAddress::usable(second, 24);
    address.usable = false;
    a.host.add_address("eth0", address);
    assert_eq!(links.borrow_and_update()["eth0"].addresses[1], address);
    address.usable = true;
    a.host.add_address("eth0", address);
    assert_eq!(links.borrow_and_update()["eth0"].addresses[1], address);
    a.host.add_address("eth0", address);
    assert!(!links.has_changed().unwrap());
    a.host.remove_address("eth0", second);
    assert_eq!(links.borrow_and_update()["eth0"].addresses.len(), 1);
    a.host.remove_address("eth0", second);
    assert!(!links.has_changed().unwrap());
}

#[tokio::test(start_paused = true)]
async fn ipv6_wants_a_source_that_is_on_the_interface_and_usable() {
    let (_, [a, _]) = pair();
    let socket = a.host.open("eth0", Family::V6).unwrap();
    let source = IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));
    let to = Destination::Group(Family::V6.multicast_group());
    let delivery = Delivery::new(source, to, TTL, Checksum::Message);
    socket.send(&advert_v6(), &delivery).await.unwrap_err();
    let mut tentative = LinkAddress::usable(source, 64);
    tentative.usable = false;
    a.host.add_address("eth0", tentative);
    socket.send(&advert_v6(), &delivery).await.unwrap_err();
    a.host.add_address("eth0", LinkAddress::usable(source, 64));
    socket.send(&advert_v6(), &delivery).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_destination_of_the_other_family_fails_and_the_others_are_sent_to() {
    let (_, [a, b]) = pair();
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    let error = a
        .send_to(Destination::Peers([six, b.address].into()))
        .await
        .unwrap_err();
    let first = matches!(error, AdvertiserError::Send { to, failed: 1, tried: 2, .. } if to == six);
    assert!(first, "{error}");
    b.socket.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_frozen_host_neither_sends_nor_receives_and_catches_up_when_it_thaws() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    lan.with(|segment, _| segment.keep_journal(10));
    b.host.freeze();
    a.advertise().await.unwrap();
    a.advertise().await.unwrap();
    let mut sending = pin!(b.advertise());
    assert!(waits(sending.as_mut()).await);
    assert!(waits(b.socket.recv()).await);
    let sent = |lan: &Lan| {
        lan.with(|segment, _| {
            let sent = segment.journal().filter(|r| r.event == FrameEvent::Sent);
            sent.count()
        })
    };
    assert_eq!(sent(&lan), 2);
    b.host.thaw();
    b.socket.recv().await.unwrap();
    b.socket.recv().await.unwrap();
    sending.await.unwrap();
    assert_eq!(sent(&lan), 3);
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_comes_up_on_a_frozen_host_is_frozen() {
    let (_, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    b.host.link_down("eth0");
    b.host.freeze();
    b.host.link_up("eth0");
    a.advertise().await.unwrap();
    assert!(waits(b.socket.recv()).await);
    b.host.thaw();
    b.socket.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cable_that_was_pulled_unnoticed_stays_out_when_the_host_freezes_and_thaws() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    let port = b.host.port("eth0");
    lan.with(|segment, _| segment.unplug(port));
    b.host.freeze();
    b.host.thaw();
    a.advertise().await.unwrap();
    assert!(waits(b.socket.recv()).await);
    assert!(b.host.links().borrow()["eth0"].running);
}

#[tokio::test(start_paused = true)]
async fn a_crashed_host_is_silent_and_deaf_and_notices_nothing() {
    let (_, [a, b]) = pair();
    for node in [&a, &b] {
        node.socket.join(GROUP).await.unwrap();
    }
    let links = a.host.links();
    a.host.crash();
    a.host.link_down("eth0");
    a.host.link_up("eth0");
    assert!(links.borrow()["eth0"].running);
    a.advertise().await.unwrap();
    b.advertise().await.unwrap();
    b.send_to(Destination::Peers([a.address].into()))
        .await
        .unwrap();
    assert!(waits(a.socket.recv()).await);
    assert!(waits(b.socket.recv()).await);
}

#[tokio::test(start_paused = true)]
async fn interfaces_of_one_host_are_on_segments_of_their_own() {
    let (_, [a, b]) = pair();
    let other = Lan::new(2);
    a.host
        .add_interface("eth1", &other, [LinkAddress::usable(a.address, 24)]);
    let socket = a.host.open("eth1", Family::V4).unwrap();
    b.socket.join(GROUP).await.unwrap();
    let delivery = Delivery::new(a.address, Destination::Group(GROUP), TTL, Checksum::Message);
    socket.send(&advert(), &delivery).await.unwrap();
    assert!(waits(b.socket.recv()).await);
    let names: Vec<_> = a.host.links().borrow().keys().cloned().collect();
    assert_eq!(names, ["eth0".into(), "eth1".into()] as [Arc<str>; 2]);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_loses_what_does_not_fit_its_receive_queue() {
    let (lan, [a, b]) = pair();
    b.socket.join(GROUP).await.unwrap();
    lan.with(|segment, _| segment.set_receive_queue(2));
    for _ in 0..5 {
        a.advertise().await.unwrap();
    }
    b.socket.recv().await.unwrap();
    b.socket.recv().await.unwrap();
    assert!(waits(b.socket.recv()).await);
}

#[test]
#[should_panic = "the host has no interface eth7"]
fn a_misspelt_interface_is_a_mistake_of_the_test() {
    Host::new().link_down("eth7");
}

struct Node {
    host: Host,
    address: IpAddr,
    socket: Arc<dyn Advertiser>,
}

impl Node {
    async fn advertise(&self) -> Result<(), AdvertiserError> {
        self.send_to(Destination::Group(GROUP)).await
    }

    async fn send_to(&self, to: Destination) -> Result<(), AdvertiserError> {
        let delivery = Delivery::new(self.address, to, TTL, Checksum::Message);
        self.socket.send(&advert(), &delivery).await
    }
}

fn pair() -> (Lan, [Node; 2]) {
    let lan = Lan::new(1);
    let nodes = [1, 2].map(|number| {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, number));
        let host = Host::new();
        host.add_interface("eth0", &lan, [LinkAddress::usable(address, 24)]);
        let socket = host.open("eth0", Family::V4).unwrap();
        Node {
            host,
            address,
            socket,
        }
    });
    (lan, nodes)
}

fn advert() -> Advertisement {
    advert_of(IpAddr::from([192, 0, 2, 100]))
}

fn advert_v6() -> Advertisement {
    advert_of(IpAddr::from(Ipv6Addr::LOCALHOST))
}

fn advert_of(address: IpAddr) -> Advertisement {
    let vrid = Vrid::new(51).unwrap();
    let addresses = Addresses::new([address]).unwrap();
    let (priority, interval) = (Priority::DEFAULT, AdvertInterval::DEFAULT);
    Advertisement::v3(vrid, priority, interval, addresses).unwrap()
}

/// Whether a future is not ready within a second.
async fn waits(future: impl Future) -> bool {
    time::timeout(1000 * MS, future).await.is_err()
}

#[expect(clippy::disallowed_methods, reason = "a test on the paused clock")]
fn now() -> Instant {
    Instant::now()
}
