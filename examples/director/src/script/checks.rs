//! All tracked scripts: one task and at most one process for each, however many instances track
//! it, and each state published when it changes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, error, info, warn};

use crate::script::check::{Because, Check, CheckConfig, Counters, Input, Output};
use crate::script::clock::{now, sleep_until};
use crate::script::command::Command;
use crate::script::rise_fall::CheckState;
use crate::script::run::{Report, Runner, Stopper, stop};

/// First runs lie this far apart, so that many checks do not fork in the same moment, neither at
/// the start nor at any later interval.
const STARTS_APART: Duration = Duration::from_millis(10);

/// A `vrrp_script`. Its name is its identity; weights belong to those who track it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by whoever reads the configuration"
)]
pub struct CheckDefinition {
    /// What runs.
    pub command: Command,
    /// When, and what its results mean.
    pub config: CheckConfig,
}

/// A state that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a message to read")]
pub struct Update {
    /// The name of the check.
    pub name: Arc<str>,
    /// Its state now.
    pub state: CheckState,
    /// What changed it.
    pub because: Because,
}

/// What is known of a check, for `status` and `why`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckStatus {
    /// Its state.
    pub state: CheckState,
    /// What brought it there.
    pub because: Because,
    /// When that was.
    pub since: Instant,
    /// How its last run ended and what it wrote, once there was one.
    pub last: Option<(Instant, Report)>,
    /// What was counted.
    pub counters: Counters,
}

/// The running checks. Dropping it kills what runs.
pub struct Checks {
    runner: Arc<dyn Runner>,
    updates: mpsc::UnboundedSender<Update>,
    tasks: BTreeMap<Arc<str>, Task>,
}

impl std::fmt::Debug for Checks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checks")
            .field("names", &self.tasks.keys())
            .finish_non_exhaustive()
    }
}

struct Task {
    orders: watch::Sender<Order>,
    status: watch::Receiver<CheckStatus>,
    handle: JoinHandle<()>,
}

#[derive(Clone)]
struct Order {
    definition: CheckDefinition,
    runner: Arc<dyn Runner>,
}

impl Checks {
    /// Starts checks that run until this is dropped.
    ///
    /// Every change is one message in `updates`. A check that starts in a known state
    /// (`init_fail`, or one that a reload adds) says so first; all others are
    /// [`CheckState::Unknown`] until their first message. A dropped receiver does not mind.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(
        definitions: BTreeMap<String, CheckDefinition>,
        runner: Arc<dyn Runner>,
        updates: mpsc::UnboundedSender<Update>,
    ) -> Self {
        let mut checks = Self {
            runner,
            updates,
            tasks: BTreeMap::new(),
        };
        for ((name, definition), delay) in definitions.into_iter().zip(starts()) {
            checks.add(name.into(), definition, delay, Check::new);
        }
        checks
    }

    /// Goes over to other definitions. A check whose definition is the same goes on undisturbed,
    /// its running process too; one with another definition keeps its state and runs at once;
    /// what is not defined any more is killed, and nothing more is heard of it once this returns.
    ///
    /// `runner` is for all runs from now on: the security rules may be others too.
    pub async fn reload(
        &mut self,
        definitions: BTreeMap<String, CheckDefinition>,
        runner: Arc<dyn Runner>,
    ) {
        self.runner = runner;
        let kept = |name: &Arc<str>| definitions.contains_key(&**name);
        let (kept, removed) = std::mem::take(&mut self.tasks)
            .into_iter()
            .partition(|(n, _)| kept(n));
        self.tasks = kept;
        stop_all(removed).await;

        let mut delays = starts();
        for (name, definition) in definitions {
            match self.tasks.get(name.as_str()) {
                Some(task) => {
                    let order = Order {
                        definition,
                        runner: Arc::clone(&self.runner),
                    };
                    task.orders.send_replace(order);
                }
                None => {
                    let delay = delays.next().unwrap_or_default();
                    self.add(name.into(), definition, delay, Check::added_by_reload);
                }
            }
        }
    }

    /// Kills what runs and returns when it is over.
    pub async fn shutdown(mut self) {
        stop_all(std::mem::take(&mut self.tasks)).await;
    }

    /// What is known of every check, by name.
    #[must_use]
    pub fn status(&self) -> BTreeMap<Arc<str>, CheckStatus> {
        let status = |task: &Task| task.status.borrow().clone();
        self.tasks
            .iter()
            .map(|(name, task)| (Arc::clone(name), status(task)))
            .collect()
    }

    fn add(
        &mut self,
        name: Arc<str>,
        definition: CheckDefinition,
        delay: Duration,
        check: fn(CheckConfig, Instant) -> Check,
    ) {
        let now = now();
        // No check waits longer for its first result than for the next.
        let interval = definition.config.interval.as_millis().max(1);
        let delay = Duration::from_millis(u64::try_from(delay.as_millis() % interval).unwrap_or(0));
        let check = check(definition.config, now + delay);
        let order = Order {
            definition,
            runner: Arc::clone(&self.runner),
        };
        let (orders, inbox) = watch::channel(order.clone());
        let (status, seen) = watch::channel(CheckStatus {
            state: check.state(),
            because: check.because().clone(),
            since: now,
            last: None,
            counters: check.counters(),
        });
        let updates = self.updates.clone();
        let driver = Driver {
            name: Arc::clone(&name),
            check,
            order,
            run: None,
            status,
            updates,
        };
        let handle = tokio::spawn(driver.drive(inbox));
        self.tasks.insert(
            name,
            Task {
                orders,
                status: seen,
                handle,
            },
        );
    }
}

