//! Machines that are prepared, and left as they were.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::IpAddr;

use ipvs::{
    Family, Forwarder, RealServer, Via,
    fake::Machine,
    machine::{self, Edit},
};
use proptest::prelude::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Prepares a machine as a program does, and tells what it changed.
async fn prepare(server: &RealServer, machine: &Machine) -> Vec<Edit> {
    let mut made = Vec::new();
    for _ in 0..3 {
        let edits = server.edits(machine).await.unwrap();
        machine::make(machine, &edits).await.unwrap();
        made.extend(edits);
    }
    made
}

fn lines(edits: &[Edit]) -> Vec<String> {
    edits.iter().map(Edit::to_string).collect()
}

#[tokio::test]
async fn for_direct_routing_arp_is_silenced_before_the_address_is_there() {
    let server = RealServer::new([(address("10.1.0.100"), Via::DirectRoute)]);
    let edits = server.edits(&Machine::new()).await.unwrap();
    assert_eq!(
        lines(&edits),
        [
            "sysctl net.ipv4.conf.all.arp_ignore = 1, was 0",
            "sysctl net.ipv4.conf.all.arp_announce = 2, was 0",
            "add 10.1.0.100 to lo",
        ]
    );
}

#[tokio::test]
async fn for_a_tunnel_its_end_is_loaded_set_up_and_given_the_address() {
    let machine = Machine::new();
    machine.set("net.ipv4.conf.all.rp_filter", "1");
    let server = RealServer::new([(address("10.1.0.100"), Via::Tunnel(Family::V4))]);
    assert_eq!(
        lines(&prepare(&server, &machine).await),
        [
            "sysctl net.ipv4.conf.all.arp_ignore = 1, was 0",
            "sysctl net.ipv4.conf.all.arp_announce = 2, was 0",
            "load module ipip",
            "set tunl0 up",
            "sysctl net.ipv4.conf.tunl0.rp_filter = 2, was 0",
            "add 10.1.0.100 to tunl0",
        ]
    );
}

#[tokio::test]
async fn strict_reverse_paths_are_loosened_only_where_packets_come_in() {
    let machine = Machine::new();
    machine.set("net.ipv4.conf.eth0.rp_filter", "1");
    let edits_via = async |via| {
        let server = RealServer::new([(address("10.1.0.100"), via)]);
        lines(&server.edits(&machine).await.unwrap())
    };
    let loosened = "sysctl net.ipv4.conf.eth0.rp_filter = 2, was 1".to_owned();
    assert!(edits_via(Via::DirectRoute).await.contains(&loosened));
    assert!(!edits_via(Via::Tunnel(Family::V4)).await.contains(&loosened));
    machine.set("net.ipv4.conf.all.rp_filter", "2");
    assert!(!edits_via(Via::DirectRoute).await.contains(&loosened));
}

#[tokio::test]
async fn ipv6_needs_no_arp() {
    let server = RealServer::new([(address("fd00::100"), Via::DirectRoute)]);
    let edits = server.edits(&Machine::new()).await.unwrap();
    assert_eq!(lines(&edits), ["add fd00::100 to lo"]);
}

#[tokio::test]
async fn what_somebody_has_changed_since_is_left_as_he_wants_it() {
    let machine = Machine::new();
    let server = RealServer::new([(address("10.1.0.100"), Via::DirectRoute)]);
    let made = prepare(&server, &machine).await;
    machine.set("net.ipv4.conf.all.arp_ignore", "8");
    let left = machine::undo(&machine, &made).await.unwrap();
    assert_eq!(
        lines(&left),
        ["sysctl net.ipv4.conf.all.arp_ignore = 1, was 0"]
    );
    let value = |name| machine.value(name).unwrap();
    assert_eq!(value("net.ipv4.conf.all.arp_ignore"), "8");
    assert_eq!(value("net.ipv4.conf.all.arp_announce"), "0");
    assert!(!machine.holds("lo", address("10.1.0.100")));
}

