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
    time::Instant,
};

use health::Standing;
use ipvs::{Endpoint, ServiceKey, SyncRole, Table, Timeouts};
use vrrp::Role;

use crate::conf::model::{Config, Lvs, VirtualServerName};

mod full_nat;
mod member;
mod names;
mod notice;
mod orders;
mod paths;
mod pool;
mod probes;
mod quorums;
mod ramp;
mod selection;
mod suspension;
mod view;

pub use full_nat::Translation;
pub use names::{CheckName, MemberName, NotARealServer, RealServerName};
pub use notice::Notice;
pub use orders::{Action, Done, NoWeight, Order, OrderedWeight};
pub use paths::Paths;
pub use probes::{CannotCheck, Probes, Recheck};
pub use ramp::Ramp;
pub use selection::{NoSuchServer, Selection, is_called};
pub use view::{MemberView, PoolView};

use pool::Pool;
use suspension::Suspension;

/// What follows from what has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do them all")]
pub enum Output {
    /// [`Balancer::table`] is another one now.
    Table,
    /// These destinations, if they are on their way out of the table, go at once.
    Cut(Vec<(ServiceKey, Endpoint)>),
    /// Something has to be told, and a script to be run where there is one.
    Notice(Notice),
    /// These checks of one virtual server rest from now on; what is known by them stays.
    Suspend(Vec<CheckName>),
    /// These checks of one virtual server, which rested, go on.
    Resume(Vec<CheckName>),
    /// These checks shall look now.
    Probe(Vec<CheckName>),
    /// The file names a real server no more for which something is ordered.
    Unnamed {
        /// Which one.
        server: MemberName,
        /// What is ordered.
        order: Order,
        /// Whether that is kept for the next file, or forgotten because this is the second one.
        kept: bool,
    },
}

/// Decides what the kernel's table shall be.
///
/// After a call take all outputs, in order. A clone shows what would follow.
#[derive(Debug, Clone)]
pub struct Balancer {
    /// In the order of the file. Clones share those that nothing happened to.
    pools: Vec<Arc<Pool>>,
    pool_by_name: BTreeMap<VirtualServerName, usize>,
    /// Those in which weights grow.
    growing: BTreeSet<usize>,
    /// For real servers that the file does not name, but the one before it did: it may have been a
    /// mistake, or a reload that is taken back.
    kept_orders: BTreeMap<MemberName, Order>,
    lvs: Lvs,
    /// The kernel's own timeouts, for those that the file leaves open.
    timeouts: Timeouts,
    /// Whether a file has ever named timeouts; until then they are left to whoever sets them.
    timeouts_are_ours: bool,
    roles: BTreeMap<Arc<str>, Role>,
    suspension: Suspension,
    paths: Paths,
    outputs: VecDeque<Output>,
}

