//! Arbitrary values of this crate's types for property tests.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::{NonZeroU8, NonZeroU16, NonZeroU32},
};

use proptest::{collection, option, prelude::*, sample};

use crate::{
    Change, ClientMask, Counts, DestinationSettings, DestinationState, Endpoint, EngineName,
    Family, Flags, Forwarding, GreChecksum, GueChecksum, Info, InterfaceName, Persistence,
    PrefixLen, Protocol, SchedulerName, Seconds, Service, ServiceKey, ServiceSettings,
    ServiceState, Statistics, SyncDaemon, SyncMaxLength, SyncRole, Table, Thresholds,
    TimeoutChange, Timeouts, Traffic, Tunnel, Version, Weight,
};

/// Either family.
pub fn family() -> impl Strategy<Value = Family> + Clone {
    sample::select(vec![Family::V4, Family::V6])
}

/// The address of a host of a family.
pub fn host(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => (0x0100_0000_u32..0xdfff_ffff)
            .prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)))
            .boxed(),
        Family::V6 => any::<u64>()
            .prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits((0xfd00 << 112) | u128::from(bits))))
            .boxed(),
    }
}

/// What names a service: any address of a host and any port, or a mark.
pub fn service_key() -> impl Strategy<Value = ServiceKey> + Clone {
    let protocol = sample::select(Protocol::ALL.to_vec());
    let by_address = (protocol, family().prop_flat_map(host), any::<u16>()).prop_map(
        |(protocol, address, port)| {
            let endpoint = Endpoint::new(address, port);
            ServiceKey::Address { protocol, endpoint }
        },
    );
    let by_mark = (1..=u32::MAX, family()).prop_map(|(mark, family)| ServiceKey::Fwmark {
        mark: NonZeroU32::new(mark).expect("from 1"),
        family,
    });
    prop_oneof![4 => by_address, 1 => by_mark].boxed()
}

/// Settings that a service of that name can have.
pub fn service_settings(key: ServiceKey) -> impl Strategy<Value = ServiceSettings> + Clone {
    let scheduler = sample::select(SchedulerName::KNOWN.to_vec())
        .prop_map(|name| SchedulerName::new(name).expect("a name of the kernel"));
    let every_port = key.port() == Some(0);
    let persistence = if every_port {
        persistence(key.family()).prop_map(Some).boxed()
    } else {
        option::of(persistence(key.family())).boxed()
    };
    let one_packet = !matches!(key.protocol(), Some(Protocol::Tcp | Protocol::Sctp));
    (scheduler, any::<[bool; 4]>(), persistence).prop_map(
        move |(scheduler, [ops, fallback, port, third], persistence)| {
            let flags = Flags {
                one_packet: ops && one_packet,
                fallback,
                port,
                third,
            };
            ServiceSettings {
                scheduler,
                flags,
                persistence,
            }
        },
    )
}

/// Persistence of clients of a family.
pub fn persistence(family: Family) -> impl Strategy<Value = Persistence> + Clone {
    let clients = match family {
        Family::V4 => prop_oneof![
            Just(Ipv4Addr::BROADCAST),
            (0_u32..32).prop_map(|bits| Ipv4Addr::from_bits(!(u32::MAX >> bits))),
            any::<Ipv4Addr>(),
        ]
        .prop_map(ClientMask::V4)
        .boxed(),
        Family::V6 => (1_u32..=128)
            .prop_map(|bits| ClientMask::V6(PrefixLen::new(bits).expect("1 to 128")))
            .boxed(),
    };
    let engine = option::of(Just(EngineName::new("sip").expect("a name")));
    (1_u32..=2_678_400, clients, engine).prop_map(|(timeout, clients, engine)| {
        let timeout = Seconds::new(timeout);
        Persistence {
            timeout,
            clients,
            engine,
        }
    })
}

/// Any way to a destination.
pub fn forwarding() -> impl Strategy<Value = Forwarding> + Clone {
    prop_oneof![
        4 => Just(Forwarding::Masquerade),
        1 => Just(Forwarding::Local),
        2 => tunnel().prop_map(Forwarding::Tunnel),
        2 => Just(Forwarding::DirectRoute),
        1 => Just(Forwarding::Bypass),
    ]
    .boxed()
}

/// Any tunnel.
pub fn tunnel() -> impl Strategy<Value = Tunnel> + Clone {
    let gue = [GueChecksum::None, GueChecksum::Csum, GueChecksum::Remcsum];
    let gre = [GreChecksum::None, GreChecksum::Csum];
    prop_oneof![
        Just(Tunnel::Ipip),
        (1..=u16::MAX, sample::select(gue.to_vec())).prop_map(|(port, checksum)| Tunnel::Gue {
            port: NonZeroU16::new(port).expect("from 1"),
            checksum,
        }),
        sample::select(gre.to_vec()).prop_map(|checksum| Tunnel::Gre { checksum }),
    ]
    .boxed()
}

