//! `director` in an operator's hands: reload, mistakes, leftovers, addresses that others remove, and
//! the control socket.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use lab::{
    Capture, Lab, Node, Notifications, Peer, RELEASES, Software, VRRP, director, wait_until,
};

const VIP: IpAddr = vip(100);

/// Whatever has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

/// More than a large file takes a build that is not optimised.
const PATIENCE: Duration = Duration::from_secs(60);

const fn vip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_reload_leaves_what_is_the_same_alone() {
    let (_lab, node) = one_node("reload");
    let notifications = Notifications::new(&node);
    let file = |second: &str| {
        let first = instance("VI_1", 51, 100, &notifications);
        format!("{HEAD}{first}{second}")
    };
    let (old, new) = (
        instance("VI_2", 52, 101, &notifications),
        instance("VI_3", 53, 102, &notifications),
    );
    let daemon = Peer::start(Software::Director, &node, &file(&old));
    wait_until("both addresses", SOON, || {
        node.holds(VIP) && node.holds(vip(101))
    });

    let mut capture = Capture::start(&node, "eth0", VRRP);
    let of_first = "ip proto 112 and ip[21] == 51";
    let seen = |capture: &Capture, count| capture.packets(of_first).len() >= count;
    wait_until("advertisements before", SOON, || seen(&capture, 5));
    let before = capture.packets(of_first).len();
    daemon.reload(&file(&new));
    wait_until("the new address alone", SOON, || {
        node.holds(vip(102)) && !node.holds(vip(101))
    });
    wait_until("advertisements after", SOON, || seen(&capture, before + 10));
    capture.stop();

    let longest = longest_gap(&capture, of_first);
    assert!(
        longest < Duration::from_millis(190),
        "advert_int 0.1, longest gap {longest:?}"
    );
    let releases = capture.packets(RELEASES);
    assert_eq!(
        releases.len(),
        1,
        "of the removed instance alone: {releases:?}"
    );
    assert!(releases[0].text.contains("vrid 52"), "{releases:?}");
    wait_until(
        "the removed one is told FAULT, as keepalived does",
        SOON,
        || notifications.states_of("VI_2") == ["BACKUP", "MASTER", "FAULT"],
    );
    assert_eq!(notifications.states_of("VI_1"), ["BACKUP", "MASTER"]);
}

