//! Rules of nftables between a client and real servers, in network namespaces.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use ipvs::{
    ChangeOutcome, Family, Forwarder, IpvsBackend, IpvsError, Snapshot,
    machine::{self, Linux},
    nftables::{NftablesBackend, TABLE},
    plan,
    text::parse_table,
};
use lab::{Cable, Flow, Lab, Node, Responder, Session, curl};

const VIP: &str = "192.0.2.100:80";

struct Site {
    // The servers end before the namespaces that they are in.
    _responders: Vec<Responder>,
    _cables: Vec<Cable>,
    client: Node,
    director: Node,
    servers: Vec<Node>,
    _lab: Lab,
}

impl Site {
    /// Three servers, whose way back is the director.
    fn new(name: &str) -> Self {
        let lab = Lab::new(name);
        let (front, back) = (lab.lan("front"), lab.lan("back"));
        let (client, director) = (lab.node("client"), lab.node("director"));
        // Who forwards looks for neighbours from a link-local address, which the lab gives nobody.
        let mut cables = vec![
            front.connect(&client, "eth0", &["192.0.2.10/24", "2001:db8:1::10/64"]),
            front.connect(
                &director,
                "eth0",
                &[
                    "192.0.2.1/24",
                    "192.0.2.100/32",
                    "2001:db8:1::1/64",
                    "2001:db8:1::100/128",
                    "fe80::1/64",
                ],
            ),
            back.connect(
                &director,
                "eth1",
                &["198.51.100.1/24", "2001:db8:2::1/64", "fe80::1/64"],
            ),
        ];
        let mut responders = Vec::new();
        let servers: Vec<_> = (1..=3)
            .map(|number| {
                let server = lab.node(&format!("rs{number}"));
                let (v4, v6) = (address(number), format!("2001:db8:2::2{number}"));
                let (on_v4, on_v6) = (format!("{v4}/24"), format!("{v6}/64"));
                cables.push(back.connect(&server, "eth0", &[&on_v4, &on_v6]));
                server.namespace().ip("route add default via 198.51.100.1\n\
                     route add ::/0 via 2001:db8:2::1");
                for at in [format!("{v4}:8080"), format!("[{v6}]:8080")] {
                    responders.push(Responder::start(&server, at.parse().unwrap()));
                }
                server
            })
            .collect();
        let site = Self {
            _responders: responders,
            _cables: cables,
            client,
            director,
            servers,
            _lab: lab,
        };
        site.on_the_director(async || {
            let machine = Linux::open().unwrap();
            let forwarder = Forwarder::of([Family::V4, Family::V6]);
            let edits = forwarder.edits(&machine).await.unwrap();
            machine::make(&machine, &edits).await.unwrap();
        });
        site
    }

    fn on_the_director<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        self.director.namespace().enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work())
        })
    }

    /// Makes the table so, by a backend that knows nothing of those before.
    fn set(&self, saved: &str) {
        let desired = parse_table(saved).unwrap();
        self.on_the_director(async || {
            let nftables = NftablesBackend::new();
            let current = nftables.snapshot().await.unwrap().table();
            let outcomes = nftables.apply(&plan(&current, &desired)).await.unwrap();
            assert!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
            let current = nftables.snapshot().await.unwrap().table();
            assert_eq!(current.services, desired.services);
            assert_eq!(plan(&current, &desired), []);
        });
    }

    fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        self.on_the_director(async || NftablesBackend::new().snapshot().await)
    }

    /// How many of some new connections each server gets.
    fn shares(&self, vip: &str, connections: usize) -> BTreeMap<String, usize> {
        let mut shares = BTreeMap::new();
        for answer in curl(&self.client, vip.parse().unwrap(), connections, &[]) {
            *shares.entry(answer.server).or_default() += 1;
        }
        shares
    }

    fn nft(&self, command: &str) -> String {
        let words: Vec<_> = command.split(' ').collect();
        self.director.run("nft", &words)
    }
}

fn address(number: u8) -> String {
    format!("198.51.100.2{number}")
}

