//! The last chapter of the tutorial: `director` with virtual servers, checks and a sorry server.

use std::thread;

use ipvs::{Family, Forwarder};
use lab::{Peer, Responder, Software, curl, wait_until};

use crate::site::{SOON, Site, VIP, prepare_director, share, socket};

const CONFIGURATION: &str = "\
virtual_server 192.0.2.100 80 {
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP
    sorry_server 198.51.100.21 9090
    real_server 198.51.100.21 8080 {
        weight 1
        TCP_CHECK {
            connect_timeout 2
            retry 1
            delay_before_retry 1
        }
    }
    real_server 198.51.100.22 8080 {
        weight 1
        HTTP_GET {
            http_protocol 1.0C
            url {
                path /
                status_code 200
            }
            connect_timeout 2
            retry 1
            delay_before_retry 1
        }
    }
}
";

/// Side by side with the daemon whose users this is for: what they expect is what it does.
#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn who_fails_leaves_the_pool_the_sorry_server_steps_in_and_everything_comes_back() {
    thread::scope(|scope| {
        for software in [Software::Director, Software::Keepalived] {
            scope.spawn(move || last_chapter(software));
        }
    });
}

fn last_chapter(software: Software) {
    let site = Site::two_cards(&format!("chapter-{software}"));
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    let [rs1, rs2] = &site.servers;
    let serve = |server, address| Responder::start(server, socket(address));
    let first = serve(rs1, "198.51.100.21:8080");
    let second = serve(rs2, "198.51.100.22:8080");
    let sorry = serve(rs1, "198.51.100.21:9090");
    let mut daemon = Peer::start(software, &site.director, CONFIGURATION);
    let table = || site.director.run("ipvsadm", &["-Sn"]);
    let has = |server: &str| table().contains(server);
    wait_until("the whole pool", SOON, || {
        has("198.51.100.21:8080") && has("198.51.100.22:8080")
    });
    let vip = socket(&format!("{VIP}:80"));
    assert_eq!(
        share(&curl(&site.client, vip, 4, &[])),
        [("rs1", 2), ("rs2", 2)]
    );

    drop(second);
    wait_until("the dead server to leave", SOON, || !has("198.51.100.22"));
    assert_eq!(
        share(&curl(&site.client, vip, 3, &[])),
        [("rs1", 3), ("rs2", 0)]
    );

    drop(first);
    wait_until("the sorry server", SOON, || has("198.51.100.21:9090"));
    assert!(!has("198.51.100.21:8080"), "{}", table());
    assert_eq!(
        share(&curl(&site.client, vip, 2, &[])),
        [("rs1", 2), ("rs2", 0)]
    );

    let _second = serve(rs2, "198.51.100.22:8080");
    wait_until("the server that came back", SOON, || {
        has("198.51.100.22:8080")
    });
    assert!(!has("198.51.100.21:9090"), "{}", table());
    assert_eq!(
        share(&curl(&site.client, vip, 2, &[])),
        [("rs1", 0), ("rs2", 2)]
    );

    daemon.stop(SOON);
    assert_eq!(table(), "");
    drop(sorry);
}
