//! The daemon while it runs: one task that owns the configuration and hears everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tracing::{error, info, warn};
use vrrp::{Change, Event, Happening, Links, NodeStatus, Role, RouterConfig, TrackerState};

use super::Backend;
use super::balancing::{Act, Balancing, Ending};
use super::current_runner::{CurrentRunner, rules};
use super::events;
use super::look::{CameTo, Look, RoleChanges};
use super::settings::Settings;
use super::track_files::{Reading, TrackFiles, Watch};
use super::vrrp_thread::VrrpThread;
use crate::conf::model::Config;
use crate::script::checks::{Checks, Update};
use crate::script::clock::now;
use crate::script::fifo::FifoConfig;
use crate::script::notify::{Limits, Notifier, Scripts, Subject};
use crate::script::rise_fall::CheckState;

mod reload;

pub(super) use reload::ReloadError;

/// How long notify scripts may take once the daemon stops.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What the daemon stands on, whatever the file says.
#[derive(Debug, Clone)]
pub(super) struct Wiring {
    pub(super) backend: Backend,
    /// Where what balancing knows is kept; `None`: nowhere.
    pub(super) state: Option<PathBuf>,
}

pub(super) struct Daemon {
    vrrp: VrrpThread,
    happenings: broadcast::Receiver<Happening>,
    links: watch::Receiver<Links>,
    known_links: Links,
    checks: Checks,
    updates: mpsc::UnboundedReceiver<Update>,
    track_files: TrackFiles,
    file_watch: Watch,
    readings: mpsc::UnboundedReceiver<Reading>,
    notifier: Notifier,
    /// Of all instances and groups, and of those that a reload removed until that is told.
    scripts: BTreeMap<Subject, Scripts>,
    removed: BTreeSet<Subject>,
    runner: Arc<CurrentRunner>,
    fifos: Vec<FifoConfig>,
    log_unknown_vrids: bool,
    role_changes: RoleChanges,
    /// `None` while nothing has ever asked for it.
    balancing: Option<Balancing>,
    wiring: Wiring,
    /// Whether the roles that instances have are to be told to load balancing.
    roles_are_due: bool,
    /// What is in force; `None` before anything is.
    config: Option<Config>,
}

impl Daemon {
    /// Starts everything that the settings ask for.
    ///
    /// # Errors
    /// The settings contradict themselves in a way that the reader of the file does not see, or the
    /// load cannot be balanced.
    pub(super) async fn start(
        vrrp: VrrpThread,
        wiring: Wiring,
        settings: Settings,
    ) -> Result<Self, ReloadError> {
        let runner = Arc::new(CurrentRunner::new(&settings));
        let (sender, updates) = mpsc::unbounded_channel();
        let (read, readings) = mpsc::unbounded_channel();
        let checks = settings.checks.clone();
        let mut daemon = Self {
            happenings: vrrp.node().events(),
            links: vrrp.links(),
            known_links: Links::new(),
            checks: Checks::start(checks, Arc::clone(&runner) as _, sender),
            updates,
            track_files: TrackFiles::default(),
            file_watch: Watch::new(read),
            readings,
            notifier: Notifier::start(Arc::clone(&runner) as _, Limits::default()),
            scripts: BTreeMap::new(),
            removed: BTreeSet::new(),
            runner,
            fifos: Vec::new(),
            log_unknown_vrids: false,
            role_changes: RoleChanges::new(),
            balancing: None,
            roles_are_due: false,
            wiring,
            config: None,
            vrrp,
        };
        daemon.on_links();
        daemon.apply(settings).await?;
        Ok(daemon)
    }

    async fn apply_vrrp(&mut self, settings: &Settings) -> Result<(), vrrp::ConfigureError> {
        self.warn_of_missing_interfaces(settings);
        let (old, old_removed) = (self.scripts.clone(), self.removed.clone());
        // Before the routers, so that the first event of a new one finds its scripts.
        self.configure_scripts(&settings.notify);
        match self
            .vrrp
            .node()
            .configure(settings.routers.iter().cloned())
            .await
        {
            Ok(changes) => log_changes(&changes, settings),
            Err(error) => {
                (self.scripts, self.removed) = (old, old_removed);
                self.notifier.configure(self.scripts.clone());
                return Err(error);
            }
        }
        self.runner.follow(rules(settings));
        self.file_watch.follow(&settings.track_files);
        self.log_unknown_vrids = settings.log_unknown_vrids;
        Ok(())
    }

