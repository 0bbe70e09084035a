//! `director realserver` on a machine that is a real server.

use std::process::{Command, Output};

use lab::{Cable, Lab, Node, director};

/// As a director has it: one virtual server of each forwarding method.
const CONFIGURATION: &str = "\
virtual_server 192.0.2.100 80 {
    lvs_sched rr
    lvs_method DR
    protocol TCP
    real_server 192.0.2.21 80 {
    }
    real_server 192.0.2.22 80 {
    }
}
virtual_server 192.0.2.101 80 {
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    real_server 192.0.2.21 8080 {
    }
}
";

/// A real server, with the director's configuration on it.
fn real_server(address: &str) -> (Lab, Node, Cable) {
    let lab = Lab::new("realserver");
    let lan = lab.lan("lan");
    let node = lab.node("rs");
    let cable = lan.connect(&node, "eth0", &[address]);
    node.write("director.conf", CONFIGURATION);
    (lab, node, cable)
}

fn run(node: &Node, arguments: &[&str]) -> Output {
    let (file, journal) = (node.path("director.conf"), node.path("journal"));
    node.namespace().enter(|| {
        Command::new(director())
            .arg("realserver")
            .args(arguments)
            .arg("-f")
            .arg(&file)
            .arg("--journal")
            .arg(&journal)
            .output()
            .expect("director runs")
    })
}

/// Everything that `up` may change.
fn state(node: &Node) -> String {
    let sysctls = "cat /proc/sys/net/ipv4/conf/*/arp_ignore /proc/sys/net/ipv4/conf/*/arp_announce \
                   /proc/sys/net/ipv4/conf/*/rp_filter; ip -oneline address show dev lo";
    node.run("sh", &["-c", sysctls])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_machine_is_made_a_real_server_and_left_exactly_as_it_was() {
    let (_lab, node, _cable) = real_server("192.0.2.21/24");
    let before = state(&node);

    let planned = run(&node, &["up", "--dry-run"]);
    assert_eq!(state(&node), before);
    let up = run(&node, &["up"]);
    assert!(up.status.success(), "{up:?}");
    assert_eq!(
        text(&up.stdout),
        "did: sysctl net.ipv4.conf.all.arp_ignore = 1, was 0\n\
         did: sysctl net.ipv4.conf.all.arp_announce = 2, was 0\n\
         did: add 192.0.2.100 to lo\n"
    );
    let planned = text(&planned.stdout).replace("would: ", "did: ");
    assert_eq!(planned, text(&up.stdout));
    let prepared = state(&node);
    assert!(prepared.contains("192.0.2.100/32"), "{prepared}");
    // What is masqueraded is not for its loopback.
    assert!(!prepared.contains("192.0.2.101"), "{prepared}");

    let again = run(&node, &["up"]);
    assert_eq!(
        (again.status.success(), text(&again.stdout)),
        (true, String::new())
    );
    assert_eq!(state(&node), prepared);

    let down = run(&node, &["down"]);
    assert!(down.status.success(), "{down:?}");
    assert_eq!(state(&node), before);
    assert!(!node.path("journal").exists());
    assert!(run(&node, &["down"]).status.success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_machine_that_is_no_real_server_is_told_which_addresses_it_has() {
    let (_lab, node, _cable) = real_server("192.0.2.77/24");
    let before = state(&node);
    let up = run(&node, &["up"]);
    let error = text(&up.stderr);
    assert_eq!(up.status.code(), Some(1));
    assert!(error.contains("192.0.2.77"), "{error}");
    assert_eq!(state(&node), before);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn without_rights_it_says_what_it_needs_and_changes_nothing() {
    let (_lab, node, _cable) = real_server("192.0.2.21/24");
    let before = state(&node);
    let (file, journal) = (node.path("director.conf"), node.path("journal"));
    let up = node.namespace().enter(|| {
        Command::new("setpriv")
            .args(["--bounding-set", "-net_admin", "--inh-caps", "-all", "--"])
            .arg(director())
            .args(["realserver", "up", "-f"])
            .arg(&file)
            .arg("--journal")
            .arg(&journal)
            .output()
            .expect("setpriv runs")
    });
    let error = text(&up.stderr);
    assert_eq!(up.status.code(), Some(1), "{up:?}");
    assert!(error.contains("CAP_NET_ADMIN"), "{error}");
    assert_eq!(state(&node), before);
}
