//! What a fleet is asked for, and which checkers come of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Debug,
    time::Instant,
};

use super::{Ask, Check, CheckId, Fleet, FleetError, FleetOutput, Standing};
use crate::{CheckConfig, Checker, Health, Histogram, Success, random};

/// 2^64 divided by the golden ratio: its multiples, modulo 2^64, are spread evenly however many
/// there are.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What wishes know of checks that the fleet does not have yet.
struct Known<P> {
    standings: BTreeMap<P, BTreeMap<CheckConfig, Standing>>,
    /// The number of the first checker that is made for these wishes: what it knows is known by
    /// its own wish, and not for those of another configuration.
    first_new: CheckId,
}

impl<P: Ord + Clone> Known<P> {
    fn of<'a, S: 'a>(asked: impl IntoIterator<Item = &'a Ask<S, P>>, first_new: CheckId) -> Self
    where
        P: 'a,
    {
        let mut standings: BTreeMap<P, BTreeMap<CheckConfig, Standing>> = BTreeMap::new();
        for ask in asked {
            if let Some(known) = ask.known
                && known.is_proven
            {
                let of_probe = standings.entry(ask.probe.clone()).or_default();
                of_probe.entry(ask.config.clone()).or_insert(known);
            }
        }
        Self {
            standings,
            first_new,
        }
    }

    /// What a new checker begins with.
    fn standing(&self, probe: &P, config: &CheckConfig) -> Standing {
        let of_probe = self.standings.get(probe);
        let known = of_probe.and_then(|of_probe| of_probe.get(config));
        known.copied().unwrap_or(Standing::new(Health::Unknown))
    }
}

impl<S: Ord + Clone + Debug, P: Ord + Clone> Fleet<S, P> {
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
        let before = self.id_by_service.keys();
        let gone = before.filter(|service| !asked.contains_key(*service));
        let gone = gone.cloned().collect();
        self.follow(gone, asked, now);
        self.paused
            .retain(|service| self.id_by_service.contains_key(service));
        Ok(())
    }

    /// Has these wishes besides those that it has, and those of services that are `gone` no more
    /// unless they are among these. Idempotent. Wishes that are not named go on undisturbed, and cost
    /// nothing; of others see [`configure`](Self::configure).
    ///
    /// # Errors
    /// One of them is refused: then nothing has changed.
    pub fn amend(
        &mut self,
        gone: impl IntoIterator<Item = S>,
        asked: impl IntoIterator<Item = Ask<S, P>>,
        now: Instant,
    ) -> Result<(), FleetError> {
        let asked = validated(asked)?;
        let gone = gone.into_iter();
        let gone = gone
            .filter(|service| !asked.contains_key(service))
            .collect();
        self.follow(gone, asked, now);
        Ok(())
    }

    /// New checkers are there before those go whose knowledge they take over.
    fn follow(&mut self, gone: BTreeSet<S>, asked: BTreeMap<S, Ask<S, P>>, now: Instant) {
        let known = Known::of(asked.values(), CheckId(self.next_id));
        let mut touched = BTreeSet::new();
        let mut moved = Vec::new();
        for (service, ask) in asked {
            let Some(id) = self.find_or_add(ask, &known, now) else {
                continue;
            };
            let left = self.id_by_service.get(&service).copied();
            if left != Some(id) {
                touched.extend(left.into_iter().chain([id]));
                moved.push((service, left, id));
            }
        }
        for (service, left, id) in moved {
            let from = self.standing(&service);
            if let Some(check) = left.and_then(|left| self.checks.get_mut(&left)) {
                check.services.remove(&service);
            }
            if let Some(check) = self.checks.get_mut(&id) {
                check.services.insert(service.clone());
            }
            self.id_by_service.insert(service.clone(), id);
            self.note_move(service, from);
        }
        for service in gone {
            self.paused.remove(&service);
            let Some(id) = self.id_by_service.remove(&service) else {
                continue;
            };
            self.revision += 1;
            if let Some(check) = self.checks.get_mut(&id) {
                check.services.remove(&service);
            }
            touched.insert(id);
        }
        for id in touched {
            match self.checks.get(&id) {
                Some(check) if check.services.is_empty() => self.remove(id),
                _ => self.settle_pause(id, now),
            }
        }
        self.start_ready(now);
    }