    fn configure_scripts(&mut self, wanted: &BTreeMap<Subject, Scripts>) {
        // An instance that goes is told of it; a group is not (keepalived.conf knows no
        // notify_deleted for groups).
        self.scripts.retain(|subject, _| {
            wanted.contains_key(subject) || matches!(subject, Subject::Instance(_))
        });
        self.removed = self
            .scripts
            .keys()
            .filter(|subject| !wanted.contains_key(subject))
            .cloned()
            .collect();
        self.scripts.extend(wanted.clone());
        self.notifier.configure(self.scripts.clone());
    }

    /// Hears and tells until something of the node's own ends. Cancel safe: nothing that was heard
    /// is lost.
    pub(super) async fn hear(&mut self) -> Result<(), Ended> {
        tokio::select! {
            happening = self.happenings.recv() => match happening {
                Ok(happening) => self.on_happening(&happening),
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    error!("{count} events were missed: notify scripts were not told of them");
                    self.roles_are_due = true;
                }
                Err(broadcast::error::RecvError::Closed) => return Err(Ended),
            },
            Some(update) = self.updates.recv() => self.on_update(&update),
            Some(Reading { condition, number }) = self.readings.recv() => {
                self.vrrp.node().set_condition(&condition, TrackerState::Number(number));
            }
            Ok(()) = self.links.changed() => self.on_links(),
            Some(status) = self.vrrp.node().status(), if self.roles_are_due => {
                self.roles_are_due = false;
                if let Some(balancing) = &self.balancing {
                    tell_roles(balancing, &status);
                }
            }
        }
        Ok(())
    }

    /// Goes on hearing and telling until something has come about.
    async fn hear_until<T>(&mut self, something: impl Future<Output = T>) -> T {
        let mut something = pin!(something);
        loop {
            tokio::select! {
                done = &mut something => return done,
                heard = self.hear() => if heard.is_err() {
                    // Whoever hears next is told so again.
                    return something.await;
                }
            }
        }
    }

    /// What is in force; `None` before the start has succeeded.
    pub(super) const fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    /// What is known of everything; `None` if VRRP has ended.
    pub(super) async fn look(&self) -> Option<Look> {
        let balancing = match &self.balancing {
            Some(balancing) => balancing.look().await,
            None => None,
        };
        Some(Look {
            node: self.vrrp.node().status().await?,
            role_changes: self.role_changes.clone(),
            balancing,
        })
    }

    /// Does something with real servers, and says what was done.
    ///
    /// # Errors
    /// Why not, for who asked.
    pub(super) async fn act(&self, act: Act) -> Result<String, String> {
        let Some(balancing) = &self.balancing else {
            return Err(String::from("the file has no virtual_server"));
        };
        let done = balancing.act(act).await?;
        Ok(done
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"))
    }

    /// Leaves gracefully: addresses given up, the stop told, scripts ended. Once `hurry` is over,
    /// connections are not waited for.
    pub(super) async fn shutdown(self, ending: Ending, hurry: impl Future<Output = ()>) {
        let Self {
            vrrp,
            checks,
            notifier,
            mut happenings,
            balancing,
            ..
        } = self;
        vrrp.shutdown().await;
        // Clients go elsewhere by now.
        if let Some(balancing) = balancing {
            balancing.shutdown(ending, hurry).await;
        }
        while let Ok(happening) = happenings.try_recv() {
            events::log(&happening);
            if let Some(notification) = events::notification(&happening, Role::Stopped, true) {
                notifier.notify(notification);
            }
        }
        checks.shutdown().await;
        notifier.shutdown(LAST_WORDS).await;
    }

    fn on_happening(&mut self, happening: &Happening) {
        if matches!(happening, Happening::UnknownVrid { .. }) && !self.log_unknown_vrids {
            return;
        }
        events::log(happening);
        let mut role = Role::Init;
        if let Happening::Router { name, event, .. } = happening {
            if let Event::RoleChanged { from, to, because } = event {
                let change = CameTo {
                    role: *to,
                    from: *from,
                    because: because.clone(),
                    at: now(),
                };
                self.role_changes.insert(Arc::clone(name), change);
            }
            role = self.role_changes.get(name).map_or(role, |it| it.role);
        }
        if let Some(notification) = events::notification(happening, role, false) {
            self.notifier.notify(notification);
        }
        if let Some(balancing) = &self.balancing
            && let Happening::Router {
                name,
                event: Event::RoleChanged { to, .. },
                ..
            } = happening
        {
            balancing.on_role(name, *to);
        }
        if let Happening::Router {
            name,
            event: Event::RoleChanged {
                to: Role::Stopped, ..
            },
            ..
        } = happening
            && self.removed.remove(&Subject::Instance(name.to_string()))
        {
            self.role_changes.remove(name);
            self.scripts.remove(&Subject::Instance(name.to_string()));
            self.notifier.configure(self.scripts.clone());
        }
    }

    fn on_update(&self, update: &Update) {
        let state = match update.state {
            CheckState::Unknown => TrackerState::Unknown,
            CheckState::Up => TrackerState::Up,
            CheckState::Down => TrackerState::Down,
        };
        self.vrrp.node().set_condition(&update.name, state);
    }

    fn on_links(&mut self) {
        let links = self.links.borrow_and_update().clone();
        for (name, link) in &links {
            let before = self.known_links.get(name).map(|link| link.running);
            if before.is_some_and(|before| before != link.running) {
                let state = if link.running { "up" } else { "down" };
                info!(interface = %name, state, "Netlink reports {name} {state}");
            }
        }
        for name in self
            .known_links
            .keys()
            .filter(|name| !links.contains_key(*name))
        {
            info!(interface = %name, state = "gone", "Netlink reports {name} gone");
        }
        if let Some(balancing) = &self.balancing
            && addresses(&links) != addresses(&self.known_links)
        {
            balancing.on_addresses(addresses(&links));
        }
        self.known_links = links;
    }

    fn warn_of_missing_interfaces(&self, settings: &Settings) {
        for (router, interface) in missing_interfaces(&settings.routers, |name| {
            self.known_links.contains_key(name)
        }) {
            warn!(
                instance = %router.name, %interface,
                "({}) interface {interface} does not exist: the instance waits for it in FAULT STATE",
                router.name
            );
        }
    }
}

