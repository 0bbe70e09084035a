//! TUN: the director wraps packets up for servers, which answer the client directly.

use std::net::IpAddr;

use ipvs::{Family, RealServer, Via};
use lab::{Capture, wait_until};

use crate::site::{SOON, Site, VIP, assert_known, connections, load, share};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn servers_unwrap_what_the_director_sends_and_answer_as_the_virtual_address() {
    let mut site = Site::one_card("tun");
    let vip: IpAddr = VIP.parse().unwrap();
    site.prepare_servers(&RealServer::new([(vip, Via::Tunnel(Family::V4))]));
    site.serve(["192.0.2.100:80"; 2]);
    load(
        &site.director,
        "-A -t 192.0.2.100:80 -s rr\n\
         -a -t 192.0.2.100:80 -r 192.0.2.21:80 -i\n\
         -a -t 192.0.2.100:80 -r 192.0.2.22:80 -i\n",
    );
    let mut capture = Capture::start(site.front.node(), "br0", "ip");

    let answers = site.curl(6, "192.0.2.100:80");

    assert_eq!(share(&answers), [("rs1", 3), ("rs2", 3)]);
    let rows = connections(&site.director);
    for answer in &answers {
        assert_eq!(answer.client.ip().to_string(), "192.0.2.10");
        assert_known(answer, &rows);
    }
    // The first packets of a connection: within another IP header, or without one.
    let wrapped = "ip proto 4 and src 192.0.2.1 and ip[53] == 2";
    let answered = "src 192.0.2.100 and tcp[13] == 18";
    let both = format!("({wrapped}) or ({answered})");
    wait_until("the capture has all", SOON, || {
        capture.packets(&both).len() >= 12
    });
    assert_eq!(
        [wrapped, answered].map(|filter| capture.packets(filter).len()),
        [6, 6]
    );
    capture.stop();
    assert!(capture.packets("ip proto 4 and ip[53] == 18").is_empty());
}
