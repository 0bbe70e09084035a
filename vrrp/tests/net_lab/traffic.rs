//! Advertisements that arrive, and those that should not.

use std::{
    pin::pin,
    slice,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::sleep;
use vrrp::{Advertiser as _, Checksum, Destination, Family, Priority, TTL, net::RawAdvertiser};

use crate::{
    adverts::{advert, advert_v4, advert_v6, ip, to_group, to_peers},
    host::{Hosts, Tap, golden},
};

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn multicast_arrives_with_all_its_header_says() {
    let hosts = Hosts::new("multicast");
    for (family, source, advert) in [
        (Family::V4, "192.0.2.1", advert_v4()),
        (Family::V6, "fe80::1", advert_v6()),
    ] {
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        hosts.block_on(a.send(&advert, &to_group(source))).unwrap();
        let received = hosts.receive(&b);
        assert_eq!(received.advert, advert);
        assert_eq!(received.from, ip(source));
        assert_eq!(received.to, family.multicast_group());
        assert_eq!(received.ttl, TTL);
        assert_eq!(received.checksum, Checksum::PseudoHeader);
        assert_eq!(b.rejections().total(), 0);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn frames_are_those_of_keepalived() {
    let hosts = Hosts::new("frames");
    let mut tap = Tap::new(&hosts.b);
    let a = hosts.advertiser(&hosts.a, Family::V4);
    hosts
        .block_on(a.send(&advert_v4(), &to_group("192.0.2.1")))
        .unwrap();
    let expected = &golden(include_str!("../golden/v3-multicast-ipv4.hex"))[0];
    let mut frame = tap.frames(1, |frame| frame.get(23) == Some(&112)).remove(0);
    assert_ne!(frame[18..20], [0, 0], "the kernel gives an identification");
    // The identification, and the header's checksum that covers it.
    for differs in [18..20, 24..26] {
        frame[differs.clone()].copy_from_slice(&expected[differs]);
    }
    assert_eq!(&frame, expected);

    let a = hosts.advertiser(&hosts.a, Family::V6);
    hosts
        .block_on(a.send(&advert_v6(), &to_group("fe80::1")))
        .unwrap();
    let expected = &golden(include_str!("../golden/v3-multicast-ipv6.hex"))[0];
    let mut frame = tap.frames(1, |frame| frame.get(20) == Some(&112)).remove(0);
    let without_flow_label = |frame: &[u8]| [frame[14], frame[15] & 0xf0];
    assert_eq!(without_flow_label(&frame), without_flow_label(expected));
    frame[14..18].copy_from_slice(&expected[14..18]);
    assert_eq!(&frame, expected);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn unicast_arrives_with_the_ttl_it_was_given() {
    let hosts = Hosts::new("unicast");
    for (source, peer, advert) in [
        ("192.0.2.1", "192.0.2.2", advert_v4()),
        ("2001:db8::1", "2001:db8::2", advert_v6()),
        ("fe80::1", "fe80::2", advert_v6()),
    ] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        for ttl in [255, 64, 1] {
            hosts
                .block_on(a.send(&advert, &to_peers(source, &[peer], ttl)))
                .unwrap();
            let received = hosts.receive(&b);
            assert_eq!((received.from, received.to), (ip(source), ip(peer)));
            assert_eq!(received.ttl, ttl);
            let expected = match family {
                Family::V4 => Checksum::Message,
                Family::V6 => Checksum::PseudoHeader,
            };
            assert_eq!(received.checksum, expected);
        }
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_longest_advertisements_arrive_whole() {
    let hosts = Hosts::new("longest");
    let v4: Vec<_> = (0..255).map(|n| format!("198.51.100.{n}")).collect();
    let v6: Vec<_> = (0..255).map(|n| format!("2001:db8::1:{n:x}")).collect();
    for (source, addresses) in [("192.0.2.1", v4), ("fe80::1", v6)] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let advert = advert(&addresses);
        hosts.block_on(a.send(&advert, &to_group(source))).unwrap();
        assert_eq!(hosts.receive(&b).advert, advert);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn only_joined_groups_arrive_and_joining_twice_is_fine() {
    let hosts = Hosts::new("groups");
    for (source, peer, other, advert) in [
        ("192.0.2.1", "192.0.2.2", "224.0.0.200", advert_v4()),
        ("fe80::1", "fe80::2", "ff02::200", advert_v6()),
    ] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        // Somebody else on the host takes part in the group, so the packets do get that far.
        let neighbour = hosts.advertiser(&hosts.b, family);
        hosts.block_on(neighbour.join(ip(other))).unwrap();
        let mut delivery = to_group(source);
        delivery.to = Destination::Group(ip(other));

        hosts.block_on(a.send(&advert, &delivery)).unwrap();
        hosts
            .block_on(a.send(&advert, &to_peers(source, &[peer], TTL)))
            .unwrap();
        assert_eq!(hosts.receive(&b).to, ip(peer), "not a member");
        assert_eq!(hosts.receive(&neighbour).to, ip(other));

        hosts.block_on(b.join(ip(other))).unwrap();
        hosts.block_on(b.join(ip(other))).unwrap();
        hosts.block_on(a.send(&advert, &delivery)).unwrap();
        assert_eq!(hosts.receive(&b).to, ip(other), "a member");
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn its_own_multicast_does_not_come_back() {
    let hosts = Hosts::new("loop");
    for (ours, theirs, advert) in [
        ("192.0.2.1", "192.0.2.2", advert_v4()),
        ("fe80::1", "fe80::2", advert_v6()),
    ] {
        let family = Family::of(ip(ours));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        hosts.block_on(a.send(&advert, &to_group(ours))).unwrap();
        hosts.block_on(b.send(&advert, &to_group(theirs))).unwrap();
        assert_eq!(hosts.receive(&a).from, ip(theirs));
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn what_arrives_on_another_interface_is_not_its_own() {
    let hosts = Hosts::new("other");
    hosts.a.namespace().ip(&format!(
        "link add eth1 type veth peer name eth1 netns {}\n\
         link set eth1 up\n\
         address add 198.51.100.1/24 dev eth1",
        hosts.b.namespace().name()
    ));
    hosts
        .b
        .namespace()
        .ip("link set eth1 up\naddress add 198.51.100.2/24 dev eth1");
    let b = hosts.advertiser(&hosts.b, Family::V4);
    let on_eth1 = hosts.on(&hosts.b, || {
        RawAdvertiser::open("eth1", Family::V4).unwrap()
    });
    let [eth0, eth1] = ["eth0", "eth1"].map(|interface| {
        hosts.on(&hosts.a, || {
            RawAdvertiser::open(interface, Family::V4).unwrap()
        })
    });
    let over_eth1 = to_peers("198.51.100.1", &["198.51.100.2"], TTL);
    hosts.block_on(eth1.send(&advert_v4(), &over_eth1)).unwrap();
    assert_eq!(hosts.receive(&on_eth1).from, ip("198.51.100.1"));
    hosts
        .block_on(eth0.send(&advert_v4(), &to_group("192.0.2.1")))
        .unwrap();
    assert_eq!(hosts.receive(&b).from, ip("192.0.2.1"));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_last_advertisement_is_out_before_the_socket_is_gone() {
    let hosts = Hosts::new("last");
    for (source, advert) in [("192.0.2.1", advert_v4()), ("fe80::1", advert_v6())] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        let release = advert.with_priority(Priority::RELEASE);
        hosts.block_on(a.send(&release, &to_group(source))).unwrap();
        drop(a);
        assert_eq!(hosts.receive(&b).advert, release);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_dropped_receive_loses_nothing() {
    let hosts = Hosts::new("cancel");
    let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, Family::V4));
    hosts.block_on(async {
        for number in 1..=100 {
            let advert = advert_v4().with_priority(Priority::new(number).unwrap());
            let delivery = to_group("192.0.2.1");
            // Begun, then dropped as soon as something else is ready.
            tokio::select! {
                biased;
                received = b.recv() => panic!("{received:?}"),
                () = tokio::task::yield_now() => {}
            }
            a.send(&advert, &delivery).await.unwrap();
            assert_eq!(b.recv().await.unwrap().advert, advert);
        }
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn one_router_s_addresses_are_shared_and_another_s_are_its_own() {
    let hosts = Hosts::new("shared");
    let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, Family::V4));
    let adverts = [advert_v4(), advert(&["192.0.2.101"]), advert_v4()];
    for advert in adverts.iter().chain(slice::from_ref(&adverts[1])) {
        hosts
            .block_on(a.send(advert, &to_group("192.0.2.1")))
            .unwrap();
        assert_eq!(&hosts.receive(&b).advert, advert);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn sending_and_receiving_allocates_nothing_but_the_boxed_future() {
    let hosts = Hosts::new("allocations");
    for (source, advert) in [("192.0.2.1", advert_v4()), ("fe80::1", advert_v6())] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        let delivery = to_group(source);
        hosts.block_on(async {
            for round in 0..3 {
                let sending = allocation_counter::measure(|| {
                    assert!(at_once(a.send(&advert, &delivery)).is_ok_and(|sent| sent.is_ok()));
                });
                let mut received = None;
                let mut receiving = allocation_counter::AllocationInfo::default();
                while received.is_none() {
                    // Lets the runtime see that the socket is readable.
                    sleep(Duration::from_millis(1)).await;
                    receiving = allocation_counter::measure(|| {
                        received = at_once(b.recv()).ok();
                    });
                }
                assert_eq!(received.unwrap().unwrap().advert, advert);
                if round > 0 {
                    assert_eq!((sending.count_total, receiving.count_total), (1, 1));
                }
            }
        });
    }
}

/// What a future gives without waiting.
fn at_once<T>(future: impl Future<Output = T>) -> Result<T, &'static str> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Ok(output),
        Poll::Pending => Err("it waits"),
    }
}
