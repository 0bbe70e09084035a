//! Changes of the table, made or refused as the kernel does.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use super::{Errno, Plane, Trashed};
use crate::{
    Change, DestinationSettings, DestinationState, Endpoint, Forwarding, SchedulerName, ServiceKey,
    ServiceState, Statistics, SyncDaemon, backend::errno,
};

/// The group that a sync daemon talks to unless told otherwise.
const DEFAULT_GROUP: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 81));

impl Plane {
    /// Makes a change, or says as the kernel would why not.
    pub(crate) fn apply(&mut self, change: &Change, now: Instant) -> Result<(), Errno> {
        match *change {
            Change::AddService { service, settings } => {
                if self.service(service).is_ok() {
                    return Err(errno::EEXIST);
                }
                self.check_scheduler(settings.scheduler)?;
                self.flows.add_service(service, &settings, now)?;
                self.running
                    .services
                    .push(ServiceState::new(service, settings));
            }
            Change::SetService { service, settings } => {
                self.service(service)?;
                self.check_scheduler(settings.scheduler)?;
                self.flows.set_service(service, &settings, now)?;
                self.service(service)?.settings = settings;
            }
            Change::RemoveService { service } => {
                let destinations = std::mem::take(&mut self.service(service)?.destinations);
                self.flows.remove_service(service, now);
                self.discard(service, destinations, now);
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
                let flows = &mut self.flows;
                flows.add_destination(service, destination, &settings, now)?;
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
                let flows = &mut self.flows;
                flows.set_destination(service, destination, &settings, now)?;
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
                let flows = &mut self.flows;
                flows.remove_destination(service, destination, now)?;
                self.discard(service, vec![state], now);
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
            Change::Zero(Some(service)) => {
                zero(self.service(service)?);
                #[cfg(feature = "userspace")]
                self.rates.zero(&service);
            }
            Change::Zero(None) => {
                for service in &mut self.running.services {
                    zero(service);
                    #[cfg(feature = "userspace")]
                    self.rates.zero(&service.key);
                }
            }
            Change::Flush => {
                for service in std::mem::take(&mut self.running.services) {
                    self.flows.remove_service(service.key, now);
                    self.discard(service.key, service.destinations, now);
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

    fn discard(&mut self, service: ServiceKey, destinations: Vec<DestinationState>, now: Instant) {
        let removed = destinations.into_iter().map(|state| Trashed {
            service,
            state,
            idle_since: None,
        });
        self.trash.extend(removed);
        self.look_at_trash(now);
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
