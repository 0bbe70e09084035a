//! `lvs_method FULLNAT`: whose connections get an address of the director as their source.

use std::collections::BTreeSet;

use ipvs::{Family, Forwarder, FullNat, Table, Translated};

use crate::conf::model::{Config, VirtualServer};

/// Which connections are translated: those that shall be, and those to servers that a configuration
/// no longer names, while they are in the table.
///
/// Their source is that of `full_nat_source`, else the first address of the interface that leads to
/// the real server, so that one configuration is good for both directors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Translation {
    wanted: BTreeSet<Translated>,
    leaving: BTreeSet<Translated>,
}

impl Translation {
    /// What follows on this one when a configuration comes into force.
    #[must_use]
    pub fn following(&self, config: &Config) -> Self {
        let servers = config.virtual_servers.iter();
        let wanted: BTreeSet<_> = servers
            .filter(|server| server.has_full_nat())
            .flat_map(|server| pairs(server, true))
            .collect();
        let mut leaving: BTreeSet<_> = self.translated().difference(&wanted).copied().collect();
        // One that gets another source goes on; connections under way keep the one they have.
        let staying: BTreeSet<_> = wanted.iter().map(|it| (it.service, it.server)).collect();
        leaving.retain(|it| !staying.contains(&(it.service, it.server)));
        if !leaving.is_empty() {
            let plain = config.virtual_servers.iter();
            let plain = plain.flat_map(|it| pairs(it, false));
            let plain: BTreeSet<_> = plain.map(|it| (it.service, it.server)).collect();
            leaving.retain(|it| !plain.contains(&(it.service, it.server)));
        }
        Self { wanted, leaving }
    }

    /// The table is like this: who has left it needs nothing any more.
    #[must_use]
    pub fn tidied(&self, table: &Table) -> Self {
        let is_there = |it: &&Translated| {
            let service = table.services.get(&it.service);
            service.is_some_and(|service| service.destinations.contains_key(&it.server))
        };
        Self {
            wanted: self.wanted.clone(),
            leaving: self.leaving.iter().filter(is_there).copied().collect(),
        }
    }

    /// Whether somebody is still waited for.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// What is to be installed; `None`: nothing.
    #[must_use]
    pub fn full_nat(&self) -> Option<FullNat> {
        let mut full_nat = FullNat::default();
        full_nat.translated = self.translated();
        (!full_nat.translated.is_empty()).then_some(full_nat)
    }

    /// What the machine has to be set to for it.
    #[must_use]
    pub fn forwarder(&self) -> Forwarder {
        let translated = self.translated();
        let families: BTreeSet<Family> = translated.iter().map(|it| it.server.family()).collect();
        let mut forwarder = Forwarder::of(families);
        forwarder.tracked = !translated.is_empty();
        forwarder
    }

    fn translated(&self) -> BTreeSet<Translated> {
        self.wanted.union(&self.leaving).copied().collect()
    }
}

/// Each service of a virtual server with each of its servers that is forwarded so.
fn pairs(server: &VirtualServer, full_nat: bool) -> impl Iterator<Item = Translated> {
    let real_servers = server.real_servers.iter().map(|server| &server.destination);
    let sorry_server = server.sorry_server.iter().map(|sorry| &sorry.destination);
    let destinations = real_servers.chain(sorry_server);
    let destinations = destinations.filter(move |destination| destination.full_nat == full_nat);
    destinations.flat_map(|destination| {
        server.services.iter().map(|service| Translated {
            service: *service,
            server: destination.endpoint(service),
            source: server.full_nat_source,
        })
    })
}
