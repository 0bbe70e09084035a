//! Load balancing while the daemon runs: the task that hears of health and roles and keeps the
//! kernel's table.

use std::{collections::BTreeSet, net::IpAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use health::{FleetEvent, FleetHandle, Snapshot};
use ipvs::{
    Change, ChangeOutcome, DrainPolicy, IpvsBackend, IpvsError, Ownership, ReconcileEvent,
    ReconcilePolicy, Removal, Shutdown, TableHandle,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tracing::{debug, error, info, warn};
use vrrp::Role;

use crate::{
    balance::{Balancer, CannotCheck, CheckName, Notice, Output, Probes},
    conf::model::{Config, FlushOnStop, VirtualServerName},
    log::chain,
    script::{
        notify::{Notifier, Subject},
        run::Runner,
    },
};

use super::{settings::command, track_files::TrackFiles};

/// The most probes that are under way at a time: each holds a file descriptor, of which a process
/// has 1024 by default.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(512).expect("it is not zero");

/// How long connections may go on to a server that the file no longer names.
const LAST_CONNECTIONS: Duration = Duration::from_secs(3600);

/// How long the table may take to be cleared when the daemon stops.
const CLEARING: Duration = Duration::from_secs(5);

/// Load balancing, in a task of its own.
#[derive(Debug)]
pub(super) struct Balancing {
    jobs: mpsc::UnboundedSender<Job>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Job {
    Configure(Box<Config>, oneshot::Sender<Result<(), BalanceError>>),
    Role(Arc<str>, Role),
    Addresses(BTreeSet<IpAddr>),
    Stop,
}

/// Why load balancing cannot be as it is configured.
#[derive(Debug, thiserror::Error)]
pub(super) enum BalanceError {
    #[error(transparent)]
    Kernel(#[from] IpvsError),
    #[error("cannot check {0}")]
    Check(#[from] CannotCheck),
    #[error(
        "virtual server {0} has lvs_method FULLNAT, which director does not carry out yet: use NAT \
         with the director as the gateway of the real servers, DR or TUN"
    )]
    FullNat(VirtualServerName),
    #[error("the checks contradict each other")]
    Fleet(#[from] health::AskError),
    #[error("load balancing has ended by itself: this is a defect, please report it")]
    Ended,
}

impl Balancing {
    /// Starts without virtual servers.
    ///
    /// # Errors
    /// The table cannot be read.
    pub(super) async fn start(
        backend: Arc<dyn IpvsBackend>,
        runner: Arc<dyn Runner>,
        notifier: Notifier,
        flush: bool,
    ) -> Result<Self, BalanceError> {
        let before = backend.snapshot().await?;
        // `lvs_flush`: whatever is there is taken for our own, so what is not desired goes.
        let owned = match flush {
            true => Ownership::of(&before.table()),
            false => Ownership::default(),
        };
        let fleet = health::spawn(CONCURRENCY, 0);
        let table = ipvs::spawn(Arc::clone(&backend), ReconcilePolicy::default(), owned);
        let (jobs, inbox) = mpsc::unbounded_channel();
        let task = Task {
            balancer: Balancer::new(before.timeouts),
            probes: Probes::new(runner),
            checks: Some(fleet.events()),
            changes: Some(table.events()),
            fleet,
            backend,
            table,
            flush_on_stop: None,
            track_files: TrackFiles::default(),
            notifier,
        };
        let task = tokio::spawn(task.run(inbox));
        Ok(Self { jobs, task })
    }

    /// Balances as this configuration says from now on. Servers that it no longer names leave once
    /// their connections are gone.
    ///
    /// # Errors
    /// It cannot be carried out; all goes on as it was.
    pub(super) async fn configure(&self, config: &Config) -> Result<(), BalanceError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Configure(Box::new(config.clone()), reply));
        answer.await.map_err(|_| BalanceError::Ended)?
    }

    /// An instance of VRRP has another role.
    pub(super) fn on_role(&self, instance: &Arc<str>, role: Role) {
        self.send(Job::Role(Arc::clone(instance), role));
    }

    /// This machine has these addresses, and no others.
    pub(super) fn on_addresses(&self, addresses: BTreeSet<IpAddr>) {
        self.send(Job::Addresses(addresses));
    }

    /// Clears the table of what is ours.
    pub(super) async fn shutdown(self) {
        self.send(Job::Stop);
        if let Err(error) = self.task.await {
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
    track_files: TrackFiles,
    changes: Option<broadcast::Receiver<ReconcileEvent>>,
    notifier: Notifier,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
        loop {
            let mut removal = Removal::AtOnce;
            tokio::select! {
                job = inbox.recv() => match job {
                    None | Some(Job::Stop) => break,
                    Some(Job::Role(instance, role)) => self.balancer.on_role(&instance, role),
                    Some(Job::Addresses(held)) => self.balancer.on_addresses(held),
                    Some(Job::Configure(config, reply)) => {
                        removal = leaving();
                        // Nobody waits for the answer any more: it was given all the same.
                        drop(reply.send(self.configure(&config).await));
                    }
                },
                event = next(&mut self.checks, "the health checks") => self.on_check(event),
                event = next(&mut self.changes, "the keeping of the table") => tell_of_table(event),
            }
            self.work_off(removal);
        }
        self.stop().await;
    }

    async fn configure(&mut self, config: &Config) -> Result<(), BalanceError> {
        if let Some(server) = config
            .virtual_servers
            .iter()
            .find(|server| server.has_full_nat())
        {
            return Err(BalanceError::FullNat(server.name.clone()));
        }
        let asks = self.probes.asks(config)?;
        self.track_files.init(&config.track_files).await;
        self.fleet.configure(asks).await?;
        let known = self.fleet.snapshot();
        let known = known.borrow();
        self.balancer
            .configure(config, |check| known.standings.get(check).copied());
        self.flush_on_stop = config.lvs.flush_on_stop;
        Ok(())
    }

    fn on_check(&mut self, event: Result<FleetEvent<CheckName>, Missed>) {
        let known = self.fleet.snapshot();
        let known = known.borrow();
        match event {
            Ok(event) => {
                if let FleetEvent::Changed {
                    service,
                    to,
                    because,
                    ..
                } = &event
                {
                    let because = because
                        .as_ref()
                        .map(|failure| format!(": {}", chain(failure)));
                    info!(
                        "Check {} of {} for VS {} is {to:?}{}",
                        service.number + 1,
                        service.real_server,
                        service.virtual_server,
                        because.unwrap_or_default()
                    );
                }
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
        while let Some(output) = self.balancer.poll_output() {
            match output {
                Output::Table => changed = true,
                Output::Notice(notice) => tell(&self.notifier, &notice),
                Output::Suspend(checks) => {
                    tell_of_checks(&checks, "rest: this machine has none of its addresses");
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
                } => warn!(
                    "The file does not name {server} any more: what is ordered for it ({order}) is {}",
                    if kept {
                        "kept until the next reload"
                    } else {
                        "forgotten"
                    }
                ),
                Output::Resume(checks) => {
                    tell_of_checks(&checks, "go on");
                    checks
                        .into_iter()
                        .for_each(|check| self.fleet.resume(check));
                }
            }
        }
        if changed {
            self.table.set(self.balancer.table(), removal);
        }
    }

    async fn stop(self) {
        let Self {
            balancer,
            fleet,
            backend,
            table,
            flush_on_stop,
            notifier,
            ..
        } = self;
        fleet.shutdown().await;
        balancer.stop().for_each(|notice| tell(&notifier, &notice));
        let cleared = table.shutdown(Shutdown::Remove(Removal::AtOnce));
        let cleared = async {
            cleared.await;
            if flush_on_stop == Some(FlushOnStop::Table) {
                flush(&*backend).await;
            }
        };
        if timeout(CLEARING, cleared).await.is_err() {
            error!("The table was not cleared within {CLEARING:?}: see `ipvsctl -Ln`");
        }
    }
}

/// Empties the table, whoever made what is in it.
async fn flush(backend: &dyn IpvsBackend) {
    match backend.apply(&[Change::Flush]).await.as_deref() {
        Ok([ChangeOutcome::Done]) => {}
        Ok(outcomes) => error!("The table was not emptied: {outcomes:?}"),
        Err(error) => error!("The table was not emptied: {}", chain(error)),
    }
}

fn tell(notifier: &Notifier, notice: &Notice) {
    info!("{notice}");
    if let (virtual_server, Some(script)) = notice.script() {
        let subject = Subject::VirtualServer(virtual_server.to_string());
        notifier.run(subject, command(script));
    }
}

/// Of checks of one virtual server.
fn tell_of_checks(checks: &[CheckName], what: &str) {
    if let Some(check) = checks.first() {
        let count = checks.len();
        info!("VS {}: {count} checks {what}", check.virtual_server);
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

fn tell_of_table(event: Result<ReconcileEvent, Missed>) {
    let event = match event {
        Ok(event) => event,
        Err(Missed(count)) => return warn!("{count} events of the table were missed"),
    };
    match event {
        ReconcileEvent::Drift(changes) => {
            let count = changes.len();
            warn!("Somebody changed the table: {count} changes put it right");
            for change in changes {
                info!("Repairing: {change}");
            }
        }
        ReconcileEvent::Refused(refusal) => error!("The kernel refuses: {}", chain(&refusal)),
        ReconcileEvent::Unreachable { because } => error!("IPVS cannot be asked: {because}"),
        ReconcileEvent::Reachable => info!("IPVS can be asked again"),
        ReconcileEvent::Drained {
            service,
            destination,
            end,
        } => info!("{destination} of {service} has left: {end:?}"),
        event @ (ReconcileEvent::Converged | ReconcileEvent::Draining { .. } | _) => {
            debug!(?event, "table");
        }
    }
}

#[cfg(test)]
mod tests;
