//! What is listed, as text and as JSON, and what cannot be.

use ipvs::{Counts, Statistics, Traffic, fake::Fault};
use ipvsctl::Status;
use serde_json::{Value, json};

use crate::rig::Rig;

const CONNECTIONS: &str = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000207 9CBB 0A010064 0050 0A000001 1F90 ESTABLISHED     899
UDP C0000207 13C4 0A010064 0035 0A000001 0035 NONE            119 sip 3c26@host
";

fn parsed(rig: &Rig, line: &str) -> Value {
    let done = rig.run(line);
    assert_eq!((done.status, &*done.errors), (Status::Done, ""), "{line}");
    serde_json::from_str(&done.output).unwrap()
}

#[test]
fn services_are_one_document_with_every_view() {
    let rig = Rig::new();
    rig.set_up(
        "-A -t 10.1.0.100:80 -s sh -b sh-port -p 300 -M 255.255.255.0\n\
         -a -t 10.1.0.100:80 -r 10.0.0.1:80 -i -w 5 -x 9 -y 3 --tun-type gue --tun-port 6080\n\
         -A -f 7 -6 -s rr -o\n",
    );
    let (service, destination) = (
        ipvs::ServiceKey::tcp("10.1.0.100:80".parse().unwrap()),
        "10.0.0.1:80".parse().unwrap(),
    );
    let counts = Counts {
        active: 1,
        inactive: 2,
        persistent: 3,
    };
    assert!(rig.kernel.set_counts(service, destination, counts));
    let total = Traffic {
        bytes_in: u64::MAX,
        ..Traffic::ZERO
    };
    let statistics = Statistics {
        total,
        ..Statistics::ZERO
    };
    assert!(rig.kernel.set_statistics(service, destination, statistics));
    let none = json!({
        "connections": 0, "packets_in": 0, "packets_out": 0, "bytes_in": 0, "bytes_out": 0,
    });
    let mut bytes = none.clone();
    bytes["bytes_in"] = json!(u64::MAX);
    assert_eq!(
        parsed(&rig, "-L --json"),
        json!({
            "version": "1.2.1",
            "connection_table_size": 4096,
            "services": [
                {
                    "protocol": "tcp", "address": "10.1.0.100", "port": 80,
                    "scheduler": "sh", "flags": ["sh-port"],
                    "persistence": {
                        "timeout_seconds": 300,
                        "clients": { "mask": "255.255.255.0" },
                        "engine": null,
                    },
                    "total": none, "rate": none,
                    "destinations": [{
                        "address": "10.0.0.1", "port": 80,
                        "forwarding": "tunnel",
                        "tunnel": { "kind": "gue", "port": 6080, "checksum": "nocsum" },
                        "weight": 5, "upper_threshold": 9, "lower_threshold": 3,
                        "active": 1, "inactive": 2, "persistent": 3,
                        "total": bytes, "rate": none,
                    }],
                },
                {
                    "fwmark": 7, "family": "ipv6",
                    "scheduler": "rr", "flags": ["ops"], "persistence": null,
                    "total": none, "rate": none, "destinations": [],
                },
            ],
        })
    );
    let one = parsed(&rig, "-L -f 7 -6 --json");
    assert_eq!(one["services"].as_array().unwrap().len(), 1);
}

#[test]
fn timeouts_daemons_and_connections_are_documents_too() {
    let mut rig = Rig::new();
    rig.connections = CONNECTIONS;
    rig.set_up("--set 100 0 0\n--start-daemon backup --mcast-interface lo --syncid 3\n");
    assert_eq!(
        parsed(&rig, "-L --timeout --json"),
        json!({ "tcp_seconds": 100, "tcp_fin_seconds": 120, "udp_seconds": 300 })
    );
    assert_eq!(
        parsed(&rig, "-L --daemon --json"),
        json!({ "daemons": [{
            "role": "backup", "interface": "lo", "sync_id": 3, "max_length": 1472,
            "group": "224.0.0.81", "port": 8848, "ttl": 1,
        }] })
    );
    let end = |address: &str, port: u16| json!({ "address": address, "port": port });
    assert_eq!(
        parsed(&rig, "-Lc --json"),
        json!({ "connections": [
            {
                "protocol": "tcp", "client": end("192.0.2.7", 40123),
                "service": end("10.1.0.100", 80), "destination": end("10.0.0.1", 8080),
                "state": "ESTABLISHED", "expires_seconds": 899, "engine": null,
            },
            {
                "protocol": "udp", "client": end("192.0.2.7", 5060),
                "service": end("10.1.0.100", 53), "destination": end("10.0.0.1", 53),
                "state": "NONE", "expires_seconds": 119,
                "engine": { "name": "sip", "data": "3c26@host" },
            },
        ] })
    );
    rig.connections = "";
    assert_eq!(parsed(&rig, "-Lc --json"), json!({ "connections": [] }));
}