/// Tells all of them to end before it waits for the first.
async fn stop_all(tasks: BTreeMap<Arc<str>, Task>) {
    let handles: Vec<_> = tasks.into_values().map(|task| task.handle).collect();
    for handle in handles {
        if let Err(error) = handle.await {
            error!(%error, "the task of a check has failed");
        }
    }
}

fn starts() -> impl Iterator<Item = Duration> {
    (0..).map(|n| STARTS_APART * n)
}

/// One check on the clock.
struct Driver {
    name: Arc<str>,
    check: Check,
    order: Order,
    run: Option<Run>,
    status: watch::Sender<CheckStatus>,
    updates: mpsc::UnboundedSender<Update>,
}

/// A run that is going on. Dropping it kills the process.
struct Run {
    ends: Pin<Box<dyn Future<Output = Report> + Send>>,
    stopper: Option<Stopper>,
}

impl Driver {
    /// Ends when the sender of `orders` is dropped.
    async fn drive(mut self, mut orders: watch::Receiver<Order>) {
        loop {
            while let Some(output) = self.check.poll_output() {
                self.act(output);
            }
            self.status
                .send_modify(|status| status.counters = self.check.counters());
            let timeout = self.check.poll_timeout();
            tokio::select! {
                changed = orders.changed() => match changed {
                    Ok(()) => self.on_order(orders.borrow_and_update().clone()),
                    Err(_) => return,
                },
                report = ended(&mut self.run) => self.on_ended(report),
                () = sleep_until(timeout) => self.check.handle(Input::Timeout, now()),
            }
        }
    }

    fn on_order(&mut self, order: Order) {
        let old = std::mem::replace(&mut self.order, order);
        if old.definition == self.order.definition {
            return;
        }
        self.run = None;
        self.check = self
            .check
            .clone()
            .reconfigured(self.order.definition.config, now());
        let name = &self.name;
        match self.check.state() {
            CheckState::Up => info!(%name, "VRRP_Script({name}) considered successful on reload"),
            CheckState::Down => {
                info!(%name, "VRRP_Script({name}) considered unsuccessful on reload");
            }
            CheckState::Unknown => {}
        }
    }

    fn on_ended(&mut self, report: Report) {
        self.run = None;
        debug!(name = %self.name, output = report.output, "script {}", report.outcome);
        let outcome = report.outcome.clone();
        self.status
            .send_modify(|status| status.last = Some((now(), report)));
        self.check.handle(Input::Finished(outcome), now());
    }

    fn act(&mut self, output: Output) {
        let name = &self.name;
        match output {
            Output::Run => self.start_run(),
            Output::Terminate => {
                if let Some(stopper) = self.run.as_mut().and_then(|run| run.stopper.take()) {
                    stopper.stop();
                }
            }
            Output::Skipped { running_for } => warn!(
                %name, ?running_for,
                "Track script {name} is already running, expect idle - skipping run"
            ),
            Output::Differs(outcome) => match outcome.exit_status() {
                Some(status) => info!(%name, status, "Script `{name}` now returning {status}"),
                None => info!(%name, "Script `{name}` {outcome}"),
            },
            Output::Changed { to, because } => self.tell(to, because),
        }
    }

    fn start_run(&mut self) {
        let (stopper, stop) = stop();
        let Order { definition, runner } = self.order.clone();
        let ends = async move { runner.run(&definition.command, stop).await };
        self.run = Some(Run {
            ends: Box::pin(ends),
            stopper: Some(stopper),
        });
    }

    fn tell(&self, state: CheckState, because: Because) {
        let name = &self.name;
        let last = self.status.borrow().last.clone();
        // At a deadline nothing of this run has been read yet.
        let output = match &because {
            Because::Ended(outcome) => last
                .filter(|(_, report)| !outcome.is_success() && report.outcome == *outcome)
                .map(|(_, report)| report.output),
            Because::NotRunYet | Because::InitFail | Because::AddedByReload => None,
        };
        match state {
            CheckState::Down => warn!(%name, ?state, output, "VRRP_Script({name}) {because}"),
            CheckState::Up | CheckState::Unknown => {
                info!(%name, ?state, output, "VRRP_Script({name}) {because}");
            }
        }
        self.status.send_modify(|status| {
            status.state = state;
            status.because = because.clone();
            status.since = now();
        });
        let _nobody_listens = self.updates.send(Update {
            name: Arc::clone(name),
            state,
            because,
        });
    }
}

async fn ended(run: &mut Option<Run>) -> Report {
    match run {
        Some(run) => run.ends.as_mut().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "checks/tests.rs"]
mod tests;
