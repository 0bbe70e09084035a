//! What the table of nftables has to be.

use std::{collections::BTreeMap, time::Instant};

use super::slots::{By, Slots};
use crate::{
    Change, ClientMask, DestinationState, Endpoint, Family, Persistence, Protocol, ServiceKey,
    ServiceState, Snapshot, text::command_line,
};

/// How many clients persistence knows of each destination at most.
const CLIENTS: u32 = 65_536;

/// The parts that depend on the services; the others are in [`base`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    /// By name.
    pub(super) chains: BTreeMap<String, Vec<String>>,
    /// The names of the chains of destinations, each service's oldest first.
    pub(super) order: Vec<String>,
    /// Of persistent clients: the name, and what it is.
    pub(super) clients: BTreeMap<String, String>,
    /// Map and key, and the chain that it leads to.
    pub(super) ways: BTreeMap<(&'static str, String), String>,
}

impl Ruleset {
    pub(super) fn of(snapshot: &Snapshot, now: Instant) -> Self {
        let mut ruleset = Self::default();
        for service in &snapshot.services {
            ruleset.add(service, now);
        }
        ruleset
    }

    fn add(&mut self, service: &ServiceState, now: Instant) {
        let name = chain_of_service(&service.key);
        let (map, key) = way(&service.key);
        self.ways.insert((map, key), name.clone());
        self.chains.insert(name, rules_of_service(service, now));
        for destination in service.destinations.iter().rev() {
            let name = chain_of_destination(&service.key, &destination.key);
            if service.settings.persistence.is_some() {
                let address = address_type(service.key.family());
                let kind = format!("type {address}; size {CLIENTS}; flags dynamic,timeout;");
                self.clients.insert(known_clients(&name), kind);
            }
            self.order.push(name.clone());
            let rules = rules_of_destination(service, destination);
            self.chains.insert(name, rules);
        }
    }
}

/// A set that tells which services there are, so that what reached no destination is refused, is
/// named as its map with this behind.
pub(super) const REFUSED: &str = "_known";

/// The maps and how their keys are made of a packet, in the order in which a service is looked for.
pub(super) const MAPS: [(&str, &str, &str); 6] = [
    ("marks4", "mark", "meta nfproto ipv4 meta mark"),
    ("marks6", "mark", "meta nfproto ipv6 meta mark"),
    (
        "services4",
        "ipv4_addr . inet_proto . inet_service",
        "ip daddr . meta l4proto . th dport",
    ),
    (
        "services6",
        "ipv6_addr . inet_proto . inet_service",
        "ip6 daddr . meta l4proto . th dport",
    ),
    (
        "ports4",
        "ipv4_addr . inet_proto",
        "ip daddr . meta l4proto",
    ),
    (
        "ports6",
        "ipv6_addr . inet_proto",
        "ip6 daddr . meta l4proto",
    ),
];

/// The chains that are always there: name, hook, rules.
pub(super) fn base() -> Vec<(&'static str, &'static str, Vec<String>)> {
    let nat = ["prerouting", "output"].map(|hook| {
        let at = match hook {
            "output" => "type nat hook output priority -100;",
            _ => "type nat hook prerouting priority -100;",
        };
        (hook, at, vec!["goto dispatch".to_owned()])
    });
    let balance = MAPS.map(|(map, _, key)| format!("{key} vmap @{map}"));
    // What was translated has another destination by now. A chain of another kind of hook cannot
    // lead to chains that translate: that is why there are sets beside the maps.
    let new = "ct state new ct status ! dnat goto refuse";
    let refuse = MAPS.map(|(map, _, key)| format!("{key} @{map}{REFUSED} reject"));
    let mut chains = vec![
        ("dispatch", "", balance.to_vec()),
        ("refuse", "", refuse.to_vec()),
    ];
    chains.extend(nat);
    chains.push((
        "refuse_arriving",
        "type filter hook prerouting priority -99;",
        vec![new.to_owned()],
    ));
    chains.push((
        "refuse_local",
        "type filter hook output priority -99;",
        vec![new.to_owned()],
    ));
    chains
}

/// In words of nftables, which names no chain with a colon.
fn word(endpoint: &Endpoint) -> String {
    let address = endpoint.address.to_string().replace(':', "_");
    format!("{address}-{}", endpoint.port)
}

pub(super) fn chain_of_service(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { protocol, endpoint } => {
            format!("{}-{}", protocol_word(*protocol), word(endpoint))
        }
        ServiceKey::Fwmark { mark, family } => match family {
            Family::V4 => format!("mark4-{mark}"),
            Family::V6 => format!("mark6-{mark}"),
        },
    }
}

pub(super) fn chain_of_destination(service: &ServiceKey, destination: &Endpoint) -> String {
    format!("{}-to-{}", chain_of_service(service), word(destination))
}