fn vip() -> SocketAddr {
    VIP.parse().unwrap()
}

/// The servers with these weights.
fn service(options: &str, weights: &[u32]) -> String {
    let mut saved = format!("-A -t {VIP} {options}\n");
    for (number, weight) in (1..).zip(weights) {
        saved += &format!("-a -t {VIP} -r {}:8080 -m -w {weight}\n", address(number));
    }
    saved
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn connections_are_spread_by_weight_and_counted() {
    let site = Site::new("nft-spread");
    site.set(&format!(
        "{}-A -u {VIP} -s rr\n-a -u {VIP} -r {}:8080 -m\n\
         -A -t [2001:db8:1::100]:80 -s rr\n\
         -a -t [2001:db8:1::100]:80 -r [2001:db8:2::21]:8080 -m\n\
         -a -t [2001:db8:1::100]:80 -r [2001:db8:2::22]:8080 -m\n",
        service("-s wrr", &[5, 3, 0]),
        address(3),
    ));

    let shares = site.shares(VIP, 80);

    assert_eq!(
        shares,
        BTreeMap::from([("rs1".to_owned(), 50), ("rs2".to_owned(), 30)])
    );
    let answer = Flow::open(&site.client, vip()).unwrap().ask().unwrap();
    assert_eq!(answer.server, "rs3");
    assert_eq!(
        answer.client.ip().to_string(),
        "192.0.2.10",
        "the client's own address"
    );
    let shares = site.shares("[2001:db8:1::100]:80", 4);
    assert_eq!(
        shares,
        BTreeMap::from([("rs1".to_owned(), 2), ("rs2".to_owned(), 2)])
    );
    // A client on the director itself.
    assert_eq!(curl(&site.director, vip(), 8, &[]).len(), 8);
    let snapshot = site.snapshot().unwrap();
    let of_tcp = snapshot
        .services
        .iter()
        .find(|it| it.key == ipvs::ServiceKey::tcp(VIP.parse().unwrap()));
    let of_tcp = of_tcp.unwrap();
    let counted: Vec<_> = of_tcp
        .destinations
        .iter()
        .map(|it| (it.settings.weight.get(), it.statistics.total.connections))
        .collect();
    let mut by_weight = counted;
    by_weight.sort_unstable();
    assert_eq!(by_weight, [(0, 0), (3, 33), (5, 55)]);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn no_connection_is_lost_while_the_table_changes() {
    let site = Site::new("nft-change");
    site.set(&service("-s rr", &[1, 1, 1]));
    let mut sessions: Vec<_> = (0..6)
        .map(|_| Session::connect(&site.client, vip()).unwrap())
        .collect();
    let before: Vec<_> = sessions.iter_mut().map(|it| it.ask().unwrap()).collect();
    let changed = AtomicBool::new(false);
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !changed.load(Ordering::Relaxed) {
                let connected = Session::connect(&site.client, vip());
                connected.unwrap().ask().unwrap();
                asked += 1;
            }
            asked
        });
        for round in 0..20 {
            let weights: &[u32] = if round % 2 == 0 { &[1, 0] } else { &[2, 1, 3] };
            site.set(&service(["-s rr", "-s wrr", "-s mh"][round % 3], weights));
        }
        changed.store(true, Ordering::Relaxed);
        assert!(asking.join().unwrap() > 20);
    });
    site.set(&service("-s rr", &[0, 1]));
    // Also those to servers that are drained or removed.
    let after: Vec<_> = sessions.iter_mut().map(|it| it.ask().unwrap()).collect();
    assert_eq!(after, before);
    assert_eq!(site.shares(VIP, 4), BTreeMap::from([("rs2".to_owned(), 4)]));
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_client_comes_back_to_its_server_until_its_time_is_over() {
    let site = Site::new("nft-persistent");
    site.set(&service("-s rr -p 2", &[1, 1, 1]));
    let first = site.shares(VIP, 6);
    assert_eq!(first.len(), 1, "{first:?}");
    let known = first.keys().next().unwrap().clone();
    let mut weights = [1, 1, 1];
    let number = site.servers.iter().position(|it| it.name() == known);
    weights[number.unwrap()] = 0;

    site.set(&service("-s rr -p 2", &weights));

    assert_eq!(site.shares(VIP, 3), BTreeMap::from([(known.clone(), 3)]));
    let forgotten = lab::becomes_true(Duration::from_secs(10), || {
        !site.nft("list table inet takeover").contains("expires")
    });
    assert!(forgotten);
    let shares = site.shares(VIP, 3);
    assert!(!shares.contains_key(&known), "{shares:?}");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_client_without_a_server_is_refused_at_once() {
    let site = Site::new("nft-refused");
    site.set(&service("-s rr", &[0, 0]));
    let refused = Session::connect(&site.client, vip()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    site.set("");
    assert_eq!(site.snapshot().unwrap().services, []);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn what_others_do_to_the_table_is_found_and_repaired_and_theirs_left_alone() {
    let site = Site::new("nft-drift");
    site.nft("add table inet of_somebody_else");
    let saved = service("-s rr", &[1, 1, 1]);
    site.set(&saved);
    let listed = site.nft("-s list table inet takeover");
    for damage in [
        "flush chain inet takeover tcp-192.0.2.100-80",
        "flush chain inet takeover tcp-192.0.2.100-80-to-198.51.100.21-8080",
        "delete element inet takeover services4 { 192.0.2.100 . tcp . 80 }",
        "flush set inet takeover services4_known",
        "flush chain inet takeover dispatch",
        "flush table inet takeover",
        "delete table inet takeover",
    ] {
        site.nft(damage);
        let found = site.snapshot().unwrap().table();
        assert_ne!(
            found.services,
            parse_table(&saved).unwrap().services,
            "{damage}"
        );
        site.set(&saved);
        let repaired = site.nft("-s list table inet takeover");
        let sorted = |text: &str| {
            // A server that was added again is the newest, and comes first.
            let lines = text.lines().filter(|it| !it.contains("numgen"));
            let mut lines: Vec<_> = lines.map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted(&repaired), sorted(&listed), "{damage}");
    }
    assert!(site.nft("list tables").contains("of_somebody_else"));

    site.nft("delete table inet takeover");
    site.nft("add table inet takeover");
    site.nft("add chain inet takeover theirs");
    let error = site.snapshot().unwrap_err();
    assert!(matches!(error, IpvsError::NotOurs { .. }), "{error}");
    assert_eq!(TABLE, "takeover");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_mark_and_port_0_stand_for_many_ports_which_connections_keep() {
    let site = Site::new("nft-mark");
    let to_both = |service: &str| {
        let of = |number| format!("-a {service} -r {} -m\n", address(number));
        format!("{}{}", of(1), of(2))
    };
    // One port is of the mark, all others of port 0.
    site.nft("add table ip marks");
    site.nft("add chain ip marks in { type filter hook prerouting priority -150 ; }");
    site.nft("add rule ip marks in ip daddr 192.0.2.100 tcp dport 9090 meta mark set 7");
    let servers: Vec<_> = (1..=2)
        .map(|number| {
            let at = format!("{}:9090", address(number)).parse().unwrap();
            Responder::start(&site.servers[usize::from(number) - 1], at)
        })
        .collect();
    site.set(&format!(
        "-A -f 7 -s rr\n{}-A -t 192.0.2.100:0 -s rr -p 60\n{}",
        to_both("-f 7"),
        to_both("-t 192.0.2.100:0").replace(" -m", ":0 -m"),
    ));

    let of_the_mark = site.shares("192.0.2.100:9090", 4);
    assert_eq!(of_the_mark.values().copied().collect::<Vec<_>>(), [2, 2]);
    let of_all_ports = site.shares("192.0.2.100:8080", 4);
    assert_eq!(of_all_ports.len(), 1, "{of_all_ports:?}");
    // Without its mark that port is one of all, and the client is known.
    site.nft("delete table ip marks");
    let known = site.shares("192.0.2.100:9090", 4);
    assert_eq!(known, of_all_ports);
    drop(servers);
}
