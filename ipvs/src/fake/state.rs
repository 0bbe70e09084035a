//! What a fake kernel holds, and how it changes.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use crate::{
    Change, Counts, DestinationSettings, DestinationState, Endpoint, Forwarding, SchedulerName,
    ServiceKey, ServiceState, Snapshot, Statistics, SyncDaemon, backend::errno,
};

/// How long a destination that was removed and has no connections is kept
/// (`IP_VS_DEST_TRASH_PERIOD`).
const TRASH_PERIOD: Duration = Duration::from_secs(120);

/// The group that a sync daemon talks to unless told otherwise.
const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

/// The number of an error.
pub(super) type Errno = i32;

#[derive(Debug, Clone)]
pub(super) struct State {
    /// Since the kernel started.
    pub(super) now: Duration,
    pub(super) running: Snapshot,
    pub(super) schedulers: BTreeSet<SchedulerName>,
    trash: Vec<Trashed>,
}

/// A destination that was removed.
#[derive(Debug, Clone, Copy)]
struct Trashed {
    service: ServiceKey,
    state: DestinationState,
    /// When its last connection was found to be gone.
    idle_since: Option<Duration>,
}

impl State {
    pub(super) fn new() -> Self {
        let known = SchedulerName::KNOWN.into_iter();
        let schedulers = known.map(|name| SchedulerName::new(name).expect("it is a name"));
        let mut running = Snapshot::default();
        running.info.version = crate::Version {
            major: 1,
            minor: 2,
            patch: 1,
        };
        running.info.table_size = 4096;
        let (now, trash) = (Duration::ZERO, Vec::new());
        Self {
            now,
            running,
            schedulers: schedulers.collect(),
            trash,
        }
    }

    /// Lets time pass: what is in the trash without connections for long enough is forgotten.
    pub(super) fn advance(&mut self, by: Duration) {
        self.now = self.now.saturating_add(by);
        let now = self.now;
        self.trash.retain(|trashed| {
            trashed
                .idle_since
                .is_none_or(|since| now.saturating_sub(since) < TRASH_PERIOD)
        });
    }

    /// The destination of a service, or the one in the trash that was it.
    pub(super) fn destination_mut(
        &mut self,
        service: &ServiceKey,
        destination: &Endpoint,
    ) -> Option<&mut DestinationState> {
        let services = &mut self.running.services;
        let listed = services
            .iter_mut()
            .find(|it| it.key == *service)
            .and_then(|it| it.destinations.iter_mut().find(|it| it.key == *destination));
        if listed.is_some() {
            return listed;
        }
        let trashed = |it: &&mut Trashed| it.service == *service && it.state.key == *destination;
        self.trash.iter_mut().find(trashed).map(|it| &mut it.state)
    }

    /// Sets the connections of a destination, also of one that was removed.
    pub(super) fn set_counts(
        &mut self,
        service: &ServiceKey,
        destination: &Endpoint,
        counts: Counts,
    ) -> bool {
        let found = self.destination_mut(service, destination);
        let found = found.map(|it| it.counts = counts).is_some();
        let now = self.now;
        for trashed in &mut self.trash {
            trashed.idle_since = match trashed.state.counts.is_zero() {
                true => trashed.idle_since.or(Some(now)),
                false => None,
            };
        }
        found
    }

