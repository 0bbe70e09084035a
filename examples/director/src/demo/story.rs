//! The course of the steps, as a value.
//!
//! [`Story::handle`] takes what is seen (who answers probes and requests, what the directors say of
//! their roles and their real servers), [`Story::poll_output`] gives what is to be done and shown. A
//! step is over when everything has been as it should be for a while: see [`Story::missing`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use vrrp::Role;

use super::directors::Directors;
use super::reachability::{Holder, Reachability};
use super::requests::Finished;
use super::scenario::{CALM, Node, PATIENCE, Server, millis};
use super::service::{Counts, Service};
use super::step::{Action, Measured, Step};

/// What is seen.
#[derive(Debug)]
pub(super) enum Input {
    /// The curtain.
    Start,
    /// A probe was answered.
    Answered { by: Node, sent_at: Instant },
    /// A request has ended.
    Request(Finished),
    /// All requests have: so many were started.
    ClientClosed { started: u64 },
    /// A director says that its virtual router has this role now.
    Role { node: Node, role: Role },
    /// A director says that a real server is up or down.
    Check {
        node: Node,
        server: Server,
        is_up: bool,
    },
    /// A director has ended: with success, or how.
    Exited { node: Node, end: Result<(), String> },
    /// A real server answers from now on.
    ServerServes(Server),
    /// A real server has ended.
    ServerExited { server: Server, how: String },
    /// The deadline has come.
    Timeout,
}

/// What is to be done or shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// A step begins.
    Begin { number: usize, title: &'static str },
    /// Do this.
    Do(Action),
    /// The address is where it should be.
    Arrived { at: Node },
    /// The client begins to send requests.
    OpenClient,
    /// The client starts no more requests, and tells when all are over.
    CloseClient,
    /// A step is over.
    Done(Box<Measured>),
    /// The story is.
    End,
}

/// The demo's course.
#[derive(Debug)]
pub(super) struct Story {
    /// Those that are not over; the first is the one that goes on.
    steps: VecDeque<Step>,
    phase: Phase,
    seen: Reachability,
    service: Service,
    directors: Directors,
    /// The real servers that run.
    servers: BTreeSet<Server>,
    measured: Vec<Measured>,
    failures: Vec<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    /// The first of the steps goes on.
    Step(Current),
    /// The steps are over; the last requests are not.
    Closing { deadline: Instant },
    /// Nothing has begun, or all is over.
    Rest,
}

#[derive(Debug)]
struct Current {
    began_at: Instant,
    /// Who answered when it began.
    held_by: Option<Node>,
    deadline: Instant,
    /// When the holder's first answer came. (The first of all may answer probes that the kernel
    /// kept until somebody answered its ARP, so their sending tells nothing.)
    arrived_at: Option<Instant>,
    /// When the real server that it starts began to serve.
    serves_since: Option<Instant>,
    /// Since when every director has the real servers that it should.
    pool_fits_since: Option<Instant>,
}

