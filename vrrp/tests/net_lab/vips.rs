//! Addresses put on interfaces and taken off.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    slice,
};

use lab::Node;
use vrrp::{Broadcast, Scope, Vip, VipError, VipManager as _};

use crate::host::Hosts;

fn vip(text: &str) -> Vip {
    text.parse::<Vip>().unwrap().on("eth0")
}

pub(crate) fn many(count: u16) -> Vec<Vip> {
    (0..count)
        .flat_map(|number| {
            let [high, low] = number.to_be_bytes();
            let v4 = Ipv4Addr::new(198, 18, high, low);
            let v6 = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, number);
            [(IpAddr::V4(v4), 32), (IpAddr::V6(v6), 64)]
        })
        .map(|(address, prefix_len)| Vip::new(address, prefix_len).unwrap().on("eth0"))
        .collect()
}

/// How many of them the host has, by its own account.
fn held(node: &Node, vips: &[Vip]) -> usize {
    let addresses = node.addresses();
    vips.iter()
        .filter(|vip| addresses.contains(&vip.address))
        .count()
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn hundreds_of_addresses_come_and_go_and_come_again() {
    let hosts = Hosts::new("hundreds");
    let manager = hosts.vips(&hosts.a);
    let vips = many(250);
    for _ in 0..2 {
        // The second time, every one of them is there already.
        for _ in 0..2 {
            hosts.block_on(manager.acquire(&vips)).unwrap();
            assert_eq!(held(&hosts.a, &vips), 500);
        }
        let listed = hosts.block_on(manager.list("eth0")).unwrap();
        assert_eq!(listed.len(), 500 + 3, "and those of the host");
        for vip in &vips {
            assert!(
                listed
                    .iter()
                    .any(|there| (there.address, there.prefix_len)
                        == (vip.address, vip.prefix_len)),
                "{vip}"
            );
        }
        for _ in 0..2 {
            hosts.block_on(manager.release(&vips)).unwrap();
            assert_eq!(held(&hosts.a, &vips), 0);
        }
    }
    assert_eq!(hosts.block_on(manager.list("eth0")).unwrap().len(), 3);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_address_under_another_prefix_is_not_gone() {
    let hosts = Hosts::new("prefix");
    let manager = hosts.vips(&hosts.a);
    for (there, asked) in [
        ("192.0.2.100/24", "192.0.2.100/32"),
        ("2001:db8::100/64", "2001:db8::100/128"),
    ] {
        let (there, asked) = (vip(there), vip(asked));
        hosts
            .block_on(manager.acquire(slice::from_ref(&there)))
            .unwrap();
        let error = hosts.block_on(manager.release(&[asked])).unwrap_err();
        let VipError::Refused { source, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(
            source.to_string(),
            format!("the address is there as {there}")
        );
        assert!(hosts.a.holds(there.address));
        hosts
            .block_on(manager.release(slice::from_ref(&there)))
            .unwrap();
        assert!(!hosts.a.holds(there.address));
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn prefix_scope_label_and_broadcast_are_as_asked_for() {
    let hosts = Hosts::new("attributes");
    let manager = hosts.vips(&hosts.a);
    // In a network of its own: within one, the kernel takes addresses of the same scope alone.
    let mut full = vip("203.0.113.100/24");
    full.scope = Some(Scope::Link);
    full.label = Some("eth0:vip".into());
    full.broadcast = Broadcast::AllOnes;
    let plain = vip("198.51.100.1");
    hosts
        .block_on(manager.acquire(&[full.clone(), plain.clone()]))
        .unwrap();

    let listed = hosts.block_on(manager.list("eth0")).unwrap();
    let find = |address| listed.iter().find(|there| there.address == address);
    full.broadcast = Broadcast::Address(Ipv4Addr::new(203, 0, 113, 255));
    assert_eq!(find(full.address), Some(&full));
    let mut expected = plain;
    expected.scope = Some(Scope::Global);
    assert_eq!(find(expected.address), Some(&expected));

    let seen_by_ip = hosts.a.run("ip", &["-4", "address", "show", "dev", "eth0"]);
    assert!(
        seen_by_ip.contains("203.0.113.100/24 brd 203.0.113.255 scope link eth0:vip"),
        "{seen_by_ip}"
    );
    assert!(
        seen_by_ip.contains("198.51.100.1/32 scope global eth0"),
        "{seen_by_ip}"
    );
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_ipv6_address_is_usable_at_once_and_a_host_address_is_no_source() {
    let hosts = Hosts::new("nodad");
    hosts
        .a
        .namespace()
        .set_sysctl("net/ipv6/conf/eth0/accept_dad", "1");
    let manager = hosts.vips(&hosts.a);
    let vips = [vip("2001:db8::100/64"), vip("2001:db8::200")];
    hosts.block_on(manager.acquire(&vips)).unwrap();
    let seen_by_ip = hosts
        .a
        .run("ip", &["-6", "-oneline", "address", "show", "dev", "eth0"]);
    let line = |address: &str| {
        seen_by_ip
            .lines()
            .find(|line| line.contains(address))
            .unwrap_or_else(|| panic!("{seen_by_ip}"))
    };
    assert!(!seen_by_ip.contains("tentative"), "{seen_by_ip}");
    assert!(
        !line("2001:db8::100/64").contains("deprecated"),
        "{seen_by_ip}"
    );
    assert!(
        line("2001:db8::200/128").contains("deprecated"),
        "{seen_by_ip}"
    );
    assert!(
        line("2001:db8::200/128").contains("valid_lft forever"),
        "{seen_by_ip}"
    );
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_is_missing_fails_acquire_alone_and_for_its_addresses_alone() {
    let hosts = Hosts::new("missing");
    let manager = hosts.vips(&hosts.a);
    let (here, nowhere) = (vip("192.0.2.100"), vip("192.0.2.101").on("eth7"));
    let set = [nowhere.clone(), here.clone(), nowhere];
    let error = hosts.block_on(manager.acquire(&set)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add 192.0.2.101/32 dev eth7: there is no interface eth7"
    );
    assert!(hosts.a.holds(here.address), "every one was tried");
    hosts.block_on(manager.release(&set)).unwrap();
    assert!(!hosts.a.holds(here.address));
    let error = hosts.block_on(manager.list("eth7")).unwrap_err();
    assert!(
        matches!(error, VipError::NoSuchInterface { .. }),
        "{error:?}"
    );
    let homeless = "192.0.2.102".parse().unwrap();
    let error = hosts.block_on(manager.acquire(&[homeless])).unwrap_err();
    assert!(matches!(error, VipError::Refused { .. }), "{error:?}");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_made_again_is_found_by_its_name() {
    let hosts = Hosts::new("again");
    let manager = hosts.vips(&hosts.a);
    let vip = vip("192.0.2.100/24");
    hosts
        .block_on(manager.acquire(slice::from_ref(&vip)))
        .unwrap();
    hosts
        .a
        .namespace()
        .ip("link del eth0\nlink add eth0 type bridge\nlink set eth0 up");
    hosts
        .block_on(manager.release(slice::from_ref(&vip)))
        .unwrap();
    hosts
        .block_on(manager.acquire(slice::from_ref(&vip)))
        .unwrap();
    assert!(hosts.a.holds(vip.address));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn disabled_ipv6_is_told_as_what_it_is() {
    let hosts = Hosts::new("disabled");
    hosts
        .a
        .namespace()
        .set_sysctl("net/ipv6/conf/eth0/disable_ipv6", "1");
    let manager = hosts.vips(&hosts.a);
    let error = hosts
        .block_on(manager.acquire(&[vip("2001:db8::100/64")]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot add 2001:db8::100/64 dev eth0: IPv6 is disabled on eth0, set the sysctl \
         net.ipv6.conf.eth0.disable_ipv6 to 0"
    );
    let listed = hosts.block_on(manager.list("eth0")).unwrap();
    assert!(
        listed.iter().all(|there| there.address.is_ipv4()),
        "{listed:?}"
    );
}
