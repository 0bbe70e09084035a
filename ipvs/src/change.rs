//! Changes of a table.

use std::{fmt, sync::Arc};

use crate::{
    DestinationSettings, Endpoint, RuleError, Service, ServiceKey, ServiceSettings, SyncDaemon,
    SyncRole, Table, TableError, TimeoutChange,
};

/// One change of the kernel's table: what one message asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Adds a service without destinations.
    AddService {
        /// Its name.
        service: ServiceKey,
        /// How it is set up.
        settings: ServiceSettings,
    },
    /// Sets a service up anew: nothing of how it was remains but its destinations.
    SetService {
        /// Its name.
        service: ServiceKey,
        /// How it is set up.
        settings: ServiceSettings,
    },
    /// Removes a service with its destinations.
    RemoveService {
        /// Its name.
        service: ServiceKey,
    },
    /// Adds a destination, in front of the others.
    AddDestination {
        /// Name of its service.
        service: ServiceKey,
        /// Its address and port.
        destination: Endpoint,
        /// How it is set up.
        settings: DestinationSettings,
    },
    /// Sets a destination up anew: nothing of how it was remains but its place and connections.
    SetDestination {
        /// Name of its service.
        service: ServiceKey,
        /// Its address and port.
        destination: Endpoint,
        /// How it is set up.
        settings: DestinationSettings,
    },
    /// Removes a destination. Its connections stall; if it is added again soon they go on.
    RemoveDestination {
        /// Name of its service.
        service: ServiceKey,
        /// Its address and port.
        destination: Endpoint,
    },
    /// Sets timeouts.
    SetTimeouts(TimeoutChange),
    /// Starts a sync daemon.
    StartDaemon(SyncDaemon),
    /// Stops a sync daemon.
    StopDaemon(SyncRole),
    /// Zeroes the counters of a service and its destinations, or of all.
    Zero(Option<ServiceKey>),
    /// Removes all services.
    Flush,
}

impl Change {
    /// Whether what is asked for breaks a rule by itself.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), RuleError> {
        match self {
            Self::AddService { service, settings } | Self::SetService { service, settings } => {
                settings.check(service)
            }
            Self::AddDestination {
                service,
                destination,
                settings,
            }
            | Self::SetDestination {
                service,
                destination,
                settings,
            } => settings.check(service, destination),
            Self::SetTimeouts(timeouts) => timeouts.check(),
            Self::StartDaemon(daemon) => daemon.check(),
            Self::RemoveService { .. }
            | Self::RemoveDestination { .. }
            | Self::StopDaemon(_)
            | Self::Zero(_)
            | Self::Flush => Ok(()),
        }
    }

    /// What is changed. Never fails: every change is about one thing, or about all of them.
    #[must_use]
    pub const fn subject(&self) -> Subject {
        match self {
            Self::AddService { service, .. }
            | Self::SetService { service, .. }
            | Self::RemoveService { service }
            | Self::Zero(Some(service)) => Subject::Service(*service),
            Self::AddDestination {
                service,
                destination,
                ..
            }
            | Self::SetDestination {
                service,
                destination,
                ..
            }
            | Self::RemoveDestination {
                service,
                destination,
            } => Subject::Destination(*service, *destination),
            Self::StartDaemon(daemon) => Subject::Daemon(daemon.role),
            Self::StopDaemon(role) => Subject::Daemon(*role),
            Self::SetTimeouts(_) => Subject::Timeouts,
            Self::Zero(None) | Self::Flush => Subject::Services,
        }
    }

    /// The service that is changed, if it is one.
    #[must_use]
    pub const fn service(&self) -> Option<ServiceKey> {
        self.subject().service()
    }
}

/// What a [`Change`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a table has no other parts")]
pub enum Subject {
    /// A service.
    Service(ServiceKey),
    /// A destination of a service.
    Destination(ServiceKey, Endpoint),
    /// The sync daemon of a role.
    Daemon(SyncRole),
    /// The timeouts.
    Timeouts,
    /// All services.
    Services,
}

