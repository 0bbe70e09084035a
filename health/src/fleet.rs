//! Many checkers: one timer, a limit of probes at a time, one probe for all who ask for the same.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use crate::{CheckConfig, Checker, Health, Histogram, Input, Output, Run, Success};

mod types;
mod wishes;

pub use types::{
    Ask, CheckId, CheckReport, Failure, FleetError, FleetInput, FleetOutput, PastProbe,
    ProbeResult, Snapshot, Standing,
};

/// Many [`Checker`]s, driven as one of them is: [`handle`](Self::handle), then
/// [`poll_output`](Self::poll_output) to `None`, then wait for
/// [`poll_timeout`](Self::poll_timeout).
///
/// At most `concurrency` probes are under way at a time; those that are due wait for their turn in
/// order. A server that swallows packets occupies one until its deadline: a fleet in which `n` may
/// do so at once needs more than `n × timeout ÷ interval`.
#[derive(Debug)]
pub struct Fleet<S, P> {
    concurrency: NonZeroUsize,
    seed: u64,
    checks: BTreeMap<CheckId, Check<S, P>>,
    ids_by_probe: BTreeMap<P, BTreeMap<CheckConfig, CheckId>>,
    id_by_service: BTreeMap<S, CheckId>,
    /// The next deadline of each checker that is not in `ready`.
    timers: BTreeSet<(Instant, CheckId)>,
    /// Checkers whose probe is due and that wait for others to end; some may be gone.
    ready: VecDeque<CheckId>,
    running: usize,
    paused: BTreeSet<S>,
    next_id: u64,
    revision: u64,
    outputs: VecDeque<FleetOutput<S, P>>,
}

#[derive(Debug)]
struct Check<S, P> {
    probe: P,
    checker: Checker,
    services: BTreeSet<S>,
    timer: Option<Instant>,
    changed_at: Option<Instant>,
    last_run_at: Option<Instant>,
    last_failure: Option<Failure>,
    last_success: Success,
    recent: VecDeque<PastProbe>,
    latency: Histogram,
    lateness: Histogram,
}

impl<S, P> Check<S, P> {
    const fn standing(&self) -> Standing {
        Standing {
            health: self.checker.health(),
            weight: self.last_success.weight,
            is_proven: self.checker.is_proven(),
        }
    }

    /// Notes that a probe has ended.
    fn note(&mut self, failure: Option<Failure>, now: Instant) {
        let began_at = self.last_run_at.unwrap_or(now);
        let took = now.saturating_duration_since(began_at);
        if self.recent.len() == PastProbe::KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(PastProbe {
            began_at,
            took,
            failure: failure.clone(),
        });
        if failure.is_some() {
            self.last_failure = failure;
        }
    }
}

impl<S: Ord + Clone + Debug, P: Ord + Clone> Fleet<S, P> {
    /// A fleet without checkers. The seed decides the jitter.
    #[must_use]
    pub const fn new(concurrency: NonZeroUsize, seed: u64) -> Self {
        Self {
            concurrency,
            seed,
            checks: BTreeMap::new(),
            ids_by_probe: BTreeMap::new(),
            id_by_service: BTreeMap::new(),
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            running: 0,
            paused: BTreeSet::new(),
            next_id: 0,
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what has happened.
    pub fn handle(&mut self, input: FleetInput<S>, now: Instant) {
        match input {
            FleetInput::Timeout => {}
            FleetInput::Outcome { id, run, result } => self.on_outcome(id, run, result, now),
            FleetInput::Pause(service) => {
                let id = self.id_by_service.get(&service).copied();
                self.paused.insert(service);
                id.into_iter().for_each(|id| self.settle_pause(id, now));
            }
            FleetInput::Resume(service) => {
                self.paused.remove(&service);
                let id = self.id_by_service.get(&service).copied();
                id.into_iter().for_each(|id| self.settle_pause(id, now));
            }
            FleetInput::ProbeNow(service) => {
                // One without a timer has its turn already, or is paused.
                if let Some(id) = self.id_by_service.get(&service)
                    && let Some(check) = self.checks.get(id)
                    && check.timer.is_some()
                {
                    self.step(*id, Input::ProbeNow, None, now);
                }
            }
        }
        while let Some(&(at, id)) = self.timers.first()
            && at <= now
        {
            self.on_timer(id, now);
        }
        self.start_ready(now);
    }

    /// The next thing to do or to tell, in order; `None` when that was all.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<FleetOutput<S, P>> {
        self.outputs.pop_front()
    }

    /// When to hand it [`FleetInput::Timeout`]; `None` if there is nothing to wait for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// What is known of all that was asked for, as of the last [`handle`](Self::handle).
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<S> {
        let standings = self.checks.values().flat_map(|check| {
            let standing = check.standing();
            let services = check.services.iter();
            services.map(move |service| (service.clone(), standing))
        });
        Snapshot {
            revision: self.revision,
            standings: standings.collect(),
        }
    }

    /// Brings a snapshot up to date by what is known of these services; the others are as it says.
    /// Tells whether it was not.
    pub fn update<'a>(
        &self,
        snapshot: &mut Snapshot<S>,
        services: impl IntoIterator<Item = &'a S>,
    ) -> bool
    where
        S: 'a,
    {
        let before = std::mem::replace(&mut snapshot.revision, self.revision);
        for service in services {
            match self.standing(service) {
                Some(standing) => snapshot.standings.insert(service.clone(), standing),
                None => snapshot.standings.remove(service),
            };
        }
        before != self.revision
    }

    /// What is known of one service; `None` if nobody asks for it.
    #[must_use]
    pub fn standing(&self, service: &S) -> Option<Standing> {
        let check = self.checks.get(self.id_by_service.get(service)?)?;
        Some(check.standing())
    }