impl Balancer {
    /// Without virtual servers, on a kernel with these timeouts.
    #[must_use]
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            pools: Vec::new(),
            pool_by_name: BTreeMap::new(),
            growing: BTreeSet::new(),
            kept_orders: BTreeMap::new(),
            lvs: Lvs::default(),
            timeouts,
            timeouts_are_ours: false,
            roles: BTreeMap::new(),
            suspension: Suspension::default(),
            paths: Paths::default(),
            outputs: VecDeque::new(),
        }
    }

    /// Balances as this configuration says from now on; `standing` is what is known of a check.
    ///
    /// A virtual server that is configured as before goes on undisturbed, and nothing is asked of
    /// its checks: [`on_check`](Self::on_check) tells of those. One that has changed keeps what is
    /// known of its real servers, by their names, and what is ordered for them; for one that is not
    /// named any more that is kept for the configuration after this one.
    pub fn configure(
        &mut self,
        config: &Config,
        standing: impl Fn(&CheckName) -> Option<Standing>,
        now: Instant,
    ) {
        self.lvs = config.lvs.clone();
        let before = std::mem::take(&mut self.pools);
        let orders = before.iter().flat_map(|pool| pool.orders());
        let mut orders: BTreeMap<_, _> = orders.collect();
        let mut kept = std::mem::take(&mut self.kept_orders);
        let before = before.into_iter();
        let mut before: BTreeMap<_, _> = before
            .map(|pool| (pool.config().name.clone(), pool))
            .collect();
        for virtual_server in &config.virtual_servers {
            let earlier = before.remove(&virtual_server.name);
            if let Some(same) = earlier.as_ref().filter(|it| it.config() == virtual_server) {
                for (server, _) in same.orders() {
                    orders.remove(&server);
                }
                self.pools.push(Arc::clone(same));
                continue;
            }
            let mut pool = Pool::new(Arc::clone(virtual_server), earlier.as_deref(), |server| {
                let ordered = orders.remove(server).or_else(|| kept.remove(server));
                ordered.unwrap_or_default()
            });
            pool.take(&standing);
            self.outputs.extend(
                pool.judge(self.lvs.rs_init_notifies, now)
                    .map(Output::Notice),
            );
            self.pools.push(Arc::new(pool));
        }
        for pool in before.into_values() {
            self.outputs.extend(pool.stop().map(Output::Notice));
        }
        let unnamed = |kept| {
            move |(server, order): (&MemberName, &Order)| Output::Unnamed {
                server: server.clone(),
                order: *order,
                kept,
            }
        };
        self.outputs.extend(kept.iter().map(unnamed(false)));
        self.outputs.extend(orders.iter().map(unnamed(true)));
        self.kept_orders = orders;
        let names = self.pools.iter().map(|pool| pool.config().name.clone());
        self.pool_by_name = names.zip(0..).collect();
        let growing = self.pools.iter().zip(0..);
        let growing = growing.filter(|(pool, _)| pool.next_step_at().is_some());
        self.growing = growing.map(|(_, number)| number).collect();
        self.paths = Paths::of(config);
        self.timeouts_are_ours |= self.lvs.timeouts != ipvs::TimeoutChange::default();
        self.outputs.push_back(Output::Table);
        self.settle_suspension();
    }

    /// What is ordered for real servers that a configuration will name: the next one, or never.
    pub fn take_up(&mut self, orders: BTreeMap<MemberName, Order>) {
        self.kept_orders.extend(orders);
    }

    /// What is ordered, for real servers that the file does not name any more too.
    pub fn orders(&self) -> impl Iterator<Item = (MemberName, Order)> {
        let kept = self.kept_orders.iter();
        let kept = kept.map(|(server, order)| (server.clone(), *order));
        let pools = self.pools.iter();
        pools.flat_map(|pool| pool.orders()).chain(kept)
    }

    /// A check has another standing.
    pub fn on_check(&mut self, check: &CheckName, standing: Standing, now: Instant) {
        if let Some(&number) = self.pool_by_name.get(&check.virtual_server) {
            self.rejudge(number, now, |pool| pool.set(check, standing));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` if time changes nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pools = self.growing.iter().filter_map(|it| self.pools.get(*it));
        pools.filter_map(|pool| pool.next_step_at()).min()
    }

    /// Time has passed: weights grow.
    pub fn handle_timeout(&mut self, now: Instant) {
        for number in self.growing.clone() {
            self.rejudge(number, now, |_| {});
        }
    }

    /// Does something with a virtual server, and decides anew.
    fn rejudge(&mut self, number: usize, now: Instant, change: impl FnOnce(&mut Pool)) {
        let Some(pool) = self.pools.get_mut(number) else {
            return;
        };
        let pool = Arc::make_mut(pool);
        let before = pool.places().to_vec();
        change(pool);
        self.outputs.extend(
            pool.judge(self.lvs.rs_init_notifies, now)
                .map(Output::Notice),
        );
        if pool.places() != before {
            self.outputs.push_back(Output::Table);
        }
        match pool.next_step_at() {
            Some(_) => self.growing.insert(number),
            None => self.growing.remove(&number),
        };
    }

    /// An operator wants something done with all real servers that are meant.
    ///
    /// # Errors
    /// None is meant; nothing has changed.
    pub fn act(
        &mut self,
        which: &Selection,
        action: Action,
        now: Instant,
    ) -> Result<Vec<Done>, NoSuchServer> {
        let mut all = Vec::new();
        let mut cut = Vec::new();
        for number in 0..self.pools.len() {
            let Some(pool) = self.pools.get_mut(number).map(Arc::make_mut) else {
                continue;
            };
            let checks_rest = self.suspension.suspends(pool.config());
            let done: Vec<_> = pool.act(which, action, checks_rest).collect();
            if done.is_empty() {
                continue;
            }
            if action == Action::Probe && !checks_rest {
                let meant = |check: &CheckName| {
                    let mut done = done.iter().map(|done| done.server.real_server);
                    done.any(|server| server == check.real_server)
                };
                let checks = pool.checks().filter(meant).collect();
                self.outputs.push_back(Output::Probe(checks));
            }
            if action == (Action::Disable { drain: false }) {
                // They may have been ordered to leave gently before.
                cut.extend(pool.entries_of(which));
            }
            self.rejudge(number, now, |_| {});
            all.extend(done);
        }
        if !cut.is_empty() {
            self.outputs.push_back(Output::Cut(cut));
        }
        match all.is_empty() {
            false => Ok(all),
            true => Err(self.no_such_server(which)),
        }
    }

    /// What there is instead: real servers where the virtual server is there, else virtual servers.
    fn no_such_server(&self, which: &Selection) -> NoSuchServer {
        let pools = self.pools.iter();
        let of: Vec<_> = pools
            .filter(|pool| which.means_servers_of(pool.config()))
            .collect();
        match (&which.virtual_server, of.is_empty()) {
            (Some(name), true) => NoSuchServer {
                wanted: format!("virtual server {name}"),
                there: self
                    .pools
                    .iter()
                    .map(|pool| pool.config().name.to_string())
                    .collect(),
            },
            _ => NoSuchServer {
                wanted: which.to_string(),
                there: of
                    .iter()
                    .flat_map(|pool| pool.members())
                    .map(|name| name.to_string())
                    .collect(),
            },
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
        let pools = self.pools.iter().map(AsRef::as_ref);
        self.outputs.extend(self.suspension.settle(pools));
    }

    /// The program stops: what `omega` asks to be told. Nothing follows.
    pub fn stop(self) -> impl Iterator<Item = Notice> {
        self.pools.into_iter().flat_map(|pool| pool.stop())
    }

    /// What to do next, in order; `None` when that was all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Its virtual servers as they stand, in the order of the file.
    pub fn pools(&self) -> impl Iterator<Item = PoolView> {
        let suspended = |pool: &Pool| self.suspension.suspends(pool.config());
        self.pools
            .iter()
            .map(move |pool| pool.view(suspended(pool)))
    }

    /// The table that shall be.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut table = Table::default();
        let services = self.pools.iter().flat_map(|pool| pool.services());
        let services = services.map(|(key, service)| (*key, Arc::clone(service)));
        table.services = services.collect();
        self.paths.add_to(&mut table);
        if self.timeouts_are_ours {
            table.timeouts = Some(self.lvs.timeouts.applied_to(self.timeouts));
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