/// Any weight, mostly a small one.
pub fn weight() -> impl Strategy<Value = Weight> + Clone {
    prop_oneof![2 => Just(0), 8 => 0..=3_u32, 1 => 0..=Weight::MAX.get()]
        .prop_map(|weight| Weight::new(weight).expect("in range"))
        .boxed()
}

/// Any thresholds.
pub fn thresholds() -> impl Strategy<Value = Thresholds> + Clone {
    prop_oneof![Just(0), 0..=i32::MAX.unsigned_abs()]
        .prop_flat_map(|upper| (Just(upper), 0..=upper))
        .prop_map(|(upper, lower)| Thresholds::new(upper, lower).expect("in order"))
        .boxed()
}

/// A destination that a service of that name can have.
pub fn destination(
    key: ServiceKey,
) -> impl Strategy<Value = (Endpoint, DestinationSettings)> + Clone {
    (forwarding(), family(), weight(), thresholds(), any::<u16>()).prop_flat_map(
        move |(forwarding, other, weight, thresholds, port)| {
            let family = match forwarding {
                Forwarding::Tunnel(_) => other,
                Forwarding::Masquerade
                | Forwarding::Local
                | Forwarding::DirectRoute
                | Forwarding::Bypass => key.family(),
            };
            let port = forwarding.fixed_port(&key).unwrap_or(port);
            host(family).prop_map(move |address| {
                let settings = DestinationSettings {
                    forwarding,
                    weight,
                    thresholds,
                };
                (Endpoint::new(address, port), settings)
            })
        },
    )
}

/// Any sync daemon of a role.
pub fn daemon(role: SyncRole) -> impl Strategy<Value = SyncDaemon> + Clone {
    let group = prop_oneof![
        (0xe000_0000_u32..=0xefff_ffff).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u64>().prop_map(|bits| {
            IpAddr::V6(Ipv6Addr::from_bits((0xff02 << 112) | u128::from(bits)))
        }),
    ];
    (
        "[a-z]{1,11}[0-9]{1,4}",
        any::<u8>(),
        option::of(1_u32..=65_507),
        option::of(group),
        option::of(1..=u16::MAX),
        option::of(1..=u8::MAX),
    )
        .prop_map(
            move |(interface, sync_id, length, group, port, ttl)| SyncDaemon {
                role,
                interface: InterfaceName::new(&interface).expect("at most 15 bytes"),
                sync_id,
                max_length: length.map(|length| SyncMaxLength::new(length).expect("in range")),
                group,
                port: port.and_then(NonZeroU16::new),
                ttl: ttl.and_then(NonZeroU8::new),
            },
        )
        .boxed()
}

/// Either role.
pub fn role() -> impl Strategy<Value = SyncRole> + Clone {
    sample::select(vec![SyncRole::Master, SyncRole::Backup])
}

fn seconds() -> impl Strategy<Value = Seconds> + Clone {
    (1..=TimeoutChange::MAX.get()).prop_map(Seconds::new)
}

/// Any timeouts that can be set.
pub fn timeouts() -> impl Strategy<Value = Timeouts> + Clone {
    let three = (seconds(), seconds(), seconds());
    three.prop_map(|(tcp, tcp_fin, udp)| Timeouts { tcp, tcp_fin, udp })
}

/// Any change, for itself within the rules.
pub fn change() -> impl Strategy<Value = Change> {
    let with_service = service_key().prop_flat_map(|service| {
        (
            Just(service),
            service_settings(service),
            destination(service),
        )
    });
    let of_service = (0..7, with_service).prop_map(
        |(which, (service, settings, (destination, of_destination)))| match which {
            0 => Change::AddService { service, settings },
            1 => Change::SetService { service, settings },
            2 => Change::RemoveService { service },
            3 => Change::AddDestination {
                service,
                destination,
                settings: of_destination,
            },
            4 => Change::SetDestination {
                service,
                destination,
                settings: of_destination,
            },
            5 => Change::RemoveDestination {
                service,
                destination,
            },
            _ => Change::Zero(Some(service)),
        },
    );
    let timeout = || option::of(seconds());
    prop_oneof![
        8 => of_service,
        1 => (timeout(), timeout(), timeout()).prop_map(|(tcp, tcp_fin, udp)| {
            Change::SetTimeouts(TimeoutChange { tcp, tcp_fin, udp })
        }),
        1 => role().prop_flat_map(daemon).prop_map(Change::StartDaemon),
        1 => role().prop_map(Change::StopDaemon),
        1 => sample::select(vec![Change::Flush, Change::Zero(None)]),
    ]
}

