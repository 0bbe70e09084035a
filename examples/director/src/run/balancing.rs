//! Load balancing while the daemon runs: the task that hears of health and roles and keeps the
//! kernel's table.

use std::{
    collections::BTreeSet, net::IpAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration,
};

use health::{FleetEvent, FleetHandle, Snapshot};
use ipvs::{
    DrainPolicy, IpvsBackend, IpvsError, Ownership, ReconcileEvent, ReconcilePolicy, Removal,
    Table, TableHandle, machine::MachineError,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};
use tracing::{error, warn};
use vrrp::Role;

use crate::{
    balance::{
        Action, Balancer, CannotCheck, CheckName, Done, NoSuchServer, Notice, Output, Probes,
        Selection,
    },
    conf::model::{Config, FlushOnStop},
    control::{Client, status::Known},
    log::chain,
    plan::Kernel,
    script::{
        clock::now,
        notify::{Notifier, Subject},
        run::Runner,
    },
    state::State,
};

use super::{
    full_nat::{FullNatError, Translating},
    keeping::{Keeping, Memory, recall},
    means::Means,
    preparation::{Preparation, PrepareError},
    settings::command,
};

mod log;
mod stopping;
mod transaction;

pub(super) use stopping::Ending;
pub use stopping::OnStop;
pub(super) use transaction::{NotFollowed, plan_start};

/// The most probes that are under way at a time: each holds a file descriptor, of which a process
/// has 1024 by default.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(512).expect("it is not zero");

/// How long connections may go on to a server that the file no longer names.
const LAST_CONNECTIONS: Duration = Duration::from_secs(3600);

/// Load balancing, in a task of its own.
#[derive(Debug)]
pub(super) struct Balancing {
    jobs: mpsc::UnboundedSender<Job>,
    task: JoinHandle<()>,
}

enum Job {
    Configure(Box<Config>, oneshot::Sender<Result<(), BalanceError>>),
    Reload(Box<Config>, oneshot::Sender<Result<Kernel, BalanceError>>),
    Plan(Box<Config>, oneshot::Sender<Result<Kernel, BalanceError>>),
    Role(Arc<str>, Role),
    Addresses(BTreeSet<IpAddr>),
    Act(Act, oneshot::Sender<Result<Vec<Done>, NoSuchServer>>),
    Look(oneshot::Sender<(Known, Arc<dyn IpvsBackend>)>),
    Stop(Ending, oneshot::Receiver<()>),
}

/// Something that an operator wants done with real servers.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) which: Selection,
    pub(super) action: Action,
    /// Who wants it.
    pub(super) client: Client,
}

/// Why load balancing cannot be as it is configured.
#[derive(Debug, thiserror::Error)]
pub(super) enum BalanceError {
    #[error(transparent)]
    Kernel(#[from] IpvsError),
    #[error("cannot start the user-space data plane: its threads need descriptors and memory")]
    Userspace(#[source] std::io::Error),
    #[error("cannot check {0}")]
    Check(#[from] CannotCheck),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    FullNat(#[from] FullNatError),
    #[error("the checks contradict each other")]
    Fleet(#[from] health::AskError),
    #[error(transparent)]
    NotFollowed(#[from] NotFollowed),
    #[error("load balancing has ended by itself: this is a defect, please report it")]
    Ended,
}

impl Balancing {
    /// Starts without virtual servers. What a daemon before this one knew is taken up from `state`,
    /// where this one keeps it too.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(super) async fn start(
        means: Means,
        runner: Arc<dyn Runner>,
        notifier: Notifier,
        flush: bool,
        state: Option<PathBuf>,
    ) -> Result<Self, BalanceError> {
        let Means {
            backend,
            source_nat,
            machine,
        } = means;
        let before = backend.snapshot().await?;
        let recalled = match &state {
            Some(path) => recall(path).await,
            None => State::default(),
        };
        let owned = owned_at_start(&before.table(), flush, &recalled.owned);
        let fleet = health::spawn(CONCURRENCY, 0);
        let table = ipvs::spawn(
            Arc::clone(&backend),
            ReconcilePolicy::default(),
            owned.clone(),
        );
        let (jobs, inbox) = mpsc::unbounded_channel();
        let mut balancer = Balancer::new(before.timeouts);
        balancer.take_up(recalled.orders.clone());
        let task = Task {
            keeping: state.map(|path| Keeping::start(path, fleet.snapshot())),
            memory: Memory::of(owned),
            balancer,
            recalled,
            probes: Probes::new(runner),
            checks: Some(fleet.events()),
            changes: Some(table.events()),
            fleet,
            backend,
            table,
            flush_on_stop: None,
            translating: Translating::new(source_nat),
            preparation: Preparation::new(machine),
            notifier,
        };
        let task = tokio::spawn(task.run(inbox));
        Ok(Self { jobs, task })
    }

    /// An instance of VRRP has another role.
    pub(super) fn on_role(&self, instance: &Arc<str>, role: Role) {
        self.send(Job::Role(Arc::clone(instance), role));
    }

    /// This machine has these addresses, and no others.
    pub(super) fn on_addresses(&self, addresses: BTreeSet<IpAddr>) {
        self.send(Job::Addresses(addresses));
    }

    /// Does something with real servers.
    ///
    /// # Errors
    /// Why not, for who asked.
    pub(super) async fn act(&self, act: Act) -> Result<Vec<Done>, String> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Act(act, reply));
        match answer.await {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err(BalanceError::Ended.to_string()),
        }
    }

    /// What is known, and whom to ask what the kernel has; `None` if the task has ended.
    pub(super) async fn look(&self) -> Option<(Known, Arc<dyn IpvsBackend>)> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Look(reply));
        answer.await.ok()
    }

