//! A story, and what its tests do with it.

use super::super::super::requests::Outcome;
use super::super::super::scenario::{ALLOWANCE, REQUEST_INTERVAL};
use super::super::super::step::Promise;
use super::super::super::{now, scenario};
use super::super::*;
use Node::{Alpha, Beta};
use Role::{Backup, Master};
use Server::{One, Two};

/// A story and the time in it.
pub(super) struct Scene {
    pub(super) story: Story,
    /// When the last probe was answered, or the story began.
    pub(super) at: Instant,
    /// Who answers requests, in turn.
    pub(super) pool: Vec<Server>,
    requests: usize,
    next_request_at: Instant,
}

impl Scene {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        let at = now();
        let mut story = Story::new(steps);
        story.handle(Input::Start, at);
        Self {
            story,
            at,
            pool: vec![One, Two],
            requests: 0,
            next_request_at: at,
        }
    }

    /// Alpha is master, and the first step is over if nothing else is missing.
    pub(super) fn begin_calm(&mut self) {
        self.role(Alpha, Master);
        self.role(Beta, Backup);
        self.answers(Alpha, 300);
        self.drain_until_begin();
    }

    /// A real server has just been killed; alpha is the master.
    pub(super) fn with_dead_server() -> Self {
        let mut scene = Self::new(scenario::steps());
        scene.begin_calm();
        scene
    }

    /// Alpha, the master, has just lost its power.
    pub(super) fn with_dead_master() -> Self {
        let mut scene = Self::with_dead_server();
        scene.pool = vec![One];
        scene.check(Alpha, Two, false);
        scene.check(Beta, Two, false);
        scene.answers(Alpha, 2);
        scene.drain_until_begin();
        scene
    }

    /// Everything up to the last beginning of a step, or its end, is of no interest.
    pub(super) fn drain_until_begin(&mut self) {
        while let Some(output) = self.story.poll_output() {
            if output == Output::CloseClient {
                self.story.outputs.push_front(output);
                return;
            }
        }
    }

    pub(super) fn see(&mut self, input: Input) {
        self.story.handle(input, self.at);
    }

    pub(super) fn role(&mut self, node: Node, role: Role) {
        self.see(Input::Role { node, role });
    }

    pub(super) fn check(&mut self, node: Node, server: Server, is_up: bool) {
        self.see(Input::Check {
            node,
            server,
            is_up,
        });
    }

    pub(super) fn exit(&mut self, node: Node, end: Result<(), String>) {
        self.see(Input::Exited { node, end });
    }

    pub(super) fn time_out(&mut self) {
        let deadline = self.story.poll_timeout().unwrap();
        self.story.handle(Input::Timeout, deadline);
    }

    /// Time passes, and whoever answers does so.
    pub(super) fn pass(&mut self, millis: u64) {
        let by = self.story.holder().expect("somebody answers").node;
        let steps = self.story.measured().len();
        let until = self.at + ms(millis);
        self.answer_until(by, until);
        assert_eq!(self.story.measured().len(), steps);
        self.at = until;
    }

    pub(super) fn fail(&mut self, outcome: Outcome) {
        self.request(outcome);
        self.next_request_at = self.at + REQUEST_INTERVAL;
    }

    /// Alpha goes on answering probes, and nobody answers requests.
    pub(super) fn service_is_silent_for(&mut self, span: Duration) {
        let until = self.at + span;
        self.next_request_at = until;
        self.answer_until(Alpha, until);
    }

    /// After `gap_millis` without an answer, this node answers for as long as it takes.
    pub(super) fn answers(&mut self, by: Node, gap_millis: u64) {
        self.at += ms(gap_millis);
        self.next_request_at = self.at;
        let steps = self.story.measured().len();
        let until = self.at + CALM + REQUEST_INTERVAL;
        self.answer(by);
        while self.at < until && self.story.measured().len() == steps {
            self.at += ms(2);
            self.answer(by);
        }
    }

    pub(super) fn answer_until(&mut self, by: Node, until: Instant) {
        while self.at + ms(2) <= until {
            self.at += ms(2);
            self.answer(by);
        }
    }

    /// A probe is answered, and a request if one is due.
    pub(super) fn answer(&mut self, by: Node) {
        if self.at >= self.next_request_at {
            self.next_request_at += REQUEST_INTERVAL;
            let server = self.pool[self.requests % self.pool.len()];
            self.requests += 1;
            self.request(Outcome::Answered(server));
        }
        self.probe(by, self.at);
    }

    pub(super) fn request(&mut self, outcome: Outcome) {
        self.see(Input::Request(Finished {
            started_at: self.at,
            outcome,
        }));
    }

    pub(super) fn probe(&mut self, by: Node, sent_at: Instant) {
        self.story.handle(Input::Answered { by, sent_at }, sent_at);
    }

    #[track_caller]
    pub(super) fn expect_output(&mut self, expected: &Output) {
        assert_eq!(self.story.poll_output().as_ref(), Some(expected));
    }

    #[track_caller]
    pub(super) fn expect_begin(&mut self, number: usize, actions: &[Action]) {
        let begin = self.story.poll_output();
        assert!(
            matches!(begin, Some(Output::Begin { number: found, .. }) if found == number),
            "{begin:?}"
        );
        for &action in actions {
            self.expect_output(&Output::Do(action));
        }
        assert_eq!(self.story.poll_output(), None);
    }

    #[track_caller]
    pub(super) fn expect_done(&mut self) -> Measured {
        match self.story.poll_output() {
            Some(Output::Done(measured)) => *measured,
            other => panic!("{other:?} instead of the end of a step"),
        }
    }

    #[track_caller]
    pub(super) fn expect_end(&mut self, failures: &[&str]) {
        self.expect_output(&Output::End);
        assert_eq!(self.story.poll_output(), None);
        assert_eq!(self.story.failures(), failures);
    }
}

/// Alpha holds the address before and after.
pub(super) fn quiet_step() -> Step {
    Step {
        title: "a step",
        short: "a step",
        actions: vec![Action::PowerOn(Alpha), Action::PowerOn(Beta)],
        holder: Alpha,
        pool: &[One, Two],
        silence: Some(Promise {
            limit: Duration::ZERO,
            allowance: ALLOWANCE,
            because: String::new(),
        }),
        change: None,
        failing: None,
    }
}

/// Nothing happens.
pub(super) fn idle_step() -> Step {
    Step {
        actions: Vec::new(),
        ..quiet_step()
    }
}

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