impl Story {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps: steps.into(),
            phase: Phase::Rest,
            seen: Reachability::default(),
            service: Service::default(),
            directors: Directors::default(),
            servers: BTreeSet::new(),
            measured: Vec::new(),
            failures: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what was seen. A timeout before the deadline does nothing.
    pub(super) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Start => self.begin(now),
            Input::Answered { by, sent_at } => self.on_answer(by, sent_at, now),
            Input::Request(finished) => {
                let expected = self
                    .steps
                    .front()
                    .map_or(&Server::ALL[..], |step| step.pool);
                self.service.on_finished(finished, expected);
            }
            Input::ClientClosed { started } => self.on_closed(started),
            Input::Role { node, role } => self.directors.on_role(node, role),
            Input::Check {
                node,
                server,
                is_up,
            } => {
                self.directors.on_check(node, server, is_up);
                self.look_at_pools(now);
            }
            Input::Exited { node, end } => {
                if let Err(why) = self.directors.on_exit(node, end) {
                    self.fail(why);
                }
            }
            Input::ServerServes(server) => {
                if let (Phase::Step(current), true) =
                    (&mut self.phase, self.servers.contains(&server))
                {
                    current.serves_since = Some(now);
                }
            }
            Input::ServerExited { server, how } => {
                if self.servers.remove(&server) {
                    self.fail(format!("the real server {server} {how}"));
                }
            }
            Input::Timeout => self.on_timeout(now),
        }
        if let Phase::Step(_) = self.phase
            && self.missing().is_none()
        {
            self.finish(now);
        }
    }

    /// A director is started once more, after the end of the story.
    pub(super) fn restart(&mut self, node: Node) {
        self.directors.power_on(node);
    }

    /// What is to be done or shown next.
    #[must_use]
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`]; `None` when the story is over.
    #[must_use]
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Step(current) => Some(current.deadline),
            Phase::Closing { deadline } => Some(*deadline),
            Phase::Rest => None,
        }
    }

    /// What each step has shown.
    pub(super) fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// What did not work; empty if all did.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
    }

    /// What became of all requests so far.
    pub(super) const fn requests(&self) -> Counts {
        self.service.total()
    }

    /// How many requests each real server has answered in the last second.
    pub(super) fn rate(&self, now: Instant) -> BTreeMap<Server, u64> {
        self.service.rate(now)
    }

    /// Who answers now.
    pub(super) const fn holder(&self) -> Option<Holder> {
        self.seen.holder()
    }

    /// When the last probe was sent that was answered.
    pub(super) const fn last_answered(&self) -> Option<Instant> {
        self.seen.last_answered()
    }

    /// What a director is doing, in a word.
    pub(super) fn state(&self, node: Node) -> String {
        self.directors.state(node)
    }

    fn begin(&mut self, now: Instant) {
        let Some(step) = self.steps.front() else {
            self.outputs.push_back(Output::CloseClient);
            let deadline = now + PATIENCE;
            self.phase = Phase::Closing { deadline };
            return;
        };
        let number = self.measured.len() + 1;
        self.outputs.push_back(Output::Begin {
            number,
            title: step.title,
        });
        for &action in &step.actions {
            self.outputs.push_back(Output::Do(action));
            match action {
                Action::PowerOn(node) => self.directors.power_on(node),
                Action::PowerOff(node) => self.directors.power_off(node),
                Action::Stop(node) => self.directors.stop(node),
                Action::StartServer(server) => {
                    self.servers.insert(server);
                }
                Action::KillServer(server) => {
                    self.servers.remove(&server);
                }
            }
        }
        self.seen.measure_again();
        self.service.measure_again();
        self.phase = Phase::Step(Current {
            began_at: now,
            held_by: self.seen.holder().map(|holder| holder.node),
            deadline: now + PATIENCE,
            arrived_at: None,
            serves_since: None,
            pool_fits_since: None,
        });
        self.look_at_pools(now);
    }

    fn on_answer(&mut self, by: Node, sent_at: Instant, now: Instant) {
        self.seen.on_answer(by, sent_at);
        let (Phase::Step(current), Some(step)) = (&mut self.phase, self.steps.front()) else {
            return;
        };
        let since = self.seen.holder().map(|holder| holder.since);
        let is_new = current.held_by != Some(by) || since >= Some(current.began_at);
        if by == step.holder && is_new && current.arrived_at.is_none() {
            current.arrived_at = Some(now);
            self.outputs.push_back(Output::Arrived { at: by });
            if self.measured.is_empty() {
                self.outputs.push_back(Output::OpenClient);
            }
        }
    }

    fn look_at_pools(&mut self, now: Instant) {
        if let (Phase::Step(current), Some(step)) = (&mut self.phase, self.steps.front()) {
            current.pool_fits_since = match self.directors.wrong_pool(step.pool) {
                None => current.pool_fits_since.or(Some(now)),
                Some(_) => None,
            };
        }
    }

    fn on_closed(&mut self, started: u64) {
        let ended = self.service.total();
        if ended.all() != started {
            self.fail(format!(
                "{started} requests were started, and {} are known to have ended",
                ended.all()
            ));
        } else if let Phase::Closing { .. } = self.phase {
            self.end();
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|deadline| now < deadline) {
            return;
        }
        let after = millis(PATIENCE);
        match (self.missing(), self.steps.front()) {
            (Some(missing), Some(step)) => {
                let text = format!("{}: after {after} {missing}", step.short);
                self.fail(text);
            }
            _ => self.fail(format!("requests have not ended after {after}")),
        }
    }

    /// Why the current step is not over.
    fn missing(&self) -> Option<String> {
        let (Phase::Step(current), Some(step)) = (&self.phase, self.steps.front()) else {
            return None;
        };
        let holder = self
            .seen
            .holder()
            .filter(|_| self.seen.last_answered() > Some(current.began_at));
        let Some(holder) = holder else {
            return Some(String::from("nobody answers"));
        };
        if holder.node != step.holder {
            return Some(format!(
                "{} answers and {} should",
                holder.node, step.holder
            ));
        }
        if let Some(wrong) = self.directors.wrong_role(step.holder) {
            return Some(wrong);
        }
        if let Some(wrong) = self.directors.wrong_pool(step.pool) {
            return Some(wrong);
        }
        let since = self.calm_since(current, holder);
        if self.seen.last_answered() < Some(since + CALM) {
            return Some(format!("{} has not answered for long enough", holder.node));
        }
        if self.service.last_answered() < Some(since + CALM) {
            return Some(String::from(
                "requests have not been answered for long enough without a failure",
            ));
        }
        self.service.unfair_share(since, step.pool)
    }

    /// Since when nothing has happened that should not go on.
    fn calm_since(&self, current: &Current, holder: Holder) -> Instant {
        [self.service.last_disturbed(), current.pool_fits_since]
            .into_iter()
            .flatten()
            .fold(holder.since.max(current.began_at), Instant::max)
    }

    fn finish(&mut self, now: Instant) {
        let (Phase::Step(current), Some(holder)) = (&self.phase, self.seen.holder()) else {
            return;
        };
        let since = self.calm_since(current, holder);
        let span = |from: Instant, to: Option<Instant>| {
            to.map_or(Duration::ZERO, |to| to.saturating_duration_since(from))
        };
        let arrived = span(current.began_at, current.arrived_at);
        let can_change_at = current.serves_since.unwrap_or(current.began_at);
        let changed = span(can_change_at, current.pool_fits_since);
        let Some(step) = self.steps.pop_front() else {
            return;
        };
        let measured = Measured {
            short: step.short,
            holder: step.holder,
            address_gap: match step.silence {
                Some(_) => self.seen.longest_gap(),
                None => arrived,
            },
            service_gap: self.service.longest_gap(),
            changed_after: changed,
            failed_for: self.service.failed_for(),
            counts: self.service.counts(),
            shares: self.service.shares(since),
            silence: step.silence,
            change: step.change,
            failing: step.failing,
        };
        self.failures.extend(measured.broken_promises());
        self.measured.push(measured.clone());
        self.outputs.push_back(Output::Done(Box::new(measured)));
        self.begin(now);
    }

    /// After the end there is nothing more to fail.
    fn fail(&mut self, why: String) {
        if let Phase::Rest = self.phase {
            return;
        }
        self.failures.push(why);
        self.steps.clear();
        self.end();
    }

    fn end(&mut self) {
        self.phase = Phase::Rest;
        self.outputs.push_back(Output::End);
    }
}

#[cfg(test)]
mod tests;
