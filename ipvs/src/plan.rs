//! From what is to what shall be.

use std::collections::BTreeSet;

use crate::{
    Change, DestinationSettings, Endpoint, Service, ServiceKey, SyncDaemon, SyncRole, Table,
    TimeoutChange,
};

/// The changes that turn `current` into `desired`, for an owner of the whole table: what is not
/// desired is removed.
///
/// The plan is minimal, one change for each thing that differs, and always the same for the same
/// tables. Its order lets every service that has destinations before and after have one all the
/// time, and one with weight if it has that before and after:
///
/// 1. sync daemons that shall not be or be otherwise stop, timeouts are set;
/// 2. new services come, each with its destinations;
/// 3. of each service that stays: its settings, new destinations, those that get weight, other
///    edits, those that lose all weight, removals;
/// 4. services go;
/// 5. sync daemons start.
///
/// Daemons are first and last because the kernel refuses destinations of another family while one
/// runs. What `desired` leaves open (timeouts, attributes of daemons) is left as it is. Within a
/// service destinations are added in the order of their addresses; the kernel puts each in front of
/// those that are there, so the order of its list depends on how it became what it is.
///
/// ```
/// use ipvs::{Change, DestinationSettings, Forwarding, ServiceKey, ServiceSettings, Table, Weight};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let web = ServiceKey::tcp("10.1.0.100:80".parse()?);
/// let (one, two) = ("10.0.0.1:80".parse()?, "10.0.0.2:80".parse()?);
/// let settings = DestinationSettings::new(Forwarding::DirectRoute);
/// let mut current = Table::default();
/// current.add_service(web, ServiceSettings::default())?;
/// let mut desired = current.clone();
/// current.add_destination(web, one, settings)?;
/// desired.add_destination(web, two, settings)?;
///
/// assert_eq!(
///     ipvs::plan(&current, &desired),
///     [
///         Change::AddDestination { service: web, destination: two, settings },
///         Change::RemoveDestination { service: web, destination: one },
///     ],
/// );
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn plan(current: &Table, desired: &Table) -> Vec<Change> {
    plan_with(current, desired, |_| true, |_| true)
}

/// As [`plan`], for the owner of a part of the table: a service or daemon that is neither desired
/// nor `owned` is a stranger's and stays as it is.
///
/// What is desired is owned by that: who lists a service decides all of its destinations.
#[must_use]
pub fn plan_owned(current: &Table, desired: &Table, owned: &Ownership) -> Vec<Change> {
    let service = |key: &ServiceKey| owned.services.contains(key);
    let daemon = |role: SyncRole| owned.daemons.contains(&role);
    plan_with(current, desired, service, daemon)
}

/// What was set up by us, and so may be removed: what was desired before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ownership {
    /// Services.
    pub services: BTreeSet<ServiceKey>,
    /// Sync daemons.
    pub daemons: BTreeSet<SyncRole>,
}

impl Ownership {
    /// Everything in a table.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        Self {
            services: table.services.keys().copied().collect(),
            daemons: table.daemons.keys().copied().collect(),
        }
    }

    /// Owns what is in a table too.
    pub fn extend(&mut self, table: &Table) {
        self.services.extend(table.services.keys());
        self.daemons.extend(table.daemons.keys());
    }
}

fn plan_with(
    current: &Table,
    desired: &Table,
    owns_service: impl Fn(&ServiceKey) -> bool,
    owns_daemon: impl Fn(SyncRole) -> bool,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let is_met = |running: &SyncDaemon| match desired.daemons.get(&running.role) {
        Some(wanted) => wanted.is_met_by(running),
        None => !owns_daemon(running.role),
    };
    let unmet = current.daemons.values().filter(|running| !is_met(running));
    changes.extend(unmet.map(|running| Change::StopDaemon(running.role)));
    let timeouts = desired.timeouts;
    let timeouts = timeouts.and_then(|wanted| TimeoutChange::between(current.timeouts, wanted));
    changes.extend(timeouts.map(Change::SetTimeouts));
    for (key, service) in &desired.services {
        if !current.services.contains_key(key) {
            add(*key, service, &mut changes);
        }
    }
    for (key, service) in &desired.services {
        if let Some(present) = current.services.get(key)
            && present != service
        {
            edit(*key, present, service, &mut changes);
        }
    }
    let gone = current
        .services
        .keys()
        .filter(|key| !desired.services.contains_key(key) && owns_service(key));
    changes.extend(gone.map(|key| Change::RemoveService { service: *key }));
    let missing = desired.daemons.values().filter(|wanted| {
        let running = current.daemons.get(&wanted.role);
        !running.is_some_and(|running| wanted.is_met_by(running))
    });
    changes.extend(missing.map(|daemon| Change::StartDaemon(*daemon)));
    changes
}

fn add(service: ServiceKey, desired: &Service, changes: &mut Vec<Change>) {
    changes.push(Change::AddService {
        service,
        settings: desired.settings,
    });
    changes.extend(desired.destinations.iter().map(|(destination, settings)| {
        Change::AddDestination {
            service,
            destination: *destination,
            settings: *settings,
        }
    }));
}

fn edit(service: ServiceKey, current: &Service, desired: &Service, changes: &mut Vec<Change>) {
    if current.settings != desired.settings {
        changes.push(Change::SetService {
            service,
            settings: desired.settings,
        });
    }
    let (mut raised, mut others, mut drained) = (Vec::new(), Vec::new(), Vec::new());
    for (destination, settings) in &desired.destinations {
        let (destination, settings) = (*destination, *settings);
        let set = Change::SetDestination {
            service,
            destination,
            settings,
        };
        match current.destinations.get(&destination) {
            None => changes.push(Change::AddDestination {
                service,
                destination,
                settings,
            }),
            Some(present) if *present == settings => {}
            Some(present) => match (present.weight.get(), settings.weight.get()) {
                (0, 1..) => raised.push(set),
                (1.., 0) => drained.push(set),
                _ => others.push(set),
            },
        }
    }
    changes.extend(raised.into_iter().chain(others).chain(drained));
    let stays = |(destination, _): &(&Endpoint, &DestinationSettings)| {
        desired.destinations.contains_key(*destination)
    };
    let gone = current.destinations.iter().filter(|entry| !stays(entry));
    changes.extend(gone.map(|(destination, _)| Change::RemoveDestination {
        service,
        destination: *destination,
    }));
}
