//! What is, or shall be, set up.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use crate::{
    DestinationSettings, Endpoint, Forwarding, RuleError, ServiceKey, ServiceSettings, SyncDaemon,
    SyncRole, Timeouts,
};

/// Services, their destinations, timeouts and daemons: what is, or shall be, set up.
///
/// A value without anything counted, so that two can be compared. [`Table::add_service`] and its
/// neighbours check what the kernel would; whoever writes into the maps directly calls
/// [`Table::check`].
///
/// Tables share the services that they have in common, so that a clone of a large one is cheap, and
/// so is the comparison with what became of it.
///
/// ```
/// use ipvs::{DestinationSettings, Forwarding, ServiceKey, ServiceSettings, Table};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let web = ServiceKey::tcp("10.1.0.100:80".parse()?);
/// let mut table = Table::default();
/// table.add_service(web, ServiceSettings::new("rr".parse()?))?;
/// let settings = DestinationSettings::new(Forwarding::Masquerade);
/// table.add_destination(web, "10.0.0.1:8080".parse()?, settings)?;
///
/// let refused = table.add_destination(web, "[fd00::1]:80".parse()?, settings).unwrap_err();
/// assert!(refused.to_string().ends_with("write -i, or an IPv4 destination"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// The services; [`Self::services_mut`] changes them in this table alone.
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
    /// The timeouts; `None`: as they are.
    pub timeouts: Option<Timeouts>,
    /// The sync daemons; each belongs to the role it is filed under.
    pub daemons: BTreeMap<SyncRole, SyncDaemon>,
}

/// A service: how it is set up, and its destinations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// How it is set up.
    pub settings: ServiceSettings,
    /// Its destinations.
    pub destinations: BTreeMap<Endpoint, DestinationSettings>,
}

impl Service {
    /// A service without destinations.
    #[must_use]
    pub const fn new(settings: ServiceSettings) -> Self {
        Self {
            settings,
            destinations: BTreeMap::new(),
        }
    }

    /// Whether a new connection finds a destination: at least one has weight.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.destinations
            .values()
            .any(|destination| destination.weight.get() > 0)
    }
}

impl Table {
    /// The services, each to be changed in this table alone.
    pub fn services_mut(&mut self) -> impl Iterator<Item = &mut Service> {
        self.services.values_mut().map(Arc::make_mut)
    }

    /// Has the services in common with `other` that are the same in both.
    pub(crate) fn share(&mut self, other: &Self) {
        for (key, service) in &mut self.services {
            if let Some(same) = other.services.get(key).filter(|other| *other == service) {
                *service = Arc::clone(same);
            }
        }
    }

    /// The services that are not the same in two tables.
    #[must_use]
    pub fn differing(&self, other: &Self) -> BTreeSet<ServiceKey> {
        let services = self.services.iter().chain(&other.services);
        let differs = |key: &ServiceKey| self.services.get(key) != other.services.get(key);
        let differing = services.map(|(key, _)| *key).filter(differs);
        differing.collect()
    }

    /// Adds a service without destinations.
    ///
    /// # Errors
    /// There is one of that name, or a rule is broken.
    pub fn add_service(
        &mut self,
        service: ServiceKey,
        settings: ServiceSettings,
    ) -> Result<(), TableError> {
        settings.check(&service)?;
        match self.services.entry(service) {
            Entry::Occupied(_) => Err(TableError::ServiceExists { service }),
            Entry::Vacant(place) => {
                place.insert(Arc::new(Service::new(settings)));
                Ok(())
            }
        }
    }

    /// Adds a destination to a service.
    ///
    /// # Errors
    /// There is no such service, it has that destination already, or a rule is broken.
    pub fn add_destination(
        &mut self,
        service: ServiceKey,
        destination: Endpoint,
        settings: DestinationSettings,
    ) -> Result<(), TableError> {
        settings.check(&service, &destination)?;
        let Some(owner) = self.services.get_mut(&service) else {
            return Err(TableError::NoSuchService { service });
        };
        match Arc::make_mut(owner).destinations.entry(destination) {
            Entry::Occupied(_) => Err(TableError::DestinationExists {
                service,
                destination,
            }),
            Entry::Vacant(place) => {
                place.insert(settings);
                Ok(())
            }
        }
    }

    /// Adds a sync daemon.
    ///
    /// # Errors
    /// There is one of its role, or a rule is broken.
    pub fn add_daemon(&mut self, daemon: SyncDaemon) -> Result<(), TableError> {
        daemon.check()?;
        match self.daemons.entry(daemon.role) {
            Entry::Occupied(_) => Err(TableError::DaemonExists { role: daemon.role }),
            Entry::Vacant(place) => {
                place.insert(daemon);
                Ok(())
            }
        }
    }

