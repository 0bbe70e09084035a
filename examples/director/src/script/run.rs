//! One run of a script: a process group that is over, or given up, within a known time.
//!
//! * The script leads a process group of its own, has `/dev/null` as input, and inherits no
//!   descriptor beyond the standard streams and no `IFS`, `LD_PRELOAD`, `LD_LIBRARY_PATH`.
//! * It runs with the user, group and supplementary groups of its account. keepalived 2.2.7 leaves
//!   its own supplementary groups in place.
//! * The rules of [`security`](crate::script::security) are looked at before every run.
//! * When it is told to stop, the group gets `SIGTERM`, whatever is left of it two seconds later
//!   `SIGKILL`, and what survives that for five seconds is given up with an error. Three runs
//!   given up and still alive are enough: until one of them ends, further runs fail at once.
//! * Whatever keeps it from being executed is a failure with its reason.
//! * A script without `#!` is run by `/bin/sh`, as keepalived does.
//! * What it writes is read to the end; the last 4 KiB are kept.
//!
//! A script that exits by itself may leave processes in the background: they are its own affair,
//! as with keepalived. If they write to the streams they inherited, that is read and thrown away;
//! once the daemon has ended they get `SIGPIPE`, so they should be given an output of their own.
//! A process that leaves the group (`setsid`) is not followed.

mod members;
mod process;
mod supervise;
mod tail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use nix::sys::signal::Signal;
use tokio::sync::oneshot;
use tracing::{error, warn};

use self::process::Job;
use self::supervise::{End, Limits, Supervised, supervise};
use crate::script::command::Command;
use crate::script::outcome::Outcome;
use crate::script::security::{Policy, Refusal};

/// Runs that were given up and may still be alive before further runs are refused.
const MOST_LEFT: usize = 3;

/// Runs scripts: real processes in [`ProcessRunner`], anything in a test.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs `command` once, ends it when `stop` says so, and returns when nothing is left to wait
    /// for. Never fails: what goes wrong is the outcome. Not idempotent.
    ///
    /// Cancel safe in that dropping the future kills the process group at once.
    async fn run(&self, command: &Command, stop: Stop) -> Report;
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a Runner of a test must make one"
)]
pub struct Report {
    /// Its outcome.
    pub outcome: Outcome,
    /// The end of what it wrote to its output and error streams, at most 4 KiB.
    pub output: String,
}

/// Tells a run to stop. Dropping it lets the run go on for as long as it likes.
#[derive(Debug)]
pub struct Stopper(oneshot::Sender<()>);

/// The run's end of a [`Stopper`].
#[derive(Debug)]
pub struct Stop(oneshot::Receiver<()>);

/// A pair by which a run can be told to stop.
#[must_use]
pub fn stop() -> (Stopper, Stop) {
    let (stopper, stop) = oneshot::channel();
    (Stopper(stopper), Stop(stop))
}

impl Stopper {
    /// Tells the run to stop; one that is over does not mind.
    pub fn stop(self) {
        let _over = self.0.send(());
    }
}

impl Stop {
    /// Returns when the run is to stop.
    pub async fn requested(self) {
        if self.0.await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Why a script never ran. The text names what is at fault and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRun {
    /// The rules forbid it, or there is no such program.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The `#!` line names a program that does not exist.
    #[error("{} needs `{interpreter}`, which does not exist: correct its #! line", .script.display())]
    NoInterpreter {
        /// The script.
        script: PathBuf,
        /// The interpreter of its first line.
        interpreter: String,
    },
    /// This process has not the right to take the script's user and groups.
    #[error(
        "this daemon cannot become user {user} ({error}): start it as root or with CAP_SETUID and \
         CAP_SETGID"
    )]
    CannotBecome {
        /// The user of the script.
        user: String,
        /// The error of the system call.
        error: String,
    },
    /// A directory on the way cannot be passed by the script's user.
    #[error("user {user} may not pass {}: chmod a+x {0}", .directory.display())]
    Impassable {
        /// The directory.
        directory: PathBuf,
        /// The user of the script.
        user: String,
    },
    /// The kernel refused to start it.
    #[error("{} cannot be started: {error}", .program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The error of the system call.
        error: String,
    },
    /// Too many earlier runs could not be ended.
    #[error(
        "earlier runs cannot be ended, not even by SIGKILL: processes {processes:?} hang in the \
         kernel, most likely on a file system or a device that does not answer"
    )]
    TooManyLeft {
        /// What is left of them.
        processes: Vec<i32>,
    },
}

/// Runs scripts as processes of this machine. Needs a tokio runtime with IO and time.
///
/// The start of a process may hang (a script on a file system that does not answer), and does so
/// on a thread of tokio's blocking pool: end a runtime that ran scripts with
/// `Runtime::shutdown_timeout`.
#[derive(Debug)]
pub struct ProcessRunner {
    policy: Policy,
    limits: Limits,
    /// Runs that were given up, until they are gone.
    left: Mutex<BTreeMap<Command, Vec<Job>>>,
    advised: Mutex<BTreeSet<Command>>,
}

impl ProcessRunner {
    /// A runner that follows these rules.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            limits: Limits::DEFAULT,
            left: Mutex::default(),
            advised: Mutex::default(),
        }
    }

    /// Refuses another run of a command of which too many are left.
    async fn refuse_if_many_left(&self, command: &Command) -> Result<(), CannotRun> {
        let Some(jobs) = lock(&self.left).remove(command) else {
            return Ok(());
        };
        let mut still = Vec::new();
        let mut processes = Vec::new();
        for mut job in jobs {
            if !job.is_gone().await {
                processes.extend(job.processes().await);
                still.push(job);
            }
        }
        let refused = still.len() >= MOST_LEFT;
        if !still.is_empty() {
            lock(&self.left)
                .entry(command.clone())
                .or_default()
                .extend(still);
        }
        if refused {
            Err(CannotRun::TooManyLeft { processes })
        } else {
            Ok(())
        }
    }

    async fn give_up(&self, command: &Command, job: Job) -> Outcome {
        let processes = job.processes().await;
        error!(
            command = %command, ?processes,
            "Script {command} cannot be ended, not even by SIGKILL; it is given up"
        );
        lock(&self.left)
            .entry(command.clone())
            .or_default()
            .push(job);
        Outcome::Unkillable { processes }
    }

    fn advise_once(&self, command: &Command, job: &Job) {
        if job.advice().is_empty() || !lock(&self.advised).insert(command.clone()) {
            return;
        }
        for advice in job.advice() {
            warn!(command = %command, "Script {command}: {advice}");
        }
    }
}

#[async_trait]
impl Runner for ProcessRunner {
    async fn run(&self, command: &Command, stop: Stop) -> Report {
        if let Err(reason) = self.refuse_if_many_left(command).await {
            let outcome = Outcome::CannotRun { reason };
            return Report {
                outcome,
                output: String::new(),
            };
        }
        let mut job = Job::start(self.policy.clone(), command.clone());
        let end = supervise(&mut job, stop.requested(), self.limits).await;
        self.advise_once(command, &job);
        let output = job.take_output();
        let outcome = match end {
            End::Exited => job.finish(),
            End::Ended => {
                // Whatever the list of processes did not show.
                job.signal(Signal::SIGKILL);
                let ended = job.finish();
                let never_ran = matches!(ended, Outcome::CannotRun { .. });
                if never_ran { ended } else { Outcome::TimedOut }
            }
            End::Left => self.give_up(command, job).await,
        };
        Report { outcome, output }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "run/tests.rs"]
mod tests;
