//! What a fake kernel holds, and how it changes.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    time::Duration,
};

use super::{
    clients::{Clients, Step},
    flow::{Dropped, Flow},
};
use crate::{
    Change, Connection, Counts, DestinationSettings, DestinationState, Endpoint, Forwarding,
    SchedulerName, ServiceKey, ServiceState, Snapshot, Statistics, SyncDaemon, backend::errno,
};

/// How long a destination that was removed and has no connections is kept
/// (`IP_VS_DEST_TRASH_PERIOD`).
const TRASH_PERIOD: Duration = Duration::from_secs(120);

/// Where the clock stops: 34,000 years, which every platform can add to an instant.
const END_OF_TIME: Duration = Duration::from_secs(1 << 40);

/// The group that a sync daemon talks to unless told otherwise.
const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

/// The number of an error.
pub(super) type Errno = i32;

#[derive(Debug)]
pub(super) struct State {
    /// Since the kernel started.
    pub(super) now: Duration,
    pub(super) running: Snapshot,
    pub(super) schedulers: BTreeSet<SchedulerName>,
    trash: Vec<Trashed>,
    clients: Clients,
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
            clients: Clients::new(),
        }
    }

    /// Lets time pass: connections are forgotten as they are due, and what is in the trash without
    /// connections for long enough.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now.saturating_add(by).min(END_OF_TIME);
        while let Some(at) = self.clients.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.clients.handle_timeout(self.now);
            self.look_at_trash();
        }
        self.now = end;
        self.trash.retain(|trashed| {
            trashed
                .idle_since
                .is_none_or(|since| end.saturating_sub(since) < TRASH_PERIOD)
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
        self.look_at_trash();
        found
    }

    /// Notes which destinations in the trash have lost their last connection.
    fn look_at_trash(&mut self) {
        for trashed in &mut self.trash {
            let counts = self.clients.counts(&trashed.service, &trashed.state.key);
            trashed.idle_since = match trashed.state.counts.is_zero() && counts.is_zero() {
                true => trashed.idle_since.or(Some(self.now)),
                false => None,
            };
        }
    }

    /// The destinations of a service as they are listed: with the clients' connections.
    pub(super) fn destinations(&self, service: &ServiceKey) -> Vec<DestinationState> {
        let found = self.running.service(service);
        let mut destinations = found.map(|it| it.destinations.clone()).unwrap_or_default();
        for DestinationState { key, counts, .. } in &mut destinations {
            let more = self.clients.counts(service, key);
            counts.active = counts.active.saturating_add(more.active);
            counts.inactive = counts.inactive.saturating_add(more.inactive);
            counts.persistent = counts.persistent.saturating_add(more.persistent);
        }
        destinations
    }

    /// A client's first packet.
    pub(super) fn connect(
        &mut self,
        flow: Flow,
        mark: Option<NonZeroU32>,
    ) -> Result<Connection, Dropped> {
        let (timeouts, now) = (self.running.timeouts, self.now);
        let known = self.clients.known(flow, timeouts, now);
        self.look_at_trash();
        if let Some(known) = known {
            return known;
        }
        let services = &mut self.running.services;
        let mut keys = flow.services(mark).into_iter();
        let found = keys.find_map(|key| services.iter().position(|it| it.key == key));
        let found = found.and_then(|place| services.get_mut(place));
        let service = found.ok_or(Dropped::NoService { to: flow.to })?;
        let (connection, listed) = self.clients.begin(flow, service, timeouts, now)?;
        let destinations = service.destinations.iter_mut();
        let chosen = destinations.filter(|it| it.key == listed);
        let statistics = chosen.map(|it| &mut it.statistics);
        for statistics in statistics.chain([&mut service.statistics]) {
            let connections = &mut statistics.total.connections;
            *connections = connections.saturating_add(1);
        }
        Ok(connection)
    }

    /// More packets of a connection.
    pub(super) fn send(&mut self, flow: Flow, step: Step) -> Result<Connection, Dropped> {
        let (timeouts, now) = (self.running.timeouts, self.now);
        self.clients.send(flow, step, timeouts, now)
    }

    /// The clients' connections and templates.
    pub(super) fn connections(&self) -> Vec<Connection> {
        self.clients.list(self.running.timeouts, self.now)
    }

    /// Makes a change, or says as the kernel would why not.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), Errno> {
        match *change {
            Change::AddService { service, settings } => {
                if self.service(service).is_ok() {
                    return Err(errno::EEXIST);
                }
                self.check_scheduler(settings.scheduler)?;
                self.clients.add_service(service, &settings, self.now)?;
                self.running
                    .services
                    .push(ServiceState::new(service, settings));
            }
            Change::SetService { service, settings } => {
                self.service(service)?;
                self.check_scheduler(settings.scheduler)?;
                self.clients.set_service(service, &settings, self.now)?;
                self.service(service)?.settings = settings;
            }
            Change::RemoveService { service } => {
                let destinations = std::mem::take(&mut self.service(service)?.destinations);
                self.clients.remove_service(service, self.now);
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
                let clients = &mut self.clients;
                clients.add_destination(service, destination, &settings, self.now)?;
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
                let clients = &mut self.clients;
                clients.set_destination(service, destination, &settings, self.now)?;
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
                let clients = &mut self.clients;
                clients.remove_destination(service, destination, self.now)?;
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
                    self.clients.remove_service(service.key, self.now);
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
        let removed = destinations.into_iter().map(|state| Trashed {
            service,
            state,
            idle_since: None,
        });
        self.trash.extend(removed);
        self.look_at_trash();
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
