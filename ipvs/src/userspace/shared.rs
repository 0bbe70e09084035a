//! What the shards of a data plane share.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::task::AbortHandle;

use super::{
    config::{Config, Limits, ProxyProtocol},
    pipes::Pipes,
    tally::Counting,
};
use crate::{
    Endpoint, ServiceKey, Traffic,
    plane::{Flow, FlowId, Passed, Plane, Route, Step},
};

/// How many connections of a shard are entered in the core at a time.
pub(super) const SETTLED_AT_A_TIME: usize = 256;

/// What the shards of a data plane share. The lock of the core is held for a lookup at a time, when
/// a connection begins and ends; what passes meanwhile is entered in the ledger of its shard, which
/// nobody else wants.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) counting: Counting,
    pub(super) pipes: Pipes,
    core: Mutex<Core>,
    ledgers: Box<[Ledger]>,
}

/// The table with its connections, and who carries them.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) plane: Plane,
    /// What stops the task of a connection.
    tasks: BTreeMap<FlowId, AbortHandle>,
    /// Of services, and of single destinations.
    proxy: BTreeMap<(ServiceKey, Option<Endpoint>), ProxyProtocol>,
}

/// What passed on a shard since it was last entered in the core.
#[derive(Debug, Default)]
struct Ledger(Mutex<BTreeMap<FlowId, Passed>>);

/// The number of a shard.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShardId(pub(super) usize);

/// Where a connection goes, and what its server is to be told first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) proxy: Option<ProxyProtocol>,
}

/// Why a connection gets nowhere.
#[derive(Debug, Clone, Copy)]
pub(super) enum Turned {
    OverLimit,
    NoDestination,
}

impl Shared {
    pub(super) fn new(config: Config, limits: Limits) -> Self {
        let ledgers = (0..config.shards.get()).map(|_| Ledger::default());
        let core = Core {
            plane: Plane::carrying(),
            tasks: BTreeMap::new(),
            proxy: BTreeMap::new(),
        };
        Self {
            ledgers: ledgers.collect(),
            core: Mutex::new(core),
            counting: Counting::default(),
            pipes: Pipes::new(limits.pipes, config.shards.get()),
            config,
            limits,
        }
    }

    pub(super) fn core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core)
    }

    /// Notes what passed through a connection, for when the core is asked.
    pub(super) fn note(&self, shard: ShardId, id: FlowId, passed: Passed) {
        if let Some(ledger) = self.ledgers.get(shard.0) {
            let mut rows = lock(&ledger.0);
            match rows.get_mut(&id) {
                Some(row) => merge(row, passed),
                None => drop(rows.insert(id, passed)),
            }
        }
    }

    /// How many connections wait to be entered in the core, on the shard where they are most.
    pub(super) fn unsettled(&self) -> usize {
        let rows = self.ledgers.iter().map(|it| lock(&it.0).len());
        rows.max().unwrap_or(0)
    }

    /// Enters what passed through [`SETTLED_AT_A_TIME`] connections of each shard.
    pub(super) fn settle_some(&self) {
        for ledger in &self.ledgers {
            // Together, so that no connection is forgotten between the two.
            let mut core = self.core();
            let mut rows = lock(&ledger.0);
            for _ in 0..SETTLED_AT_A_TIME {
                let Some((id, passed)) = rows.pop_first() else {
                    break;
                };
                core.plane.passed(id, passed);
            }
        }
    }

    /// The core, with all that passed entered.
    pub(super) fn settled(&self) -> MutexGuard<'_, Core> {
        // The core first: a connection that is forgotten between the two takes its bytes with it.
        let mut core = self.core();
        for ledger in &self.ledgers {
            for (id, passed) in mem::take(&mut *lock(&ledger.0)) {
                core.plane.passed(id, passed);
            }
        }
        core
    }

    /// Forgets a connection that is over.
    pub(super) fn end(&self, shard: ShardId, id: FlowId, now: Instant) {
        let ledger = self.ledgers.get(shard.0);
        let row = ledger.and_then(|it| lock(&it.0).remove(&id));
        let mut core = self.core();
        if let Some(passed) = row {
            core.plane.passed(id, passed);
        }
        core.plane.forget(id, now);
        let task = core.tasks.remove(&id);
        drop(core);
        drop(task);
    }

    /// Does what is due, and stops the tasks of connections whose time is over.
    pub(super) fn handle_timeout(&self, now: Instant) {
        let mut core = self.settled();
        core.plane.handle_timeout(now);
        core.plane.estimate(now);
        let expired = core.take_forgotten();
        drop(core);
        for task in expired {
            self.counting.expired.up();
            task.abort();
        }
    }
}

