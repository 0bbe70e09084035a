//! The laboratory itself, tried with keepalived on both sides.

use std::{
    fs,
    mem::forget,
    net::{IpAddr, Ipv4Addr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use lab::{
    ANNOUNCEMENTS, Cable, Capture, Lab, Node, Notifications, Peer, Prober, Software, VRRP,
    in_namespace, wait_until,
};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_stopped_keepalived_hands_its_address_over_within_its_skew() {
    let pair = Pair::new("graceful");
    let prober = pair.probe();

    pair.a.peer.begin_stop();
    wait_for_takeover(&pair, &prober);
    let seen = prober.stop();

    // Skew of priority 100 at 0.1 s: 61 ms.
    assert!(
        seen.longest_gap > ms(20) && seen.longest_gap < ms(300),
        "{seen:?}"
    );
    assert!(pair.b.node.holds(VIP) && !pair.a.node.holds(VIP));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_crashed_keepalived_is_followed_after_the_master_down_interval() {
    let mut pair = Pair::new("crash");
    let prober = pair.probe();

    // In this order nothing is left that could see the carrier go and clean up.
    pair.a.peer.crash();
    pair.a.cable.cut();
    wait_for_takeover(&pair, &prober);
    let seen = prober.stop();

    // Three intervals and the skew of priority 100 at 0.1 s, less what of the first had passed:
    // between 261 ms and 361 ms.
    assert!(
        seen.longest_gap > ms(200) && seen.longest_gap < ms(900),
        "{seen:?}"
    );
    assert!(pair.a.node.holds(VIP), "a crash cleans nothing up");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_frozen_keepalived_comes_back_to_a_new_master_and_takes_the_address_again() {
    let pair = Pair::new("freeze");

    pair.a.peer.freeze();
    wait_until("b holds the address", secs(5), || pair.b.node.holds(VIP));
    assert!(pair.a.node.holds(VIP), "a frozen node cannot let go");
    pair.a.peer.thaw();

    wait_until("b gave the address back", secs(5), || {
        !pair.b.node.holds(VIP)
    });
    assert!(pair.a.node.holds(VIP));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_restored_cable_lets_the_better_node_take_over_again() {
    let pair = Pair::new("cable");

    pair.a.cable.cut();
    wait_until("b holds the address", secs(5), || pair.b.node.holds(VIP));
    wait_until("a saw its carrier go", secs(5), || !pair.a.node.holds(VIP));
    pair.a.cable.restore();

    wait_until("a holds the address", secs(5), || pair.a.node.holds(VIP));
    wait_until("b gave it back", secs(5), || !pair.b.node.holds(VIP));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_capture_on_the_bridge_shows_every_frame_and_keepalived_s_are_flawless() {
    let lab = Lab::new("capture");
    let lan = lab.lan("lan");
    let mut capture = Capture::start(lan.node(), "br0", &format!("{VRRP} or {ANNOUNCEMENTS}"));
    let node = lab.node("a");
    lan.connect(&node, "eth0", &["192.0.2.1/24"]);
    let mut peer = Peer::start(Software::Keepalived, &node, &configuration(200, None));

    wait_until("three advertisements", secs(10), || {
        capture.packets(VRRP).len() >= 3
    });
    assert!(peer.stop(secs(10)).success());
    capture.stop();

    capture.assert_flawless(VRRP);
    capture.assert_flawless(ANNOUNCEMENTS);
    let adverts = capture.packets(VRRP);
    assert!(
        adverts[0]
            .text
            .starts_with("02:00:00:00:00:01 > 01:00:5e:00:00:12"),
        "{adverts:?}"
    );
    assert!(
        adverts[0].text.contains("vrid 51, prio 200, intvl 10cs"),
        "{adverts:?}"
    );
    assert!(
        adverts.last().unwrap().text.contains("prio 0,"),
        "{adverts:?}"
    );
    let gap = adverts[1].at.checked_sub(adverts[0].at).unwrap();
    assert!(gap > ms(50) && gap < ms(500), "{gap:?}");
    assert_eq!(capture.packets("arp").len(), 5);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_notify_script_writes_its_arguments_down() {
    let lab = Lab::new("notify");
    let lan = lab.lan("lan");
    let node = lab.node("a");
    lan.connect(&node, "eth0", &["192.0.2.1/24"]);
    let notifications = Notifications::new(&node);

    let mut peer = Peer::start(
        Software::Keepalived,
        &node,
        &configuration(200, Some(&notifications)),
    );
    wait_until("the script ran for MASTER", secs(10), || {
        notifications
            .lines()
            .contains(&"INSTANCE VI_1 MASTER 200".to_owned())
    });
    peer.stop(secs(10));

    assert_eq!(
        notifications.lines().last().unwrap(),
        "INSTANCE VI_1 STOP 200"
    );
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn nothing_is_left_of_a_lab_after_a_panic() {
    let mut namespace = String::new();
    let mut file = PathBuf::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new("panic");
        let node = lab.node("a");
        let mut command = Command::new("sleep");
        command.arg("1000");
        // Not even a process that nothing holds any more survives.
        forget(node.spawn("sleep", command));
        namespace = format!("/run/netns/{}", node.namespace().name());
        file = node.write("file", "");
        assert!(fs::exists(&namespace).unwrap());
        panic!("on purpose");
    }));

    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert!(!fs::exists(namespace).unwrap());
    assert!(!fs::exists(file).unwrap());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn each_thread_has_a_nameless_namespace_of_its_own() {
    in_namespace(|| {
        let listener = TcpListener::bind("127.0.0.1:4242").unwrap();
        in_namespace(|| {
            TcpListener::bind("127.0.0.1:4242").expect("the port is free in another namespace");
        });
        drop(listener);
    });
}

/// Two nodes with keepalived and a client on one network; `a`, priority 200, is master.
struct Pair {
    a: Side,
    b: Side,
    client: Node,
    _lab: Lab,
}

struct Side {
    node: Node,
    cable: Cable,
    peer: Peer,
}

impl Pair {
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let lan = lab.lan("lan");
        let side = |name, address, priority| {
            let node = lab.node(name);
            let cable = lan.connect(&node, "eth0", &[address]);
            let notifications = Notifications::new(&node);
            let conf = configuration(priority, Some(&notifications));
            let peer = Peer::start(Software::Keepalived, &node, &conf);
            (Side { node, cable, peer }, notifications)
        };
        let (a, _) = side("a", "192.0.2.1/24", 200);
        wait_until("a holds the address", secs(10), || a.node.holds(VIP));
        let (b, notifications) = side("b", "192.0.2.2/24", 100);
        wait_until("b is backup", secs(10), || {
            notifications.lines() == ["INSTANCE VI_1 BACKUP 100"]
        });
        let client = lab.node("client");
        lan.connect(&client, "eth0", &["192.0.2.9/24"]);
        Self {
            a,
            b,
            client,
            _lab: lab,
        }
    }

    fn probe(&self) -> Prober {
        Prober::start(&self.client, VIP, ms(2))
    }
}

/// Waits until the address has moved to `b` and answers from there.
fn wait_for_takeover(pair: &Pair, prober: &Prober) {
    wait_until("b holds the address", secs(5), || pair.b.node.holds(VIP));
    let answers = prober.answers();
    wait_until("the address answers", secs(5), || {
        prober.answers() > answers + 10
    });
}

fn configuration(priority: u8, notifications: Option<&Notifications>) -> String {
    let notify =
        notifications.map_or_else(String::new, |found| format!("notify {}", found.script()));
    format!(
        "global_defs {{
            script_user root
            enable_script_security
            vrrp_version 3
            vrrp_garp_master_delay 0
        }}
        vrrp_instance VI_1 {{
            interface eth0
            virtual_router_id 51
            priority {priority}
            advert_int 0.1
            virtual_ipaddress {{
                192.0.2.100/24
            }}
            {notify}
        }}
        "
    )
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
