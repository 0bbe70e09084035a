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

mod event;
mod queue;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinSet};
use tokio::time::timeout;
use tracing::{debug, error, warn};

pub use self::event::{Event, Notification, NotifyDeleted, Scripts, Subject};
pub use self::queue::Limits;
use self::queue::{Input, Output, Queue};
use crate::script::clock::{now, sleep_until};
use crate::script::command::Command;
use crate::script::fifo::{About, FifoConfig, Fifos};
use crate::script::run::{Report, Runner, Stopper, stop};

enum Message {
    Notify(Notification),
    Run(Subject, Command),
    Service(String),
    OpenFifos(Vec<FifoConfig>),
    KeepFifos(Vec<FifoConfig>),
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

    /// Writes a line about a virtual server or a real server to the FIFOs that are told of them.
    /// Never blocks.
    pub fn service(&self, line: String) {
        self.send(Message::Service(line));
    }

    /// Opens the FIFOs that are not open yet; the others stay. Never blocks: what cannot be opened
    /// is told in the log. Follow it by [`keep_fifos`](Self::keep_fifos).
    pub fn open_fifos(&self, wanted: Vec<FifoConfig>) {
        self.send(Message::OpenFifos(wanted));
    }

    /// Closes the FIFOs that are not wanted, and opens anew those that shall be otherwise. Never
    /// blocks.
    pub fn keep_fifos(&self, wanted: Vec<FifoConfig>) {
        self.send(Message::KeepFifos(wanted));
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
    fifos: Fifos,
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
            fifos: Fifos::new(Arc::clone(&runner)),
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
                Some(Message::Service(line)) => self.fifos.write(About::Services, &line),
                Some(Message::OpenFifos(wanted)) => self.fifos.open(wanted),
                Some(Message::KeepFifos(wanted)) => self.fifos.keep(wanted),
                Some(Message::Configure(scripts)) => self.scripts = scripts,
                Some(Message::Shutdown { within, done }) => {
                    let _nobody_waits = done.send(self.finish(within).await);
                    return;
                }
                None => {
                    while !self.lanes.is_empty() {
                        self.step().await;
                    }
                    self.fifos.close().await;
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
        let fifos = self.fifos.close();
        let all = async {
            while !self.lanes.is_empty() {
                self.step().await;
            }
        };
        let (all, fifos) = tokio::join!(timeout(within, all), timeout(within, fifos));
        if fifos.is_err() {
            error!("a FIFO or its script was not done within {within:?} of the shutdown");
        }
        if all.is_ok() {
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
        let none = Scripts::default();
        let scripts = self.scripts.get(&notification.subject).unwrap_or(&none);
        if let Some(line) = scripts.line(notification) {
            self.fifos.write(About::Roles, &line);
        }
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
