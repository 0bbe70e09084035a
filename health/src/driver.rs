//! The place with a clock and tasks: runs a [`Fleet`] on its probes.
//!
//! One task owns the fleet; each probe is a task of its own, which is gone at its deadline. There
//! is no policy here: what follows from what is decided by the values.

use std::{
    any::Any,
    collections::BTreeMap,
    error::Error,
    fmt::{self, Debug},
    future::poll_fn,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use crate::{
    Ask, Check, CheckId, CheckReport, Fleet, FleetError, FleetEvent, FleetHandle, FleetInput,
    FleetOutput, ProbeResult, Run, Snapshot, Standing,
};

/// Events that a slow listener may lag behind before it misses some.
const EVENTS_KEPT: usize = 1024;

/// Starts a fleet without checks on the current runtime; the handle gives it some.
///
/// At most `concurrency` probes are under way at a time, see [`Fleet`]; the seed decides the jitter.
///
/// # Panics
/// There is no tokio runtime with time (and what the probes need) enabled.
pub fn spawn<S>(concurrency: NonZeroUsize, seed: u64) -> FleetHandle<S>
where
    S: Ord + Clone + Debug + Send + Sync + 'static,
{
    let (commands, command_queue) = mpsc::unbounded_channel();
    let (events, _) = broadcast::channel(EVENTS_KEPT);
    let fleet = Fleet::new(concurrency, seed);
    let (published, snapshot) = watch::channel(fleet.snapshot());
    let driver = Driver {
        fleet,
        probes: JoinSet::new(),
        under_way: BTreeMap::new(),
        commands: command_queue,
        events: events.clone(),
        published,
        proven: Vec::new(),
    };
    tokio::spawn(driver.run());
    FleetHandle::new(commands, events, snapshot)
}

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command<S> {
    Configure(Vec<Ask<S, Check>>, oneshot::Sender<Result<(), FleetError>>),
    Amend(
        Vec<S>,
        Vec<Ask<S, Check>>,
        oneshot::Sender<Result<(), FleetError>>,
    ),
    Foresee(
        Vec<Ask<S, Check>>,
        oneshot::Sender<Result<BTreeMap<S, Standing>, FleetError>>,
    ),
    Input(FleetInput<S>),
    Report(oneshot::Sender<Vec<CheckReport<S, Check>>>),
    End,
}

struct Driver<S: Ord> {
    fleet: Fleet<S, Check>,
    probes: JoinSet<(CheckId, Run, ProbeResult)>,
    under_way: BTreeMap<CheckId, (Run, AbortHandle)>,
    commands: mpsc::UnboundedReceiver<Command<S>>,
    events: broadcast::Sender<FleetEvent<S>>,
    published: watch::Sender<Snapshot<S>>,
    /// What is shown by probes and not yet in the snapshot.
    proven: Vec<S>,
}

enum Wake<S> {
    Command(Option<Command<S>>),
    Ended(CheckId, Run, ProbeResult),
    GivenUp,
    Time,
}

impl<S> Driver<S>
where
    S: Ord + Clone + Debug + Send + Sync + 'static,
{
    async fn run(mut self) {
        loop {
            match self.wake().await {
                Wake::Command(None | Some(Command::End)) => break,
                Wake::Command(Some(command)) => self.on_command(command),
                Wake::Ended(id, run, result) => {
                    self.handle(FleetInput::Outcome { id, run, result });
                }
                Wake::GivenUp => {}
                Wake::Time => self.handle(FleetInput::Timeout),
            }
            let events = self.work_off();
            self.publish(&events);
            self.tell(events);
        }
        self.probes.shutdown().await;
    }

    /// Waits for what is next.
    async fn wake(&mut self) -> Wake<S> {
        let deadline = self.fleet.poll_timeout().map(Instant::from_std);
        tokio::select! {
            biased;
            // First, so that answers do not keep deadlines from being met.
            () = until(deadline) => Wake::Time,
            command = self.commands.recv() => Wake::Command(command),
            Some(ended) = self.probes.join_next() => match ended {
                Ok((id, run, result)) => Wake::Ended(id, run, result),
                Err(_) => Wake::GivenUp,
            },
        }
    }

    fn on_command(&mut self, command: Command<S>) {
        match command {
            Command::Configure(asked, reply) => {
                let configured = self.fleet.configure(asked, now().into_std());
                if configured.is_ok() {
                    let events = self.work_off();
                    let snapshot = self.fleet.snapshot();
                    self.published.send_if_modified(|published| {
                        let differs = *published != snapshot;
                        *published = snapshot;
                        differs
                    });
                    self.tell(events);
                }
                // Nobody waits for the answer any more: it was given all the same.
                drop(reply.send(configured));
            }
            Command::Amend(gone, asked, reply) => {
                let named = gone.iter().chain(asked.iter().map(|ask| &ask.service));
                let named: Vec<S> = named.cloned().collect();
                let amended = self.fleet.amend(gone, asked, now().into_std());
                if amended.is_ok() {
                    let events = self.work_off();
                    self.published
                        .send_if_modified(|snapshot| self.fleet.update(snapshot, &named));
                    self.tell(events);
                }
                // Nobody waits for the answer any more: it was given all the same.
                drop(reply.send(amended));
            }
            Command::Foresee(asked, reply) => drop(reply.send(self.fleet.foresee(asked))),
            Command::Input(input) => self.handle(input),
            Command::Report(reply) => drop(reply.send(self.fleet.reports().collect())),
            Command::End => {}
        }
    }

    fn handle(&mut self, input: FleetInput<S>) {
        if let FleetInput::Outcome { id, run, .. } = &input
            && self
                .under_way
                .get(id)
                .is_some_and(|(current, _)| current == run)
        {
            self.under_way.remove(id);
        }
        self.fleet.handle(input, now().into_std());
    }

    /// Does what the fleet wants done and returns what it wants told, which is not to be told
    /// before all of it is in the snapshot.
    fn work_off(&mut self) -> Vec<FleetEvent<S>> {
        let mut events = Vec::new();
        while let Some(output) = self.fleet.poll_output() {
            match output {
                FleetOutput::Probe {
                    id,
                    run,
                    mut probe,
                    step,
                    ..
                } => {
                    probe.target.step = step;
                    let task = self.probes.spawn(probed(id, run, probe));
                    self.under_way.insert(id, (run, task));
                }
                FleetOutput::Abandon { id, run } => {
                    if let Some((current, task)) = self.under_way.get(&id)
                        && *current == run
                    {
                        task.abort();
                        self.under_way.remove(&id);
                    }
                }
                FleetOutput::Changed {
                    service,
                    from,
                    to,
                    because,
                } => {
                    debug!(
                        ?service,
                        ?from,
                        ?to,
                        because = because.as_ref().map(tracing::field::display),
                        "health"
                    );
                    events.push(FleetEvent::Changed {
                        service,
                        from,
                        to,
                        because,
                    });
                }
                FleetOutput::Weighed { service, weight } => {
                    events.push(FleetEvent::Weighed { service, weight });
                }
                FleetOutput::Proven { service } => self.proven.push(service),
            }
        }
        events
    }

    /// Changes the snapshot in one step for all of the events.
    fn publish(&mut self, events: &[FleetEvent<S>]) {
        let proven = std::mem::take(&mut self.proven);
        let services = events.iter().map(FleetEvent::service).chain(&proven);
        self.published
            .send_if_modified(|snapshot| self.fleet.update(snapshot, services));
    }

    fn tell(&self, events: Vec<FleetEvent<S>>) {
        for event in events {
            // An error means that nobody listens.
            drop(self.events.send(event));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the driver, which has the clock"
)]
fn now() -> Instant {
    Instant::now()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Probes once. A probe that panics has failed, and nothing else has.
async fn probed(id: CheckId, run: Run, check: Check) -> (CheckId, Run, ProbeResult) {
    // Within a future of ours, as the call alone can panic too.
    let mut probe = pin!(async { check.probe.probe(&check.target).await });
    let result =
        poll_fn(
            |context| match catch_unwind(AssertUnwindSafe(|| probe.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(shared)),
                Err(panic) => Poll::Ready(Err(shared(Panicked::new(&*panic)))),
            },
        );
    let result = result.await;
    if let Err(error) = &result
        && error.is::<Panicked>()
    {
        warn!(target = %check.target, "a probe has a defect: {error}");
    }
    (id, run, result)
}

fn shared(error: impl Error + Send + Sync + 'static) -> Arc<dyn Error + Send + Sync> {
    Arc::new(error)
}

/// A probe that panicked.
#[derive(Debug)]
struct Panicked {
    message: String,
}

impl Panicked {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Self {
            message: text.unwrap_or_else(|| "without a message".to_owned()),
        }
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the probe panicked: {}", self.message)
    }
}

impl Error for Panicked {}