fn known_clients(chain: &str) -> String {
    format!("of-{chain}")
}

fn way(key: &ServiceKey) -> (&'static str, String) {
    match key {
        ServiceKey::Fwmark { mark, family } => match family {
            Family::V4 => ("marks4", mark.to_string()),
            Family::V6 => ("marks6", mark.to_string()),
        },
        ServiceKey::Address { protocol, endpoint } => {
            let (address, port) = (endpoint.address, endpoint.port);
            let protocol = protocol_word(*protocol);
            match (endpoint.family(), port) {
                (Family::V4, 0) => ("ports4", format!("{address} . {protocol}")),
                (Family::V6, 0) => ("ports6", format!("{address} . {protocol}")),
                (Family::V4, _) => ("services4", format!("{address} . {protocol} . {port}")),
                (Family::V6, _) => ("services6", format!("{address} . {protocol} . {port}")),
            }
        }
    }
}

const fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

const fn address_type(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4_addr",
        Family::V6 => "ipv6_addr",
    }
}

const fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// What a client is known by.
fn client(family: Family, persistence: &Persistence) -> String {
    let address = format!("{} saddr", ip(family));
    match persistence.clients {
        mask if mask.is_whole() => address,
        ClientMask::V4(mask) => format!("{address} & {mask}"),
        ClientMask::V6(prefix) => {
            let mask = u128::MAX << (128 - u32::from(prefix.bits()));
            format!("{address} & {}", std::net::Ipv6Addr::from(mask))
        }
    }
}

fn rules_of_service(service: &ServiceState, now: Instant) -> Vec<String> {
    let (key, settings) = (service.key, service.settings);
    let saved = command_line(&Change::AddService {
        service: key,
        settings,
    });
    let counted = service.statistics.total.connections;
    let mut rules = vec![format!(
        "counter packets {counted} bytes 0 comment \"{saved}\""
    )];
    if let Some(persistence) = &settings.persistence {
        let client = client(key.family(), persistence);
        rules.extend(service.destinations.iter().map(|it| {
            let chain = chain_of_destination(&key, &it.key);
            format!("{client} @{} goto {chain}", known_clients(&chain))
        }));
    }
    rules.extend(Slots::of(service, now).and_then(|slots| choice(&key, &slots)));
    rules
}

/// `None`: there is nobody to choose.
fn choice(service: &ServiceKey, slots: &Slots) -> Option<String> {
    let chain = |it: &Endpoint| chain_of_destination(service, it);
    if let [only] = slots.slots.as_slice() {
        return only.as_ref().map(|it| format!("goto {}", chain(it)));
    }
    let ways = slots.slots.iter().enumerate().filter_map(|(number, it)| {
        it.as_ref()
            .map(|it| format!("{number} : goto {}", chain(it)))
    });
    let ways = ways.collect::<Vec<_>>().join(", ");
    let (ip, count) = (ip(service.family()), slots.slots.len());
    // The same on every director.
    let seed = "seed 0x74616b65";
    let number = match slots.by {
        By::Turn => format!("numgen inc mod {count}"),
        By::Client => format!("jhash {ip} saddr mod {count} {seed}"),
        By::ClientAndPort => format!("jhash {ip} saddr . th sport mod {count} {seed}"),
        By::Service => format!("jhash {ip} daddr mod {count} {seed}"),
    };
    (!ways.is_empty()).then(|| format!("{number} vmap {{ {ways} }}"))
}

fn rules_of_destination(service: &ServiceState, state: &DestinationState) -> Vec<String> {
    let (key, destination, settings) = (service.key, state.key, state.settings);
    let family = key.family();
    let mut rules = Vec::new();
    if let Some(persistence) = &service.settings.persistence {
        let client = client(family, persistence);
        let clients = known_clients(&chain_of_destination(&key, &destination));
        let timeout = persistence.timeout;
        rules.push(format!(
            "update @{clients} {{ {client} timeout {timeout}s }}"
        ));
    }
    let saved = command_line(&Change::AddDestination {
        service: key,
        destination,
        settings,
    });
    let to = match destination.port {
        0 => destination.address.to_string(),
        _ => destination.to_string(),
    };
    let protocol = match (key.protocol(), destination.port) {
        (_, 0) => String::new(),
        (Some(protocol), _) => format!("meta l4proto {} ", protocol_word(protocol)),
        (None, _) => "meta l4proto { tcp, udp, sctp } ".to_owned(),
    };
    let counted = state.statistics.total.connections;
    let ip = ip(family);
    rules.push(format!(
        "{protocol}counter packets {counted} bytes 0 dnat {ip} to {to} comment \"{saved}\""
    ));
    rules
}