#[tokio::test]
async fn a_process_without_rights_is_told_what_it_needs() {
    let machine = Machine::new();
    machine.forbid();
    let server = RealServer::new([(address("10.1.0.100"), Via::DirectRoute)]);
    let edits = server.edits(&machine).await.unwrap();
    let error = machine::make(&machine, &edits).await.unwrap_err();
    assert_eq!(error.to_string(), "nothing was changed");
    let cause = error.source.to_string();
    assert!(
        cause.contains("arp_ignore") && cause.contains("CAP_NET_ADMIN"),
        "{cause}"
    );
}

#[tokio::test]
async fn a_director_forwards_what_it_is_asked_to_and_nothing_else() {
    let machine = Machine::new();
    let forwarder = Forwarder::of([Family::V4]);
    let edits = forwarder.edits(&machine).await.unwrap();
    assert_eq!(lines(&edits), ["sysctl net.ipv4.ip_forward = 1, was 0"]);
    machine::make(&machine, &edits).await.unwrap();
    assert_eq!(forwarder.edits(&machine).await.unwrap(), []);
}

#[tokio::test]
async fn a_director_that_is_its_own_client_takes_its_own_addresses_from_the_network() {
    let machine = Machine::new();
    machine.set("net.ipv4.conf.eth0.rp_filter", "1");
    let mut forwarder = Forwarder::default();
    forwarder.is_own_client = true;
    let edits = forwarder.edits(&machine).await.unwrap();
    let expected = [
        "sysctl net.ipv4.conf.eth0.rp_filter = 2, was 1",
        "sysctl net.ipv4.conf.all.accept_local = 1, was 0",
    ];
    assert_eq!(lines(&edits), expected);
    machine::make(&machine, &edits).await.unwrap();
    assert_eq!(forwarder.edits(&machine).await.unwrap(), []);
}

fn servers() -> impl Strategy<Value = RealServer> {
    let vip = prop_oneof![
        (1..9_u8).prop_map(|host| IpAddr::from([10, 1, 0, host])),
        (1..9_u16).prop_map(|host| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, host])),
    ];
    let via = prop_oneof![
        Just(Via::DirectRoute),
        Just(Via::Tunnel(Family::V4)),
        Just(Via::Tunnel(Family::V6)),
    ];
    prop::collection::btree_set((vip, via), 0..5).prop_map(RealServer::new)
}

/// Machines as their owners have set them up.
fn machines() -> impl Strategy<Value = Machine> {
    let number = || prop::sample::select(vec!["0", "1", "2"]);
    (number(), number(), number(), number()).prop_map(|(ignore, announce, all, eth0)| {
        let machine = Machine::new();
        machine.set("net.ipv4.conf.all.arp_ignore", ignore);
        machine.set("net.ipv4.conf.all.arp_announce", announce);
        machine.set("net.ipv4.conf.all.rp_filter", all);
        machine.set("net.ipv4.conf.eth0.rp_filter", eth0);
        machine
    })
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn a_machine_is_prepared_once_and_left_exactly_as_it_was(
        server in servers(),
        machine in machines(),
    ) {
        block_on(async {
            // Modules stay loaded, so they are there before.
            for module in ["ipip", "sit", "ip6_tunnel"] {
                machine::Machine::load_module(&machine, module).await.unwrap();
            }
            let before = machine.clone();
            let made = prepare(&server, &machine).await;
            assert_eq!(server.edits(&machine).await.unwrap(), []);
            for line in lines(&made) {
                assert_eq!(line.parse::<Edit>().unwrap().to_string(), line);
            }
            assert_eq!(machine::undo(&machine, &made).await.unwrap(), []);
            assert!(machine == before, "{machine:?} is not {before:?}");
            assert_eq!(machine::undo(&machine, &made).await.unwrap(), []);
        });
    }

    #[test]
    fn a_change_that_fails_takes_those_before_it_along(
        server in servers(),
        machine in machines(),
        nth in 1..10_usize,
    ) {
        block_on(async {
            let before = machine.clone();
            let edits = server.edits(&machine).await.unwrap();
            machine.fail(nth);
            if let Err(error) = machine::make(&machine, &edits).await {
                assert_eq!(error.left, []);
                let loads = edits.iter().any(|edit| matches!(edit, Edit::Module { .. }));
                assert!(machine == before || loads, "{machine:?} is not {before:?}");
            } else {
                assert!(nth > edits.len());
            }
        });
    }
}
