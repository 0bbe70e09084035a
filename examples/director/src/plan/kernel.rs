//! The changes of the kernel's table, and what they do to clients.

use std::{collections::BTreeMap, time::Duration};

use ipvs::{
    Change, Counts, Endpoint, Ownership, SchedulerName, Service, ServiceKey, ServiceSettings,
    Snapshot, Table, text::command_line,
};
use serde::{Deserialize, Serialize};

use super::{Setting, settings};

/// What would become of the kernel's table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Kernel {
    /// The changes, in the order in which they are made.
    pub changes: Vec<KernelChange>,
    /// Virtual services that are right as they are, with all of their destinations.
    pub services_kept: usize,
    /// Destinations that are right as they are.
    pub destinations_kept: usize,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KernelChange {
    /// What would be done, in words.
    pub change: String,
    /// The same for `ipvsadm`.
    pub command: String,
    /// What is set otherwise, where something is that stays.
    pub settings: Vec<Setting>,
    /// What clients notice of it.
    pub effects: Vec<Effect>,
}

/// What clients notice of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "effect")]
#[non_exhaustive]
pub enum Effect {
    /// These connections go on, new ones go elsewhere; what is left of them in the end is cut.
    Drained {
        /// What the destinations that go have at this moment.
        connections: Connections,
        /// When they are cut, in seconds.
        cut_after: u64,
    },
    /// These connections are cut.
    Cut {
        /// What the destinations that go have at this moment.
        connections: Connections,
    },
    /// A scheduler that goes by addresses sends some clients, or all, elsewhere.
    Remapped {
        /// Which one.
        scheduler: String,
    },
    /// New connections are spread by another scheduler.
    Rescheduled {
        /// Which one did.
        from: String,
        /// Which one will.
        to: String,
    },
    /// That clients stuck to their destinations is forgotten.
    PersistenceLost {
        /// How many stick to one at this moment: each persistence template counts.
        templates: u64,
    },
}

/// Connections of destinations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "what the kernel counts")]
pub struct Connections {
    /// Those that are established or on the way to it.
    pub active: u64,
    /// The others.
    pub inactive: u64,
    /// Clients that will come back: persistence templates.
    pub persistent: u64,
}

impl Connections {
    fn add(&mut self, counts: Counts) {
        self.active += u64::from(counts.active);
        self.inactive += u64::from(counts.inactive);
        self.persistent += u64::from(counts.persistent);
    }

    fn is_zero(self) -> bool {
        self == Self::default()
    }
}

/// The tables that a plan is made of.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "it is these")]
pub struct Tables<'a> {
    /// What the kernel has, at least of the services that are not the same in `before` and `after`
    /// and of those that are `owned`. The others are taken to be right, or being put right already.
    pub running: &'a Snapshot,
    /// What it shall have as long as nothing is reloaded. What differs from that is being changed
    /// already, and is no part of the plan.
    pub before: &'a Table,
    /// What it shall have then.
    pub after: &'a Table,
    /// What may be removed: see [`ipvs::plan_owned`].
    pub owned: &'a Ownership,
    /// How long connections may go on to destinations that go.
    pub grace: Duration,
}

