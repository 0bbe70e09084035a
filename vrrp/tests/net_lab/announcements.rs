//! Announcements on the wire.

use vrrp::{Vip, VipError, VipManager as _};

use crate::host::{Hosts, Tap, golden};

fn vips(texts: &[&str], interface: &str) -> Vec<Vip> {
    texts
        .iter()
        .map(|text| text.parse::<Vip>().unwrap().on(interface))
        .collect()
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn announcements_on_the_wire_are_those_of_keepalived() {
    let hosts = Hosts::new("announce");
    let manager = hosts.vips(&hosts.a);
    let mut tap = Tap::new(&hosts.b);

    let ipv4 = ["192.0.2.100/24", "192.0.2.101/24", "198.51.100.1"];
    hosts
        .block_on(manager.announce(&vips(&ipv4, "eth0")))
        .unwrap();
    let frames = tap.frames(3, |frame| frame[12..14] == [0x08, 0x06]);
    let expected = golden(include_str!("../golden/gratuitous-arp.hex"));
    assert_eq!(frames, expected[..3]);

    let ipv6 = ["fe80::100/64", "2001:db8::100/64"];
    hosts
        .block_on(manager.announce(&vips(&ipv6, "eth0")))
        .unwrap();
    let is_advertisement = |frame: &[u8]| frame[12..14] == [0x86, 0xdd] && frame[54] == 136;
    let frames = tap.frames(2, is_advertisement);
    let expected = golden(include_str!(
        "../golden/unsolicited-neighbour-advertisement.hex"
    ));
    assert_eq!(frames, expected[..2]);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_host_that_forwards_announces_itself_as_a_router() {
    let hosts = Hosts::new("router");
    hosts
        .a
        .namespace()
        .set_sysctl("net/ipv6/conf/eth0/forwarding", "1");
    let manager = hosts.vips(&hosts.a);
    let mut tap = Tap::new(&hosts.b);
    hosts
        .block_on(manager.announce(&vips(&["fe80::100/64"], "eth0")))
        .unwrap();
    let frames = tap.frames(1, |frame| frame[12..14] == [0x86, 0xdd] && frame[54] == 136);
    assert_eq!(frames[0][58], 0xa0, "Router and Override");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_without_ethernet_has_nobody_to_announce_to() {
    let hosts = Hosts::new("loopback");
    let manager = hosts.vips(&hosts.a);
    hosts
        .block_on(manager.announce(&vips(&["192.0.2.100", "fe80::100"], "lo")))
        .unwrap();
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_address_that_cannot_be_announced_does_not_keep_the_others_silent() {
    let hosts = Hosts::new("partly");
    let manager = hosts.vips(&hosts.a);
    let mut tap = Tap::new(&hosts.b);
    let mut set = vips(&["192.0.2.100"], "eth7");
    set.extend(vips(&["192.0.2.101"], "eth0"));
    let error = hosts.block_on(manager.announce(&set)).unwrap_err();
    assert!(
        matches!(error, VipError::NoSuchInterface { .. }),
        "{error:?}"
    );
    let frames = tap.frames(1, |frame| frame[12..14] == [0x08, 0x06]);
    assert_eq!(frames[0][28..32], [192, 0, 2, 101]);

    hosts.a.namespace().ip("link set eth0 down");
    let error = hosts
        .block_on(manager.announce(&vips(&["192.0.2.100"], "eth0")))
        .unwrap_err();
    assert!(matches!(error, VipError::Refused { .. }), "{error:?}");
}
