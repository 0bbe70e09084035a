//! FULLNAT: servers that have no way back through the director see it as their client.

use ipvs::{
    FULL_NAT_CHAIN, Family, Forwarder, FullNat, Iptables, Protocol, SourceNat as _, SourceRange,
    Translated,
};
use lab::{Flow, Peer, Session, Software, wait_until};

use crate::site::{SOON, Site, VIP, VIP_V6, load, on, prepare_director, share, snapshot, socket};

const TABLE: &str = "-A -t 192.0.2.100:80 -s rr\n\
    -a -t 192.0.2.100:80 -r 192.0.2.21:8080 -m\n\
    -a -t 192.0.2.100:80 -r 192.0.2.22:8080 -m\n\
    -A -u 192.0.2.100:80 -s rr\n\
    -a -u 192.0.2.100:80 -r 192.0.2.21:8080 -m\n\
    -A -t [2001:db8:1::100]:80 -s rr\n\
    -a -t [2001:db8:1::100]:80 -r [2001:db8:1::21]:8080 -m\n\
    -a -t [2001:db8:1::100]:80 -r [2001:db8:1::22]:8080 -m\n";

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn servers_beside_the_client_see_the_director_and_answer_through_it() {
    // With the client on their own network they would answer it directly, and it would not know
    // what to make of it.
    let mut site = Site::one_card("full-nat");
    let mut forwarder = Forwarder::of([Family::V4, Family::V6]);
    forwarder.tracked = true;
    prepare_director(&site.director, forwarder);
    site.serve(["192.0.2.21:8080", "192.0.2.22:8080"]);
    site.serve(["[2001:db8:1::21]:8080", "[2001:db8:1::22]:8080"]);
    load(&site.director, TABLE);
    let table = snapshot(&site.director).table();
    let mut full_nat = FullNat::of(&table, table.services.keys());
    let source = "2001:db8:1::1".parse().unwrap();
    let source = SourceRange::new(source, source).unwrap();
    let translated = full_nat.translated.into_iter().map(|it| Translated {
        // Those of the other family have a source by themselves.
        source: Some(source),
        ..it
    });
    full_nat.translated = translated.collect();
    on(&site.director, async || {
        Iptables.install(&full_nat).await.unwrap();
    });

    for (vip, director) in [
        (VIP, "192.0.2.1"),
        (&format!("[{VIP_V6}]"), "2001:db8:1::1"),
    ] {
        let answers = site.curl(6, &format!("{vip}:80"));

        assert_eq!(share(&answers), [("rs1", 3), ("rs2", 3)]);
        for answer in &answers {
            assert_eq!(answer.client.ip().to_string(), director);
        }
    }
    let to = socket(&format!("{VIP}:80"));
    let answer = Flow::open(&site.client, to).unwrap().ask().unwrap();
    assert_eq!(answer.client.ip().to_string(), "192.0.2.1");

    // What is under way goes on when others alone are translated from now on.
    let mut session = Session::connect(&site.client, to).unwrap();
    let answer = session.ask().unwrap();
    let is_udp = |it: &Translated| it.service.protocol() == Some(Protocol::Udp);
    full_nat.translated.retain(is_udp);
    on(&site.director, async || {
        Iptables.install(&full_nat).await.unwrap();
    });
    assert_eq!(session.ask().unwrap(), answer);

    on(&site.director, async || {
        Iptables.remove().await.unwrap();
    });
    let rules = ["iptables-legacy-save", "ip6tables-legacy-save"]
        .map(|save| site.director.run(save, &["-t", "nat"]));
    assert!(!rules.concat().contains(FULL_NAT_CHAIN), "{rules:?}");
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn director_translates_what_its_file_says_and_leaves_the_machine_as_it_was() {
    let mut site = Site::one_card("full-nat-run");
    site.serve(["192.0.2.21:8080", "192.0.2.22:8080"]);
    let configuration = |method: &str| {
        format!(
            "virtual_server {VIP} 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind {method}\n\
             real_server 192.0.2.21 8080 {{\n}}\nreal_server 192.0.2.22 8080 {{\n}}\n}}\n"
        )
    };
    let mut daemon = Peer::start(
        Software::Director,
        &site.director,
        &configuration("FULLNAT"),
    );
    let table = || site.director.run("ipvsadm", &["-Sn"]);
    let rules = || site.director.run("iptables-legacy-save", &["-t", "nat"]);
    wait_until("the servers", SOON, || table().contains("192.0.2.22:8080"));

    let answers = site.curl(4, &format!("{VIP}:80"));

    assert_eq!(share(&answers), [("rs1", 2), ("rs2", 2)]);
    for answer in &answers {
        assert_eq!(answer.client.ip().to_string(), "192.0.2.1");
    }
    daemon.reload(&configuration("NAT"));
    wait_until("the end of FULLNAT", SOON, || {
        !rules().contains(FULL_NAT_CHAIN)
    });
    assert!(table().contains("192.0.2.22:8080"), "{}", table());
    daemon.reload(&configuration("FULLNAT"));
    wait_until("FULLNAT again", SOON, || rules().contains(FULL_NAT_CHAIN));
    // A range of one, which every director has while it is master.
    daemon.reload(&configuration(&format!(
        "FULLNAT\nfull_nat_source {VIP}/32"
    )));
    let source = format!("--to-source {VIP}");
    wait_until("the other source", SOON, || rules().contains(&source));
    for answer in site.curl(4, &format!("{VIP}:80")) {
        assert_eq!(answer.client.ip().to_string(), VIP);
    }
    daemon.stop(SOON);
    assert_eq!(table(), "");
    assert!(!rules().contains(FULL_NAT_CHAIN), "{}", rules());
    let conntrack = [
        "/proc/sys/net/ipv4/vs/conntrack",
        "/proc/sys/net/ipv4/ip_forward",
    ];
    assert_eq!(site.director.run("cat", &conntrack), "0\n0\n");
}