    /// Ends, and does with the table what is said; once `hurry` is over, without waiting for
    /// connections.
    pub(super) async fn shutdown(self, ending: Ending, hurry: impl Future<Output = ()>) {
        let (hurry_up, hurried) = oneshot::channel();
        self.send(Job::Stop(ending, hurried));
        let mut task = self.task;
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = hurry => {
                // An error means that nothing is waited for.
                hurry_up.send(()).unwrap_or(());
                task.await
            }
        };
        if let Err(error) = ended {
            error!("load balancing did not end well: {}", chain(&error));
        }
    }

    fn send(&self, job: Job) {
        // An error means that the task has ended; whoever waits for an answer is told by that.
        drop(self.jobs.send(job));
    }
}

struct Task {
    balancer: Balancer,
    probes: Probes,
    fleet: FleetHandle<CheckName>,
    checks: Option<broadcast::Receiver<FleetEvent<CheckName>>>,
    backend: Arc<dyn IpvsBackend>,
    table: TableHandle,
    /// Whether the whole table is emptied at the end, whoever made it.
    flush_on_stop: Option<FlushOnStop>,
    translating: Translating,
    preparation: Preparation,
    changes: Option<broadcast::Receiver<ReconcileEvent>>,
    notifier: Notifier,
    /// What the daemon before this one knew, for the first configuration.
    recalled: State,
    /// For the daemon after this one.
    memory: Memory,
    /// `None` if nothing is kept.
    keeping: Option<Keeping>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
        let (ending, hurry) = loop {
            let mut removal = Removal::AtOnce;
            tokio::select! {
                job = inbox.recv() => match job {
                    // Who held it is gone without a word: the next one takes the table over.
                    None => return,
                    Some(Job::Stop(ending, hurry)) => break (ending, hurry),
                    Some(Job::Role(instance, role)) => self.balancer.on_role(&instance, role),
                    Some(Job::Addresses(held)) => self.balancer.on_addresses(held),
                    Some(Job::Act(act, reply)) => {
                        if act.action == (Action::Disable { drain: true }) {
                            removal = leaving();
                        }
                        // Nobody waits for the answer any more: it was done all the same.
                        drop(reply.send(self.act(&act)));
                    }
                    // Nobody waits for the answer any more: nothing is lost.
                    Some(Job::Look(reply)) => drop(reply.send(self.look().await)),
                    Some(Job::Configure(config, reply)) => {
                        removal = leaving();
                        // Nobody waits for the answer any more: it was given all the same.
                        drop(reply.send(self.configure(&config).await));
                    }
                    Some(Job::Reload(config, reply)) => {
                        removal = leaving();
                        drop(reply.send(self.reload(&config).await));
                    }
                    Some(Job::Plan(config, reply)) => drop(reply.send(self.plan(&config).await)),
                },
                event = next(&mut self.checks, "the health checks") => {
                    self.on_check(event);
                    // When a thousand checks fail together the table is set once.
                    while let Some(event) = ready(&mut self.checks) {
                        self.on_check(event);
                    }
                }
                event = next(&mut self.changes, "the keeping of the table") => {
                    match event {
                        Ok(event) => log::table(&event),
                        Err(Missed(count)) => warn!("{count} events of the table were missed"),
                    }
                    self.tidy().await;
                }
            }
            self.work_off(removal);
        };
        self.stop(ending, hurry).await;
    }

    fn act(&mut self, act: &Act) -> Result<Vec<Done>, NoSuchServer> {
        let done = self.balancer.act(&act.which, act.action);
        log::act(act, &done);
        self.remember();
        done
    }

    /// After what leaves the table has left it.
    async fn tidy(&mut self) {
        if self.translating.is_waiting()
            && let Ok(snapshot) = self.backend.snapshot().await
        {
            self.translating.tidy(&snapshot.table()).await;
        }
    }

    async fn look(&self) -> (Known, Arc<dyn IpvsBackend>) {
        let known = Known {
            pools: self.balancer.pools().collect(),
            // Without a fleet there are no checks to be told of.
            reports: self.fleet.reports().await.unwrap_or_default(),
            table: self.table.status().borrow().clone(),
            at: now(),
        };
        (known, Arc::clone(&self.backend))
    }

    fn on_check(&mut self, event: Result<FleetEvent<CheckName>, Missed>) {
        let known = self.fleet.snapshot();
        let known = known.borrow();
        match event {
            Ok(event) => {
                log::check(&event);
                self.learn(&known, event.service());
            }
            // What is known is known whole.
            Err(Missed(_)) => {
                for check in known.standings.keys() {
                    self.learn(&known, check);
                }
            }
        }
    }

    fn learn(&mut self, known: &Snapshot<CheckName>, check: &CheckName) {
        if let Some(standing) = known.standings.get(check) {
            self.balancer.on_check(check, *standing);
        }
    }

    /// Does and tells what follows; the table is set once for all of it.
    fn work_off(&mut self, removal: Removal) {
        let mut changed = false;
        let mut cut = Vec::new();
        while let Some(output) = self.balancer.poll_output() {
            match output {
                Output::Table => changed = true,
                Output::Cut(destinations) => cut.extend(destinations),
                Output::Notice(notice) => tell(&self.notifier, &notice),
                Output::Suspend(checks) => {
                    log::checks(&checks, "rest: this machine has none of its addresses");
                    checks.into_iter().for_each(|check| self.fleet.pause(check));
                }
                Output::Probe(checks) => {
                    checks
                        .into_iter()
                        .for_each(|check| self.fleet.probe_now(check));
                }
                Output::Unnamed {
                    server,
                    order,
                    kept,
                } => log::unnamed(&server, order, kept),
                Output::Resume(checks) => {
                    log::checks(&checks, "go on");
                    checks
                        .into_iter()
                        .for_each(|check| self.fleet.resume(check));
                }
            }
        }
        if changed {
            let table = self.balancer.table();
            let is_new = self.memory.own(&table);
            self.table.set(table, removal);
            if is_new {
                self.remember();
            }
        }
        if !cut.is_empty() {
            self.table.cut(cut);
        }
    }

    /// Keeps what may have changed, besides what checks know.
    fn remember(&mut self) {
        if let Some(keeping) = &self.keeping {
            self.memory.orders = self.balancer.orders().collect();
            keeping.remember(self.memory.clone());
        }
    }
}