impl Subject {
    /// The service that it is, or is a destination of.
    #[must_use]
    pub const fn service(self) -> Option<ServiceKey> {
        match self {
            Self::Service(service) | Self::Destination(service, _) => Some(service),
            Self::Daemon(_) | Self::Timeouts | Self::Services => None,
        }
    }

    /// The destination that it is, with its service.
    #[must_use]
    pub const fn destination(self) -> Option<(ServiceKey, Endpoint)> {
        match self {
            Self::Destination(service, destination) => Some((service, destination)),
            Self::Service(_) | Self::Daemon(_) | Self::Timeouts | Self::Services => None,
        }
    }
}

/// What the change does, to follow "cannot".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddService { service, settings } => {
                write!(f, "add service {service} ({})", settings.scheduler)
            }
            Self::SetService { service, settings } => {
                write!(f, "edit service {service} ({})", settings.scheduler)
            }
            Self::RemoveService { service } => write!(f, "remove service {service}"),
            Self::AddDestination {
                service,
                destination,
                ..
            } => {
                write!(f, "add destination {destination} to {service}")
            }
            Self::SetDestination {
                service,
                destination,
                ..
            } => {
                write!(f, "edit destination {destination} of {service}")
            }
            Self::RemoveDestination {
                service,
                destination,
            } => {
                write!(f, "remove destination {destination} of {service}")
            }
            Self::SetTimeouts(timeouts) => {
                f.write_str("set timeouts")?;
                timeouts
                    .named()
                    .try_for_each(|(name, timeout)| write!(f, " {name} {timeout} s"))
            }
            Self::StartDaemon(daemon) => {
                write!(
                    f,
                    "start the {} sync daemon on {}",
                    daemon.role, daemon.interface
                )
            }
            Self::StopDaemon(role) => write!(f, "stop the {role} sync daemon"),
            Self::Zero(Some(service)) => write!(f, "zero the counters of {service}"),
            Self::Zero(None) => f.write_str("zero all counters"),
            Self::Flush => f.write_str("remove all services"),
        }
    }
}

impl Table {
    /// Makes a change as the kernel would: what is there already cannot be added, what is not
    /// cannot be set up anew or removed. After an error the table is as it was.
    ///
    /// # Errors
    /// The change cannot be made.
    pub fn apply(&mut self, change: &Change) -> Result<(), TableError> {
        match *change {
            Change::AddService { service, settings } => self.add_service(service, settings),
            Change::SetService { service, settings } => {
                settings.check(&service)?;
                self.existing(service)?.settings = settings;
                Ok(())
            }
            Change::RemoveService { service } => {
                let removed = self.services.remove(&service);
                removed
                    .map(drop)
                    .ok_or(TableError::NoSuchService { service })
            }
            Change::AddDestination {
                service,
                destination,
                settings,
            } => self.add_destination(service, destination, settings),
            Change::SetDestination {
                service,
                destination,
                settings,
            } => {
                settings.check(&service, &destination)?;
                let place = self.existing(service)?.destinations.get_mut(&destination);
                *place.ok_or(TableError::NoSuchDestination {
                    service,
                    destination,
                })? = settings;
                Ok(())
            }
            Change::RemoveDestination {
                service,
                destination,
            } => {
                let removed = self.existing(service)?.destinations.remove(&destination);
                removed.map(drop).ok_or(TableError::NoSuchDestination {
                    service,
                    destination,
                })
            }
            Change::SetTimeouts(timeouts) => {
                timeouts.check()?;
                let current = self.timeouts.unwrap_or_default();
                self.timeouts = Some(timeouts.applied_to(current));
                Ok(())
            }
            Change::StartDaemon(daemon) => self.add_daemon(daemon),
            Change::StopDaemon(role) => self
                .daemons
                .remove(&role)
                .map(drop)
                .ok_or(TableError::NoDaemon { role }),
            Change::Zero(None) => Ok(()),
            Change::Zero(Some(service)) => self.existing(service).map(drop),
            Change::Flush => {
                self.services.clear();
                Ok(())
            }
        }
    }

    fn existing(&mut self, service: ServiceKey) -> Result<&mut Service, TableError> {
        let service = self
            .services
            .get_mut(&service)
            .ok_or(TableError::NoSuchService { service })?;
        Ok(Arc::make_mut(service))
    }
}
