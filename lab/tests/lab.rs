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

use lab::{ANNOUNCEMENTS, Lab, Pair, Peer, Prober, Software, VRRP, in_namespace, wait_until};

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_stopped_keepalived_hands_its_address_over_within_its_skew() {
    let pair = keepalived_pair("graceful");
    let (a, _b) = start_keepaliveds(&pair);
    let prober = pair.probe(VIP);

    a.begin_stop();
    wait_for_takeover(&pair, &prober);
    let seen = prober.stop();

    // Skew of priority 100 at 0.1 s: 61 ms.
    assert!(
        seen.longest_gap > ms(20) && seen.longest_gap < ms(300),
        "{seen:?}"
    );
    pair.wait_for_b(&[VIP], secs(5));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_crashed_keepalived_is_followed_after_the_master_down_interval() {
    let pair = keepalived_pair("crash");
    let (mut a, _b) = start_keepaliveds(&pair);
    let prober = pair.probe(VIP);

    // In this order nothing is left that could see the carrier go and clean up.
    a.crash();
    pair.a.cable.cut();
    wait_for_takeover(&pair, &prober);
    let seen = prober.stop();

    // Three intervals and the skew of priority 100 at 0.1 s: 361 ms. The client may see less, as
    // the kernel of a answers until the cable is cut.
    let silence = pair.silence_before_takeover();
    assert!(silence > ms(300) && silence < ms(900), "{silence:?}");
    assert!(seen.longest_gap < ms(900), "{seen:?}");
    assert!(pair.a.holds(&[VIP]), "a crash cleans nothing up");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_capture_on_the_bridge_shows_every_frame_and_keepalived_s_are_flawless() {
    let mut pair = keepalived_pair("capture");
    let mut a = pair.a.start(&pair.a.instance(&body(200)));

    wait_until("three advertisements", secs(10), || {
        pair.capture.packets(VRRP).len() >= 3
    });
    assert!(a.stop(secs(10)).success());
    pair.capture.stop();

    pair.capture.assert_flawless(VRRP);
    pair.capture.assert_flawless(ANNOUNCEMENTS);
    let adverts = pair.capture.packets(VRRP);
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
    assert_eq!(pair.capture.packets("arp").len(), 5);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_notify_script_writes_its_arguments_down() {
    let pair = keepalived_pair("notify");
    let mut a = pair.a.start(&pair.a.instance(&body(200)));

    pair.a.wait_for_state("MASTER", secs(10));
    a.stop(secs(10));

    let lines = pair.a.notifications.lines();
    assert_eq!(lines.first().unwrap(), "INSTANCE VI_1 BACKUP 200");
    assert_eq!(lines.last().unwrap(), "INSTANCE VI_1 STOP 200");
    assert_eq!(
        pair.a.notifications.states_of("VI_1"),
        ["BACKUP", "MASTER", "STOP"]
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

/// Keepalived on both sides; the first, with priority 200, is master.
fn start_keepaliveds(pair: &Pair) -> (Peer, Peer) {
    let a = pair.a.start(&pair.a.instance(&body(200)));
    pair.wait_for_a(&[VIP], secs(10));
    let b = pair.b.start(&pair.b.instance(&body(100)));
    pair.b.wait_for_state("BACKUP", secs(10));
    (a, b)
}

/// Waits until the address has moved to `b` and answers from there.
fn wait_for_takeover(pair: &Pair, prober: &Prober) {
    wait_until("b holds the address", secs(5), || pair.b.holds(&[VIP]));
    prober.wait_for_answers();
}

fn body(priority: u8) -> String {
    format!(
        "version 3
        priority {priority}
        advert_int 0.1
        virtual_ipaddress {{
            192.0.2.100/24
        }}"
    )
}

fn keepalived_pair(name: &str) -> Pair {
    Pair::new(name, Software::Keepalived, Software::Keepalived)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
