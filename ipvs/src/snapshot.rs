//! What a kernel reports: its table with everything counted, in its own order.

use std::{fmt, sync::Arc};

use crate::{
    DestinationSettings, Endpoint, ServiceKey, ServiceSettings, SyncDaemon, Table, Timeouts,
    wire::WireError,
};

/// What runs at a moment, as the kernel tells it.
///
/// The kernel's answer to a dump is not one moment: who changes the table meanwhile can make it
/// leave rows out or tell them twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What the kernel says of itself.
    pub info: Info,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// Its sync daemons.
    pub daemons: Vec<SyncDaemon>,
    /// Its services in the order of its hash table.
    pub services: Vec<ServiceState>,
    /// What it told that this crate has no words for, and that is left out of the above: somebody
    /// set it up by other means, or the kernel is newer. A table without it is better than none.
    /// No plan asks to remove what it does not know of; what is desired under the same name is
    /// refused as being there already.
    pub unreadable: Vec<UnreadableRow>,
}

/// A row of the kernel's lists that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} cannot be read and is left out", row_of(.service.as_ref()))]
#[non_exhaustive]
pub struct UnreadableRow {
    /// The service whose destination it is; `None` for a service or a sync daemon.
    pub service: Option<ServiceKey>,
    /// What is wrong with it.
    #[source]
    pub cause: WireError,
}

impl UnreadableRow {
    /// A destination of a service, or a service or sync daemon (`None`), that cannot be read.
    #[must_use]
    pub const fn new(service: Option<ServiceKey>, cause: WireError) -> Self {
        Self { service, cause }
    }
}

fn row_of(service: Option<&ServiceKey>) -> String {
    match service {
        Some(service) => format!("a destination of {service}"),
        None => "a service or sync daemon of the kernel".to_owned(),
    }
}

impl Snapshot {
    /// What is set up, without what is counted. Of rows that were told twice the last one counts.
    #[must_use]
    pub fn table(&self) -> Table {
        let daemons = self.daemons.iter().map(|daemon| (daemon.role, *daemon));
        let mut table = Table {
            timeouts: Some(self.timeouts),
            daemons: daemons.collect(),
            ..Table::default()
        };
        for state in &self.services {
            let service = Arc::make_mut(table.services.entry(state.key).or_default());
            service.settings = state.settings;
            let destinations = state.destinations.iter();
            service
                .destinations
                .extend(destinations.map(|it| (it.key, it.settings)));
        }
        table
    }

    /// The state of a service.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&ServiceState> {
        self.services.iter().find(|service| service.key == *key)
    }
}

/// What the kernel says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel tells")]
pub struct Info {
    /// Version of its IPVS.
    pub version: Version,
    /// Number of buckets of its connection table.
    pub table_size: u32,
}

/// Version of the kernel's IPVS, 1.2.1 since 2004.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "three numbers")]
pub struct Version {
    /// First number.
    pub major: u8,
    /// Second number.
    pub minor: u8,
    /// Third number.
    pub patch: u8,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A service and what was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceState {
    /// Its name.
    pub key: ServiceKey,
    /// How it is set up.
    pub settings: ServiceSettings,
    /// What passed through it.
    pub statistics: Statistics,
    /// Its destinations in the order of the kernel's list: the newest first.
    pub destinations: Vec<DestinationState>,
}

impl ServiceState {
    /// A service without destinations through which nothing has passed.
    #[must_use]
    pub const fn new(key: ServiceKey, settings: ServiceSettings) -> Self {
        Self {
            key,
            settings,
            statistics: Statistics::ZERO,
            destinations: Vec::new(),
        }
    }

    /// The state of a destination.
    #[must_use]
    pub fn destination(&self, key: &Endpoint) -> Option<&DestinationState> {
        self.destinations
            .iter()
            .find(|destination| destination.key == *key)
    }
}

/// A destination and what was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationState {
    /// Its address and port.
    pub key: Endpoint,
    /// How it is set up.
    pub settings: DestinationSettings,
    /// Its connections.
    pub counts: Counts,
    /// What passed through it.
    pub statistics: Statistics,
}

impl DestinationState {
    /// A destination without connections through which nothing has passed.
    #[must_use]
    pub const fn new(key: Endpoint, settings: DestinationSettings) -> Self {
        Self {
            key,
            settings,
            counts: Counts::ZERO,
            statistics: Statistics::ZERO,
        }
    }
}

/// Connections of a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel tells")]
pub struct Counts {
    /// Those that are established or on the way to it: TCP from the SYN on, SCTP when established.
    pub active: u32,
    /// The others: TCP that is closing, and UDP always.
    pub inactive: u32,
    /// Persistence templates: clients that will come back here.
    pub persistent: u32,
}

impl Counts {
    /// None at all.
    pub const ZERO: Self = Self {
        active: 0,
        inactive: 0,
        persistent: 0,
    };

    /// Whether there is none at all.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

/// What has passed through a service or a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel tells")]
pub struct Statistics {
    /// Since it was added, or since the counters were zeroed. The kernel adds up what has passed
    /// every two seconds, so the last two may be missing.
    pub total: Traffic,
    /// In a second, on average over the last ones: the kernel looks every two seconds, and each
    /// look counts for a quarter.
    pub rate: Traffic,
}

impl Statistics {
    /// Nothing.
    pub const ZERO: Self = Self {
        total: Traffic::ZERO,
        rate: Traffic::ZERO,
    };
}

/// Amount of traffic, in total or in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel tells")]
pub struct Traffic {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients, of which the director sees those of masquerading only.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

impl Traffic {
    /// None.
    pub const ZERO: Self = Self {
        connections: 0,
        packets_in: 0,
        packets_out: 0,
        bytes_in: 0,
        bytes_out: 0,
    };
}
