//! Whatever clients do and whatever becomes of the table, what is counted is what is listed.

use std::time::Duration;

use ipvs::{
    Change, Connection, Counts, DestinationSettings, Endpoint, Family, Flags, Forwarding,
    IpvsBackend, Persistence, Protocol, SchedulerName, Seconds, ServiceKey, ServiceSettings,
    Snapshot, Statistics, Thresholds, Weight,
    fake::{Flow, Kernel},
};
use proptest::{collection, prelude::*, sample};

use crate::at;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Connect(Flow),
    Send(Flow),
    Close(Flow),
    Reset(Flow),
    Advance(u64),
}

const MARK: u32 = 7;

/// Services whose clients talk to different addresses, so that it is known whose each is.
fn services() -> [(ServiceKey, Protocol, Endpoint); 4] {
    let (web, dns, call) = (
        at("10.1.0.100:80"),
        at("10.1.0.100:53"),
        at("10.1.0.100:5060"),
    );
    let mark = ServiceKey::fwmark(MARK.try_into().expect("not 0"), Family::V4);
    [
        (ServiceKey::tcp(web), Protocol::Tcp, web),
        (ServiceKey::udp(dns), Protocol::Udp, dns),
        (ServiceKey::sctp(call), Protocol::Sctp, call),
        (mark, Protocol::Tcp, at("10.1.0.200:443")),
    ]
}

fn service() -> impl Strategy<Value = ServiceKey> {
    sample::select(services().map(|(key, ..)| key).to_vec())
}

