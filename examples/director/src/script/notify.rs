//! `notify*` scripts: told of a role in the order of the events, and never in the way of them.
//!
//! * [`Notifier::notify`] puts an event into a channel and returns: the VRRP thread cannot be held
//!   up by a script.
//! * The scripts of one instance, and of one sync group, run strictly in the order of the events,
//!   one at a time; `notify_master` and its like before `notify`. Different instances and groups
//!   run side by side. (keepalived starts all of them at once, in no order.)
//! * Every event is told: states do not collapse, since a script may count on seeing each change.
//!   The one exception is bounded memory: when 256 wait for one instance, the oldest of them is
//!   dropped, with an error in the log. The latest state is always told.
//! * A script may run for as long as it likes while nothing waits behind it. Once another one
//!   waits, it gets a minute from its start and is then ended with its process group, so that a
//!   script that hangs delays its successor by a minute and never stops the queue. (keepalived
//!   lets it hang and starts the next one beside it.)
//! * [`Notifier::shutdown`] runs what is queued, the notifications of the stop among it, and
//!   waits for it no longer than it is told to.

mod queue;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};
use tracing::{debug, error, warn};

pub use self::queue::Limits;
use self::queue::{Input, Output, Queue};
use crate::script::clock::{now, sleep_until};
use crate::script::command::Command;
use crate::script::run::{Report, Runner, Stopper, stop};

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the first word `notify` appends")]
pub enum Subject {
    /// A `vrrp_instance`, by name.
    Instance(String),
    /// A `vrrp_sync_group`, by name.
    Group(String),
    /// A `virtual_server`, by what it is written for. It has no roles, only scripts of its own.
    VirtualServer(String),
}

impl Subject {
    const fn parts(&self) -> (&'static str, &String) {
        match self {
            Self::Instance(name) => ("INSTANCE", name),
            Self::Group(name) => ("GROUP", name),
            Self::VirtualServer(name) => ("VIRTUAL_SERVER", name),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind} {name}")
    }
}

/// What happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the events that keepalived notifies of"
)]
pub enum Event {
    /// It became master.
    Master,
    /// It became backup.
    Backup,
    /// It went to fault.
    Fault,
    /// The daemon stops.
    Stop,
    /// A reload removed it.
    Deleted,
    /// As master it received an advertisement of lower priority. `notify` is not told.
    MasterRxLowerPriority,
}

/// An event to tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever sees the event")]
pub struct Notification {
    /// Whom it is about.
    pub subject: Subject,
    /// What happened.
    pub event: Event,
    /// The effective priority; of a group 0 is told, whatever stands here.
    pub priority: u8,
}

/// `notify_deleted` of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the keyword is absent, alone or with a script"
)]
pub enum NotifyDeleted {
    /// Not set: `notify` is told FAULT, and no script of an event runs.
    #[default]
    Absent,
    /// Set without a script: `notify` is told DELETED.
    Alone,
    /// Set with a script, which runs before `notify` is told DELETED.
    Script(Command),
}

/// The `notify*` scripts of an instance or a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "one field for each keyword")]
pub struct Scripts {
    /// `notify_master`
    pub master: Option<Command>,
    /// `notify_backup`
    pub backup: Option<Command>,
    /// `notify_fault`
    pub fault: Option<Command>,
    /// `notify_stop`
    pub stop: Option<Command>,
    /// `notify_deleted`
    pub deleted: NotifyDeleted,
    /// `notify_master_rx_lower_pri`
    pub master_rx_lower_priority: Option<Command>,
    /// `notify`: told of every change of state.
    pub any: Option<Command>,
}

