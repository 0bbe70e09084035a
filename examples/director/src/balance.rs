//! Virtual servers: what the configuration, the health of real servers and the roles of VRRP make
//! of the kernel's table. A value, without a clock, a task or a socket.
//!
//! ```text
//! configuration ─┐
//! health ────────┼─> Balancer ─┬─> the table that shall be
//! roles ─────────┤             ├─> what has to be told and run
//! addresses ─────┘             └─> whose checks rest
//! ```

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use health::Standing;
use ipvs::{SyncRole, Table, Timeouts};
use vrrp::Role;

use crate::conf::model::{Config, Lvs, VirtualServerName};

mod pool;
mod probes;
mod suspension;

pub use pool::{Notice, RealServerName};
pub use probes::{CannotCheck, Probes};

use pool::Pool;
use suspension::Suspension;

/// One check of one real server of one virtual server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a name has to say all of it")]
pub struct CheckName {
    /// Of which virtual server.
    pub virtual_server: VirtualServerName,
    /// Of which of its real servers.
    pub real_server: RealServerName,
    /// Which of its checks, from 0.
    pub number: usize,
}

/// What follows from what has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do them all")]
pub enum Output {
    /// [`Balancer::table`] is another one now.
    Table,
    /// Something has to be told, and a script to be run where there is one.
    Notice(Notice),
    /// These checks of one virtual server rest from now on; what is known by them stays.
    Suspend(Vec<CheckName>),
    /// These checks of one virtual server, which rested, go on.
    Resume(Vec<CheckName>),
}

/// Decides what the kernel's table shall be.
///
/// After a call take all outputs, in order.
#[derive(Debug)]
pub struct Balancer {
    /// In the order of the file.
    pools: Vec<Pool>,
    lvs: Lvs,
    /// The kernel's own timeouts, for those that the file leaves open.
    timeouts: Timeouts,
    roles: BTreeMap<Arc<str>, Role>,
    suspension: Suspension,
    outputs: VecDeque<Output>,
}

impl Balancer {
    /// Without virtual servers, on a kernel with these timeouts.
    #[must_use]
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            pools: Vec::new(),
            lvs: Lvs::default(),
            timeouts,
            roles: BTreeMap::new(),
            suspension: Suspension::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Balances as this configuration says from now on; `standing` is what is known of a check.
    ///
    /// A virtual server that is configured as before goes on undisturbed. One that has changed
    /// keeps what is known of its real servers, by their names.
    pub fn configure(
        &mut self,
        config: &Config,
        standing: impl Fn(&CheckName) -> Option<Standing>,
    ) {
        let before = std::mem::take(&mut self.pools).into_iter();
        let mut before: BTreeMap<_, _> = before
            .map(|pool| (pool.config().name.clone(), pool))
            .collect();
        for virtual_server in &config.virtual_servers {
            let earlier = before.remove(&virtual_server.name);
            let mut pool = Pool::new(virtual_server.clone(), earlier.as_ref());
            pool.take(&standing);
            self.outputs.extend(pool.judge().map(Output::Notice));
            self.pools.push(pool);
        }
        for pool in before.into_values() {
            self.outputs.extend(pool.stop().map(Output::Notice));
        }
        self.lvs = config.lvs.clone();
        self.outputs.push_back(Output::Table);
        self.settle_suspension();
    }

    /// A check has another standing.
    pub fn on_check(&mut self, check: &CheckName, standing: Standing) {
        let mut pools = self.pools.iter_mut();
        let Some(pool) = pools.find(|pool| pool.config().name == check.virtual_server) else {
            return;
        };
        let before = pool.places();
        pool.set(check, standing);
        self.outputs.extend(pool.judge().map(Output::Notice));
        if pool.places() != before {
            self.outputs.push_back(Output::Table);
        }
    }

    /// An instance of VRRP has another role, which sync daemons may follow.
    pub fn on_role(&mut self, instance: &Arc<str>, role: Role) {
        let before = self.sync_roles();
        self.roles.insert(Arc::clone(instance), role);
        if self.sync_roles() != before {
            self.outputs.push_back(Output::Table);
        }
    }

    /// This machine has these addresses, and no others: what `ha_suspend` goes by.
    pub fn on_addresses(&mut self, held: BTreeSet<IpAddr>) {
        self.suspension.set_held(held);
        self.settle_suspension();
    }

    fn settle_suspension(&mut self) {
        let pools = self.pools.iter();
        let servers = pools.map(|pool| (pool.config(), pool.checks().collect()));
        self.outputs.extend(self.suspension.settle(servers));
    }

    /// The program stops: what `omega` asks to be told. Nothing follows.
    pub fn stop(self) -> impl Iterator<Item = Notice> {
        self.pools.into_iter().flat_map(Pool::stop)
    }

    /// What to do next, in order; `None` when that was all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The table that shall be.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        for pool in &self.pools {
            pool.add_to(&mut table);
        }
        let change = self.lvs.timeouts;
        if change != ipvs::TimeoutChange::default() {
            table.timeouts = Some(change.applied_to(self.timeouts));
        }
        if let Some(daemon) = &self.lvs.sync_daemon {
            for role in self.sync_roles() {
                // One role each, so none is there already.
                drop(table.add_daemon(daemon.in_role(role)));
            }
        }
        table
    }

    /// The roles that sync daemons shall have: those of the instance they follow.
    fn sync_roles(&self) -> Vec<SyncRole> {
        let Some(daemon) = &self.lvs.sync_daemon else {
            return Vec::new();
        };
        match &daemon.instance {
            None => vec![SyncRole::Master, SyncRole::Backup],
            Some(instance) if self.roles.get(instance) == Some(&Role::Master) => {
                vec![SyncRole::Master]
            }
            Some(_) => vec![SyncRole::Backup],
        }
    }
}
