//! The place with a clock and a task: runs a [`Reconciler`] on an [`IpvsBackend`].
//!
//! There is no policy here: what follows from what is decided by the values.

use std::{error::Error, future::pending, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tracing::debug;

use crate::{
    Change, IpvsBackend, Ownership, ReconcileEvent, ReconcileInput, ReconcileOutput,
    ReconcilePolicy, Reconciler, Table,
    handle::{Leaving, Shutdown, TableHandle, TableStatus},
};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 4096;

/// The longest that a backend may take for one call. It counts as not having answered then, and is
/// asked again later.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Starts keeping a table on the current runtime: nothing is removed before the handle is told what
/// is desired. See [`Reconciler::new`] for `owned`.
///
/// # Panics
/// There is no tokio runtime with time enabled.
pub fn spawn(
    backend: Arc<dyn IpvsBackend>,
    policy: ReconcilePolicy,
    owned: Ownership,
) -> TableHandle {
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let (published, status) = watch::channel(TableStatus::default());
    let driver = Driver {
        backend,
        reconciler: Reconciler::new(policy, owned, now().into_std()),
        effect: None,
        commands: command_queue,
        events: events.clone(),
        published,
        revision: 0,
        ending: false,
    };
    tokio::spawn(driver.run());
    TableHandle::new(commands, events, status)
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Input(ReconcileInput),
    End(Shutdown),
}

struct Driver {
    backend: Arc<dyn IpvsBackend>,
    reconciler: Reconciler,
    /// The call that is under way.
    effect: Option<Effect>,
    commands: mpsc::UnboundedReceiver<Command>,
    events: broadcast::Sender<ReconcileEvent>,
    published: watch::Sender<TableStatus>,
    /// How often it was told what is desired.
    revision: u64,
    /// Whether it ends once the table is as desired.
    ending: bool,
}

type Effect = Pin<Box<dyn Future<Output = ReconcileInput> + Send>>;

impl Driver {
    async fn run(mut self) {
        loop {
            self.work_off();
            if self.ending && self.is_at_rest() {
                return;
            }
            let deadline = self.reconciler.poll_timeout().map(Instant::from_std);
            let input = tokio::select! {
                biased;
                input = answer(&mut self.effect) => {
                    self.effect = None;
                    input
                }
                command = self.commands.recv(), if !self.ending => match command {
                    Some(Command::Input(input)) => input,
                    None | Some(Command::End(Shutdown::Leave)) => return,
                    Some(Command::End(Shutdown::Remove(removal))) => {
                        self.ending = true;
                        let table = Table::default();
                        let nothing = ReconcileInput::Desired { table, removal };
                        self.reconciler.handle(nothing, now().into_std());
                        ReconcileInput::Leave(removal)
                    }
                },
                () = until(deadline) => ReconcileInput::Timeout,
            };
            if matches!(input, ReconcileInput::Desired { .. }) {
                self.revision += 1;
            }
            self.reconciler.handle(input, now().into_std());
        }
    }

    fn is_at_rest(&self) -> bool {
        self.effect.is_none()
            && self.reconciler.is_converged()
            && self.reconciler.leaving().next().is_none()
    }

    /// Does and tells what the reconciler says. Events are told once the status knows of them.
    fn work_off(&mut self) {
        let mut events = Vec::new();
        while let Some(output) = self.reconciler.poll_output() {
            match output {
                ReconcileOutput::Read => self.effect = Some(read(Arc::clone(&self.backend))),
                ReconcileOutput::Apply(changes) => {
                    self.effect = Some(apply(Arc::clone(&self.backend), changes));
                }
                ReconcileOutput::Event(event) => events.push(event),
            }
        }
        self.publish(&events);
        for event in events {
            debug!(?event, "table");
            // An error means that nobody listens.
            drop(self.events.send(event));
        }
    }

    fn publish(&self, events: &[ReconcileEvent]) {
        let leaving = self.reconciler.leaving();
        let leaving: Vec<Leaving> = leaving
            .map(|(service, destination, drain)| Leaving {
                service,
                destination,
                counts: drain.counts(),
            })
            .collect();
        let refused = self.reconciler.refused().cloned().collect();
        let is_converged = self.reconciler.is_converged();
        self.published.send_if_modified(|status| {
            let before = status.clone();
            for event in events {
                status.note(event);
            }
            status.revision = self.revision;
            status.is_converged = is_converged;
            status.refused = refused;
            status.leaving = leaving;
            *status != before
        });
    }
}

fn read(backend: Arc<dyn IpvsBackend>) -> Effect {
    Box::pin(async move {
        match timeout(ANSWER_TIMEOUT, backend.snapshot()).await {
            Ok(Ok(snapshot)) => ReconcileInput::Read(snapshot),
            Ok(Err(error)) => ReconcileInput::NotRead {
                because: chain(&error),
            },
            Err(_) => ReconcileInput::NotRead {
                because: silence("read the table"),
            },
        }
    })
}

fn apply(backend: Arc<dyn IpvsBackend>, changes: Vec<Change>) -> Effect {
    Box::pin(async move {
        match timeout(ANSWER_TIMEOUT, backend.apply(&changes)).await {
            Ok(Ok(outcomes)) => ReconcileInput::Applied(outcomes),
            Ok(Err(error)) => ReconcileInput::NotApplied {
                because: chain(&error),
            },
            Err(_) => ReconcileInput::NotApplied {
                because: silence("change the table"),
            },
        }
    })
}

fn silence(operation: &str) -> String {
    format!("cannot {operation}: there was no answer within {ANSWER_TIMEOUT:?}")
}

/// An error and all its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

async fn answer(effect: &mut Option<Effect>) -> ReconcileInput {
    match effect {
        Some(effect) => effect.await,
        None => pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the driver, which has the clock"
)]
fn now() -> Instant {
    Instant::now()
}
