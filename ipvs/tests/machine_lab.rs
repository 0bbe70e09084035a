//! This machine itself, in network namespaces of its own kernel.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{net::IpAddr, process::Command};

use ipvs::{
    Endpoint, FULL_NAT_TABLE, Family, Forwarder, FullNat, Nft, RealServer, ServiceKey, SourceNat,
    SourceRange, Translated, Via,
    machine::{self, Edit, Linux, Machine},
};
use lab::{Lab, Responder, curl, in_namespace};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Runs a test in a namespace with an interface, on the thread that is in it.
fn on_a_machine(test: impl AsyncFnOnce() + Send) {
    in_namespace(|| {
        run(&[
            "ip", "link", "add", "eth0", "up", "type", "veth", "peer", "eth1",
        ]);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test());
    });
}

fn run(command: &[&str]) -> String {
    let (program, arguments) = command.split_first().unwrap();
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn value(machine: &Linux, sysctl: &str) -> String {
    machine.sysctl(sysctl).await.unwrap().unwrap()
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_real_server_is_prepared_and_left_exactly_as_it_was() {
    on_a_machine(async || {
        let machine = Linux::open().unwrap();
        // A VLAN has such a name.
        run(&["ip", "link", "set", "eth1", "name", "eth0.100"]);
        let strict = ["eth0", "eth0/100"].map(|name| format!("net.ipv4.conf.{name}.rp_filter"));
        for sysctl in &strict {
            machine.set_sysctl(sysctl, "1").await.unwrap();
        }
        let state = || run(&["ip", "-oneline", "address"]);
        let before = (
            state(),
            value(&machine, "net.ipv4.conf.all.arp_ignore").await,
        );
        let vips = ["10.1.0.100", "10.1.0.101", "fd00::100"];
        let server = RealServer::new(vips.map(|vip| (address(vip), Via::DirectRoute)));

        let edits = server.edits(&machine).await.unwrap();
        machine::make(&machine, &edits).await.unwrap();
        let on_lo = run(&["ip", "address", "show", "dev", "lo"]);
        assert!(
            on_lo.contains("inet 10.1.0.100/32 scope global lo"),
            "{on_lo}"
        );
        assert!(
            on_lo.contains("inet6 fd00::100/128 scope global nodad deprecated"),
            "{on_lo}"
        );
        assert_eq!(value(&machine, "net.ipv4.conf.all.arp_ignore").await, "1");
        assert_eq!(value(&machine, "net.ipv4.conf.all.arp_announce").await, "2");
        for sysctl in &strict {
            assert_eq!(value(&machine, sysctl).await, "2");
        }
        assert_eq!(server.edits(&machine).await.unwrap(), []);
        machine::make(&machine, &edits).await.unwrap();

        assert_eq!(machine::undo(&machine, &edits).await.unwrap(), []);
        assert_eq!(machine::undo(&machine, &edits).await.unwrap(), []);
        assert_eq!(
            (
                state(),
                value(&machine, "net.ipv4.conf.all.arp_ignore").await
            ),
            before
        );
        for sysctl in &strict {
            assert_eq!(value(&machine, sysctl).await, "1");
        }
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_director_forwards_and_stops_forwarding() {
    on_a_machine(async || {
        let machine = Linux::open().unwrap();
        let forwarder = Forwarder::of([Family::V4, Family::V6]);
        let edits = forwarder.edits(&machine).await.unwrap();
        assert_eq!(edits.len(), 2, "{edits:?}");
        machine::make(&machine, &edits).await.unwrap();
        assert_eq!(value(&machine, "net.ipv4.ip_forward").await, "1");
        assert_eq!(value(&machine, "net.ipv6.conf.all.forwarding").await, "1");
        assert_eq!(machine::undo(&machine, &edits).await.unwrap(), []);
        assert_eq!(value(&machine, "net.ipv4.ip_forward").await, "0");
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn what_cannot_be_done_is_told_with_its_interface_or_module() {
    on_a_machine(async || {
        let machine = Linux::open().unwrap();
        let nowhere = machine.add_address("eth9".parse().unwrap(), address("10.1.0.100"));
        assert_eq!(
            nowhere.await.unwrap_err().to_string(),
            "cannot add 10.1.0.100 to eth9"
        );
        let module = machine.load_module("no_such_module").await.unwrap_err();
        assert!(module.to_string().contains("no_such_module"), "{module}");
        let missing: Edit = "sysctl net.ipv4.nothing = 1, was 0".parse().unwrap();
        let error = machine::make(&machine, &[missing]).await.unwrap_err();
        assert!(
            error.source.to_string().contains("net.ipv4.nothing"),
            "{error:?}"
        );
    });
}

fn full_nat(services: &[(ServiceKey, &str)]) -> FullNat {
    let mut full_nat = FullNat::default();
    full_nat
        .translated
        .extend(services.iter().map(|(service, server)| Translated {
            service: *service,
            server: server.parse().unwrap(),
            source: None,
        }));
    full_nat
}

/// The same, from these addresses.
fn from(full_nat: &FullNat, first: &str, last: &str) -> FullNat {
    let source = SourceRange::new(address(first), address(last)).unwrap();
    let mut from = FullNat::default();
    let translated = full_nat.translated.iter();
    from.translated = translated
        .map(|it| Translated {
            source: Some(source),
            ..*it
        })
        .collect();
    from
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn the_source_nat_table_is_replaced_whole_and_removed_without_a_trace() {
    on_a_machine(async || {
        run(&["nft", "add table inet of_somebody_else"]);
        let endpoint = |text: &str| text.parse::<Endpoint>().unwrap();
        let all_ports = Endpoint::new(address("10.1.0.101"), 0);
        let mark = ServiceKey::fwmark(7.try_into().unwrap(), Family::V4);
        let mut wanted = full_nat(&[
            (ServiceKey::tcp(endpoint("10.1.0.100:80")), "10.0.0.1:8080"),
            (ServiceKey::tcp(endpoint("10.1.0.100:80")), "10.0.0.2:8080"),
            (ServiceKey::udp(all_ports), "10.0.0.1:0"),
            (ServiceKey::tcp(endpoint("[fd00::100]:80")), "[fd00::1]:80"),
            (mark, "10.0.0.3:0"),
        ]);
        let table = || run(&["nft", "list", "table", "inet", FULL_NAT_TABLE]);
        Nft.install(&wanted).await.unwrap();
        let listed = table();
        for line in [
            "10.1.0.100 . tcp . 8080 . 10.0.0.1",
            "10.1.0.101 . udp . 0-65535 . 10.0.0.1",
            "fd00::100 . tcp . 80 . fd00::1",
            "ct original ip daddr . meta l4proto . th dport . ip daddr @ip_services_1 masquerade",
            "meta mark . ip daddr @ip_marks_1 masquerade",
        ] {
            assert!(listed.contains(line), "{line} is not in {listed}");
        }
        Nft.install(&wanted).await.unwrap();
        assert_eq!(table(), listed);

        // Those of one family from addresses of it, those of the other as before.
        let mut mixed = from(&wanted, "fd00::fe", "fd00::fe");
        mixed.translated.retain(|it| it.service != mark);
        wanted.translated.retain(|it| it.service == mark);
        let few = from(&wanted, "10.0.0.253", "10.0.0.254");
        mixed.translated.extend(&few.translated);
        Nft.install(&mixed).await.unwrap();
        let listed = table();
        for line in [
            "@ip_services_1 masquerade",
            "@ip_marks_2 snat ip to 10.0.0.253-10.0.0.254",
            "@ip6_services_3 snat ip6 to fd00::fe",
        ] {
            assert!(listed.contains(line), "{line} is not in {listed}");
        }

        Nft.install(&from(&wanted, "10.0.0.254", "10.0.0.254"))
            .await
            .unwrap();
        let listed = table();
        assert!(listed.contains("snat ip to 10.0.0.254"), "{listed}");
        assert!(!listed.contains("10.1.0.100"), "{listed}");

        Nft.remove().await.unwrap();
        Nft.remove().await.unwrap();
        assert_eq!(
            run(&["nft", "list", "tables"]),
            "table inet of_somebody_else\n"
        );
    });
}

/// IPVS is not in every kernel that has nf_tables: a rule that changes the destination, as it does,
/// stands for it. The guest has IPVS, and no such nf_tables.
#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_real_server_without_a_way_back_answers_to_the_director() {
    let lab = Lab::new("full-nat");
    let (front, back) = (lab.lan("front"), lab.lan("back"));
    let [client, director, server] = ["client", "director", "rs1"].map(|name| lab.node(name));
    let _cables = [
        front.connect(&client, "eth0", &["192.0.2.10/24"]),
        front.connect(&director, "eth0", &["192.0.2.1/24", "192.0.2.100/32"]),
        back.connect(&director, "eth1", &["198.51.100.1/24", "198.51.100.2/24"]),
        back.connect(&server, "eth0", &["198.51.100.21/24"]),
    ];
    director.write(
        "virtual-service.nft",
        "table ip of_somebody_else {\n chain prerouting {\n \
         type nat hook prerouting priority -100\n \
         ip daddr 192.0.2.100 tcp dport 80 dnat to 198.51.100.21:8080\n }\n}\n",
    );
    let rules = director.path("virtual-service.nft");
    director.run("nft", &["-f", rules.to_str().unwrap()]);
    let _responder = Responder::start(&server, "198.51.100.21:8080".parse().unwrap());
    let full_nat = full_nat(&[(
        ServiceKey::tcp("192.0.2.100:80".parse().unwrap()),
        "198.51.100.21:8080",
    )]);
    director.namespace().enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let machine = Linux::open().unwrap();
            let edits = Forwarder::of([Family::V4]).edits(&machine).await.unwrap();
            machine::make(&machine, &edits).await.unwrap();
        });
    });
    let source = |full_nat: &FullNat| {
        director.namespace().enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(Nft.install(full_nat)).unwrap();
        });
        let answers = curl(&client, "192.0.2.100:80".parse().unwrap(), 3, &[]);
        let seen = answers.iter().map(|answer| answer.client.ip());
        seen.collect::<Vec<_>>()
    };

    assert_eq!(source(&full_nat), [address("198.51.100.1"); 3]);
    let second = from(&full_nat, "198.51.100.2", "198.51.100.2");
    assert_eq!(source(&second), [address("198.51.100.2"); 3]);
}
