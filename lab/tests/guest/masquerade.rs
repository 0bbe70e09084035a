//! NAT: servers behind the director, which are reached and answer through it.

use std::collections::BTreeSet;

use ipvs::{Family, Forwarder};
use lab::{Flow, program};

use crate::site::{Site, VIP, VIP_V6, load, prepare_director, share, socket};

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn connections_are_listed_as_ipvsadm_lists_them() {
    let mut site = Site::two_cards("nat");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    site.serve(["198.51.100.21:8080", "198.51.100.22:8080"]);
    load(
        &site.director,
        "-A -t 192.0.2.100:80 -s rr\n\
         -a -t 192.0.2.100:80 -r 198.51.100.21:8080 -m\n\
         -a -t 192.0.2.100:80 -r 198.51.100.22:8080 -m\n",
    );

    let answers = site.curl(4, &format!("{VIP}:80"));

    let ipvsctl = program("ipvsctl").display().to_string();
    let [ours, theirs] = [&*ipvsctl, "ipvsadm"].map(|program| {
        let text = site.director.run(program, &["-Lnc"]);
        // Without the seconds that each has left.
        let columns = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        let rows = columns.map(|mut row| {
            row.remove(1);
            row.join(" ")
        });
        rows.collect::<BTreeSet<_>>()
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 2 + answers.len());
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn weights_share_connections_out_over_ipv6() {
    let mut site = Site::two_cards("nat-v6");
    prepare_director(&site.director, Forwarder::of([Family::V6]));
    site.serve(["[2001:db8:2::21]:80", "[2001:db8:2::22]:80"]);
    load(
        &site.director,
        "-A -t [2001:db8:1::100]:80 -s wrr\n\
         -a -t [2001:db8:1::100]:80 -r [2001:db8:2::21]:80 -m -w 3\n\
         -a -t [2001:db8:1::100]:80 -r [2001:db8:2::22]:80 -m -w 1\n",
    );

    let answers = site.curl(8, &format!("[{VIP_V6}]:80"));

    assert_eq!(share(&answers), [("rs1", 6), ("rs2", 2)]);
    let client = "2001:db8:1::10".parse().ok();
    assert!(
        answers
            .iter()
            .all(|answer| Some(answer.client.ip()) == client)
    );
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn datagrams_of_a_port_stay_with_their_server() {
    let mut site = Site::two_cards("nat-udp");
    prepare_director(&site.director, Forwarder::of([Family::V4]));
    site.serve(["198.51.100.21:5353", "198.51.100.22:5353"]);
    load(
        &site.director,
        "-A -u 192.0.2.100:53 -s rr\n\
         -a -u 192.0.2.100:53 -r 198.51.100.21:5353 -m\n\
         -a -u 192.0.2.100:53 -r 198.51.100.22:5353 -m\n",
    );

    let to = socket(&format!("{VIP}:53"));
    let flows = [(); 2].map(|()| Flow::open(&site.client, to).unwrap());
    let [one, other] = flows.each_ref().map(|flow| flow.ask().unwrap().server);

    assert_ne!(one, other);
    for _ in 0..3 {
        assert_eq!(
            flows.each_ref().map(|flow| flow.ask().unwrap().server),
            [&*one, &*other]
        );
    }
}