    /// Whether the kernel would take the whole of it.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn check(&self) -> Result<(), Vec<RuleError>> {
        let mut broken = Vec::new();
        for (key, service) in &self.services {
            broken.extend(service.settings.check(key).err());
            for (destination, settings) in &service.destinations {
                broken.extend(settings.check(key, destination).err());
            }
        }
        if !self.daemons.is_empty() {
            broken.extend(self.mixed_destinations().map(|(service, destination)| {
                RuleError::MixedFamiliesWithDaemon {
                    service,
                    destination,
                }
            }));
        }
        broken.extend(
            self.daemons
                .values()
                .filter_map(|daemon| daemon.check().err()),
        );
        let timeouts = self.timeouts.map(crate::TimeoutChange::from);
        broken.extend(timeouts.and_then(|timeouts| timeouts.check().err()));
        if broken.is_empty() {
            Ok(())
        } else {
            Err(broken)
        }
    }

    /// Destinations that are reached by tunnel and not of their service's family.
    fn mixed_destinations(&self) -> impl Iterator<Item = (ServiceKey, Endpoint)> {
        self.services.iter().flat_map(|(key, service)| {
            let mixed = service
                .destinations
                .iter()
                .filter(|(destination, settings)| {
                    destination.family() != key.family()
                        && matches!(settings.forwarding, Forwarding::Tunnel(_))
                });
            mixed.map(|(destination, _)| (*key, *destination))
        })
    }
}

/// Why something cannot be put into a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A rule is broken.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// One service of a name.
    #[error("there is a service {service} already: set it up once, or remove it before")]
    ServiceExists {
        /// Its name.
        service: ServiceKey,
    },
    /// Destinations belong to services.
    #[error("there is no service {service}: add it before its destinations")]
    NoSuchService {
        /// The name.
        service: ServiceKey,
    },
    /// One destination of an address and port.
    #[error("{service} has {destination} already: list it once, with a greater weight if need be")]
    DestinationExists {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
    },
    /// Destinations have to be there to be changed.
    #[error("{service} has no destination {destination}: add it before, mind its port")]
    NoSuchDestination {
        /// The service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
    },
    /// One daemon of each role.
    #[error("there is a {role} sync daemon already: a director has one of each role")]
    DaemonExists {
        /// Its role.
        role: SyncRole,
    },
    /// Daemons have to run to be stopped.
    #[error("there is no {role} sync daemon")]
    NoDaemon {
        /// The role.
        role: SyncRole,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tunnel;

    #[test]
    fn every_broken_rule_of_a_table_is_told() {
        let web = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
        let mut table = Table::default();
        table.add_service(web, ServiceSettings::default()).unwrap();
        let tunnel = DestinationSettings::new(Forwarding::Tunnel(Tunnel::Ipip));
        let far = "[fd00::1]:80".parse().unwrap();
        table.add_destination(web, far, tunnel).unwrap();
        assert_eq!(table.check(), Ok(()));

        table
            .add_daemon(SyncDaemon::new(SyncRole::Master, "eth0".parse().unwrap()))
            .unwrap();
        let every_port = ServiceKey::tcp("10.1.0.100:0".parse().unwrap());
        table.services.insert(every_port, Arc::default());
        assert_eq!(
            table.check().unwrap_err(),
            [
                RuleError::EveryPortWithoutPersistence {
                    service: every_port
                },
                RuleError::MixedFamiliesWithDaemon {
                    service: web,
                    destination: far
                },
            ]
        );
    }

    #[test]
    fn nothing_is_added_twice_or_to_nothing() {
        let web = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
        let one = "10.0.0.1:80".parse().unwrap();
        let settings = DestinationSettings::default();
        let mut table = Table::default();
        assert_eq!(
            table.add_destination(web, one, settings),
            Err(TableError::NoSuchService { service: web })
        );
        table.add_service(web, ServiceSettings::default()).unwrap();
        assert_eq!(
            table.add_service(web, ServiceSettings::default()),
            Err(TableError::ServiceExists { service: web })
        );
        table.add_destination(web, one, settings).unwrap();
        let before = table.clone();
        assert_eq!(
            table.add_destination(web, one, settings.with_weight(crate::Weight::ZERO)),
            Err(TableError::DestinationExists {
                service: web,
                destination: one
            })
        );
        assert_eq!(table, before);
    }
}