/// The thread of VRRP waits for nobody who reads a file, computes a plan or changes a table.
#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_reload_of_thousands_of_virtual_servers_delays_no_advertisement() {
    let (_lab, node) = one_node("thousands");
    let notifications = Notifications::new(&node);
    let first = instance("VI_1", 51, 100, &notifications);
    let file = |weight| format!("{HEAD}{first}{}", virtual_servers(2_277, 16, weight));
    let memory = ["--backend", "memory"];
    let daemon = Peer::start_with(Software::Director, &node, &file(1), &memory);
    wait_until("the address", PATIENCE, || node.holds(VIP));

    let mut capture = Capture::start(&node, "eth0", VRRP);
    for reload in 1..=2 {
        daemon.reload(&file(reload + 1));
        wait_until("the reload", PATIENCE, || {
            daemon.log().matches("real_server 1 changed").count() == reload
        });
    }
    capture.stop();
    let longest = longest_gap(&capture, VRRP);
    assert!(
        longest < Duration::from_millis(190),
        "advert_int 0.1, longest gap {longest:?}"
    );
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_reload_with_a_mistake_changes_nothing_and_says_where_it_is() {
    let (_lab, node) = one_node("mistake");
    let notifications = Notifications::new(&node);
    let good = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    let mut daemon = Peer::start(Software::Director, &node, &good);
    wait_until("the address", SOON, || node.holds(VIP));

    for (mistake, complaint) in [
        (
            good.replace("interface eth0", "interfaze eth0"),
            "did you mean `interface`?",
        ),
        (
            good.replace("virtual_router_id 51", "virtual_router_id 300"),
            "300",
        ),
        (
            good.replace("192.0.2.100/24", "192.0.2.100/64"),
            "192.0.2.100/64",
        ),
        (format!("{good}}}"), "}"),
        (String::from("\0\u{1b}[31m"), "error"),
        (String::new(), "the file has no vrrp_instance"),
        (good.clone(), "Configuration applied"),
    ] {
        let refused = daemon.log().matches("Reload refused").count();
        daemon.reload(&mistake);
        let is_mistake = mistake != good;
        wait_until(complaint, SOON, || {
            let log = daemon.log();
            log.contains(complaint)
                && log.matches("Reload refused").count() == refused + usize::from(is_mistake)
        });
        assert!(daemon.is_running() && node.holds(VIP));
    }
    assert_eq!(notifications.states_of("VI_1"), ["BACKUP", "MASTER"]);
    assert!(daemon.stop(SOON).success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn what_a_killed_process_left_behind_is_taken_away() {
    let (_lab, node) = one_node("leftover");
    let notifications = Notifications::new(&node);
    let file = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    let mut daemon = Peer::start(Software::Director, &node, &file);
    wait_until("the address", SOON, || node.holds(VIP));
    daemon.crash();
    assert!(node.holds(VIP), "a killed process cannot clean up");

    let slow = file.replace("advert_int 0.1", "advert_int 5");
    let _again = Peer::start(Software::Director, &node, &slow);
    wait_until(
        "the leftover is gone before the wait for a master is over",
        SOON,
        || !node.holds(VIP),
    );
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_address_that_somebody_removes_is_put_back_without_a_change_of_role() {
    let (_lab, node) = one_node("removed");
    let notifications = Notifications::new(&node);
    let file = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    let daemon = Peer::start(Software::Director, &node, &file);
    wait_until("MASTER", SOON, || {
        notifications.states_of("VI_1").len() == 2
    });

    node.run("ip", &["address", "del", "192.0.2.100/24", "dev", "eth0"]);
    wait_until("it is told", SOON, || {
        daemon.log().contains("somebody removed")
    });
    wait_until("it is back", SOON, || node.holds(VIP));
    assert_eq!(notifications.states_of("VI_1"), ["BACKUP", "MASTER"]);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_comes_late_is_waited_for() {
    let lab = Lab::new("late");
    let (lan, node) = (lab.lan("lan"), lab.node("a"));
    let notifications = Notifications::new(&node);
    let file = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    let mut daemon = Peer::start(Software::Director, &node, &file);
    wait_until("FAULT", SOON, || {
        notifications.states_of("VI_1") == ["FAULT"]
    });
    assert!(daemon.log().contains("interface eth0 does not exist"));

    let _cable = lan.connect(&node, "eth0", &["192.0.2.1/24"]);
    wait_until("the address", SOON, || node.holds(VIP));
    assert!(daemon.stop(SOON).success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_control_socket_answers_reloads_and_stops() {
    let (_lab, node) = one_node("control");
    let notifications = Notifications::new(&node);
    let good = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    let mut daemon = Peer::start(Software::Director, &node, &good);
    wait_until("the address", SOON, || node.holds(VIP));
    // Master is told once the address is there.
    wait_until("the master", SOON, || {
        daemon.ask(&["status"]).contains("MASTER")
    });

    let socket = node.path("director.sock");
    let status = daemon.ask(&["status"]);
    assert!(
        status.contains("VI_1") && status.contains("MASTER"),
        "{status}"
    );
    assert!(status.contains("holds 192.0.2.100/24 dev eth0"), "{status}");
    let why = daemon.ask(&["why", "VI_1"]);
    assert!(
        why.contains("no master was heard (before: BACKUP)"),
        "{why}"
    );
    let json = daemon.ask(&["status", "--format", "json"]);
    assert!(json.contains(r#""role": "MASTER""#), "{json}");
    assert_eq!(daemon.ask(&["reload"]), "reloaded\nnothing changes\n");
    assert_eq!(daemon.ask(&["stop"]), "stopping\n");
    assert!(daemon.wait(SOON).success());
    assert!(!node.holds(VIP) && !socket.exists());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_file_that_is_wrong_or_missing_does_not_start_a_daemon() {
    let (_lab, node) = one_node("refused");
    let mut wrong = Peer::start(
        Software::Director,
        &node,
        "vrrp_instance VI_1 {\n  priority 300\n}\n",
    );
    assert_eq!(wrong.wait(SOON).code(), Some(1));
    assert!(wrong.log().contains("director.conf:2:"), "{}", wrong.log());

    node.remove("director.conf");
    let path = node.path("director.conf");
    let mut command = std::process::Command::new(director());
    command.args(["run", "-f"]).arg(&path);
    let mut missing = node.spawn("missing", command);
    assert_eq!(missing.wait(SOON).code(), Some(2));
    assert!(missing.log().contains("cannot read"), "{}", missing.log());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_log_that_nobody_reads_keeps_nobody_from_the_address() {
    let (_lab, node) = one_node("unread");
    let notifications = Notifications::new(&node);
    let file = format!("{HEAD}{}", instance("VI_1", 51, 100, &notifications));
    // A disk that is full, a reader that has gone, and one that lives but does not read: the pipe
    // is too small for the log of a start.
    for (number, log) in ["2>/dev/full", "2>&1 | true", "2>&1 | sleep 60"]
        .iter()
        .enumerate()
    {
        let path = node.path("unread.conf");
        std::fs::write(&path, &file).expect("the node has a directory");
        let socket = node.path("unread.sock");
        let (program, configuration, socket) =
            (director(), path.display(), socket.display().to_string());
        let mut command = std::process::Command::new("sh");
        command.env("RUST_LOG", "trace").arg("-c").arg(format!(
            "{} run -f {configuration} --control {socket} {log}",
            program.display()
        ));
        let _daemon = node.spawn(&format!("unread{number}"), command);
        wait_until(log, SOON, || node.holds(VIP));
        let ask = |word| {
            node.run(
                &program.display().to_string(),
                &[word, "--control", &socket],
            )
        };
        assert!(ask("status").contains("MASTER"), "{log}");
        assert_eq!(ask("stop"), "stopping\n", "{log}");
        wait_until(log, SOON, || !node.holds(VIP));
    }
}

/// The longest time between two of these packets.
fn longest_gap(capture: &Capture, of: &str) -> Duration {
    let packets = capture.packets(of);
    let pairs = packets.iter().zip(packets.iter().skip(1));
    let gaps = pairs.map(|(one, next)| next.at - one.at);
    gaps.max().expect("there are several")
}

const HEAD: &str = "global_defs {\n script_user root\n enable_script_security\n}\n";

fn one_node(name: &str) -> (Lab, Node) {
    let lab = Lab::new(name);
    let (lan, node) = (lab.lan("lan"), lab.node("a"));
    // The lab keeps the cable in; only cutting it needs the value.
    drop(lan.connect(&node, "eth0", &["192.0.2.1/24"]));
    (lab, node)
}

fn instance(name: &str, vrid: u8, last: u8, told: &Notifications) -> String {
    format!(
        "vrrp_instance {name} {{
            version 3
            state MASTER
            priority 100
            interface eth0
            virtual_router_id {vrid}
            advert_int 0.1
            notify {}
            virtual_ipaddress {{
                192.0.2.{last}/24
            }}
        }}
        ",
        told.script()
    )
}

/// Virtual servers whose real servers are checked, of which one has this weight.
fn virtual_servers(count: usize, real_servers: usize, weight: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        let (high, low) = (number / 250, number % 250);
        text.push_str(&format!(
            "virtual_server 10.{high}.{low}.1 80 {{
                delay_loop 60
                lvs_sched wrr
                lvs_method DR
                protocol TCP
            "
        ));
        for server in 0..real_servers {
            let weight = if (number, server) == (0, 0) {
                weight
            } else {
                1
            };
            text.push_str(&format!(
                "real_server 10.{high}.{low}.{} 80 {{
                    weight {weight}
                    TCP_CHECK {{
                    }}
                }}
                ",
                server + 2
            ));
        }
        text.push_str("}\n");
    }
    text
}