fn flow() -> impl Strategy<Value = Flow> {
    (sample::select(services().to_vec()), 0..4_u8, 1..4_u16).prop_map(
        |((_, protocol, to), host, port)| {
            let client = Endpoint::new([192, 0, 2, host].into(), 4000 + port);
            Flow {
                protocol,
                client,
                to,
            }
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let destination = (1..4_u8).prop_map(|host| Endpoint::new([10, 0, 0, host].into(), 8080));
    let thresholds = prop_oneof![
        Just(Thresholds::NONE),
        Just(Thresholds::new(3, 1).expect("in order")),
        Just(Thresholds::new(5, 0).expect("in order")),
    ];
    let forwarding = sample::select(vec![Forwarding::Masquerade, Forwarding::DirectRoute]);
    let of_destination = (forwarding, 0..4_u32, thresholds);
    let of_destination = of_destination.prop_map(|(forwarding, weight, thresholds)| {
        DestinationSettings::new(forwarding)
            .with_weight(Weight::new(weight).expect("small"))
            .with_thresholds(thresholds)
    });
    let of_service = (
        sample::select(SchedulerName::KNOWN.to_vec()),
        any::<bool>(),
        any::<bool>(),
    );
    let of_service = of_service.prop_map(|(scheduler, persistent, fallback)| {
        let mut settings = ServiceSettings::new(SchedulerName::new(scheduler).expect("a name"));
        let persistence = Persistence::new(Family::V4, Seconds::new(30));
        settings.persistence = persistent.then_some(persistence);
        settings.flags = Flags {
            fallback,
            ..Flags::NONE
        };
        settings
    });
    (0..16, service(), of_service, destination, of_destination).prop_map(
        |(which, service, of_service, destination, settings)| match which {
            0..=3 => Change::AddService {
                service,
                settings: of_service,
            },
            4 | 5 => Change::SetService {
                service,
                settings: of_service,
            },
            6 => Change::RemoveService { service },
            7..=10 => Change::AddDestination {
                service,
                destination,
                settings,
            },
            11 | 12 => Change::SetDestination {
                service,
                destination,
                settings,
            },
            13 => Change::RemoveDestination {
                service,
                destination,
            },
            14 => Change::Zero(Some(service)),
            _ => Change::Flush,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => change().prop_map(Step::Change),
        8 => flow().prop_map(Step::Connect),
        1 => flow().prop_map(Step::Send),
        2 => flow().prop_map(Step::Close),
        1 => flow().prop_map(Step::Reset),
        2 => (0..400_u64).prop_map(Step::Advance),
    ]
}

/// A table to begin with, so that clients find something.
fn first() -> Vec<Change> {
    let add = |(service, ..): (ServiceKey, Protocol, Endpoint)| {
        let destinations = [1, 2].map(|host| Change::AddDestination {
            service,
            destination: Endpoint::new([10, 0, 0, host].into(), 8080),
            settings: DestinationSettings::default(),
        });
        let settings = ServiceSettings::default();
        [
            vec![Change::AddService { service, settings }],
            destinations.to_vec(),
        ]
        .concat()
    };
    services().into_iter().flat_map(add).collect()
}

/// What the list of connections says of a destination.
fn listed(connections: &[Connection], service: &ServiceKey, destination: Endpoint) -> Counts {
    let vip = services()
        .into_iter()
        .find(|(key, ..)| key == service)
        .expect("one of them")
        .2;
    let mut counts = Counts::ZERO;
    for connection in connections {
        let there = connection.destination.address == destination.address;
        let counter = match (connection.is_template(), connection.state.as_str()) {
            (true, _) if connection.is_of(service) => &mut counts.persistent,
            (false, "ESTABLISHED") if connection.service == vip => &mut counts.active,
            (false, _) if connection.service == vip => &mut counts.inactive,
            _ => continue,
        };
        *counter += u32::from(there);
    }
    counts
}

/// A snapshot as it is without clients.
fn without_clients(mut snapshot: Snapshot) -> Snapshot {
    for service in &mut snapshot.services {
        service.statistics = Statistics::ZERO;
        for destination in &mut service.destinations {
            destination.statistics = Statistics::ZERO;
            destination.counts = Counts::ZERO;
        }
    }
    snapshot
}

proptest! {
    #[test]
    fn what_is_counted_is_what_is_listed(steps in collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (kernel, quiet) = (Kernel::new(), Kernel::new());
        let (mark, marked) = (MARK.try_into().unwrap(), services()[3].2);
        for step in first().into_iter().map(Step::Change).chain(steps) {
            let before = kernel.connections().len();
            match step {
                Step::Change(change) => {
                    prop_assert_eq!(kernel.change(change), quiet.change(change));
                    prop_assert_eq!(kernel.connections().len(), before, "a change cuts nothing off");
                }
                Step::Connect(flow) => {
                    let connected = match flow.to == marked {
                        true => kernel.connect_marked(mark, flow),
                        false => kernel.connect(flow),
                    };
                    if let Ok(connection) = connected {
                        prop_assert!(kernel.connections().contains(&connection));
                    }
                }
                Step::Send(flow) => drop(kernel.send(flow)),
                Step::Close(flow) => drop(kernel.close(flow)),
                Step::Reset(flow) => drop(kernel.reset(flow)),
                Step::Advance(seconds) => {
                    kernel.advance(Duration::from_secs(seconds));
                    quiet.advance(Duration::from_secs(seconds));
                }
            }
            let snapshot = runtime.block_on(kernel.snapshot()).unwrap();
            let connections = kernel.connections();
            for service in &snapshot.services {
                for destination in &service.destinations {
                    prop_assert_eq!(
                        destination.counts,
                        listed(&connections, &service.key, destination.key)
                    );
                }
            }
            let expected = runtime.block_on(quiet.snapshot()).unwrap();
            prop_assert_eq!(without_clients(snapshot), expected);
        }

        // Everything that nobody uses is forgotten in the end.
        kernel.advance(Duration::from_secs(3600));
        prop_assert_eq!(kernel.connections(), []);
        let snapshot = runtime.block_on(kernel.snapshot()).unwrap();
        let mut destinations = snapshot.services.iter().flat_map(|it| &it.destinations);
        prop_assert!(destinations.all(|it| it.counts.is_zero()));
    }
}
