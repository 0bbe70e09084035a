//! A fleet on virtual time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{CheckId, Fleet, FleetInput, FleetOutput, Health, Run, Success};

use super::{Answer, Model};

/// Something that happened to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests compare it whole")]
pub struct Happening<S> {
    /// When.
    pub at: Instant,
    /// To whom.
    pub service: S,
    /// The health it has since.
    pub to: Health,
}

/// Runs a [`Fleet`] on [`Model`]s: time goes from one event to the next.
#[derive(Debug)]
pub struct World<S, P> {
    fleet: Fleet<S, P>,
    now: Instant,
    models: BTreeMap<P, Model>,
    /// Probes that will end, and how.
    answers: BTreeSet<(Instant, CheckId, Run, bool)>,
    journal: Vec<Happening<S>>,
}

impl<S: Ord + Clone + Debug, P: Ord + Clone> World<S, P> {
    /// A world whose time is `now`. Probes of what has no model never end.
    #[must_use]
    pub const fn new(fleet: Fleet<S, P>, now: Instant) -> Self {
        Self {
            fleet,
            now,
            models: BTreeMap::new(),
            answers: BTreeSet::new(),
            journal: Vec::new(),
        }
    }

    /// The models, by what is probed.
    pub const fn models(&mut self) -> &mut BTreeMap<P, Model> {
        &mut self.models
    }

    /// The fleet. What it puts out is taken when time passes next.
    pub const fn fleet(&mut self) -> &mut Fleet<S, P> {
        &mut self.fleet
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// All changes of health so far, in order.
    #[must_use]
    pub fn journal(&self) -> &[Happening<S>] {
        &self.journal
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        while let Some(input) = self.next(end) {
            self.fleet.handle(input, self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Goes to the next event, if there is one until then. Answers come before timers.
    fn next(&mut self, end: Instant) -> Option<FleetInput<S>> {
        let timer = self.fleet.poll_timeout().filter(|at| *at <= end);
        let answer = self
            .answers
            .first()
            .filter(|answer| answer.0 <= end)
            .copied();
        match (answer, timer) {
            (Some(answer), timer) if timer.is_none_or(|at| answer.0 <= at) => {
                self.answers.remove(&answer);
                let (at, id, run, passed) = answer;
                self.now = at.max(self.now);
                let result = match passed {
                    true => Ok(Success::default()),
                    false => {
                        Err(Arc::new(io::Error::other("the model failed the probe")) as Arc<_>)
                    }
                };
                Some(FleetInput::Outcome { id, run, result })
            }
            (_, Some(at)) => {
                self.now = at.max(self.now);
                Some(FleetInput::Timeout)
            }
            (_, None) => None,
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.fleet.poll_output() {
            match output {
                FleetOutput::Probe { id, run, probe, .. } => {
                    let model = self.models.get_mut(&probe);
                    let answer = model.map_or(Answer::Hangs, |model| model.answer(self.now));
                    let (after, passed) = match answer {
                        Answer::Fails(after) => (after, false),
                        Answer::Hangs => continue,
                        Answer::Passes(after) => (after, true),
                    };
                    if let Some(at) = self.now.checked_add(after) {
                        self.answers.insert((at, id, run, passed));
                    }
                }
                FleetOutput::Abandon { id, run } => {
                    self.answers
                        .retain(|answer| (answer.1, answer.2) != (id, run));
                }
                FleetOutput::Changed { service, to, .. } => {
                    let at = self.now;
                    self.journal.push(Happening { at, service, to });
                }
                FleetOutput::Weighed { .. } | FleetOutput::Proven { .. } => {}
            }
        }
    }
}