impl Scripts {
    /// What runs for an event, in order.
    ///
    /// The scripts of one event get exactly the configured words, `notify` has
    /// `INSTANCE|GROUP NAME STATE PRIORITY` appended (observed with keepalived 2.2.7).
    #[must_use]
    pub fn commands(&self, notification: &Notification) -> Vec<Command> {
        let (own, state) = match notification.event {
            Event::Master => (self.master.as_ref(), Some("MASTER")),
            Event::Backup => (self.backup.as_ref(), Some("BACKUP")),
            Event::Fault => (self.fault.as_ref(), Some("FAULT")),
            Event::Stop => (self.stop.as_ref(), Some("STOP")),
            Event::Deleted => match &self.deleted {
                NotifyDeleted::Absent => (None, Some("FAULT")),
                NotifyDeleted::Alone => (None, Some("DELETED")),
                NotifyDeleted::Script(script) => (Some(script), Some("DELETED")),
            },
            Event::MasterRxLowerPriority => (self.master_rx_lower_priority.as_ref(), None),
        };
        let any = self.any.as_ref().zip(state).map(|(any, state)| {
            let (kind, name) = notification.subject.parts();
            let priority = match notification.subject {
                Subject::Instance(_) => notification.priority,
                Subject::Group(_) | Subject::VirtualServer(_) => 0,
            };
            any.clone()
                .with_args([kind, name, state, &priority.to_string()])
        });
        own.cloned().into_iter().chain(any).collect()
    }
}

enum Message {
    Notify(Notification),
    Run(Subject, Command),
    Configure(BTreeMap<Subject, Scripts>),
    Shutdown {
        within: Duration,
        done: oneshot::Sender<Vec<Command>>,
    },
}

/// Runs the scripts. Cheap to clone; every clone feeds the same queues.
///
/// When the last clone is dropped without [`shutdown`](Self::shutdown), what is queued still runs
/// in the background for as long as the runtime lives.
#[derive(Debug, Clone)]
pub struct Notifier {
    messages: mpsc::UnboundedSender<Message>,
}

impl Notifier {
    /// Starts without any scripts: see [`configure`](Self::configure).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(runner: Arc<dyn Runner>, limits: Limits) -> Self {
        let (messages, inbox) = mpsc::unbounded_channel();
        let driver = Driver::new(runner, limits);
        // It ends with the shutdown, or when the last sender is gone.
        tokio::spawn(driver.drive(inbox));
        Self { messages }
    }

    /// Replaces the scripts of all instances and groups, from the next event on: what is queued
    /// runs as it was configured. Tell of [`Event::Deleted`] before. Never blocks.
    pub fn configure(&self, scripts: BTreeMap<Subject, Scripts>) {
        self.send(Message::Configure(scripts));
    }

    /// Tells of an event. Never blocks; may be called from any thread.
    pub fn notify(&self, notification: Notification) {
        self.send(Message::Notify(notification));
    }

    /// Runs a script behind the others of its subject. Never blocks; may be called from any thread.
    pub fn run(&self, subject: Subject, script: Command) {
        self.send(Message::Run(subject, script));
    }

    /// Waits until everything told so far has run, at most `within`; what is still running then
    /// is killed. Returns what has not run to its end. A script that others wait for gets half of
    /// that time. Events told afterwards are lost.
    pub async fn shutdown(&self, within: Duration) -> Vec<Command> {
        let (done, unfinished) = oneshot::channel();
        self.send(Message::Shutdown { within, done });
        unfinished.await.unwrap_or_default()
    }

    fn send(&self, message: Message) {
        if self.messages.send(message).is_err() {
            debug!("notification after the shutdown");
        }
    }
}

struct Driver {
    runner: Arc<dyn Runner>,
    limits: Limits,
    scripts: BTreeMap<Subject, Scripts>,
    lanes: BTreeMap<Subject, Lane>,
    runs: JoinSet<Report>,
    subjects: BTreeMap<task::Id, Subject>,
}

/// One queue and what runs of it.
struct Lane {
    queue: Queue<Command>,
    running: Option<(Command, Option<Stopper>)>,
}

