//! `director run --backend nftables` between a client and real servers, on this machine's own kernel.

use std::{collections::BTreeMap, net::SocketAddr, process::Command, time::Duration};

use lab::{Cable, Lab, Node, Process, Responder, curl, director, wait_until};
use nix::sys::signal::Signal;

/// Whatever has no bound in the protocol.
const SOON: Duration = Duration::from_secs(10);

const VIP: &str = "192.0.2.100:80";

const FILE: &str = "vrrp_instance VI_1 {
    interface eth0
    virtual_router_id 51
    priority 100
    advert_int 0.1
    version 3
    virtual_ipaddress {
        192.0.2.100/24
    }
}
virtual_server 192.0.2.100 80 {
    delay_loop 1
    protocol TCP
    lb_algo rr
    lb_kind NAT
    real_server 198.51.100.21 8080 {
        TCP_CHECK {
            retry 1
            delay_before_retry 1
        }
    }
    real_server 198.51.100.22 8080 {
        TCP_CHECK {
            retry 1
            delay_before_retry 1
        }
    }
}
";

struct Site {
    // The servers end before the namespaces that they are in.
    responders: Vec<Responder>,
    _cables: Vec<Cable>,
    client: Node,
    director: Node,
    _lab: Lab,
}

impl Site {
    /// Two real servers, whose way back is the director.
    fn new() -> Self {
        let lab = Lab::new("nftables");
        let (front, back) = (lab.lan("front"), lab.lan("back"));
        let (client, director) = (lab.node("client"), lab.node("director"));
        let mut cables = vec![
            front.connect(&client, "eth0", &["192.0.2.10/24"]),
            front.connect(&director, "eth0", &["192.0.2.1/24"]),
            back.connect(&director, "eth1", &["198.51.100.1/24"]),
        ];
        director.run("sh", &["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
        let mut responders = Vec::new();
        for number in 1..=2 {
            let server = lab.node(&format!("rs{number}"));
            let address = format!("198.51.100.2{number}");
            cables.push(back.connect(&server, "eth0", &[&format!("{address}/24")]));
            server.namespace().ip("route add default via 198.51.100.1");
            let at = format!("{address}:8080").parse().expect("an address");
            responders.push(Responder::start(&server, at));
        }
        Self {
            responders,
            _cables: cables,
            client,
            director,
            _lab: lab,
        }
    }

    fn start(&self) -> Process {
        self.start_with(Command::new(director()))
    }

    fn start_with(&self, command: Command) -> Process {
        self.director.write("director.conf", FILE);
        self.start_again_with(command)
    }

    /// With the file that is there.
    fn start_again_with(&self, mut command: Command) -> Process {
        let file = self.director.path("director.conf");
        command
            .args(["run", "--backend", "nftables", "-f"])
            .arg(file)
            .arg("--control")
            .arg(self.director.path("director.sock"));
        self.director.spawn("director", command)
    }

    fn ask(&self, words: &[&str]) -> String {
        let socket = self.director.path("director.sock").display().to_string();
        let words = [words, &["--control", &socket]].concat();
        self.director.run(&director().display().to_string(), &words)
    }

    /// Ends the daemon by its socket, and leaves the table or clears it.
    fn stop(&self, daemon: &mut Process, policy: &str) {
        assert_eq!(self.ask(&["stop", "--policy", policy]), "stopping\n");
        assert!(daemon.wait(SOON).success(), "{}", daemon.log());
    }

    fn rules(&self) -> String {
        self.director.run("nft", &["list", "ruleset"])
    }

    fn is_master(&self) -> bool {
        self.director.path("director.sock").exists() && self.ask(&["status"]).contains("MASTER")
    }

    /// Who answers how many requests of so many connections.
    fn answers(&self, connections: usize) -> BTreeMap<String, usize> {
        let vip: SocketAddr = VIP.parse().expect("an address");
        let mut answers = BTreeMap::new();
        for answer in curl(&self.client, vip, connections, &[]) {
            *answers.entry(answer.server).or_default() += 1;
        }
        answers
    }
}

fn of_both(each: usize) -> BTreeMap<String, usize> {
    [("rs1".to_owned(), each), ("rs2".to_owned(), each)].into()
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn clients_are_served_by_rules_that_follow_checks_and_stay_or_go_as_the_stop_says() {
    let mut site = Site::new();
    let mut daemon = site.start();
    wait_until("the master", SOON, || site.is_master());
    assert_eq!(site.answers(4), of_both(2));

    site.stop(&mut daemon, "leave");
    assert!(
        site.rules().contains("table inet takeover"),
        "{}",
        site.rules()
    );
    let left = site.rules();
    let mut daemon = site.start();
    wait_until("the master", SOON, || site.is_master());
    assert_eq!(site.rules(), left, "it is taken over untouched");
    assert_eq!(site.answers(4), of_both(2));

    drop(site.responders.remove(0));
    wait_until("the dead server to be out", SOON, || {
        site.ask(&["why", "198.51.100.21"])
            .contains("out of the table")
    });
    assert_eq!(site.answers(3), [("rs2".to_owned(), 3)].into());

    site.stop(&mut daemon, "clear");
    assert!(!site.rules().contains("takeover"), "{}", site.rules());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_reload_that_waits_for_the_table_keeps_neither_events_nor_the_end_waiting() {
    let site = Site::new();
    let slow = site.director.path("slow");
    let path = std::env::var("PATH").expect("there is one");
    let (directory, slow_text) = (slow.parent().expect("a file"), slow.display());
    // An nft that takes its time once it is told to.
    site.director.write_script(
        "nft",
        &format!(
            "#!/bin/sh\nif [ -e {slow_text} ]; then sleep 5; echo done > {slow_text}; fi\n\
             PATH={path} exec nft \"$@\"\n"
        ),
    );
    let mut command = Command::new(director());
    command.env("PATH", format!("{}:{path}", directory.display()));
    let mut daemon = site.start_with(command);
    wait_until("the master", SOON, || site.is_master());
    let vip = VIP.parse::<SocketAddr>().expect("an address").ip();

    let heavier = FILE.replace("lb_algo rr", "lb_algo wrr");
    site.director.write("director.conf", &heavier);
    site.director.write("slow", "");
    daemon.signal(Signal::SIGHUP);
    wait_until("the reload", SOON, || daemon.log().contains("Reloading"));
    site.director.namespace().ip("link set eth1 down");
    wait_until("the interface's loss to be told", SOON, || {
        daemon.log().contains("Netlink reports eth1 down")
    });
    daemon.signal(Signal::SIGTERM);
    wait_until("the address to be given up", SOON, || {
        !site.director.holds(vip)
    });
    let is_slow_still = site.director.lines("slow").is_empty();
    assert!(is_slow_still, "it was waited for: {}", daemon.log());
    assert!(daemon.wait(Duration::from_secs(60)).success());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn with_fullnat_servers_are_asked_by_the_director() {
    let site = Site::new();
    let file = FILE.replace("lb_kind NAT", "lb_kind FULLNAT");
    site.director.write("director.conf", &file);
    let mut daemon = site.start_again_with(Command::new(director()));
    wait_until("the master", SOON, || site.is_master());
    let vip: SocketAddr = VIP.parse().expect("an address");
    for answer in curl(&site.client, vip, 4, &[]) {
        let asked_by = answer.client.ip().to_string();
        assert_eq!(asked_by, "198.51.100.1", "{}", daemon.log());
    }
    site.stop(&mut daemon, "clear");
    assert!(!site.rules().contains("takeover"), "{}", site.rules());
}
