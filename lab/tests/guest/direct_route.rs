//! DR: servers have the virtual address themselves and answer the client directly. TCP over IPv4 is
//! in the guide.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use ipvs::{RealServer, Via};
use lab::{Flow, Node};

use crate::site::{Site, VIP, VIP_V6, assert_known, connections, load, share, socket, undo};

const TABLE: &str = "-A -t [2001:db8:1::100]:80 -s rr\n\
    -a -t [2001:db8:1::100]:80 -r [2001:db8:1::21]:80 -g\n\
    -a -t [2001:db8:1::100]:80 -r [2001:db8:1::22]:80 -g\n\
    -A -u 192.0.2.100:80 -s rr\n\
    -a -u 192.0.2.100:80 -r 192.0.2.21:80 -g\n";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn servers_answer_over_ipv6_and_udp_and_the_network_finds_the_address_at_the_director() {
    let mut site = Site::one_card("dr");
    let [v4, v6] = [VIP, VIP_V6].map(|vip| vip.parse().unwrap());
    site.prepare_servers(&RealServer::new(
        [v4, v6].map(|vip| (vip, Via::DirectRoute)),
    ));
    // They get packets as the client sent them: to the virtual address.
    for vip in [v4, v6] {
        let address = &format!("{}", SocketAddr::new(vip, 80));
        site.serve([address, address]);
    }
    load(&site.director, TABLE);

    let answers = site.curl(6, &SocketAddr::new(v6, 80).to_string());

    assert_eq!(share(&answers), [("rs1", 3), ("rs2", 3)]);
    let client: IpAddr = "2001:db8:1::10".parse().unwrap();
    let rows = connections(&site.director);
    for answer in &answers {
        assert_eq!(answer.client.ip(), client);
        assert_known(answer, &rows);
    }
    assert_eq!(found_at(&site.client, v6), mac_of(&site.director));
    let flow = Flow::open(&site.client, socket(&format!("{VIP}:80"))).unwrap();
    assert_eq!(flow.ask().unwrap().server, "rs1");
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_server_whose_preparation_is_undone_is_as_it_was() {
    let site = Site::one_card("dr-undo");
    let vip: IpAddr = VIP.parse().unwrap();
    let server = &site.servers[0];
    let settings = || (sysctls_of(server), server.addresses());
    let before = settings();

    let [edits, _] = site.prepare_servers(&RealServer::new([(vip, Via::DirectRoute)]));
    assert!(server.holds(vip));
    assert_ne!(settings(), before);
    undo(server, &edits);

    assert_eq!(settings(), before);
}

/// What decides where a node is found, and from where it takes packets.
fn sysctls_of(node: &Node) -> Vec<(PathBuf, String)> {
    node.namespace().enter(|| {
        let interfaces = fs::read_dir("/proc/sys/net/ipv4/conf").expect("IPv4");
        let files = interfaces.flatten().flat_map(|interface| {
            ["arp_ignore", "arp_announce", "rp_filter"].map(|name| interface.path().join(name))
        });
        files
            .map(|file| (file.clone(), fs::read_to_string(file).expect("readable")))
            .collect()
    })
}

/// The hardware address at which a node has found a neighbour.
fn found_at(node: &Node, neighbour: IpAddr) -> String {
    let line = node.run("ip", &["neigh", "show", &neighbour.to_string()]);
    let mut words = line.split_whitespace().skip_while(|word| *word != "lladdr");
    words.nth(1).unwrap_or_else(|| panic!("{line}")).to_owned()
}

fn mac_of(node: &Node) -> String {
    let line = node.run("ip", &["-brief", "link", "show", "eth0"]);
    let mac = line.split_whitespace().nth(2);
    mac.unwrap_or_else(|| panic!("{line}")).to_owned()
}
