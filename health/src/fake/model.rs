//! A server that answers probes by script or by seed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::random;

/// How a probe goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a probe has these ends")]
pub enum Answer {
    /// It fails after that time.
    Fails(Duration),
    /// It never ends.
    Hangs,
    /// It passes after that time.
    Passes(Duration),
}

/// What a server is like. The default is healthy and answers at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tests name what they need")]
pub struct Behaviour {
    /// Of 1000 probes, how many fail.
    pub flaky_per_mille: u16,
    /// Of 1000 probes, how many never end.
    pub hanging_per_mille: u16,
    /// The least time an answer takes.
    pub fastest: Duration,
    /// The most; less than `fastest` is taken for `fastest`.
    pub slowest: Duration,
    /// Healthy and failing in turn.
    pub flapping: Option<Flapping>,
}

/// A server that is healthy and failing in turn, beginning healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is these two spans")]
pub struct Flapping {
    /// For how long every probe that does not fail by chance passes.
    pub up: Duration,
    /// For how long every probe fails.
    pub down: Duration,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Model {
    behaviour: Behaviour,
    seed: u64,
    start: Instant,
    script: VecDeque<Answer>,
    drawn: u64,
}

impl Model {
    /// A server that begins at `start`.
    #[must_use]
    pub const fn new(behaviour: Behaviour, seed: u64, start: Instant) -> Self {
        Self {
            behaviour,
            seed,
            start,
            script: VecDeque::new(),
            drawn: 0,
        }
    }

    /// Answers that come first, one for each probe, after those scripted before.
    pub fn script(&mut self, answers: impl IntoIterator<Item = Answer>) {
        self.script.extend(answers);
    }

    /// What it is like from now on; the script comes first all the same.
    pub const fn behave(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
    }

    /// How a probe goes that begins now.
    pub fn answer(&mut self, now: Instant) -> Answer {
        if let Some(answer) = self.script.pop_front() {
            return answer;
        }
        let Behaviour {
            fastest, slowest, ..
        } = self.behaviour;
        let (hangs, fails) = (self.draw(), self.draw());
        let spread = slowest.saturating_sub(fastest);
        let after = fastest.saturating_add(random::part(spread, self.draw()));
        if happens(self.behaviour.hanging_per_mille, hangs) {
            Answer::Hangs
        } else if happens(self.behaviour.flaky_per_mille, fails) || self.is_in_fault(now) {
            Answer::Fails(after)
        } else {
            Answer::Passes(after)
        }
    }

    fn is_in_fault(&self, now: Instant) -> bool {
        self.behaviour
            .flapping
            .is_some_and(|Flapping { up, down }| {
                let age = now.saturating_duration_since(self.start).as_nanos();
                let turn = up.as_nanos() + down.as_nanos();
                age.checked_rem(turn)
                    .is_some_and(|into_turn| into_turn >= up.as_nanos())
            })
    }

    const fn draw(&mut self) -> u64 {
        self.drawn += 1;
        random::number(self.seed, self.drawn)
    }
}

fn happens(per_mille: u16, drawn: u64) -> bool {
    u128::from(drawn) * 1000 < u128::from(per_mille) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[expect(
        clippy::disallowed_methods,
        reason = "a test needs some instant to begin with"
    )]
    fn model(behaviour: Behaviour) -> (Model, Instant) {
        let now = Instant::now();
        (Model::new(behaviour, 5, now), now)
    }

    #[test]
    fn the_script_comes_first() {
        let (mut model, now) = model(Behaviour::default());
        let script = [Answer::Hangs, Answer::Fails(SECOND)];
        model.script(script);
        let answers = [(); 3].map(|()| model.answer(now));
        assert_eq!(
            answers,
            [script[0], script[1], Answer::Passes(Duration::ZERO)]
        );
    }

    #[test]
    fn a_flaky_server_fails_about_as_often_as_told_and_never_or_always_at_the_ends() {
        for (flaky_per_mille, expected) in [(0, 0..=0), (200, 1850..=2150), (1000, 10_000..=10_000)]
        {
            let (mut model, now) = model(Behaviour {
                flaky_per_mille,
                ..Behaviour::default()
            });
            let failed = (0..10_000)
                .filter(|_| matches!(model.answer(now), Answer::Fails(_)))
                .count();
            assert!(expected.contains(&failed), "{failed} of 10000");
        }
    }

    #[test]
    fn a_flapping_server_is_up_and_down_in_turn() {
        let flapping = Some(Flapping {
            up: 3 * SECOND,
            down: SECOND,
        });
        let (mut model, now) = model(Behaviour {
            flapping,
            ..Behaviour::default()
        });
        let up: Vec<_> = (0..8)
            .map(|second| matches!(model.answer(now + second * SECOND), Answer::Passes(_)))
            .collect();
        assert_eq!(up, [true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn answers_take_from_the_fastest_to_the_slowest_and_are_the_same_for_a_seed() {
        let behaviour = Behaviour {
            fastest: SECOND,
            slowest: 2 * SECOND,
            hanging_per_mille: 100,
            ..Behaviour::default()
        };
        let (mut model, now) = model(behaviour);
        let mut again = model.clone();
        for _ in 0..1000 {
            let answer = model.answer(now);
            assert_eq!(answer, again.answer(now));
            if let Answer::Passes(after) | Answer::Fails(after) = answer {
                assert!((SECOND..2 * SECOND).contains(&after));
            }
        }
    }
}
