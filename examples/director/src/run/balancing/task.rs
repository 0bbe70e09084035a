//! The task that hears of health and roles and keeps the kernel's table.

use std::{sync::Arc, time::Instant};

use health::{FleetEvent, FleetHandle, Snapshot};
use ipvs::{DrainPolicy, IpvsBackend, Ownership, ReconcileEvent, Removal, Table, TableHandle};
use tokio::{
    sync::{broadcast, mpsc},
    time::sleep_until,
};
use tracing::{error, warn};

use super::{Act, Job, LAST_CONNECTIONS, log};
use crate::{
    balance::{Action, Balancer, CheckName, Done, NoSuchServer, Notice, Output, Probes},
    conf::model::FlushOnStop,
    control::status::Known,
    run::{
        full_nat::Translating,
        keeping::{Keeping, Memory},
        preparation::Preparation,
        settings::command,
    },
    script::{
        clock::now,
        notify::{Notifier, Subject},
    },
    state::State,
};

/// What it has and knows.
pub(super) struct Task {
    pub(super) balancer: Balancer,
    pub(super) probes: Probes,
    pub(super) fleet: FleetHandle<CheckName>,
    pub(super) checks: Option<broadcast::Receiver<FleetEvent<CheckName>>>,
    pub(super) backend: Arc<dyn IpvsBackend>,
    pub(super) table: TableHandle,
    /// Whether the whole table is emptied at the end, whoever made it.
    pub(super) flush_on_stop: Option<FlushOnStop>,
    pub(super) translating: Translating,
    pub(super) preparation: Preparation,
    pub(super) changes: Option<broadcast::Receiver<ReconcileEvent>>,
    pub(super) notifier: Notifier,
    /// What the daemon before this one knew, for the first configuration.
    pub(super) recalled: State,
    /// For the daemon after this one.
    pub(super) memory: Memory,
    /// `None` if nothing is kept.
    pub(super) keeping: Option<Keeping>,
}

impl Task {
    pub(super) async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<Job>) {
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
                    // Who is not named any more is leaving by now: what follows here is of a
                    // server that has failed meanwhile.
                    Some(Job::Reload(config, begin, reply)) => {
                        drop(reply.send(self.reload(&config, begin).await));
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
                () = at(self.balancer.poll_timeout()) => self.balancer.handle_timeout(now()),
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
        let done = self.balancer.act(&act.which, act.action, now());
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
            self.balancer.on_check(check, *standing, now());
        }
    }

    /// Does and tells what follows; the table is set once for all of it.
    pub(super) fn work_off(&mut self, removal: Removal) {
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
    pub(super) fn remember(&mut self) {
        if let Some(keeping) = &self.keeping {
            self.memory.orders = self.balancer.orders().collect();
            keeping.remember(self.memory.clone());
        }
    }
}

/// `lvs_flush`: whatever is there is taken for our own, so what is not desired goes.
/// Otherwise it is what the daemon before this one has set up, as far as it is there still.
pub(super) fn owned_at_start(table: &Table, flush: bool, before: &Ownership) -> Ownership {
    let mut owned = Ownership::of(table);
    if !flush {
        owned.services.retain(|key| before.services.contains(key));
        owned.daemons.retain(|role| before.daemons.contains(role));
    }
    owned
}

pub(super) fn tell(notifier: &Notifier, notice: &Notice) {
    log::notice(notice);
    notifier.service(notice.line());
    if let (virtual_server, Some(script)) = notice.script() {
        let subject = Subject::VirtualServer(virtual_server.to_string());
        notifier.run(subject, command(script));
    }
}

/// How those leave that a configuration no longer names.
pub(super) fn leaving() -> Removal {
    let mut policy = DrainPolicy::default();
    policy.deadline = Some(LAST_CONNECTIONS);
    Removal::Drain(policy)
}

/// Waits for an instant, or for ever.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant.into()).await,
        None => std::future::pending().await,
    }
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