/// Each instance with each interface that it needs and that there is not.
pub(super) fn missing_interfaces<'a>(
    routers: impl IntoIterator<Item = &'a RouterConfig>,
    is_there: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&'a RouterConfig, Arc<str>)> {
    routers.into_iter().flat_map(move |router| {
        let wanted = router.held_vips();
        let of_vips = wanted.iter().filter_map(|vip| vip.interface.as_ref());
        let names: BTreeSet<_> = of_vips.chain([&router.interface]).collect();
        let missing = names.into_iter().filter(|name| !is_there(name));
        let missing: Vec<_> = missing.map(|name| (router, Arc::clone(name))).collect();
        missing
    })
}

fn tell_roles(balancing: &Balancing, status: &NodeStatus) {
    for router in &status.routers {
        balancing.on_role(&router.name, router.role);
    }
}

/// All addresses of this machine.
fn addresses(links: &Links) -> BTreeSet<IpAddr> {
    let addresses = links.values().flat_map(|link| &link.addresses);
    addresses.map(|of_link| of_link.address).collect()
}

/// The VRRP thread has ended by itself.
#[derive(Debug)]
pub(super) struct Ended;

fn log_changes(changes: &[Change], settings: &Settings) {
    let count =
        |wanted: fn(&Change) -> bool| changes.iter().filter(|change| wanted(change)).count();
    let added = count(|change| matches!(change, Change::Added(_)));
    let changed = count(|change| matches!(change, Change::Changed(_)));
    let removed = count(|change| matches!(change, Change::Removed(..)));
    let unchanged = settings.routers.len().saturating_sub(added + changed);
    info!(
        added,
        changed,
        removed,
        unchanged,
        "Configuration applied: {added} instances added, {changed} changed, {removed} removed, \
         {unchanged} left as they are"
    );
}
