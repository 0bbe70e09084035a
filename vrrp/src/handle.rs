//! What a program holds of a running node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    Change, ConfigError, Counters, Event, Family, FaultCause, Input, Priority, Rejections, Role,
    RouterConfig, RouterId, Tracked, TrackerState, Vip, VirtualRouter, Vrid, driver::Command,
    election::Candidate,
};

/// A running node, made by [`spawn`](crate::spawn).
///
/// Dropping it lets the node leave as [`NodeHandle::shutdown`] does, in the background, as long as
/// the runtime lives.
#[derive(Debug)]
pub struct NodeHandle {
    commands: mpsc::UnboundedSender<Command>,
    events: broadcast::Sender<Happening>,
    roles: Roles,
}

/// Something that happened on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// To a virtual router.
    Router {
        /// Its name.
        name: Arc<str>,
        /// Its effective priority at that time.
        priority: Priority,
        /// What happened.
        event: Event,
    },
    /// To a sync group: it changed role as a whole.
    Group {
        /// Its name.
        name: Arc<str>,
        /// The role it had.
        from: Role,
        /// The role it has.
        to: Role,
    },
    /// An advertisement arrived for a virtual router that the node has not; told at most once a
    /// minute for each.
    UnknownVrid {
        /// The interface it arrived on.
        interface: Arc<str>,
        /// The virtual router it is for.
        vrid: Vrid,
        /// Who sent it.
        from: IpAddr,
    },
}

/// Why a node did not take a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureError {
    /// The configuration contradicts itself; the node goes on with the one it had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl NodeHandle {
    pub(crate) const fn new(
        commands: mpsc::UnboundedSender<Command>,
        events: broadcast::Sender<Happening>,
        roles: Roles,
    ) -> Self {
        Self {
            commands,
            events,
            roles,
        }
    }

    /// Makes these the routers of the node: see [`Node::configure`](crate::Node::configure). When
    /// it returns, new routers have started and changed ones have changed. Idempotent; not cancel
    /// safe: a dropped call may or may not have changed the node.
    ///
    /// # Errors
    /// A configuration contradicts itself or another one, and nothing has changed; or the node has
    /// stopped.
    pub async fn configure(
        &self,
        routers: impl IntoIterator<Item = RouterConfig>,
    ) -> Result<Vec<Change>, ConfigureError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Configure(routers.into_iter().collect(), reply));
        let changes = answer.await.map_err(|_| ConfigureError::Stopped)??;
        Ok(changes)
    }

    /// The role of a router, now and whenever it changes; `None` if the node has no router of this
    /// name. Master is told once the addresses are there, another role once they are gone.
    #[must_use]
    pub fn role(&self, router: &str) -> Option<watch::Receiver<Role>> {
        self.roles.subscribe(router)
    }

    /// All that happens from now on. A listener that lags behind by more than 4096 events misses
    /// the oldest and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Happening> {
        self.events.subscribe()
    }

    /// Gives a router another base priority, until it is configured anew. A router that the node
    /// does not have is ignored.
    pub fn set_priority(&self, router: &str, priority: Priority) {
        self.send(Command::Router(router.into(), Input::Priority(priority)));
    }

    /// Puts a router in fault on request, or takes that back. A router that the node does not have
    /// is ignored.
    pub fn set_fault(&self, router: &str, present: bool) {
        let input = Input::Fault {
            cause: FaultCause::Requested,
            present,
        };
        self.send(Command::Router(router.into(), input));
    }

    /// Reports a condition that routers track as [`Tracked::Condition`].
    pub fn set_condition(&self, name: &str, state: TrackerState) {
        self.send(Command::Track(Tracked::Condition(name.into()), state));
    }

    /// The state of the whole node at one moment; `None` if it has stopped. Cancel safe.
    pub async fn status(&self) -> Option<NodeStatus> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Status(reply));
        answer.await.ok()
    }

    /// Leaves: every master sends one advertisement of priority 0 and gives up its addresses.
    /// Returns when they are gone. Cancel safe: a dropped call does not stop the leaving.
    pub async fn shutdown(self) {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Stop(Some(reply)));
        // An error means that it has stopped already.
        drop(answer.await);
    }

    fn send(&self, command: Command) {
        // An error means that the node has stopped; whoever waits for an answer is told by that.
        drop(self.commands.send(command));
    }
}

impl Drop for NodeHandle {
    fn drop(&mut self) {
        self.send(Command::Stop(None));
    }
}

/// State of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its routers, in the order in which they were added.
    pub routers: Vec<RouterStatus>,
    /// Its sync groups and their roles, by name.
    pub groups: Vec<(Arc<str>, Role)>,
    /// Its advertisers.
    pub ports: Vec<PortStatus>,
    /// Well-formed advertisements for virtual routers that are not its own.
    pub unknown_vrids: u64,
}

/// State of a virtual router at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterStatus {
    /// Its name.
    pub name: Arc<str>,
    /// Its role, as last told.
    pub role: Role,
    /// Its effective priority.
    pub priority: Priority,
    /// The address it sends from.
    pub source: Option<IpAddr>,
    /// The master it hears.
    pub master: Option<Candidate>,
    /// Why it cannot take part; empty if it can.
    pub faults: Vec<FaultCause>,
    /// The addresses it holds as master.
    pub vips: Arc<[Vip]>,
    /// What it has counted.
    pub counters: Counters,
}

impl RouterStatus {
    pub(crate) fn of(router: &VirtualRouter) -> Self {
        Self {
            name: Arc::clone(&router.config().name),
            role: router.told_role(),
            priority: router.priority(),
            source: router.source(),
            master: router.master(),
            faults: router.faults().collect(),
            vips: Arc::clone(router.vips()),
            counters: *router.counters(),
        }
    }
}

/// State of an advertiser at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PortStatus {
    /// Its interface.
    pub interface: Arc<str>,
    /// Its family.
    pub family: Family,
    /// Malformed messages it has received.
    pub rejections: Rejections,
}

/// The roles of all routers, as they were last told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roles(Arc<Mutex<RoleByName>>);

/// With the router that bears the name now: another one that bore it may still be leaving.
type RoleByName = BTreeMap<Arc<str>, (RouterId, watch::Sender<Role>)>;

impl Roles {
    fn lock(&self) -> std::sync::MutexGuard<'_, RoleByName> {
        // Nothing that holds the lock can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, name: &Arc<str>, id: RouterId) {
        self.lock()
            .entry(Arc::clone(name))
            .or_insert_with(|| (id, watch::Sender::default()))
            .0 = id;
    }

    pub(crate) fn set(&self, name: &str, id: RouterId, role: Role) {
        if let Some((bearer, sender)) = self.lock().get(name)
            && *bearer == id
        {
            sender.send_replace(role);
        }
    }

    pub(crate) fn retain(&self, names: &BTreeSet<&Arc<str>>) {
        self.lock().retain(|name, _| names.contains(name));
    }

    fn subscribe(&self, name: &str) -> Option<watch::Receiver<Role>> {
        self.lock().get(name).map(|(_, sender)| sender.subscribe())
    }
}
