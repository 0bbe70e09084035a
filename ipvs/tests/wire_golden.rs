//! Messages between ipvsadm and a kernel, as they were recorded.
#![cfg(target_endian = "little")]

use std::num::NonZeroU16;

use ipvs::{
    Change, ClientMask, Counts, DestinationSettings, DestinationState, Endpoint, Family, Flags,
    Forwarding, GreChecksum, GueChecksum, Info, Persistence, PrefixLen, Seconds, ServiceKey,
    ServiceSettings, ServiceState, SyncDaemon, SyncMaxLength, SyncRole, Thresholds, TimeoutChange,
    Timeouts, Tunnel, Version, Weight,
    wire::{Query, Reply, Request, WireError},
};

const RECORDED: &str = include_str!("golden/netlink-6.1.txt");

fn messages(direction: char) -> Vec<Vec<u8>> {
    let of_direction = RECORDED
        .lines()
        .filter_map(|line| line.strip_prefix(direction));
    of_direction.map(|hex| bytes(hex.trim())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex digits");
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn encoded(request: Request) -> Vec<u8> {
    let mut message = Vec::new();
    request.encode(&mut message);
    message
}

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

/// The changes that were asked for, in the order of their first appearance.
fn changes() -> Vec<(Vec<u8>, Change)> {
    let requests = messages('>').into_iter();
    requests
        .filter_map(|message| match Request::decode(&message) {
            Ok(Request::Change(change)) => Some((message, change)),
            Ok(Request::Query(_)) | Err(_) => None,
        })
        .collect()
}

#[test]
fn of_all_requests_only_the_one_that_the_kernel_called_out_of_range_cannot_be_said() {
    let errors: Vec<_> = messages('>')
        .iter()
        .filter_map(|message| Request::decode(message).err())
        .collect();
    let attribute = "IPVS_DEST_ATTR_U_THRESH";
    assert_eq!(
        errors,
        [WireError::Value {
            attribute,
            value: 5
        }],
        "-x 5 -y 9"
    );
}

#[test]
fn services_are_asked_for_byte_by_byte_as_ipvsadm_does() {
    let mut compared = 0;
    for (message, change) in changes() {
        if matches!(
            change,
            Change::AddService { .. } | Change::SetService { .. }
        ) {
            assert_eq!(encoded(Request::Change(change)), message, "{change:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 8, "all that were recorded");
}

#[test]
fn daemons_and_timeouts_and_the_whole_table_are_changed_as_ipvsadm_does() {
    let mut compared = 0;
    for (message, change) in changes() {
        let same_size = matches!(
            change,
            Change::SetTimeouts(_) | Change::StopDaemon(_) | Change::Flush | Change::Zero(None)
        );
        if same_size {
            assert_eq!(encoded(Request::Change(change)), message, "{change:?}");
            compared += 1;
        }
        if let Change::StartDaemon(_) = change {
            let ours = Request::decode(&encoded(Request::Change(change))).unwrap();
            assert_eq!(ours, Request::Change(change), "the same in another order");
            assert_eq!(encoded(ours).len(), message.len());
            compared += 1;
        }
    }
    assert_eq!(compared, 6, "all that were recorded");
}

#[test]
fn destinations_are_told_as_ipvsadm_does_after_what_names_their_service() {
    let mut compared = 0;
    for (message, change) in changes() {
        let (Change::AddDestination { .. } | Change::SetDestination { .. }) = change else {
            continue;
        };
        // ipvsadm repeats settings of the service that nobody reads.
        let service_length = usize::from(u16::from_le_bytes([message[4], message[5]]));
        let theirs = &message[4 + service_length..];
        assert!(
            encoded(Request::Change(change)).ends_with(theirs),
            "{change:?}"
        );
        compared += 1;
    }
    assert_eq!(
        compared, 14,
        "all that were recorded but the one that is out of range"
    );
}

#[test]
fn lists_are_asked_for_byte_by_byte_as_ipvsadm_does() {
    let mut compared = 0;
    for message in messages('>') {
        let Ok(Request::Query(query)) = Request::decode(&message) else {
            continue;
        };
        if let Query::Service(_) = query {
            continue; // ipvsadm says more than a name
        }
        assert_eq!(encoded(Request::Query(query)), message, "{query:?}");
        compared += 1;
    }
    assert_eq!(compared, 9, "all that were recorded");
}

#[test]
fn the_requests_mean_what_was_typed() {
    let changes: Vec<_> = changes().into_iter().map(|(_, change)| change).collect();
    let web = ServiceKey::tcp(at("10.1.0.100:80"));
    let v6 = ServiceKey::tcp(at("[fd00::100]:443"));
    let marked = ServiceKey::fwmark(7.try_into().unwrap(), Family::V4);
    let mut settings = ServiceSettings::new("mh".parse().unwrap());
    settings.flags = Flags {
        fallback: true,
        port: true,
        ..Flags::NONE
    };
    assert!(changes.contains(&Change::AddService {
        service: web,
        settings
    }));

    let mut settings = ServiceSettings::new("sh".parse().unwrap());
    settings.flags.port = true;
    let clients = ClientMask::V6(PrefixLen::new(64).unwrap());
    let persistence = Persistence::new(Family::V6, Seconds::new(600)).with_clients(clients);
    settings.persistence = Some(persistence);
    assert!(changes.contains(&Change::AddService {
        service: v6,
        settings
    }));

    let settings = DestinationSettings::new(Forwarding::Masquerade)
        .with_weight(Weight::new(2).unwrap())
        .with_thresholds(Thresholds::new(1000, 500).unwrap());
    let destination = at("10.0.0.2:8080");
    assert!(changes.contains(&Change::AddDestination {
        service: web,
        destination,
        settings
    }));

    let gue = Tunnel::Gue {
        port: NonZeroU16::new(6080).unwrap(),
        checksum: GueChecksum::Csum,
    };
    let gre = Tunnel::Gre {
        checksum: GreChecksum::None,
    };
    for (destination, tunnel) in [("10.0.0.2:0", gue), ("10.0.0.3:0", gre)] {
        let settings = DestinationSettings::new(Forwarding::Tunnel(tunnel));
        let destination = at(destination);
        let change = Change::AddDestination {
            service: marked,
            destination,
            settings,
        };
        assert!(changes.contains(&change), "{change:?}");
    }

    let timeouts = TimeoutChange {
        tcp: Some(Seconds::new(100)),
        tcp_fin: None,
        udp: Some(Seconds::new(200)),
    };
    assert!(changes.contains(&Change::SetTimeouts(timeouts)));
    assert!(changes.contains(&Change::StartDaemon(backup())));
    assert!(changes.contains(&Change::StopDaemon(SyncRole::Master)));
}

fn backup() -> SyncDaemon {
    let mut daemon = SyncDaemon::new(SyncRole::Backup, "lo".parse().expect("in range"));
    daemon.sync_id = 7;
    daemon.max_length = Some(SyncMaxLength::new(1200).expect("in range"));
    daemon.group = Some("224.0.0.99".parse().expect("in range"));
    daemon.port = NonZeroU16::new(9000);
    daemon.ttl = Some(3.try_into().expect("in range"));
    daemon
}

#[test]
fn every_reply_of_the_kernel_is_understood() {
    let replies: Vec<_> = messages('<')
        .iter()
        .map(|message| Reply::decode(message, None).unwrap())
        .collect();
    assert!(replies.contains(&Reply::Info(Info {
        version: Version {
            major: 1,
            minor: 2,
            patch: 1
        },
        table_size: 4096,
    })));
    assert!(replies.contains(&Reply::Timeouts(Timeouts::default())));
    assert!(replies.contains(&Reply::Daemon(backup())));

    let marked = ServiceKey::fwmark(7.try_into().unwrap(), Family::V4);
    let clients = ClientMask::V4([255, 255, 255, 0].into());
    let persistence = Persistence::new(Family::V4, Seconds::new(360)).with_clients(clients);
    let mut settings = ServiceSettings::new("wlc".parse().unwrap());
    settings.persistence = Some(persistence);
    assert!(replies.contains(&Reply::Service(ServiceState::new(marked, settings))));

    let settings =
        DestinationSettings::new(Forwarding::Masquerade).with_weight(Weight::new(65_535).unwrap());
    let state = DestinationState::new(at("[fd00::1]:443"), settings);
    assert_eq!(state.counts, Counts::ZERO);
    assert!(replies.contains(&Reply::Destination(state)));
}

#[test]
fn a_reply_is_written_as_long_as_the_kernel_writes_it() {
    for message in messages('<') {
        let reply = Reply::decode(&message, None).unwrap();
        let mut ours = Vec::new();
        reply.encode(&mut ours);
        let padded = message.len().next_multiple_of(4);
        assert!(
            ours.len() == padded,
            "{reply:?}\n{message:02x?}\n{ours:02x?}"
        );
    }
}