impl Core {
    /// Schedules a new connection. `spawn` makes its task.
    pub(super) fn admit(
        &mut self,
        flow: Flow,
        limits: Limits,
        now: Instant,
        spawn: impl FnOnce(FlowId, Target) -> AbortHandle,
    ) -> Result<(), Turned> {
        let target = self.schedule(flow, limits, now)?;
        if let Some(id) = target.route.id {
            self.attach(id, spawn(id, target));
        }
        Ok(())
    }

    /// The task of a connection.
    pub(super) fn attach(&mut self, id: FlowId, task: AbortHandle) {
        self.tasks.insert(id, task);
    }

    /// Where a client's first packet goes.
    pub(super) fn schedule(
        &mut self,
        flow: Flow,
        limits: Limits,
        now: Instant,
    ) -> Result<Target, Turned> {
        if self.tasks.len() >= limits.connections {
            return Err(Turned::OverLimit);
        }
        let service = ServiceKey::Address {
            protocol: flow.protocol,
            endpoint: flow.to,
        };
        if self.plane.connections_of(&service) >= limits.connections_of_service {
            return Err(Turned::OverLimit);
        }
        let route = self
            .plane
            .begin(flow, None, now)
            .map_err(|_| Turned::NoDestination)?;
        Ok(self.target(route))
    }

    /// Another server for a connection.
    pub(super) fn reroute(
        &mut self,
        id: FlowId,
        tried: &[Endpoint],
        now: Instant,
    ) -> Option<Target> {
        let route = self.plane.reroute(id, tried, now)?;
        Some(self.target(route))
    }

    fn target(&self, route: Route) -> Target {
        let own = self.proxy.get(&(route.service, Some(route.listed)));
        let proxy = own.or_else(|| self.proxy.get(&(route.service, None)));
        Target {
            route,
            proxy: proxy.copied(),
        }
    }

    pub(super) fn set_proxy_protocol(
        &mut self,
        service: ServiceKey,
        destination: Option<Endpoint>,
        version: Option<ProxyProtocol>,
    ) {
        match version {
            Some(version) => self.proxy.insert((service, destination), version),
            None => self.proxy.remove(&(service, destination)),
        };
    }

    /// The tasks of connections that were forgotten.
    pub(super) fn take_forgotten(&mut self) -> Vec<AbortHandle> {
        let mut tasks = Vec::new();
        while let Some(id) = self.plane.poll_output() {
            tasks.extend(self.tasks.remove(&id));
        }
        tasks
    }

    /// How many connections are carried.
    pub(super) fn carried(&self) -> usize {
        self.tasks.len()
    }
}

fn merge(row: &mut Passed, more: Passed) {
    let Traffic {
        packets_in,
        packets_out,
        bytes_in,
        bytes_out,
        ..
    } = more.traffic;
    row.traffic.packets_in += packets_in;
    row.traffic.packets_out += packets_out;
    row.traffic.bytes_in += bytes_in;
    row.traffic.bytes_out += bytes_out;
    if more.step != Step::Data {
        row.step = more.step;
    }
    row.at = more.at;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is under the lock is whole between any two statements that can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::{Change, DestinationSettings, Forwarding, ServiceSettings, userspace::now};

    /// What one shard has, with a service and its destination.
    pub(in crate::userspace) fn with_a_service(at: Endpoint) -> Shared {
        let config = Config {
            shards: NonZeroUsize::MIN,
            ..Config::default()
        };
        let limits = Limits::new(&config, 10_000);
        let shared = Shared::new(config, limits);
        let service = ServiceKey::tcp(at);
        for change in [
            Change::AddService {
                service,
                settings: ServiceSettings::default(),
            },
            Change::AddDestination {
                service,
                destination: "10.0.0.1:80".parse().unwrap(),
                settings: DestinationSettings::new(Forwarding::Masquerade),
            },
        ] {
            shared.core().plane.apply(&change, now()).unwrap();
        }
        shared
    }

    #[test]
    fn what_passed_is_entered_some_at_a_time_and_whole() {
        let at = "10.1.0.100:80".parse().unwrap();
        let shared = with_a_service(at);
        let count = 2 * SETTLED_AT_A_TIME + 1;
        for port in (1..).take(count) {
            let client = Endpoint::new([192, 0, 2, 7].into(), port);
            let begun = shared
                .core()
                .plane
                .begin(Flow::tcp(client, at), None, now());
            let id = begun.unwrap().id.unwrap();
            for step in [Step::Established, Step::Data] {
                let traffic = Traffic {
                    bytes_in: 7,
                    ..Traffic::ZERO
                };
                let at = now();
                shared.note(ShardId(0), id, Passed { traffic, step, at });
            }
        }
        for left in [count, SETTLED_AT_A_TIME + 1, 1, 0] {
            assert_eq!(shared.unsettled(), left);
            shared.settle_some();
        }
        let snapshot = shared.settled().plane.snapshot();
        let total = snapshot.services[0].statistics.total;
        assert_eq!(total.bytes_in, 14 * count as u64);
    }
}
