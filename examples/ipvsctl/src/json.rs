//! What is listed with `--json`. The manual in `lib.rs` describes it; names and units stay.

use std::net::IpAddr;

use ipvs::{
    Change, ClientMask, Counts, DestinationState, Endpoint, Forwarding, GreChecksum, GueChecksum,
    ServiceKey, ServiceState, Snapshot, Traffic, Tunnel,
    text::{self, Order},
};
use serde::Serialize;

/// Services.
#[derive(Serialize)]
pub(crate) struct Services {
    version: String,
    connection_table_size: u32,
    services: Vec<Service>,
}

impl Services {
    /// All services, or one.
    pub(crate) fn of(snapshot: &Snapshot, only: Option<ServiceKey>, order: Order) -> Self {
        let services = snapshot.services.iter();
        let services = services.filter(|it| only.is_none_or(|only| it.key == only));
        let services = order.services(services.collect(), |it| it.key);
        Self {
            version: snapshot.info.version.to_string(),
            connection_table_size: snapshot.info.table_size,
            services: services.iter().map(|it| Service::of(it, order)).collect(),
        }
    }
}

#[derive(Serialize)]
struct Service {
    #[serde(flatten)]
    key: Key,
    scheduler: String,
    flags: Vec<&'static str>,
    persistence: Option<Persistence>,
    total: Amount,
    rate: Amount,
    destinations: Vec<Destination>,
}