#[test]
fn connections_are_listed_with_numbers_and_with_names() {
    let mut rig = Rig::new();
    rig.connections = CONNECTIONS;
    let done = rig.run("-lnc");
    assert_eq!(
        done.output,
        "IPVS connection entries\n\
         pro expire state       source             virtual            destination\n\
         TCP 14:59  ESTABLISHED 192.0.2.7:40123    10.1.0.100:80      10.0.0.1:8080\n\
         UDP 01:59  NONE        192.0.2.7:5060     10.1.0.100:53      10.0.0.1:53\n"
    );
    let named = rig.run("-Lc --persistent-conn").output;
    let last = named.lines().last().unwrap();
    assert_eq!(
        last,
        "UDP 01:59  NONE        192.0.2.7:5060     vip.example.org:domain \
         real1.example.org:domain sip                3c26@host"
    );
}

#[test]
fn a_connection_that_cannot_be_read_is_told_and_the_others_are_listed() {
    let mut rig = Rig::new();
    rig.connections = "TCP nonsense\nTCP C0000207 9CBB 0A010064 0050 0A000001 1F90 CLOSE 9\n";
    let done = rig.run("-Lnc");
    assert_eq!(done.status, Status::NotListed);
    assert!(
        done.errors.contains("line 1: `nonsense`"),
        "{}",
        done.errors
    );
    assert_eq!(done.output.lines().count(), 3);
}

#[test]
fn services_can_be_listed_in_the_order_of_their_numbers() {
    let rig = Rig::new();
    rig.set_up("-A -t 200.0.0.1:80\n-A -t 10.1.0.100:80\n");
    let first = |line: &str| rig.run(line).output.lines().nth(3).unwrap().to_owned();
    assert_eq!(first("-Ln"), "TCP  200.0.0.1:80 wlc");
    assert_eq!(first("-Ln --order numeric"), "TCP  10.1.0.100:80 wlc");
    assert_eq!(rig.run("-Ln --order x").status, Status::Usage);
    assert_eq!(
        rig.run("-Ln --nosort --order numeric").status,
        Status::Usage
    );
}

#[test]
fn a_kernel_without_ipvs_is_told_and_help_does_without_it() {
    let mut rig = Rig::new();
    rig.has_ipvs = false;
    for line in ["-Ln", "-A -t 10.1.0.100:80", "-Sn", "-C --dry-run", "-R"] {
        let done = rig.run_with(line, "-C\n");
        assert_eq!((done.status, &*done.output), (Status::Usage, ""), "{line}");
        assert!(
            done.errors
                .starts_with("Can't initialize ipvs: Protocol not available\n")
        );
        assert!(done.errors.contains("modprobe ip_vs"));
    }
    for line in ["-h", "--help", "-v", "-vL", "-h foo"] {
        let done = rig.run(line);
        assert_eq!((done.status, &*done.errors), (Status::Done, ""), "{line}");
        assert!(!done.output.is_empty());
    }
}

#[test]
fn a_table_that_cannot_be_read_to_its_end_is_not_listed_in_part() {
    let rig = Rig::with_fixture();
    rig.kernel.inject(Fault::HalfDump { rows: 3 });
    let done = rig.run("-Ln");
    assert_eq!((done.status, &*done.output), (Status::NotListed, ""));
    assert!(done.errors.contains("read the table"), "{}", done.errors);
}

#[test]
fn what_is_lost_in_ipvsadms_format_is_told_and_saved_on_request() {
    let rig = Rig::with_fixture();
    rig.set_up("--set 100 0 0\n--start-daemon master --mcast-interface lo\n");
    let done = rig.run("-Sn");
    assert_eq!(
        done.errors,
        "ipvsctl: not saved, as by ipvsadm: thresholds, timeouts, sync daemons; --complete saves \
         all\n"
    );
    let complete = rig.run("-Sn --complete");
    assert_eq!(complete.errors, "");
    for text in [
        "--set 100 120 300\n",
        "-w 1 -x 1000 -y 500\n",
        "--start-daemon master",
    ] {
        assert!(complete.output.contains(text), "{text}");
    }
}