    /// Makes a change, or says as the kernel would why not.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Errno> {
        match *change {
            Change::AddService { service, settings } => {
                if self.service(service).is_ok() {
                    return Err(errno::EEXIST);
                }
                self.check_scheduler(settings.scheduler)?;
                self.running
                    .services
                    .push(ServiceState::new(service, settings));
            }
            Change::SetService { service, settings } => {
                self.service(service)?;
                self.check_scheduler(settings.scheduler)?;
                self.service(service)?.settings = settings;
            }
            Change::RemoveService { service } => {
                let destinations = std::mem::take(&mut self.service(service)?.destinations);
                self.discard(service, destinations);
                self.running.services.retain(|it| it.key != service);
            }
            Change::AddDestination {
                service,
                destination,
                settings,
            } => {
                self.service(service)?;
                self.check_destination(service, destination, &settings)?;
                if self.service(service)?.destination(&destination).is_some() {
                    return Err(errno::EEXIST);
                }
                let mut state = DestinationState::new(destination, settings);
                if let Some(old) = self.revive(service, destination) {
                    state = DestinationState { settings, ..old };
                }
                self.service(service)?.destinations.insert(0, state);
            }
            Change::SetDestination {
                service,
                destination,
                settings,
            } => {
                self.service(service)?;
                self.check_destination(service, destination, &settings)?;
                let owner = self.service(service)?;
                let found = owner
                    .destinations
                    .iter_mut()
                    .find(|it| it.key == destination);
                found.ok_or(errno::ENOENT)?.settings = settings;
            }
            Change::RemoveDestination {
                service,
                destination,
            } => {
                let owner = self.service(service)?;
                let place = owner
                    .destinations
                    .iter()
                    .position(|it| it.key == destination);
                let state = owner.destinations.remove(place.ok_or(errno::ENOENT)?);
                self.discard(service, vec![state]);
            }
            Change::SetTimeouts(timeouts) => {
                timeouts.check().map_err(|_| errno::EINVAL)?;
                self.running.timeouts = timeouts.applied_to(self.running.timeouts);
            }
            Change::StartDaemon(daemon) => self.start(daemon)?,
            Change::StopDaemon(role) => {
                let place = self.running.daemons.iter().position(|it| it.role == role);
                self.running.daemons.remove(place.ok_or(errno::ESRCH)?);
            }
            Change::Zero(Some(service)) => zero(self.service(service)?),
            Change::Zero(None) => self.running.services.iter_mut().for_each(zero),
            Change::Flush => {
                for service in std::mem::take(&mut self.running.services) {
                    self.discard(service.key, service.destinations);
                }
            }
        }
        Ok(())
    }

    fn service(&mut self, key: ServiceKey) -> Result<&mut ServiceState, Errno> {
        self.running
            .services
            .iter_mut()
            .find(|it| it.key == key)
            .ok_or(errno::ESRCH)
    }

    fn check_scheduler(&self, scheduler: SchedulerName) -> Result<(), Errno> {
        match self.schedulers.contains(&scheduler) {
            true => Ok(()),
            false => Err(errno::ENOENT),
        }
    }

    fn check_destination(
        &self,
        service: ServiceKey,
        destination: Endpoint,
        settings: &DestinationSettings,
    ) -> Result<(), Errno> {
        let mixed = destination.family() != service.family();
        let tunnel = matches!(settings.forwarding, Forwarding::Tunnel(_));
        let host = !destination.address.is_multicast() && !destination.address.is_unspecified();
        if !host || (mixed && !(tunnel && self.running.daemons.is_empty())) {
            return Err(errno::EINVAL);
        }
        Ok(())
    }

    /// Starts a daemon; what is left open becomes the kernel's default.
    fn start(&mut self, wanted: SyncDaemon) -> Result<(), Errno> {
        wanted.check().map_err(|_| errno::EINVAL)?;
        let mut services = self.running.services.iter();
        let mixed = services.any(|it| {
            it.destinations
                .iter()
                .any(|destination| destination.key.family() != it.key.family())
        });
        if mixed {
            return Err(errno::EINVAL);
        }
        if self.running.daemons.iter().any(|it| it.role == wanted.role) {
            return Err(errno::EEXIST);
        }
        let default_length = crate::SyncMaxLength::new(1472).ok();
        self.running.daemons.push(SyncDaemon {
            max_length: wanted.max_length.or(default_length),
            group: wanted.group.or(Some(DEFAULT_GROUP)),
            port: wanted.port.or(std::num::NonZeroU16::new(8848)),
            ttl: wanted.ttl.or(std::num::NonZeroU8::new(1)),
            ..wanted
        });
        Ok(())
    }

    fn discard(&mut self, service: ServiceKey, destinations: Vec<DestinationState>) {
        let now = self.now;
        self.trash.extend(destinations.into_iter().map(|state| {
            let idle_since = state.counts.is_zero().then_some(now);
            Trashed {
                service,
                state,
                idle_since,
            }
        }));
    }

    fn revive(&mut self, service: ServiceKey, key: Endpoint) -> Option<DestinationState> {
        let matches = |it: &Trashed| it.service == service && it.state.key == key;
        let place = self.trash.iter().position(matches)?;
        Some(self.trash.remove(place).state)
    }
}

fn zero(service: &mut ServiceState) {
    service.statistics = Statistics::ZERO;
    for destination in &mut service.destinations {
        destination.statistics = Statistics::ZERO;
    }
}
