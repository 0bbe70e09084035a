//! Advertisers that are given nonsense, by the network or by their user.

use std::time::Duration;

use lab::Node;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::time::sleep;
use vrrp::{
    Advertiser as _, AdvertiserError, Checksum, Family, RejectReason, TTL, net::RawAdvertiser,
};

use crate::{
    adverts::{advert_v4, advert_v6, ip, to_group, to_peers},
    host::Hosts,
};

/// Sends bytes of our own as a VRRP message.
fn send_raw(node: &Node, to: &str, message: &[u8]) {
    let to = std::net::SocketAddr::new(ip(to), 0);
    node.namespace().enter(|| {
        let domain = if to.is_ipv4() {
            Domain::IPV4
        } else {
            Domain::IPV6
        };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(112))).unwrap();
        socket.bind_device(Some(b"eth0")).unwrap();
        socket.send_to(message, &SockAddr::from(to)).unwrap();
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn malformed_messages_are_counted_and_passed_over() {
    let hosts = Hosts::new("malformed");
    for (source, peer, advert) in [
        ("192.0.2.1", "192.0.2.2", advert_v4()),
        ("2001:db8::1", "2001:db8::2", advert_v6()),
    ] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        let mut good = Vec::new();
        advert.emit(&mut good, Checksum::Message, ip(source), ip(peer));
        let damaged = |at: usize, byte| {
            let mut message = good.clone();
            message[at] = byte;
            message
        };
        send_raw(&hosts.a, peer, &[]);
        send_raw(&hosts.a, peer, &good[..good.len() - 1]);
        send_raw(&hosts.a, peer, &vec![0x31; 20_000]);
        send_raw(&hosts.a, peer, &damaged(0, 0x71));
        send_raw(&hosts.a, peer, &damaged(0, 0x32));
        send_raw(&hosts.a, peer, &damaged(2, 201));
        hosts
            .block_on(a.send(&advert, &to_peers(source, &[peer], TTL)))
            .unwrap();
        assert_eq!(hosts.receive(&b).advert, advert);
        let rejections = b.rejections();
        assert_eq!(rejections.of(RejectReason::Length), 3);
        assert_eq!(rejections.of(RejectReason::Version), 1);
        assert_eq!(rejections.of(RejectReason::Type), 1);
        assert_eq!(rejections.of(RejectReason::Checksum), 1);
        assert_eq!(rejections.total(), 6);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn one_unreachable_peer_does_not_keep_the_others_from_hearing() {
    let hosts = Hosts::new("unreachable");
    let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, Family::V6));
    let peers = ["2001:db9::9", "2001:db8::2", "2001:db9::10"];
    let error = hosts
        .block_on(a.send(&advert_v6(), &to_peers("2001:db8::1", &peers, TTL)))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot send to 2001:db9::9 on eth0 (2 of 3 destinations failed)"
    );
    assert!(!error.is_final());
    assert_eq!(hosts.receive(&b).to, ip("2001:db8::2"));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn families_that_do_not_fit_are_an_error() {
    let hosts = Hosts::new("families");
    let [v4, v6] = [Family::V4, Family::V6].map(|family| hosts.advertiser(&hosts.a, family));
    for (advertiser, advert, delivery) in [
        (&v4, advert_v4(), to_peers("192.0.2.1", &["fe80::2"], TTL)),
        (&v4, advert_v6(), to_group("192.0.2.1")),
        (&v6, advert_v6(), to_group("192.0.2.1")),
    ] {
        let error = hosts
            .block_on(advertiser.send(&advert, &delivery))
            .unwrap_err();
        assert!(matches!(error, AdvertiserError::Send { .. }), "{error:?}");
    }
    for (advertiser, group) in [(&v4, "ff02::12"), (&v6, "224.0.0.18"), (&v4, "192.0.2.2")] {
        let error = hosts.block_on(advertiser.join(ip(group))).unwrap_err();
        assert!(matches!(error, AdvertiserError::Io { .. }), "{error:?}");
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_rule_that_forbids_sending_is_told_from_a_missing_capability() {
    let hosts = Hosts::new("rule");
    let a = hosts.advertiser(&hosts.a, Family::V6);
    hosts.a.run(
        "ip",
        &[
            "-6",
            "rule",
            "add",
            "to",
            "2001:db8::2",
            "prohibit",
            "priority",
            "1",
        ],
    );
    let error = hosts
        .block_on(a.send(
            &advert_v6(),
            &to_peers("2001:db8::1", &["2001:db8::2"], TTL),
        ))
        .unwrap_err();
    assert!(error.to_string().contains("rule of this host"), "{error}");
    assert!(!error.is_final());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_is_down_for_a_while_is_no_end() {
    let hosts = Hosts::new("down");
    for (source, advert) in [("192.0.2.1", advert_v4()), ("fe80::1", advert_v6())] {
        let family = Family::of(ip(source));
        let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, family));
        hosts.a.namespace().ip("link set eth0 down");
        let error = hosts
            .block_on(a.send(&advert, &to_group(source)))
            .unwrap_err();
        assert!(!error.is_final(), "{error:?}");

        hosts.a.namespace().ip("link set eth0 up");
        if family == Family::V6 {
            hosts
                .a
                .namespace()
                .ip("address add fe80::1/64 dev eth0 nodad");
        }
        hosts
            .b
            .namespace()
            .ip("link set eth0 down\nlink set eth0 up");
        // The carrier takes a moment to come back.
        let received = hosts.block_on(async {
            loop {
                a.send(&advert, &to_group(source)).await.unwrap();
                tokio::select! {
                    received = b.recv() => break received.unwrap(),
                    () = sleep(Duration::from_millis(20)) => {}
                }
            }
        });
        assert_eq!(received.advert, advert, "still a member of the group");
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_is_removed_is_the_end() {
    let hosts = Hosts::new("removed");
    let [v4, v6] = [Family::V4, Family::V6].map(|family| hosts.advertiser(&hosts.a, family));
    hosts.a.namespace().ip("link del eth0");
    for (advertiser, advert, source) in [
        (&v4, advert_v4(), "192.0.2.1"),
        (&v6, advert_v6(), "fe80::1"),
    ] {
        let error = hosts
            .block_on(advertiser.send(&advert, &to_group(source)))
            .unwrap_err();
        assert!(error.is_final(), "{error:?}");
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn names_that_are_no_interface_open_nothing() {
    let hosts = Hosts::new("names");
    // The kernel cuts a long name to 15 bytes, takes an empty one for every interface, and ends one
    // at a zero.
    hosts
        .a
        .namespace()
        .ip("link add exactly15bytes0 type bridge");
    for name in ["eth7", "", "exactly15bytes01", "eth0\0", "eth0 "] {
        let opened = hosts.on(&hosts.a, || RawAdvertiser::open(name, Family::V4));
        let error = opened.unwrap_err();
        assert!(
            matches!(error, AdvertiserError::NoSuchInterface { .. }),
            "{name}: {error:?}"
        );
        assert!(error.is_final());
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn packets_that_nobody_receives_in_time_are_counted() {
    let hosts = Hosts::new("dropped");
    let [a, b] = [&hosts.a, &hosts.b].map(|node| hosts.advertiser(node, Family::V4));
    assert_eq!(b.dropped().unwrap(), 0);
    let (advert, delivery) = (advert_v4(), to_group("192.0.2.1"));
    let mut sent = 0;
    while b.dropped().unwrap() == 0 {
        assert!(sent < 1_000_000, "a buffer without end");
        sent += 1;
        hosts.block_on(a.send(&advert, &delivery)).unwrap();
    }
    // 70 ms of 250 routers at 10 ms.
    assert!(sent > 1_750, "{sent} packets fit");
}