impl Driver {
    fn new(runner: Arc<dyn Runner>, limits: Limits) -> Self {
        let (scripts, lanes, subjects) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            runner,
            limits,
            scripts,
            lanes,
            runs: JoinSet::new(),
            subjects,
        }
    }

    async fn drive(mut self, mut inbox: mpsc::UnboundedReceiver<Message>) {
        loop {
            let message = tokio::select! {
                message = inbox.recv() => message,
                () = self.step() => continue,
            };
            match message {
                Some(Message::Notify(notification)) => self.on_notification(&notification),
                Some(Message::Run(subject, script)) => self.handle(&subject, Input::Push(script)),
                Some(Message::Configure(scripts)) => self.scripts = scripts,
                Some(Message::Shutdown { within, done }) => {
                    let _nobody_waits = done.send(self.finish(within).await);
                    return;
                }
                None => {
                    while !self.lanes.is_empty() {
                        self.step().await;
                    }
                    return;
                }
            }
        }
    }

    /// Waits for the end of a run or the end of patience and acts on it. Cancel safe.
    async fn step(&mut self) {
        let timeout = self
            .lanes
            .values()
            .filter_map(|lane| lane.queue.poll_timeout())
            .min();
        tokio::select! {
            Some(ended) = self.runs.join_next_with_id() => match ended {
                Ok((task, report)) => self.on_ended(task, Ok(report)),
                Err(error) => self.on_ended(error.id(), Err(error)),
            },
            () = sleep_until(timeout) => {
                for subject in self.lanes.keys().cloned().collect::<Vec<_>>() {
                    self.handle(&subject, Input::Timeout);
                }
            }
        }
    }

    async fn finish(&mut self, within: Duration) -> Vec<Command> {
        for subject in self.lanes.keys().cloned().collect::<Vec<_>>() {
            self.handle(&subject, Input::Hurry(within / 2));
        }
        let all = async {
            while !self.lanes.is_empty() {
                self.step().await;
            }
        };
        if tokio::time::timeout(within, all).await.is_ok() {
            return Vec::new();
        }
        let mut unfinished = Vec::new();
        for (subject, lane) in std::mem::take(&mut self.lanes) {
            let running = lane.running.map(|(command, _)| command);
            for command in running.into_iter().chain(lane.queue.waiting().cloned()) {
                error!(
                    subject = %subject, command = %command,
                    "({subject}) notify script {command} was not done within {within:?} of the \
                     shutdown"
                );
                unfinished.push(command);
            }
        }
        self.runs.shutdown().await;
        unfinished
    }

    fn on_notification(&mut self, notification: &Notification) {
        let Some(scripts) = self.scripts.get(&notification.subject) else {
            return;
        };
        for command in scripts.commands(notification) {
            self.handle(&notification.subject, Input::Push(command));
        }
    }

    fn on_ended(&mut self, task: task::Id, ended: Result<Report, task::JoinError>) {
        let Some(subject) = self.subjects.remove(&task) else {
            return;
        };
        let running = self
            .lanes
            .get_mut(&subject)
            .and_then(|lane| lane.running.take());
        if let Some((command, _)) = running {
            match ended {
                Ok(report) => log_end(&subject, &command, &report),
                Err(error) => error!(
                    subject = %subject, command = %command, %error,
                    "({subject}) notify script {command} was lost: {error}"
                ),
            }
        }
        self.handle(&subject, Input::Finished);
    }

    fn handle(&mut self, subject: &Subject, input: Input<Command>) {
        let limits = self.limits;
        let lane = self.lanes.entry(subject.clone()).or_insert_with(|| Lane {
            queue: Queue::new(limits),
            running: None,
        });
        lane.queue.handle(input, now());
        while let Some(output) = lane.queue.poll_output() {
            match output {
                Output::Run(command) => {
                    debug!(subject = %subject, command = %command, "({subject}) runs {command}");
                    let (stopper, stop) = stop();
                    lane.running = Some((command.clone(), Some(stopper)));
                    let runner = Arc::clone(&self.runner);
                    let task = self
                        .runs
                        .spawn(async move { runner.run(&command, stop).await });
                    self.subjects.insert(task.id(), subject.clone());
                }
                Output::Terminate => {
                    if let Some((command, stopper)) = &mut lane.running {
                        warn!(
                            subject = %subject, command = %command,
                            "({subject}) notify script {command} hangs while others wait for it; \
                             ending it"
                        );
                        if let Some(stopper) = stopper.take() {
                            stopper.stop();
                        }
                    }
                }
                Output::Dropped(command) => error!(
                    subject = %subject, command = %command,
                    "({subject}) notify script {command} will not run: {} others wait",
                    limits.most_waiting
                ),
            }
        }
        if lane.queue.is_empty() {
            self.lanes.remove(subject);
        }
    }
}

fn log_end(subject: &Subject, command: &Command, report: &Report) {
    let Report { outcome, output } = report;
    if outcome.is_success() {
        debug!(subject = %subject, command = %command, output, "({subject}) {command} {outcome}");
    } else {
        warn!(
            subject = %subject, command = %command, output,
            "({subject}) notify script {command} {outcome}"
        );
    }
}

#[cfg(test)]
#[path = "notify/tests.rs"]
mod tests;