impl Kernel {
    /// What brings the kernel from one table to the other.
    #[must_use]
    pub fn new(tables: &Tables<'_>) -> Self {
        let mut owned = tables.owned.clone();
        let mut touched = tables.before.differing(tables.after);
        touched.extend(&owned.services);
        let part = |mut table: Table| {
            table.services.retain(|key, _| touched.contains(key));
            table
        };
        let current = part(tables.running.table());
        let (before, after) = (part(tables.before.clone()), part(tables.after.clone()));
        owned.extend(&before);
        let pending = ipvs::plan_owned(&current, &before, &owned);
        let mut changes = ipvs::plan_owned(&current, &after, &owned);
        if !pending.is_empty() {
            changes.retain(|change| !pending.contains(change));
        }
        let (mut services_kept, mut destinations_kept) = (0, 0);
        for (key, service) in &tables.after.services {
            let running = match touched.contains(key) {
                true => current.services.get(key),
                false => Some(service),
            };
            let Some(running) = running else {
                continue;
            };
            services_kept += usize::from(service == running);
            let same = service.destinations.iter();
            let same =
                same.filter(|(key, settings)| running.destinations.get(*key) == Some(*settings));
            destinations_kept += same.count();
        }
        let counts = Counted::new(tables.running);
        let changes = changes.iter().map(|change| {
            let service = change.service();
            let running = service.and_then(|key| current.services.get(&key));
            let wanted = service.and_then(|key| after.services.get(&key));
            let view = View {
                change,
                running: running.map(AsRef::as_ref),
                wanted: wanted.map(AsRef::as_ref),
                counts: &counts,
                grace: tables.grace,
            };
            KernelChange {
                change: change.to_string(),
                command: command_line(change),
                settings: view.settings(),
                effects: view.effects(),
            }
        });
        Self {
            changes: changes.collect(),
            services_kept,
            destinations_kept,
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The connections of a kernel's destinations.
struct Counted(BTreeMap<ServiceKey, BTreeMap<Endpoint, Counts>>);

impl Counted {
    fn new(running: &Snapshot) -> Self {
        let services = running.services.iter().map(|service| {
            let destinations = service.destinations.iter();
            let destinations = destinations.map(|it| (it.key, it.counts)).collect();
            (service.key, destinations)
        });
        Self(services.collect())
    }

    /// Of one destination, or of all of a service.
    fn of(&self, service: ServiceKey, destination: Option<Endpoint>) -> Connections {
        let mut connections = Connections::default();
        for (key, counts) in self.0.get(&service).into_iter().flatten() {
            if destination.is_none_or(|wanted| wanted == *key) {
                connections.add(*counts);
            }
        }
        connections
    }
}

/// One change and what it meets.
struct View<'a> {
    change: &'a Change,
    /// Its service as it is, if it is.
    running: Option<&'a Service>,
    /// Its service as it shall be, if it shall be.
    wanted: Option<&'a Service>,
    counts: &'a Counted,
    grace: Duration,
}

impl View<'_> {
    fn settings(&self) -> Vec<Setting> {
        let Some(running) = self.running else {
            return Vec::new();
        };
        if let Change::SetService { settings, .. } = self.change {
            let before = settings::service(&running.settings);
            Setting::between(before, settings::service(settings))
        } else if let Change::SetDestination {
            destination,
            settings,
            ..
        } = self.change
            && let Some(before) = running.destinations.get(destination)
        {
            let before = settings::destination(before);
            Setting::between(before, settings::destination(settings))
        } else {
            Vec::new()
        }
    }

    fn effects(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        match *self.change {
            Change::RemoveService { service } => effects.extend(self.leaving(service, None)),
            Change::RemoveDestination {
                service,
                destination,
            } => {
                effects.extend(self.leaving(service, Some(destination)));
                effects.extend(self.remapped());
            }
            Change::AddDestination { .. } => effects.extend(self.remapped()),
            Change::SetDestination {
                destination,
                settings,
                ..
            } => {
                let before = self
                    .running
                    .and_then(|it| it.destinations.get(&destination));
                // What goes by addresses looks at weights alone.
                if before.is_some_and(|before| before.weight != settings.weight) {
                    effects.extend(self.remapped());
                }
            }
            Change::SetService { service, settings } => {
                effects.extend(self.resettled(service, &settings));
            }
            Change::AddService { .. }
            | Change::SetTimeouts(_)
            | Change::StartDaemon(_)
            | Change::StopDaemon(_)
            | Change::Zero(_)
            | Change::Flush
            | _ => {}
        }
        effects
    }

    /// What becomes of the connections of destinations that go.
    fn leaving(&self, service: ServiceKey, destination: Option<Endpoint>) -> Option<Effect> {
        let connections = self.counts.of(service, destination);
        if connections.is_zero() {
            return None;
        }
        Some(match self.grace.is_zero() {
            true => Effect::Cut { connections },
            false => Effect::Drained {
                connections,
                cut_after: self.grace.as_secs(),
            },
        })
    }

    /// Clients that are spread by their addresses, where there were and will be destinations.
    fn remapped(&self) -> Option<Effect> {
        let (running, wanted) = (self.running?, self.wanted?);
        let scheduler = wanted.settings.scheduler;
        let matters = running.settings.scheduler == scheduler
            && goes_by_address(scheduler)
            && !running.destinations.is_empty()
            && !wanted.destinations.is_empty();
        matters.then(|| Effect::Remapped {
            scheduler: scheduler.to_string(),
        })
    }

    fn resettled(&self, service: ServiceKey, after: &ServiceSettings) -> Vec<Effect> {
        let Some(before) = self.running.map(|running| running.settings) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        if before.scheduler != after.scheduler {
            effects.push(Effect::Rescheduled {
                from: before.scheduler.to_string(),
                to: after.scheduler.to_string(),
            });
        } else if before.flags != after.flags {
            effects.extend(self.remapped());
        }
        let who = |settings: &ServiceSettings| {
            let persistence = settings.persistence;
            persistence.map(|persistence| (persistence.clients, persistence.engine))
        };
        if let Some(before) = who(&before)
            && who(after) != Some(before)
        {
            let templates = self.counts.of(service, None).persistent;
            effects.push(Effect::PersistenceLost { templates });
        }
        effects
    }
}

/// Whether a scheduler chooses by the client's or the destination's address.
fn goes_by_address(scheduler: SchedulerName) -> bool {
    matches!(scheduler.as_str(), "sh" | "dh" | "mh" | "lblc" | "lblcr")
}
