//! The configuration file of a tutorial that many a pair runs: a tracked script with a weight, a
//! password, and notify scripts. It is used as it is, but for the interface and the paths.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use lab::{Packet, Pair, Peer, Side, Software, VRRP, pairings, wait_until};

pairings!(
    the_pair_of_the_tutorial,
    the_priorities_that_the_tutorial_asks_for
);

const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 199, 10));

/// Version 2 starts with three intervals and the skew: 3.6 s; the script needs a few runs.
const SOON: Duration = Duration::from_secs(15);

/// Base priority 100 and, while the script passes, its weight 2; priority 50 on the backup.
fn the_pair_of_the_tutorial(a: Software, b: Software) {
    let mut pair = Pair::new("tutorial", a, b);
    let (mut a, _b) = start(&pair, "50");

    // The web server dies. The script would take three seconds to restart it, but has only its
    // interval of one: it is killed, which counts as a failure, and after the third the weight goes.
    let before = adverts_with(&pair, &pair.a, 100).len();
    pair.a.node.write("httpd-is-down", "");
    wait_until("a says 100", SOON, || {
        adverts_with(&pair, &pair.a, 100).len() > before
    });
    assert!(
        pair.a
            .node
            .lines("systemctl.log")
            .contains(&"restart httpd".to_owned())
    );
    assert!(pair.a.holds(&[VIP]), "100 is still better than 52");

    // And comes back.
    pair.a.node.remove("httpd-is-down");
    let before = adverts_with(&pair, &pair.a, 102).len();
    wait_until("a says 102 again", SOON, || {
        adverts_with(&pair, &pair.a, 102).len() > before
    });

    assert!(a.stop(SOON).success());
    pair.wait_for_b(&[VIP], SOON);
    wait_until("b ran its script", SOON, || {
        roles_of(&pair.b) == ["backup", "master"]
    });
    assert!(!adverts_with(&pair, &pair.b, 52).is_empty());
    finish(&mut pair);
}

/// "priority minus this value must be below the backup's", says a comment of the file: with 99 the
/// failing script moves the address.
fn the_priorities_that_the_tutorial_asks_for(a: Software, b: Software) {
    let mut pair = Pair::new("tutorial-99", a, b);
    let (_a, _b) = start(&pair, "99");

    pair.a.node.write("httpd-is-down", "");
    pair.wait_for_b(&[VIP], SOON);
    wait_until("a ran its script", SOON, || {
        roles_of(&pair.a) == ["backup", "master", "backup"]
    });

    pair.a.node.remove("httpd-is-down");
    pair.wait_for_a(&[VIP], SOON);
    wait_until("both ran their scripts", SOON, || {
        roles_of(&pair.a) == ["backup", "master", "backup", "master"]
            && roles_of(&pair.b) == ["backup", "master", "backup"]
    });

    pair.a.cable.cut();
    pair.wait_for_b(&[VIP], SOON);
    wait_until("a ran its script for a fault", SOON, || {
        roles_of(&pair.a).last().is_some_and(|role| role == "stop")
    });
    finish(&mut pair);
}

/// Starts the tutorial's master on `a` and its backup, with this priority, on `b`.
fn start(pair: &Pair, backup_priority: &str) -> (Peer, Peer) {
    let conf = include_str!("conf/tutorial-failover.conf");
    let a = pair.a.start(&at_home(conf, &pair.a));
    pair.wait_for_a(&[VIP], SOON);
    wait_until("a ran its script", SOON, || {
        roles_of(&pair.a) == ["backup", "master"]
    });
    wait_until("a's web server counts", SOON, || {
        !adverts_with(pair, &pair.a, 102).is_empty()
    });
    let backup = conf
        .replace("state MASTER", "state BACKUP")
        .replace("priority 100", &format!("priority {backup_priority}"));
    let b = pair.b.start(&at_home(&backup, &pair.b));
    wait_until("b ran its script", SOON, || roles_of(&pair.b) == ["backup"]);
    (a, b)
}

/// Puts a file of the tutorial, and the two scripts it names, onto a node.
fn at_home(conf: &str, side: &Side) -> String {
    let directory = &side.node.path("").display().to_string();
    // The web server, as the tutorial's check sees it: one line of `ps` while it runs.
    side.node.write_script(
        "ps",
        &format!("#!/bin/sh\n[ -e {directory}httpd-is-down ] || echo 4711 httpd\n"),
    );
    side.node.write_script(
        "systemctl",
        &format!("#!/bin/sh\necho \"$*\" >>{directory}systemctl.log\n"),
    );
    let check = include_str!("conf/ck_httpd.sh")
        .replace("ps -C", &format!("{directory}ps -C"))
        .replace("systemctl ", &format!("{directory}systemctl "));
    side.node.write_script("ck_httpd.sh", &check);
    let notify = include_str!("conf/start_haproxy.sh").replace("/root/", directory);
    side.node.write_script("start_haproxy.sh", &notify);
    conf.replace("ens33", "eth0")
        .replace("/etc/keepalived/", directory)
}

/// The roles that the notify script of a node wrote down.
fn roles_of(side: &Side) -> Vec<String> {
    let lines = side.node.lines("haproxy.log");
    let words = lines.iter().filter_map(|line| line.rsplit(' ').next());
    words.map(str::to_owned).collect()
}

fn adverts_with(pair: &Pair, side: &Side, priority: u8) -> Vec<Packet> {
    pair.sent_by(side, &format!("ip proto 112 and ip[22] == {priority}"))
}

fn finish(pair: &mut Pair) {
    pair.capture.stop();
    pair.capture.assert_flawless(VRRP);
}
