//! What the network and the machine do to probes, in a network namespace of each test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    env,
    error::Error as _,
    fs,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32},
    process::Command,
    time::Duration,
};

use health::{Connect, DialogueProbe, Expect, HealthProbe, ProbeError, Success, Target, TcpProbe};
use lab::in_namespace;
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

/// A probe's own time, where the test is that it runs out.
const SHORT: Duration = Duration::from_millis(300);

fn in_network<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    in_namespace(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work())
    })
}

/// Runs a program of this thread's namespace.
fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

async fn probe(target: Target, change: impl FnOnce(&mut Connect)) -> Result<Success, ProbeError> {
    let mut connect = Connect::default();
    change(&mut connect);
    TcpProbe::new(connect).probe(&target).await
}

fn target(address: &str) -> Target {
    Target::new(address.parse().unwrap())
}

fn shortly(connect: &mut Connect) {
    connect.timeout = Some(SHORT);
}

/// An interface behind which nobody answers, not even "there is nobody".
fn black_hole() {
    run("ip link add hole0 type veth peer name wall0");
    run("ip link set wall0 up");
    run("ip address add 192.0.2.1/24 dev hole0");
    run("ip link set hole0 up");
    run("ip neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev hole0");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn no_interface_and_no_way_and_a_way_that_is_closed_are_told_apart() {
    in_network(async || {
        let elsewhere = target("192.0.2.1:80");
        let error = probe(elsewhere, |_| {}).await.unwrap_err();
        assert!(matches!(error, ProbeError::Unreachable { .. }), "{error}");
        assert!(error.source().is_some());
        let by = |connect: &mut Connect| connect.bind_interface = Some("gone0".to_owned());
        let error = probe(elsewhere, by).await.unwrap_err().to_string();
        assert!(
            error.contains("gone0") && error.contains("no such interface"),
            "{error}"
        );
        for (kind, words) in [("blackhole", "discards"), ("prohibit", "forbids")] {
            run(&format!("ip route replace {kind} 192.0.2.0/24"));
            let error = probe(elsewhere, |_| {}).await.unwrap_err();
            assert!(matches!(error, ProbeError::Local { .. }), "{error}");
            let said = error.to_string();
            assert!(
                said.contains("192.0.2.1:80") && said.contains(words),
                "{said}"
            );
        }
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_disappears_during_a_probe_fails_it_in_time() {
    in_network(async || {
        black_hole();
        let nobody = target("192.0.2.2:80");
        let error = probe(nobody, shortly).await.unwrap_err();
        assert!(
            matches!(
                error,
                ProbeError::TimedOut {
                    doing: "connecting",
                    ..
                }
            ),
            "{error}"
        );
        let connecting = probe(nobody, |connect| {
            connect.bind_interface = Some("hole0".to_owned());
            shortly(connect);
        });
        let disappears = async { run("ip link delete hole0") };
        let (result, ()) = tokio::join!(biased; connecting, disappears);
        let error = result.unwrap_err();
        assert!(
            matches!(
                error,
                ProbeError::TimedOut { .. } | ProbeError::Unreachable { .. }
            ),
            "{error:?}"
        );
        let error = probe(nobody, shortly).await.unwrap_err();
        assert!(matches!(error, ProbeError::Unreachable { .. }), "{error}");
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn packets_that_a_firewall_drops_time_out_at_each_stage_by_its_name() {
    in_network(async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap());
        let mut connect = Connect::default();
        shortly(&mut connect);
        let greeted = DialogueProbe::new(connect.clone()).expect(Expect::text("hello").unwrap());
        run("nft add table inet t");
        run("nft add chain inet t in { type filter hook input priority 0 ; }");
        // The handshake passes, what is said does not.
        run("nft add rule inet t in tcp flags & psh == psh drop");
        let greets = async {
            let (mut accepted, _) = listener.accept().await.unwrap();
            accepted.write_all(b"hello").await.unwrap();
            accepted
        };
        let (result, _accepted) = tokio::join!(greeted.probe(&target), greets);
        let silent = result.unwrap_err();
        assert!(matches!(silent, ProbeError::TimedOut { .. }), "{silent}");
        assert!(!silent.to_string().contains("connecting"), "{silent}");
        probe(target, shortly).await.unwrap();

        run("nft add rule inet t in tcp flags & syn == syn drop");
        for result in [probe(target, shortly).await, greeted.probe(&target).await] {
            let error = result.unwrap_err();
            assert!(
                matches!(error, ProbeError::TimedOut { after, .. } if after == SHORT),
                "{error}"
            );
        }
        run("nft flush ruleset");
        probe(target, |_| {}).await.unwrap();
        run("nft add table inet t");
        run("nft add chain inet t in { type filter hook input priority 0 ; }");
        let port = target.address.port();
        run(&format!(
            "nft add rule inet t in tcp dport {port} reject with tcp reset"
        ));
        let error = probe(target, shortly).await.unwrap_err();
        assert!(matches!(error, ProbeError::Refused { .. }), "{error}");
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_address_to_connect_from_does_not_use_the_ports_up() {
    in_network(async || {
        const PORTS: usize = 4;
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003").unwrap();
        let mut accepted = Vec::new();
        for host in ["127.0.0.1", "[::1]"] {
            for server in 0..3 * PORTS {
                let address: SocketAddr = format!("{host}:{}", 20_000 + server).parse().unwrap();
                let listener = TcpListener::bind(address).await.unwrap();
                let from = |connect: &mut Connect| connect.bind_address = Some(address.ip());
                let result = probe(Target::new(address), from).await;
                assert!(result.is_ok(), "server {server}: {result:?}");
                // As long as the server has not closed too, the probe's end has its port.
                accepted.push(listener.accept().await.unwrap());
            }
        }
    });
}

/// Set in the process that has no capabilities.
const POWERLESS: &str = "TAKEOVER_TEST_POWERLESS";

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_missing_capability_is_told_by_its_name() {
    if env::var_os(POWERLESS).is_none() {
        let output = in_namespace(|| {
            Command::new("setpriv")
                .args(["--bounding-set=-all", "--inh-caps=-all", "--"])
                .arg(env::current_exe().unwrap())
                .args(["--exact", "a_missing_capability_is_told_by_its_name"])
                .arg("--nocapture")
                .env(POWERLESS, "")
                .output()
                .unwrap()
        });
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap());
        probe(target, |_| {}).await.unwrap();
        let marked = probe(target, |connect| connect.fwmark = NonZeroU32::new(7));
        let error = marked.await.unwrap_err();
        assert!(matches!(error, ProbeError::Local { .. }), "{error}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        let privileged = probe(target, |connect| connect.bind_port = NonZeroU16::new(99));
        let error = privileged.await.unwrap_err().to_string();
        assert!(error.contains("CAP_NET_BIND_SERVICE"), "{error}");
    });
}
