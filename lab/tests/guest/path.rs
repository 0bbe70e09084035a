//! Checks that take the way of the clients' packets: a real server that has not taken the virtual
//! address for its own is found out, however well it answers at its own.

use std::{net::IpAddr, thread};

use ipvs::{Family, RealServer, Via};
use lab::{Node, Peer, Software, wait_until};

use crate::site::{SOON, Site, VIP, VIP_V6, share, undo};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_server_without_the_virtual_address_is_found_out_and_comes_back_with_it() {
    thread::scope(|scope| {
        scope.spawn(|| found_out("path-dr", "DR", VIP, Via::DirectRoute));
        scope.spawn(|| found_out("path-dr6", "DR", VIP_V6, Via::DirectRoute));
        scope.spawn(|| found_out("path-tun", "TUN", VIP, Via::Tunnel(Family::V4)));
    });
}

fn found_out(name: &str, method: &str, vip: &str, via: Via) {
    let vip: IpAddr = vip.parse().expect("an address");
    let mut site = Site::one_card(name);
    let [first, second] = match vip {
        IpAddr::V4(_) => ["192.0.2.21", "192.0.2.22"],
        IpAddr::V6(_) => ["2001:db8:1::21", "2001:db8:1::22"],
    };
    // As VRRP has it: nothing is sent from it by itself.
    if vip.is_ipv6() {
        let change = format!("address change {vip}/128 dev eth0 preferred_lft 0");
        site.director.namespace().ip(&change);
    }
    // At any address: that of the server's own answers all the time.
    site.serve(match vip {
        IpAddr::V4(_) => ["0.0.0.0:80"; 2],
        IpAddr::V6(_) => ["[::]:80"; 2],
    });
    let checker = "HTTP_GET {\nconnect_timeout 1\nretry 0\nurl {\npath /\n}\n}";
    let mut daemon = Peer::start(
        Software::Director,
        &site.director,
        &format!(
            "virtual_server {vip} 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind {method}\n\
             delay_loop 1\nforwarding_path\n\
             real_server {first} 80 {{\n{checker}\n}}\n\
             real_server {second} 80 {{\n{checker}\n}}\n}}\n"
        ),
    );
    let server = |address: &str| match vip {
        IpAddr::V4(_) => format!("-r {address}:80 "),
        IpAddr::V6(_) => format!("-r [{address}]:80 "),
    };
    let has = |address| table(&site.director).contains(&server(address));
    let prepared = RealServer::new([(vip, via)]);
    wait_until("both to be found out", SOON, || {
        daemon.log().contains("Down") && !has(first) && !has(second)
    });
    // What they do without the address is their own affair: drop the packets, or refuse them.
    let found_out = format!("{}:80", socket_host(second));
    let told = |line: &&str| line.contains(&found_out) && line.contains("Down: ");
    assert!(
        daemon.log().lines().any(|line| told(&line)),
        "{}",
        daemon.log()
    );

    let [_, edits] = site.prepare_servers(&prepared);
    wait_until("both to be used", SOON, || has(first) && has(second));
    let to = format!("{}:80", socket_host(&vip.to_string()));
    assert_eq!(share(&site.curl(4, &to)), [("rs1", 2), ("rs2", 2)]);

    undo(&site.servers[1], &edits);
    wait_until("one to be found out again", SOON, || !has(second));
    assert!(has(first));
    assert_eq!(share(&site.curl(3, &to)), [("rs1", 3), ("rs2", 0)]);

    daemon.stop(SOON);
    assert_eq!(table(&site.director), "");
    let accepts = site
        .director
        .run("cat", &["/proc/sys/net/ipv4/conf/all/accept_local"]);
    assert_eq!(accepts, "0\n", "the machine is as it was");
}

fn table(director: &Node) -> String {
    director.run("ipvsadm", &["-Sn"])
}

/// An address as it stands in front of a port.
fn socket_host(address: &str) -> String {
    if address.contains(':') {
        format!("[{address}]")
    } else {
        address.to_owned()
    }
}
