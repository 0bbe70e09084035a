//! An operator's orders to a director that runs: whom they reach, and whom they do not.

use ipvs::{Family, Forwarder};
use lab::{Peer, Session, Software, wait_until};

use crate::site::{SOON, Site, VIP, prepare_director, socket};

/// `more` stands in the virtual server.
fn configuration(more: &str) -> String {
    format!(
        "virtual_server {VIP} 80 {{
            delay_loop 1
            lvs_sched rr
            lvs_method NAT
            protocol TCP
            {more}
            real_server 198.51.100.21 80 {{
                TCP_CHECK {{
                    connect_timeout 2
                }}
            }}
            real_server 198.51.100.22 80 {{
                TCP_CHECK {{
                    connect_timeout 2
                }}
            }}
        }}
        "
    )
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn drain_takes_new_connections_away_and_leaves_those_that_are_there() {
    let mut site = Site::two_cards("orders");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    site.serve(["198.51.100.21:80", "198.51.100.22:80"]);
    let daemon = Peer::start(Software::Director, &site.director, &configuration(""));
    let table = || site.director.run("ipvsadm", &["-Sn"]);
    let has = |line: &str| table().contains(line);
    wait_until("the whole pool", SOON, || {
        has("-r 198.51.100.21:80 -m -w 1") && has("-r 198.51.100.22:80 -m -w 1")
    });
    let to = socket(&format!("{VIP}:80"));
    let connect = || Session::connect(&site.client, to).expect("somebody serves");
    let server = |session: &mut Session| session.ask().expect("an answer").server;
    let mut sessions = [connect(), connect()];
    let before = sessions.each_mut().map(server);
    assert!(before.contains(&String::from("rs1")), "{before:?}");

    let told = daemon.ask(&["drain", "198.51.100.21"]);
    assert_eq!(
        told,
        "198.51.100.21:80 of VS 192.0.2.100 80: drained (before: no order)\n"
    );
    let is_drained = || has("-r 198.51.100.21:80 -m -w 0");
    wait_until("weight 0", SOON, is_drained);
    for _ in 0..4 {
        assert_eq!(server(&mut connect()), "rs2", "new ones go elsewhere");
        assert_eq!(
            sessions.each_mut().map(server),
            before,
            "who was there stays"
        );
    }
    let because = "no new connections: drained by order; 1 connection goes on";
    for words in [&["status"] as &[&str], &["why", "198.51.100.21:80"]] {
        let told = daemon.ask(words);
        assert!(told.contains(because), "{told}");
    }
    let audit = "ordered drain: 198.51.100.21:80 of VS 192.0.2.100 80: drained (before: no order)";
    assert!(daemon.log().contains(audit), "{}", daemon.log());

    // Another file, and checks that go on: the order stands.
    daemon.reload(&configuration("persistence_timeout 300"));
    wait_until("the other file", SOON, || has("-p 300"));
    assert!(is_drained(), "{}", table());
    assert_eq!(sessions.each_mut().map(server), before);
    daemon.reload(&configuration(""));
    wait_until("the first file", SOON, || !has("-p 300"));

    let told = daemon.ask(&[
        "undrain",
        "198.51.100.21",
        "--virtual-server",
        "192.0.2.100:80",
    ]);
    assert!(told.contains("no order (before: drained)"), "{told}");
    wait_until("weight 1", SOON, || has("-r 198.51.100.21:80 -m -w 1"));
    let mut after = [connect(), connect()].each_mut().map(server);
    after.sort();
    assert_eq!(after, ["rs1", "rs2"]);
}
