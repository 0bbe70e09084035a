//! `forwarding_path`: checks that take the way of the clients' packets.
//!
//! A real server by direct routing or through a tunnel gets packets for the virtual address. A check
//! of its own address does not find out that it has no such address, or no end of the tunnel. So the
//! check asks the virtual address, and its packets carry a mark, by which a service of IPVS with this
//! one destination sends them to the real server, whether clients are sent to it or not.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use ipvs::{
    DestinationSettings, Endpoint, Family, Forwarder, SchedulerName, ServiceKey, ServiceSettings,
    Table,
};

use crate::conf::model::{Config, ForwardingPath};

/// The first of the marks that are used, 2²⁴ in a row: no file that is meant to be read has them.
const FIRST_MARK: u32 = 0x7400_0000;
const MARKS: u32 = 1 << 24;

/// The mark of each path. It depends on the path alone unless two happen to get the same, so that
/// neither a reload nor a restart changes it, and both directors have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paths(BTreeMap<ForwardingPath, NonZeroU32>);

impl Paths {
    /// The paths of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let servers = config.virtual_servers.iter();
        let checks = servers
            .flat_map(|server| &server.real_servers)
            .flat_map(|server| &server.checks);
        let paths: BTreeSet<_> = checks.filter_map(|check| check.kind.path()).collect();
        let mut used = BTreeSet::new();
        if !paths.is_empty() {
            let services = config.virtual_servers.iter().flat_map(|it| &it.services);
            used.extend(services.filter_map(|service| match service {
                ServiceKey::Fwmark { mark, .. } => Some(*mark),
                ServiceKey::Address { .. } => None,
            }));
        }
        let marks = paths.into_iter().filter_map(|path| {
            let first = hash(&path);
            let mut marks = (0..MARKS)
                .filter_map(|nth| NonZeroU32::new(FIRST_MARK + first.wrapping_add(nth) % MARKS));
            let mark = marks.find(|mark| !used.contains(mark))?;
            used.insert(mark);
            Some((path, mark))
        });
        Self(marks.collect())
    }

    /// The mark of a path.
    #[must_use]
    pub fn mark(&self, path: &ForwardingPath) -> Option<NonZeroU32> {
        self.0.get(path).copied()
    }

    /// Adds what sends marked packets on their way.
    pub(super) fn add_to(&self, table: &mut Table) {
        for (path, mark) in &self.0 {
            let service = ServiceKey::Fwmark {
                mark: *mark,
                family: path.family,
            };
            // The mark is nobody else's, and the reader of the file has seen to the families.
            drop(table.add_service(service, ServiceSettings::new(SchedulerName::WLC)));
            let settings = DestinationSettings::new(path.forwarding);
            let endpoint = Endpoint::new(path.server, 0);
            drop(table.add_destination(service, endpoint, settings));
        }
    }

    /// What the machine has to be set to: answers come from an address that is its own while it is
    /// the master.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        let mut forwarder = Forwarder::default();
        forwarder.is_own_client = self.0.keys().any(|path| path.family == Family::V4);
        forwarder
    }
}

/// FNV-1a of how a path is written.
fn hash(path: &ForwardingPath) -> u32 {
    let text = format!("{path:?}");
    text.bytes().fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