    /// Tells a service that moved from one checker to another what is different now.
    fn note_move(&mut self, service: S, from: Option<Standing>) {
        let to = self.standing(&service);
        if from != to {
            self.revision += 1;
        }
        let (Some(from), Some(to)) = (from, to) else {
            return;
        };
        if from.health != to.health {
            let because = self.failure_of(&service);
            self.outputs.push_back(FleetOutput::Changed {
                service: service.clone(),
                from: from.health,
                to: to.health,
                because,
            });
        }
        if from.weight != to.weight {
            let weight = to.weight;
            self.outputs
                .push_back(FleetOutput::Weighed { service, weight });
        }
    }

    /// What would be known of each of these wishes right after [`configure`](Self::configure) or
    /// [`amend`](Self::amend) with them. Nothing changes.
    ///
    /// # Errors
    /// They would refuse one of them.
    pub fn foresee(
        &self,
        asked: impl IntoIterator<Item = Ask<S, P>>,
    ) -> Result<BTreeMap<S, Standing>, FleetError> {
        let asked = validated(asked)?;
        let known = Known::of(asked.values(), CheckId(self.next_id));
        let foreseen = asked.into_iter();
        let foreseen = foreseen.map(|(service, ask)| (service, self.foreseen(&ask, &known)));
        Ok(foreseen.collect())
    }

    fn foreseen(&self, ask: &Ask<S, P>, from_elsewhere: &Known<P>) -> Standing {
        let same_probe = self.ids_by_probe.get(&ask.probe);
        let same = same_probe.and_then(|ids| ids.get(&ask.config));
        if let Some(check) = same.and_then(|id| self.checks.get(id)) {
            return check.standing();
        }
        if let Some(known) = self.same_probe(&ask.probe, &ask.service, from_elsewhere.first_new) {
            return Standing {
                health: known.checker.health_under(&ask.config),
                weight: known.last_success.weight,
                is_proven: known.checker.is_proven(),
            };
        }
        let known = from_elsewhere.standing(&ask.probe, &ask.config);
        match known.health {
            Health::Unknown => Standing::at_start(&ask.config),
            Health::Up | Health::Down => known,
        }
    }

    /// The checker for a wish; `None` only for a configuration that was not validated.
    fn find_or_add(
        &mut self,
        ask: Ask<S, P>,
        from_elsewhere: &Known<P>,
        now: Instant,
    ) -> Option<CheckId> {
        let (probe, config) = (ask.probe, ask.config);
        let same_probe = self.ids_by_probe.get(&probe);
        if let Some(id) = same_probe.and_then(|ids| ids.get(&config)) {
            return Some(*id);
        }
        let number = self.next_id;
        let (seed, id) = (random::number(self.seed, number), CheckId(number));
        let known = self.same_probe(&probe, &ask.service, from_elsewhere.first_new);
        let begins = from_elsewhere.standing(&probe, &config);
        let weighed = Success {
            weight: begins.weight,
            warning: None,
        };
        let (changed_at, last_failure, last_success, recent) =
            known.map_or((None, None, weighed, VecDeque::new()), |known| {
                let (failure, success) = (&known.last_failure, &known.last_success);
                let recent = known.recent.clone();
                (known.changed_at, failure.clone(), success.clone(), recent)
            });
        let checker = match known {
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
                let at = now + ask.start_delay + spread;
                Checker::knowing(begins.health, config.clone(), at, seed)
            }
        }
        .ok()?;
        self.next_id += 1;
        let check = Check {
            probe: probe.clone(),
            checker,
            services: BTreeSet::new(),
            timer: None,
            changed_at,
            last_run_at: None,
            last_failure,
            last_success,
            recent,
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

    /// A checker of the same probe with another configuration that was there before the first new
    /// one: the service's own if it can be.
    fn same_probe(&self, probe: &P, service: &S, first_new: CheckId) -> Option<&Check<S, P>> {
        let ids = self.ids_by_probe.get(probe)?;
        let mut ids = ids.values().filter(|id| **id < first_new);
        let own = self.id_by_service.get(service);
        let own = own.filter(|own| ids.clone().any(|id| id == *own));
        self.checks.get(own.or_else(|| ids.next())?)
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
