//! Many checkers: one timer, a limit of probes at a time, one probe for all who ask for the same.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use crate::{CheckConfig, Checker, Health, Histogram, Input, Output, Run, random};

mod types;

pub use types::{
    Ask, CheckId, CheckReport, Failure, FleetError, FleetInput, FleetOutput, Snapshot,
};

/// 2^64 divided by the golden ratio: its multiples, modulo 2^64, are spread evenly however many
/// there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

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
    latency: Histogram,
    lateness: Histogram,
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
            next_id: 0,
            revision: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Has exactly these wishes from now on. Idempotent.
    ///
    /// What is asked for already goes on undisturbed, in whatever order it comes. A check whose
    /// configuration alone is new knows what the old one did. A service that moves from one checker
    /// to another of other health is told so.
    ///
    /// # Errors
    /// One of them is refused: then nothing has changed.
    pub fn configure(
        &mut self,
        asked: impl IntoIterator<Item = Ask<S, P>>,
        now: Instant,
    ) -> Result<(), FleetError> {
        let asked = validated(asked)?;
        let before = self.snapshot();
        let mut services: BTreeMap<CheckId, BTreeSet<S>> = BTreeMap::new();
        let mut id_by_service = BTreeMap::new();
        for (service, ask) in asked {
            let Some(id) = self.find_or_add(ask, now) else {
                continue;
            };
            services.entry(id).or_default().insert(service.clone());
            id_by_service.insert(service, id);
        }
        self.id_by_service = id_by_service;
        let all: Vec<CheckId> = self.checks.keys().copied().collect();
        for id in all {
            match (services.remove(&id), self.checks.get_mut(&id)) {
                (Some(services), Some(check)) => check.services = services,
                _ => self.remove(id),
            }
        }
        let after = self.snapshot();
        if before.health != after.health {
            self.revision += 1;
        }
        for (service, to) in after.health {
            if let Some(&from) = before.health.get(&service)
                && from != to
            {
                let because = self.failure_of(&service);
                self.outputs.push_back(FleetOutput::Changed {
                    service,
                    from,
                    to,
                    because,
                });
            }
        }
        self.start_ready(now);
        Ok(())
    }

    /// Takes what has happened.
    pub fn handle(&mut self, input: FleetInput, now: Instant) {
        if let FleetInput::Outcome { id, run, result } = input {
            self.on_outcome(id, run, result, now);
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
        Snapshot {
            revision: self.revision,
            health: self
                .checks
                .values()
                .flat_map(|check| {
                    let health = check.checker.health();
                    check
                        .services
                        .iter()
                        .map(move |service| (service.clone(), health))
                })
                .collect(),
        }
    }

    /// How many probes are under way.
    #[must_use]
    pub const fn running(&self) -> usize {
        self.running
    }

    /// How each checker stands, in the order they were made.
    pub fn reports(&self) -> impl Iterator<Item = CheckReport<'_, S, P>> {
        self.checks.iter().map(|(id, check)| CheckReport {
            id: *id,
            probe: &check.probe,
            config: check.checker.config(),
            services: check.services.iter().collect(),
            health: check.checker.health(),
            changed_at: check.changed_at,
            last_run_at: check.last_run_at,
            next_run_at: match check.checker.running() {
                Some(_) => None,
                None => check.checker.poll_timeout(),
            },
            last_failure: check.last_failure.as_ref(),
            latency: &check.latency,
            lateness: &check.lateness,
            counters: check.checker.counters(),
        })
    }

    /// The checker for a wish; `None` only for a configuration that was not validated.
    fn find_or_add(&mut self, ask: Ask<S, P>, now: Instant) -> Option<CheckId> {
        let (probe, config) = (ask.probe, ask.config);
        let same_probe = self.ids_by_probe.get(&probe);
        if let Some(id) = same_probe.and_then(|ids| ids.get(&config)) {
            return Some(*id);
        }
        let number = self.next_id;
        let (seed, id) = (random::number(self.seed, number), CheckId(number));
        let checker = match self.same_probe(&probe, &ask.service) {
            Some(known) => {
                let at = match known.checker.running() {
                    Some(_) => now,
                    None => known.checker.poll_timeout().map_or(now, |at| at.max(now)),
                };
                let at = at.min(now + config.interval);
                known.checker.carry_over(config.clone(), at, seed)
            }
            None => {
                let spread = random::part(ask.warm_up, number.wrapping_mul(GOLDEN));
                Checker::new(config.clone(), now + ask.start_delay + spread, seed)
            }
        }
        .ok()?;
        self.next_id += 1;
        let check = Check {
            probe: probe.clone(),
            checker,
            services: BTreeSet::new(),
            timer: None,
            changed_at: None,
            last_run_at: None,
            last_failure: None,
            latency: Histogram::default(),
            lateness: Histogram::default(),
        };
        self.checks.insert(id, check);
        self.ids_by_probe
            .entry(probe)
            .or_default()
            .insert(config, id);
        self.arm(id);
        Some(id)
    }

    /// A checker of the same probe with another configuration: the service's own if it can be.
    fn same_probe(&self, probe: &P, service: &S) -> Option<&Check<S, P>> {
        let ids = self.ids_by_probe.get(probe)?;
        let own = self.id_by_service.get(service);
        let own = own.filter(|own| ids.values().any(|id| id == *own));
        self.checks.get(own.or_else(|| ids.values().next())?)
    }

    fn remove(&mut self, id: CheckId) {
        let Some(check) = self.checks.remove(&id) else {
            return;
        };
        if let Some(at) = check.timer {
            self.timers.remove(&(at, id));
        }
        if let Some(run) = check.checker.running() {
            self.running -= 1;
            self.outputs.push_back(FleetOutput::Abandon { id, run });
        }
        if let Some(ids) = self.ids_by_probe.get_mut(&check.probe) {
            ids.remove(check.checker.config());
            if ids.is_empty() {
                self.ids_by_probe.remove(&check.probe);
            }
        }
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

    fn on_outcome(
        &mut self,
        id: CheckId,
        run: Run,
        result: Result<(), std::sync::Arc<dyn std::error::Error + Send + Sync>>,
        now: Instant,
    ) {
        let passed = result.is_ok();
        let failure = result.err().map(Failure::Probe);
        self.step(id, Input::Outcome { run, passed }, failure, now);
    }

    /// Hands one checker an input and takes what it wants. The only place where probes are counted.
    fn step(&mut self, id: CheckId, input: Input, failure: Option<Failure>, now: Instant) {
        let Some(check) = self.checks.get_mut(&id) else {
            return;
        };
        let (was_running, before) = (check.checker.running(), *check.checker.counters());
        let due = check.checker.poll_timeout();
        check.checker.handle(input, now);
        let counters = check.checker.counters();
        if counters.timed_out > before.timed_out {
            let timeout = check.checker.config().timeout;
            check.last_failure = Some(Failure::TimedOut(timeout));
        } else if counters.passed + counters.failed > before.passed + before.failed {
            let began = check.last_run_at.unwrap_or(now);
            check.latency.count(now.saturating_duration_since(began));
            check.last_failure = failure.or_else(|| check.last_failure.take());
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

fn validated<S: Ord + Clone + Debug, P>(
    asked: impl IntoIterator<Item = Ask<S, P>>,
) -> Result<BTreeMap<S, Ask<S, P>>, FleetError> {
    let mut validated = BTreeMap::new();
    for ask in asked {
        let service = || format!("{:?}", ask.service);
        ask.config.validate().map_err(|source| FleetError::Config {
            service: service(),
            source,
        })?;
        let span = ask.start_delay.saturating_add(ask.warm_up);
        if span > CheckConfig::LONGEST {
            return Err(FleetError::Start {
                service: service(),
                span,
            });
        }
        let key = ask.service.clone();
        if let Some(twice) = validated.insert(key, ask) {
            return Err(FleetError::Twice {
                service: format!("{:?}", twice.service),
            });
        }
    }
    Ok(validated)
}
