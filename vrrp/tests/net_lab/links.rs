//! What the link monitor sees.

use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use lab::wait_until;
use vrrp::{
    Family, Link, Links, VipManager as _,
    net::{Kernel, LinkMonitor},
};

use crate::{
    host::{Hosts, LONG},
    vips::many,
};

#[track_caller]
fn wait_for(monitor: &LinkMonitor, what: &str, condition: impl Fn(&Links) -> bool) {
    let links = monitor.links();
    wait_until(what, LONG, || condition(&links.borrow()));
}

fn eth0(links: &Links, condition: impl Fn(&Link) -> bool) -> bool {
    links.get("eth0").is_some_and(condition)
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn everything_is_known_from_the_start() {
    let hosts = Hosts::new("start");
    let monitor = hosts.monitor(&hosts.a);
    let links = monitor.links().borrow().clone();
    let names: Vec<_> = links.keys().map(|name| &**name).collect();
    assert_eq!(names, ["eth0", "lo"]);
    let eth0 = &links["eth0"];
    assert!(eth0.running && links["lo"].running);
    assert_eq!(eth0.addresses.len(), 3);
    assert_eq!(
        eth0.primary(Family::V4, |_| false),
        Some("192.0.2.1".parse().unwrap())
    );
    assert_eq!(
        eth0.primary(Family::V6, |_| false),
        Some("fe80::1".parse().unwrap())
    );
    assert!(links["lo"].has("127.0.0.1".parse().unwrap()));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_goes_down_and_comes_back() {
    let hosts = Hosts::new("updown");
    let monitor = hosts.monitor(&hosts.a);
    let ipv6 = "fe80::1".parse().unwrap();

    hosts.b.namespace().ip("link set eth0 down");
    wait_for(&monitor, "the carrier is lost", |links| {
        eth0(links, |link| !link.running && link.has(ipv6))
    });
    hosts.b.namespace().ip("link set eth0 up");
    wait_for(&monitor, "the carrier is back", |links| {
        eth0(links, |link| link.running)
    });
    // The kernel takes IPv6 addresses off an interface that is put down.
    hosts.a.namespace().ip("link set eth0 down");
    wait_for(&monitor, "it is down", |links| {
        eth0(links, |link| !link.running && !link.has(ipv6))
    });
    hosts.a.namespace().ip("link set eth0 up");
    wait_for(&monitor, "it is up", |links| {
        eth0(links, |link| link.running && link.addresses.len() == 1)
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_is_removed_made_again_and_renamed() {
    let hosts = Hosts::new("renamed");
    let monitor = hosts.monitor(&hosts.a);
    let before = monitor.links().borrow()["eth0"].index;

    hosts.a.namespace().ip("link del eth0");
    wait_for(&monitor, "it is gone", |links| !links.contains_key("eth0"));
    hosts
        .a
        .namespace()
        .ip("link add eth0 type bridge\nlink set eth0 up");
    wait_for(&monitor, "another is in its place", |links| {
        eth0(links, |link| link.index != before)
    });
    let index = monitor.links().borrow()["eth0"].index;
    hosts
        .a
        .namespace()
        .ip("link set eth0 down\nlink set eth0 name lan0\nlink set lan0 up");
    wait_for(&monitor, "it has its new name", |links| {
        !links.contains_key("eth0") && links.get("lan0").is_some_and(|link| link.index == index)
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn interfaces_that_swap_names_are_told_apart() {
    let hosts = Hosts::new("swap");
    hosts.a.namespace().ip("link add eth1 type bridge");
    let monitor = hosts.monitor(&hosts.a);
    let (eth0, eth1) = {
        let links = monitor.links();
        let links = links.borrow();
        (links["eth0"].index, links["eth1"].index)
    };
    hosts.a.namespace().ip("link set eth0 down\n\
         link set eth0 name other\n\
         link set eth1 name eth0\n\
         link set other name eth1");
    wait_for(&monitor, "the names are swapped", |links| {
        links.len() == 3
            && links.get("eth0").is_some_and(|link| link.index == eth1)
            && links.get("eth1").is_some_and(|link| link.index == eth0)
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_ipv6_address_is_usable_once_nobody_else_has_it() {
    let hosts = Hosts::new("tentative");
    for node in [&hosts.a, &hosts.b] {
        node.namespace()
            .set_sysctl("net/ipv6/conf/eth0/accept_dad", "1");
    }
    let monitor = hosts.monitor(&hosts.a);
    let usable = |links: &Links, address: &str| {
        let address: IpAddr = address.parse().unwrap();
        eth0(links, |link| {
            link.addresses
                .iter()
                .any(|known| known.address == address && known.usable)
        })
    };
    let known = |links: &Links, address: &str| {
        let address = address.parse().unwrap();
        eth0(links, |link| link.has(address))
    };
    hosts
        .a
        .namespace()
        .ip("address add 2001:db8::7/64 dev eth0\n\
         address add 2001:db8::2/64 dev eth0");
    wait_for(&monitor, "both are waiting", |links| {
        known(links, "2001:db8::7") && known(links, "2001:db8::2")
    });
    wait_for(&monitor, "the free one is usable", |links| {
        usable(links, "2001:db8::7")
    });
    wait_until("the duplicate is found", LONG, || {
        hosts
            .a
            .run("ip", &["address", "show", "dev", "eth0", "dadfailed"])
            .contains("2001:db8::2")
    });
    assert!(!usable(&monitor.links().borrow(), "2001:db8::2"));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn after_lost_events_everything_is_listed_again() {
    let hosts = Hosts::new("overrun");
    // Room for a handful of events.
    let monitor = hosts.a.namespace().enter(|| {
        hosts
            .block_on(LinkMonitor::open_with_receive_buffer(1))
            .unwrap()
    });
    let links = monitor.links();
    let manager = hosts.vips(&hosts.a);
    {
        // While somebody looks at the state it cannot be changed, so the monitor stops reading.
        let _look = links.borrow();
        hosts.block_on(manager.acquire(&many(1000))).unwrap();
    }
    hosts.a.namespace().ip("link add last type bridge");
    wait_for(&monitor, "all of it is known", |links| {
        links.contains_key("last") && eth0(links, |link| link.addresses.len() == 2003)
    });
    assert!(monitor.overruns() > 0, "the test has lost no event");
    let fresh = hosts.monitor(&hosts.a);
    assert_eq!(*monitor.links().borrow(), *fresh.links().borrow());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_state_told_by_events_is_the_state_that_is_listed() {
    let hosts = Hosts::new("same");
    let monitor = hosts.monitor(&hosts.a);
    hosts.a.namespace().ip("address add 10.0.0.1/24 dev eth0\n\
         address add 10.0.0.2/24 dev eth0\n\
         address add 10.0.1.1/24 dev eth0 scope link\n\
         address del 192.0.2.1/24 dev eth0\n\
         address add fe80::7/64 dev eth0 nodad\n\
         link add br0 type bridge\n\
         link set eth0 master br0\n\
         address add 10.0.2.1/24 dev br0\n\
         link set br0 up\n\
         link set eth0 nomaster\n\
         link add link eth0 name mac0 type macvlan\n\
         link del br0\n\
         link add last type bridge");
    wait_for(&monitor, "the last of it is known", |links| {
        links.contains_key("last")
    });
    let fresh = hosts.monitor(&hosts.a);
    wait_for(&monitor, "both agree", |links| {
        *links == *fresh.links().borrow()
    });
    assert_eq!(monitor.links().borrow().len(), 4);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_monitor_whose_readers_are_gone_ends_its_thread() {
    let hosts = Hosts::new("ends");
    let kernel = hosts
        .a
        .namespace()
        .enter(|| hosts.block_on(Kernel::connect()).unwrap());
    // The namespace tells them from those of other tests in this process.
    let namespace = |path: PathBuf| fs::metadata(path).map(|found| found.ino()).ok();
    let here = namespace(Path::new("/run/netns").join(hosts.a.namespace().name()));
    let threads = || {
        fs::read_dir("/proc/self/task")
            .unwrap()
            .flatten()
            .filter(|task| namespace(task.path().join("ns/net")) == here)
            .count()
    };
    // The thread that entered the namespace is joined, and may still be seen for a moment.
    wait_until("its two threads are left", LONG, || threads() == 2);
    drop(kernel);
    wait_until("both threads ended", LONG, || threads() == 0);
}