    /// The [`Snapshot::revision`] of a snapshot taken now.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// How many probes are under way.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// How each checker stands, in the order they were made.
    pub fn reports(&self) -> impl Iterator<Item = CheckReport<S, P>> {
        self.checks.iter().map(|(id, check)| CheckReport {
            id: *id,
            probe: check.probe.clone(),
            config: check.checker.config().clone(),
            services: check.services.iter().cloned().collect(),
            standing: check.standing(),
            warning: check.last_success.warning.clone(),
            changed_at: check.changed_at,
            last_run_at: check.last_run_at,
            next_run_at: match check.checker.running() {
                Some(_) => None,
                None => check.checker.poll_timeout(),
            },
            is_running: check.checker.running().is_some(),
            last_failure: check.last_failure.clone(),
            streak: check.checker.streak(),
            recent: check.recent.iter().cloned().collect(),
            latency: check.latency.clone(),
            lateness: check.lateness.clone(),
            counters: *check.checker.counters(),
        })
    }

    fn on_timer(&mut self, id: CheckId, now: Instant) {
        let Some(check) = self.checks.get_mut(&id) else {
            return;
        };
        if check.checker.running().is_some() {
            self.step(id, Input::Timeout, None, now);
        } else if let Some(at) = check.timer.take() {
            self.timers.remove(&(at, id));
            self.ready.push_back(id);
        }
    }

    fn start_ready(&mut self, now: Instant) {
        while self.running < self.concurrency.get()
            && let Some(id) = self.ready.pop_front()
        {
            self.step(id, Input::Timeout, None, now);
        }
    }

    fn on_outcome(&mut self, id: CheckId, run: Run, result: ProbeResult, now: Instant) {
        let passed = result.is_ok();
        self.step(id, Input::Outcome { run, passed }, Some(result), now);
    }

    /// A checker rests while all who ask for it are paused.
    fn settle_pause(&mut self, id: CheckId, now: Instant) {
        let Some(check) = self.checks.get(&id) else {
            return;
        };
        let all_paused = check.services.is_subset(&self.paused);
        let is_paused = check.checker.poll_timeout().is_none();
        match (all_paused, is_paused) {
            (true, false) => self.step(id, Input::Pause, None, now),
            (false, true) => self.step(id, Input::Resume, None, now),
            (true, true) | (false, false) => {}
        }
    }

    /// Hands one checker an input and takes what it wants. The only place where probes are counted.
    fn step(&mut self, id: CheckId, input: Input, result: Option<ProbeResult>, now: Instant) {
        let Some(check) = self.checks.get_mut(&id) else {
            return;
        };
        let (was_running, before) = (check.checker.running(), *check.checker.counters());
        let due = check.checker.poll_timeout();
        let was_proven = check.checker.is_proven();
        check.checker.handle(input, now);
        if check.checker.is_proven() != was_proven {
            self.revision += 1;
            self.outputs.extend(check.services.iter().map(|service| {
                let service = service.clone();
                FleetOutput::Proven { service }
            }));
        }
        let counters = check.checker.counters();
        if counters.timed_out > before.timed_out {
            let timeout = check.checker.config().timeout;
            check.note(Some(Failure::TimedOut(timeout)), now);
        } else if counters.passed + counters.failed > before.passed + before.failed {
            let began = check.last_run_at.unwrap_or(now);
            check.latency.count(now.saturating_duration_since(began));
            match result {
                Some(Ok(success)) => {
                    if success.weight != check.last_success.weight {
                        let weight = success.weight;
                        self.revision += 1;
                        self.outputs.extend(check.services.iter().map(|service| {
                            let service = service.clone();
                            FleetOutput::Weighed { service, weight }
                        }));
                    }
                    check.last_success = success;
                    check.note(None, now);
                }
                Some(Err(error)) => check.note(Some(Failure::Probe(error)), now),
                None => {}
            }
        }
        if was_running.is_some() && check.checker.running() != was_running {
            self.running -= 1;
        }
        while let Some(output) = check.checker.poll_output() {
            match output {
                Output::Probe {
                    run,
                    step,
                    deadline,
                } => {
                    self.running += 1;
                    check.last_run_at = Some(now);
                    let late = due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
                    check.lateness.count(late);
                    let probe = check.probe.clone();
                    self.outputs.push_back(FleetOutput::Probe {
                        id,
                        run,
                        probe,
                        step,
                        deadline,
                    });
                }
                Output::Abandon { run } => {
                    self.outputs.push_back(FleetOutput::Abandon { id, run });
                }
                Output::Changed { from, to } => {
                    self.revision += 1;
                    check.changed_at = Some(now);
                    let because = (to == Health::Down).then(|| check.last_failure.clone());
                    let because = because.flatten();
                    self.outputs.extend(check.services.iter().map(|service| {
                        let (service, because) = (service.clone(), because.clone());
                        FleetOutput::Changed {
                            service,
                            from,
                            to,
                            because,
                        }
                    }));
                }
            }
        }
        self.arm(id);
    }

    fn arm(&mut self, id: CheckId) {
        let Some(check) = self.checks.get_mut(&id) else {
            return;
        };
        let timer = check.checker.poll_timeout();
        if check.timer != timer {
            if let Some(at) = check.timer {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = timer {
                self.timers.insert((at, id));
            }
            check.timer = timer;
        }
    }

    fn failure_of(&self, service: &S) -> Option<Failure> {
        let check = self.checks.get(self.id_by_service.get(service)?)?;
        match check.checker.health() {
            Health::Down => check.last_failure.clone(),
            Health::Unknown | Health::Up => None,
        }
    }
}
