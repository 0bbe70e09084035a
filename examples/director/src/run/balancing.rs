//! Load balancing while the daemon runs: how to reach the task that keeps the kernel's table.

use std::{
    collections::BTreeSet, net::IpAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration,
};

use ipvs::{IpvsBackend, IpvsError, ReconcilePolicy, machine::MachineError};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tracing::error;
use vrrp::Role;

use crate::{
    balance::{Action, Balancer, CannotCheck, CheckName, Done, NoSuchServer, Probes, Selection},
    conf::model::Config,
    control::{Client, status::Known},
    log::chain,
    plan::Kernel,
    script::{notify::Notifier, run::Runner},
    state::State,
};

use super::{
    full_nat::{FullNatError, Translating},
    keeping::{Keeping, Memory, recall},
    means::Means,
    preparation::{Preparation, PrepareError},
};

mod log;
mod stopping;
mod task;
mod transaction;

pub(super) use stopping::Ending;
pub use stopping::OnStop;
use task::{Task, owned_at_start};
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
    Reload(
        Box<Config>,
        Box<dyn FnOnce() + Send>,
        oneshot::Sender<Result<Kernel, BalanceError>>,
    ),
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

#[cfg(test)]
mod tests;
