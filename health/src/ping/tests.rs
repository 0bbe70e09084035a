//! Pings in network namespaces: there it is known who may send them, and what answers.

use std::{future::Future, time::Duration};

use lab::in_namespace;
use tokio::{runtime::Builder, task::JoinSet, time::timeout};

use super::*;

/// Longer than any echo takes, shorter than one would like to wait.
const PATIENCE: Duration = Duration::from_secs(20);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(PATIENCE, future).await.expect("in time") })
}

fn target(address: &str) -> Target {
    Target::new(SocketAddr::new(address.parse().unwrap(), 80))
}

fn allow_groups(range: &str) {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", range).unwrap();
}

fn ip(arguments: &str) {
    let status = std::process::Command::new("ip")
        .args(arguments.split(' '))
        .status();
    assert!(status.unwrap().success(), "ip {arguments}");
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn loopback_answers_in_both_families_by_both_kinds_of_socket() {
    for range in ["0 0", "1 0"] {
        in_namespace(|| {
            allow_groups(range);
            block_on(async {
                let probe = PingProbe::default();
                for address in ["127.0.0.1", "127.1.2.3", "::1"] {
                    probe.probe(&target(address)).await.unwrap();
                }
            });
        });
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn thousands_of_targets_are_asked_at_a_time_over_one_socket() {
    in_namespace(|| {
        block_on(async {
            let probe = Arc::new(PingProbe::default());
            let mut asked = JoinSet::new();
            for number in 0..4000u32 {
                let probe = Arc::clone(&probe);
                asked.spawn(async move {
                    let address = std::net::Ipv4Addr::from(0x7f01_0000 + number);
                    probe.probe(&target(&address.to_string())).await
                });
                // Sent in bunches, as a fleet spreads them.
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            let mut passed = 0;
            while let Some(result) = asked.join_next().await {
                result.unwrap().unwrap();
                passed += 1;
            }
            assert_eq!(passed, 4000);
            assert_eq!(probe.line(Version::V4).unwrap().in_flight(), 0);
        });
    });
}

/// A network on which 192.0.2.1 and 2001:db8::1 take packets and say nothing, and nobody else is.
fn black_hole() {
    ip("link add veth-a type veth peer name veth-b");
    ip("address add 192.0.2.9/24 dev veth-a");
    ip("address add 2001:db8::9/64 dev veth-a nodad");
    ip("link set veth-a up");
    ip("link set veth-b up");
    ip("neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev veth-a");
    ip("neighbour add 2001:db8::1 lladdr 02:00:00:00:00:01 dev veth-a");
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/neigh/veth-a/retrans_time_ms");
        std::fs::write(path, "20").unwrap();
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_echo_given_up_frees_its_slot_and_does_not_hurt_the_others() {
    in_namespace(|| {
        black_hole();
        block_on(async {
            let probe = PingProbe::default();
            for address in ["192.0.2.1", "2001:db8::1"] {
                let silent = target(address);
                let mut silent = probe.probe(&silent);
                let version = Version::of(address.parse().unwrap());
                tokio::select! {
                    biased;
                    result = &mut silent => panic!("a black hole answers: {result:?}"),
                    result = async {
                        // By then the echo to the black hole is on its way.
                        probe.probe(&target("127.0.0.1")).await?;
                        probe.probe(&target("::1")).await
                    } => { result.unwrap(); }
                }
                assert_eq!(probe.line(version).unwrap().in_flight(), 1);
                drop(silent);
                assert_eq!(probe.line(version).unwrap().in_flight(), 0);
            }
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_icmp_error_fails_the_echo_it_belongs_to_by_both_kinds_of_socket() {
    for range in ["0 0", "1 0"] {
        in_namespace(|| {
            allow_groups(range);
            black_hole();
            block_on(async {
                let probe = PingProbe::default();
                for (gone, silent) in [("192.0.2.77", "192.0.2.1"), ("2001:db8::77", "2001:db8::1")]
                {
                    let (gone, silent) = (target(gone), target(silent));
                    tokio::select! {
                        result = probe.probe(&silent) => panic!("{silent}: {result:?}"),
                        result = probe.probe(&gone) => {
                            let error = result.unwrap_err();
                            let text = error.to_string();
                            assert!(
                                matches!(error, ProbeError::Ping(PingError::Returned { .. })),
                                "{error:?}"
                            );
                            assert!(text.contains("cannot be reached"), "{text}");
                        }
                    }
                }
            });
        });
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn what_this_machine_does_not_send_is_told_with_its_reason() {
    in_namespace(|| {
        ip("route add prohibit 198.51.100.0/24");
        block_on(async {
            let probe = PingProbe::default();
            let error = probe.probe(&target("198.51.100.1")).await.unwrap_err();
            let ProbeError::Ping(PingError::Send { source }) = error else {
                panic!("{error:?}");
            };
            assert_eq!(source.raw_os_error(), Some(libc::EACCES));
            probe.probe(&target("127.0.0.1")).await.unwrap();
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_interface_that_goes_is_named_and_found_again_when_it_is_back() {
    in_namespace(|| {
        let make = || {
            ip("link add veth-a type veth peer name veth-b");
            ip("address add 192.0.2.9/24 dev veth-a");
            ip("link set veth-a up");
            ip("link set veth-b up");
        };
        make();
        block_on(async {
            let probe = PingProbe::new(Connect {
                bind_interface: Some("veth-a".to_owned()),
                ..Connect::default()
            });
            let neighbour = target("192.0.2.1");
            let silent = || timeout(Duration::from_millis(20), probe.probe(&neighbour));
            assert!(silent().await.is_err(), "nobody is there to answer");
            ip("link delete veth-a");
            let first = probe.probe(&neighbour).await.unwrap_err();
            assert!(
                matches!(first, ProbeError::Ping(PingError::Send { .. })),
                "{first:?}"
            );
            let second = probe.probe(&neighbour).await.unwrap_err().to_string();
            assert_eq!(
                second,
                "cannot bind to interface veth-a: there is no such interface"
            );
            make();
            assert!(silent().await.is_err(), "nobody is there to answer");
        });
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_probe_outlives_the_runtime_that_read_its_answers() {
    in_namespace(|| {
        let probe = PingProbe::default();
        for _ in 0..2 {
            block_on(async { probe.probe(&target("127.0.0.1")).await.unwrap() });
        }
    });
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_address_to_send_from_must_be_here_and_of_the_same_family() {
    in_namespace(|| {
        block_on(async {
            let from = |address: &str| {
                PingProbe::new(Connect {
                    bind_address: Some(address.parse().unwrap()),
                    ..Connect::default()
                })
            };
            from("127.0.0.9").probe(&target("127.0.0.1")).await.unwrap();
            let error = from("192.0.2.1")
                .probe(&target("127.0.0.1"))
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot bind to 192.0.2.1:0: no interface of this machine has that address"
            );
            let error = from("127.0.0.9").probe(&target("::1")).await.unwrap_err();
            assert!(
                error
                    .to_string()
                    .ends_with("both addresses must be of one family"),
                "{error}"
            );
        });
    });
}