/// `lvs_flush`: whatever is there is taken for our own, so what is not desired goes.
/// Otherwise it is what the daemon before this one has set up, as far as it is there still.
fn owned_at_start(table: &Table, flush: bool, before: &Ownership) -> Ownership {
    let mut owned = Ownership::of(table);
    if !flush {
        owned.services.retain(|key| before.services.contains(key));
        owned.daemons.retain(|role| before.daemons.contains(role));
    }
    owned
}

fn tell(notifier: &Notifier, notice: &Notice) {
    log::notice(notice);
    notifier.service(notice.line());
    if let (virtual_server, Some(script)) = notice.script() {
        let subject = Subject::VirtualServer(virtual_server.to_string());
        notifier.run(subject, command(script));
    }
}

/// How those leave that a configuration no longer names.
fn leaving() -> Removal {
    let mut policy = DrainPolicy::default();
    policy.deadline = Some(LAST_CONNECTIONS);
    Removal::Drain(policy)
}

/// So many events were missed.
struct Missed(u64);

/// The next event. There is none any more once who tells them has ended, which is told once.
async fn next<T: Clone>(
    events: &mut Option<broadcast::Receiver<T>>,
    who: &str,
) -> Result<T, Missed> {
    if let Some(receiver) = events {
        match receiver.recv().await {
            Ok(event) => return Ok(event),
            Err(broadcast::error::RecvError::Lagged(count)) => return Err(Missed(count)),
            Err(broadcast::error::RecvError::Closed) => {
                error!("{who} ended by itself: this is a defect, please report it");
                *events = None;
            }
        }
    }
    std::future::pending().await
}

/// The next event, if it has come.
fn ready<T: Clone>(events: &mut Option<broadcast::Receiver<T>>) -> Option<Result<T, Missed>> {
    use broadcast::error::TryRecvError;
    match events.as_mut()?.try_recv() {
        Ok(event) => Some(Ok(event)),
        Err(TryRecvError::Lagged(count)) => Some(Err(Missed(count))),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

#[cfg(test)]
mod tests;