impl Service {
    fn of(state: &ServiceState, order: Order) -> Self {
        let settings = &state.settings;
        let one_packet = settings.flags.one_packet.then_some("ops");
        let flags = settings.flags.scheduler_flags(settings.scheduler);
        let destinations = order.destinations(state.destinations.iter().collect(), |it| it.key);
        Self {
            key: Key::of(&state.key),
            scheduler: settings.scheduler.to_string(),
            flags: one_packet.into_iter().chain(flags).collect(),
            persistence: settings.persistence.map(|it| Persistence {
                timeout_seconds: it.timeout.get(),
                clients: match it.clients {
                    ClientMask::V4(mask) => Clients::Mask(IpAddr::V4(mask)),
                    ClientMask::V6(prefix) => Clients::PrefixLength(prefix.bits()),
                },
                engine: it.engine.map(|engine| engine.to_string()),
            }),
            total: Amount::of(state.statistics.total),
            rate: Amount::of(state.statistics.rate),
            destinations: destinations.into_iter().map(Destination::of).collect(),
        }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Key {
    Address {
        protocol: String,
        address: IpAddr,
        port: u16,
    },
    Mark {
        fwmark: u32,
        family: String,
    },
}

impl Key {
    fn of(key: &ServiceKey) -> Self {
        match key {
            ServiceKey::Address { protocol, endpoint } => Self::Address {
                protocol: protocol.to_string().to_lowercase(),
                address: endpoint.address,
                port: endpoint.port,
            },
            ServiceKey::Fwmark { mark, family } => Self::Mark {
                fwmark: mark.get(),
                family: family.to_string().to_lowercase(),
            },
        }
    }
}

#[derive(Serialize)]
struct Persistence {
    timeout_seconds: u32,
    clients: Clients,
    engine: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Clients {
    Mask(IpAddr),
    PrefixLength(u8),
}

#[derive(Serialize)]
struct Destination {
    address: IpAddr,
    port: u16,
    forwarding: &'static str,
    tunnel: Option<TunnelKind>,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    active: u32,
    inactive: u32,
    persistent: u32,
    total: Amount,
    rate: Amount,
}

impl Destination {
    fn of(state: &DestinationState) -> Self {
        let settings = &state.settings;
        let Counts {
            active,
            inactive,
            persistent,
        } = state.counts;
        let (forwarding, tunnel) = match settings.forwarding {
            Forwarding::Masquerade => ("masquerade", None),
            Forwarding::Local => ("local", None),
            Forwarding::Tunnel(tunnel) => ("tunnel", Some(TunnelKind::of(tunnel))),
            Forwarding::DirectRoute => ("direct_route", None),
            Forwarding::Bypass => ("bypass", None),
        };
        Self {
            address: state.key.address,
            port: state.key.port,
            forwarding,
            tunnel,
            weight: settings.weight.get(),
            upper_threshold: settings.thresholds.upper(),
            lower_threshold: settings.thresholds.lower(),
            active,
            inactive,
            persistent,
            total: Amount::of(state.statistics.total),
            rate: Amount::of(state.statistics.rate),
        }
    }
}

#[derive(Serialize)]
struct TunnelKind {
    kind: &'static str,
    port: Option<u16>,
    checksum: Option<&'static str>,
}

impl TunnelKind {
    fn of(tunnel: Tunnel) -> Self {
        let (kind, port, checksum) = match tunnel {
            Tunnel::Ipip => ("ipip", None, None),
            Tunnel::Gue { port, checksum } => {
                let checksum = match checksum {
                    GueChecksum::None => "nocsum",
                    GueChecksum::Csum => "csum",
                    GueChecksum::Remcsum => "remcsum",
                };
                ("gue", Some(port.get()), Some(checksum))
            }
            Tunnel::Gre { checksum } => {
                let checksum = match checksum {
                    GreChecksum::None => "nocsum",
                    GreChecksum::Csum => "csum",
                };
                ("gre", None, Some(checksum))
            }
        };
        Self {
            kind,
            port,
            checksum,
        }
    }
}

#[derive(Serialize)]
struct Amount {
    connections: u64,
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Amount {
    const fn of(traffic: Traffic) -> Self {
        let Traffic {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        } = traffic;
        Self {
            connections,
            packets_in,
            packets_out,
            bytes_in,
            bytes_out,
        }
    }
}

/// Timeouts.
#[derive(Serialize)]
pub(crate) struct Timeouts {
    tcp_seconds: u32,
    tcp_fin_seconds: u32,
    udp_seconds: u32,
}

impl Timeouts {
    pub(crate) const fn of(timeouts: ipvs::Timeouts) -> Self {
        Self {
            tcp_seconds: timeouts.tcp.get(),
            tcp_fin_seconds: timeouts.tcp_fin.get(),
            udp_seconds: timeouts.udp.get(),
        }
    }
}

/// Sync daemons.
#[derive(Serialize)]
pub(crate) struct Daemons {
    daemons: Vec<Daemon>,
}

#[derive(Serialize)]
struct Daemon {
    role: String,
    interface: String,
    sync_id: u8,
    max_length: Option<u16>,
    group: Option<IpAddr>,
    port: Option<u16>,
    ttl: Option<u8>,
}

impl Daemons {
    pub(crate) fn of(daemons: &[ipvs::SyncDaemon]) -> Self {
        let mut sorted: Vec<_> = daemons.iter().collect();
        sorted.sort_by_key(|daemon| daemon.role);
        let daemons = sorted.into_iter().map(|it| Daemon {
            role: it.role.to_string(),
            interface: it.interface.to_string(),
            sync_id: it.sync_id,
            max_length: it.max_length.map(|length| length.bytes()),
            group: it.group,
            port: it.port.map(std::num::NonZero::get),
            ttl: it.ttl.map(std::num::NonZero::get),
        });
        Self {
            daemons: daemons.collect(),
        }
    }
}

/// A connection.
#[derive(Serialize)]
pub(crate) struct Connection<'a> {
    /// Of the template of a service by firewall mark there is none.
    protocol: Option<String>,
    client: Place,
    service: Place,
    destination: Place,
    state: &'a str,
    expires_seconds: u32,
    engine: Option<Engine<'a>>,
}

#[derive(Serialize)]
struct Place {
    address: IpAddr,
    port: u16,
}

impl Place {
    const fn of(endpoint: Endpoint) -> Self {
        Self {
            address: endpoint.address,
            port: endpoint.port,
        }
    }
}

#[derive(Serialize)]
struct Engine<'a> {
    name: &'a str,
    data: &'a str,
}

impl<'a> Connection<'a> {
    pub(crate) fn of(connection: &'a ipvs::Connection) -> Self {
        let engine = connection.engine.as_ref();
        Self {
            protocol: connection.protocol.map(|it| it.to_string().to_lowercase()),
            client: Place::of(connection.client),
            service: Place::of(connection.service),
            destination: Place::of(connection.destination),
            state: &connection.state,
            expires_seconds: connection.expires.get(),
            engine: engine.map(|(name, data)| Engine { name, data }),
        }
    }
}

/// What `--dry-run` would change.
#[derive(Serialize)]
pub(crate) struct Changes {
    changes: Vec<Planned>,
}

#[derive(Serialize)]
struct Planned {
    /// As `ipvsctl` takes it, without its name.
    command: String,
    /// In words.
    does: String,
}

impl Changes {
    pub(crate) fn of(changes: &[Change]) -> Self {
        let changes = changes.iter().map(|change| Planned {
            command: text::command_line(change),
            does: change.to_string(),
        });
        Self {
            changes: changes.collect(),
        }
    }
}
