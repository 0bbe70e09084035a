//! The invariants, watched at every moment.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use vrrp::{Preempt, Role};

use crate::world::{INTERFACES, Machine, World, is_able, sides};

/// The bounds: see the crate's documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) nobody: Duration,
    pub(crate) two: Duration,
    pub(crate) settled: Duration,
    pub(crate) lossless: bool,
}

/// Since when something holds that must not hold for long.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    since: BTreeMap<Trouble, Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// On a segment, among the machines on one side.
    Nobody {
        segment: usize,
        side: usize,
    },
    Two {
        segment: usize,
        side: usize,
    },
    /// Members of the sync group of a machine have different roles.
    Torn {
        machine: usize,
    },
}

impl Watch {
    /// Everything is different: the clocks start anew.
    pub(crate) fn disturb(&mut self) {
        self.since.clear();
    }

    /// Looks at how things stand now. What was wrong when last looked at has been so until now.
    pub(crate) fn look(&mut self, world: &World, bounds: &Bounds) -> Result<(), String> {
        if let Some(crime) = &world.crime {
            return Err(crime.clone());
        }
        for (trouble, since) in &self.since {
            let limit = match trouble {
                Trouble::Nobody { .. } => bounds.nobody,
                Trouble::Two { .. } | Trouble::Torn { .. } => bounds.two,
            };
            let lasted = world.now - *since;
            if lasted > limit {
                let at = world.now - world.start;
                return Err(format!("{trouble:?} for {lasted:?} > {limit:?} at {at:?}"));
            }
        }
        let mut since = BTreeMap::new();
        for trouble in troubles(world) {
            let began = self.since.get(&trouble).copied().unwrap_or(world.now);
            since.insert(trouble, began);
        }
        self.since = since;
        Ok(())
    }
}

fn troubles(world: &World) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for segment in 0..world.segments.len() {
        for side in sides(&world.machines) {
            let connected =
                |machine: &&Machine| machine.side == side && machine.is_connected(segment);
            let holders = world
                .machines
                .iter()
                .filter(connected)
                .filter(|machine| machine.holds[segment])
                .count();
            let able = (0..world.machines.len())
                .filter(|machine| connected(&&world.machines[*machine]))
                .filter_map(|machine| world.router(machine, segment))
                .any(is_able);
            match holders {
                0 if able => troubles.push(Trouble::Nobody { segment, side }),
                0 | 1 => {}
                _ => troubles.push(Trouble::Two { segment, side }),
            }
        }
    }
    let torn = |machine: &usize| {
        let roles = (0..world.segments.len())
            .filter_map(|segment| world.router(*machine, segment))
            .map(|router| router.role() == Role::Master);
        let mut roles: Vec<_> = roles.collect();
        roles.dedup();
        roles.len() > 1 && !world.machines[*machine].frozen
    };
    let machines = (0..world.machines.len()).filter(torn);
    troubles.extend(machines.map(|machine| Trouble::Torn { machine }));
    troubles
}

/// Who holds the addresses on a segment once all is repaired and has settled.
pub(crate) fn settled_holders(world: &World, segment: usize) -> Result<Vec<usize>, String> {
    for machine in 0..world.machines.len() {
        let router = world.router(machine, segment);
        if !router.is_some_and(is_able) {
            let name = INTERFACES[segment];
            let faults: Vec<_> = router
                .into_iter()
                .flat_map(|router| router.faults())
                .collect();
            return Err(format!("{machine} {name} takes no part again: {faults:?}"));
        }
    }
    Ok((0..world.machines.len())
        .filter(|machine| world.machines[*machine].holds[segment])
        .collect())
}

/// Who must be among the masters in the end: nobody in particular unless a router of the highest
/// priority preempts.
pub(crate) fn best(world: &World, segment: usize) -> Vec<usize> {
    let routers = || {
        (0..world.machines.len())
            .filter_map(|machine| Some((machine, world.router(machine, segment)?)))
    };
    let highest = routers().map(|(_, router)| router.priority()).max();
    let best = routers().filter(|(_, router)| Some(router.priority()) == highest);
    let preempts = best.clone().any(|(_, router)| {
        router.priority().is_owner() || router.config().preempt != Preempt::Never
    });
    match preempts {
        true => best.map(|(machine, _)| machine).collect(),
        false => routers().map(|(machine, _)| machine).collect(),
    }
}