/// Traffic in numbers of so many bits.
fn traffic() -> impl Strategy<Value = Traffic> + Clone {
    prop_oneof![
        Just([0; 5]),
        any::<[u32; 5]>().prop_map(|it| it.map(u64::from)),
        any::<[u64; 5]>()
    ]
    .prop_map(
        |[connections, packets_in, packets_out, bytes_in, bytes_out]| Traffic {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        },
    )
}

/// Any statistics.
pub fn statistics() -> impl Strategy<Value = Statistics> + Clone {
    (traffic(), traffic()).prop_map(|(total, rate)| Statistics { total, rate })
}

/// Any counts.
pub fn counts() -> impl Strategy<Value = Counts> + Clone {
    any::<[u32; 3]>().prop_map(|[active, inactive, persistent]| Counts {
        active,
        inactive,
        persistent,
    })
}

/// Any service with what was counted, without destinations.
pub fn service_state() -> impl Strategy<Value = ServiceState> {
    let settings = service_key().prop_flat_map(|key| (Just(key), service_settings(key)));
    (settings, statistics()).prop_map(|((key, settings), statistics)| ServiceState {
        statistics,
        ..ServiceState::new(key, settings)
    })
}

/// Any destination with what was counted.
pub fn destination_state() -> impl Strategy<Value = DestinationState> {
    let settings = service_key().prop_flat_map(destination);
    (settings, counts(), statistics()).prop_map(|((key, settings), counts, statistics)| {
        DestinationState {
            key,
            settings,
            counts,
            statistics,
        }
    })
}

/// What a kernel might say of itself.
pub fn info() -> impl Strategy<Value = Info> {
    (any::<[u8; 3]>(), any::<u32>()).prop_map(|([major, minor, patch], table_size)| Info {
        version: Version {
            major,
            minor,
            patch,
        },
        table_size,
    })
}

/// Tables that have much in common: the same few names, within the rules.
pub fn table() -> impl Strategy<Value = Table> {
    let keys = small_keys();
    let services = sample::subsequence(keys.clone(), 0..=keys.len()).prop_flat_map(|keys| {
        keys.into_iter()
            .map(|key| (Just(key), small_service(key)))
            .collect::<Vec<_>>()
    });
    let daemons = prop_oneof![
        2 => Just(Vec::new()),
        1 => daemon(SyncRole::Master).prop_map(|daemon| vec![daemon]),
        1 => (daemon(SyncRole::Master), daemon(SyncRole::Backup)).prop_map(|(a, b)| vec![a, b]),
    ];
    (services, daemons, option::of(timeouts())).prop_map(|(services, daemons, timeouts)| {
        let mut services: std::collections::BTreeMap<_, _> = services.into_iter().collect();
        if !daemons.is_empty() {
            for (key, service) in &mut services {
                service
                    .destinations
                    .retain(|it, _| it.family() == key.family());
            }
        }
        let daemons = daemons
            .into_iter()
            .map(|daemon| (daemon.role, daemon))
            .collect();
        Table {
            services: services
                .into_iter()
                .map(|(key, it)| (key, it.into()))
                .collect(),
            timeouts,
            daemons,
        }
    })
}

fn small_keys() -> Vec<ServiceKey> {
    let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
    let mark = NonZeroU32::new(7).expect("not 0");
    vec![
        ServiceKey::tcp(endpoint("10.1.0.100:80")),
        ServiceKey::tcp(endpoint("10.1.0.100:443")),
        ServiceKey::udp(endpoint("10.1.0.100:53")),
        ServiceKey::sctp(endpoint("[fd00::100]:80")),
        ServiceKey::fwmark(mark, Family::V4),
        ServiceKey::fwmark(mark, Family::V6),
    ]
}

/// A service of at most five destinations that have only few addresses.
fn small_service(key: ServiceKey) -> impl Strategy<Value = Service> {
    let place = |(endpoint, settings): (Endpoint, DestinationSettings), last: u8| {
        let address = match endpoint.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last.into())),
        };
        (Endpoint::new(address, endpoint.port), settings)
    };
    let destination = (destination(key), 1..=4_u8)
        .prop_map(move |(destination, last)| place(destination, last))
        .prop_map(move |(endpoint, settings)| {
            let port = settings.forwarding.fixed_port(&key).unwrap_or(8080);
            (Endpoint::new(endpoint.address, port), settings)
        });
    let destinations = collection::vec(destination, 0..=5);
    (service_settings(key), destinations).prop_map(|(settings, destinations)| Service {
        settings,
        destinations: destinations.into_iter().collect(),
    })
}
