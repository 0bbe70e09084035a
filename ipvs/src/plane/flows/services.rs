//! What the schedulers are told of changes of the table.

use std::time::Instant;

use super::{Flows, socket};
use crate::{
    ClientMask, DestinationSettings, Endpoint, ServiceKey, ServiceSettings, backend::errno,
    plane::Errno,
};

/// The scheduler of a service that was removed: a service that is added again begins with a new
/// one, and finds its destinations' connections and templates.
#[derive(Debug)]
struct Nobody;

impl sched::Scheduler for Nobody {
    fn name(&self) -> &'static str {
        "none"
    }

    fn pick(
        &mut self,
        _: &sched::Arrival,
        _: sched::Flags,
        _: &sched::Servers,
    ) -> Option<sched::ServerId> {
        None
    }
}

/// A service and those of its connections that are remembered.
#[derive(Debug)]
pub(super) struct Balanced {
    pub(super) scheduler: sched::Service,
    pub(super) connections: usize,
}

impl Flows {
    pub(in crate::plane) fn add_service(
        &mut self,
        key: ServiceKey,
        settings: &ServiceSettings,
        now: Instant,
    ) -> Result<(), Errno> {
        self.services.entry(key).or_insert_with(|| {
            let (nobody, rules) = (Box::new(Nobody), sched::Rules::default());
            Balanced {
                scheduler: sched::Service::with_scheduler(nobody, rules, now),
                connections: 0,
            }
        });
        self.set_service(key, settings, now)
    }

    /// As in the kernel the scheduler keeps its memory unless it is another one. EINVAL: it does not
    /// take so many destinations.
    pub(in crate::plane) fn set_service(
        &mut self,
        key: ServiceKey,
        settings: &ServiceSettings,
        now: Instant,
    ) -> Result<(), Errno> {
        let kind = settings.scheduler.as_str().parse::<sched::Kind>();
        let kind = kind.map_err(|_| errno::ENOENT)?;
        self.change(key, |service| {
            service.set_kind(kind, now)?;
            service.set_flags(flags(settings));
            service.set_persistence(persistence(settings));
            Ok(())
        })
    }

    pub(in crate::plane) fn remove_service(&mut self, key: ServiceKey, now: Instant) {
        let Some(Balanced {
            scheduler: service, ..
        }) = self.services.get_mut(&key)
        else {
            return;
        };
        let servers = service.servers().iter().map(sched::Server::address);
        for address in servers.collect::<Vec<_>>() {
            let removed = service.remove_server(address, now);
            debug_assert!(removed.is_ok(), "{address} was listed");
        }
        let emptied = service.set_scheduler(Box::new(Nobody), now);
        debug_assert!(emptied.is_ok(), "it takes any number of servers");
        self.drop_unused();
    }

    pub(in crate::plane) fn add_destination(
        &mut self,
        key: ServiceKey,
        destination: Endpoint,
        settings: &DestinationSettings,
        now: Instant,
    ) -> Result<(), Errno> {
        let settings = server_settings(settings);
        self.change(key, |service| {
            let added = service.add_server(socket(destination), settings, now);
            added.map(drop)
        })
    }

    pub(in crate::plane) fn set_destination(
        &mut self,
        key: ServiceKey,
        destination: Endpoint,
        settings: &DestinationSettings,
        now: Instant,
    ) -> Result<(), Errno> {
        let settings = server_settings(settings);
        self.change(key, |service| {
            let edited = service.edit_server(socket(destination), settings, now);
            edited.map(drop)
        })
    }

    pub(in crate::plane) fn remove_destination(
        &mut self,
        key: ServiceKey,
        destination: Endpoint,
        now: Instant,
    ) -> Result<(), Errno> {
        self.change(key, |service| {
            let removed = service.remove_server(socket(destination), now);
            removed.map(drop)
        })
    }

    /// Drops the services that were removed and have nothing left to come back to.
    pub(super) fn drop_unused(&mut self) {
        self.services.retain(|_, balanced| {
            balanced.connections > 0
                || balanced.scheduler.kind().is_some()
                || balanced.scheduler.poll_timeout().is_some()
        });
    }

    fn change(
        &mut self,
        key: ServiceKey,
        change: impl FnOnce(&mut sched::Service) -> Result<(), sched::ServiceError>,
    ) -> Result<(), Errno> {
        let balanced = self.services.get_mut(&key).ok_or(errno::ESRCH)?;
        change(&mut balanced.scheduler).map_err(|error| match error {
            sched::ServiceError::ServerExists(_) => errno::EEXIST,
            sched::ServiceError::NoSuchServer(_) => errno::ENOENT,
            sched::ServiceError::Settings { .. }
            | sched::ServiceError::TooManyServers { .. }
            | _ => errno::EINVAL,
        })
    }
}

fn flags(settings: &ServiceSettings) -> sched::Flags {
    let mut flags = sched::Flags::NONE;
    flags.one_packet = settings.flags.one_packet;
    flags.fallback = settings.flags.fallback;
    flags.port = settings.flags.port;
    flags.third = settings.flags.third;
    flags
}

fn persistence(settings: &ServiceSettings) -> Option<sched::Persistence> {
    settings.persistence.map(|wanted| {
        let persistence = sched::Persistence::new(wanted.timeout.into());
        match wanted.clients {
            ClientMask::V4(mask) => persistence.with_netmask(mask),
            ClientMask::V6(prefix) => persistence.with_prefix(prefix.bits()),
        }
    })
}

const fn server_settings(settings: &DestinationSettings) -> sched::ServerSettings {
    sched::ServerSettings::new(settings.weight.get())
        .with_thresholds(settings.thresholds.upper(), settings.thresholds.lower())
}
