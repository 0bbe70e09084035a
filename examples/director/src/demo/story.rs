//! The course of the steps, as a value.
//!
//! [`Story::handle`] takes what is seen (who answers the probes, what the directors say of their
//! roles), [`Story::poll_output`] gives what is to be done and shown. A step is over when the
//! machine that should hold the address has answered for a while, alone, and every director has the
//! role that fits. Something else to show (a load balancer, say) is another [`Action`] and one more
//! condition in [`Story::missing`].

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use vrrp::Role;

use super::reachability::{Holder, Reachability};
use super::scenario::{ALLOWANCE, CALM, Node, PATIENCE, millis};

/// One thing that happens, and what should come of it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) title: &'static str,
    /// For a table.
    pub(super) short: &'static str,
    /// Done at once, in this order.
    pub(super) actions: Vec<Action>,
    /// Who holds the address afterwards.
    pub(super) holder: Node,
    /// `None` where nobody held the address before.
    pub(super) promise: Option<Promise>,
}

/// What the protocol promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    /// The longest time without an answer.
    pub(super) gap: Duration,
    pub(super) because: String,
}

/// What is done to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A new machine on the network, and its director is started.
    PowerOn(Node),
    /// The machine is gone in an instant.
    PowerOff(Node),
    /// The director is told to stop.
    Stop(Node),
}

/// What is seen.
#[derive(Debug)]
pub(super) enum Input {
    /// The curtain.
    Start,
    /// A probe was answered.
    Answered { by: Node, sent_at: Instant },
    /// A director says that its virtual router has this role now.
    Role { node: Node, role: Role },
    /// A director has ended: with success, or how.
    Exited { node: Node, end: Result<(), String> },
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
    /// A step is over.
    Done(Measured),
    /// The story is.
    End,
}

/// What a step has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) short: &'static str,
    pub(super) holder: Node,
    /// The longest time without an answer; where nobody held the address before, the time until
    /// the first one.
    pub(super) gap: Duration,
    pub(super) promise: Option<Promise>,
}

impl Measured {
    /// Whether the gap is as short as it has to be.
    pub(super) fn kept(&self) -> bool {
        self.promise
            .as_ref()
            .is_none_or(|promise| self.gap <= promise.gap + ALLOWANCE)
    }
}

/// The demo's course.
#[derive(Debug)]
pub(super) struct Story {
    /// Those that are not over; the first is the one that goes on.
    steps: VecDeque<Step>,
    current: Option<Current>,
    seen: Reachability,
    directors: BTreeMap<Node, Director>,
    measured: Vec<Measured>,
    failures: Vec<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Current {
    began_at: Instant,
    deadline: Instant,
    /// When the holder's first answer came. (The first of all may answer probes that the kernel
    /// kept until somebody answered its ARP, so their sending tells nothing.)
    arrived_at: Option<Instant>,
}

/// What is known of a director that is or was running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Director {
    Running(Role),
    Stopping(Role),
    Stopped,
}

impl Story {
    pub(super) fn new(steps: Vec<Step>) -> Self {
        Self {
            steps: steps.into(),
            current: None,
            seen: Reachability::default(),
            directors: BTreeMap::new(),
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
            Input::Role { node, role } => self.on_role(node, role),
            Input::Exited { node, end } => self.on_exit(node, end),
            Input::Timeout => self.on_timeout(now),
        }
        if self.current.is_some() && self.missing().is_none() {
            self.finish(now);
        }
    }

    /// What is to be done or shown next.
    #[must_use]
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`]; `None` when the story is over.
    #[must_use]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.current.as_ref().map(|current| current.deadline)
    }

    /// What each step has shown.
    pub(super) fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// What did not work; empty if all did.
    pub(super) fn failures(&self) -> &[String] {
        &self.failures
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
        match self.directors.get(&node) {
            None => String::from("off"),
            Some(Director::Running(role)) => role.to_string(),
            Some(Director::Stopping(_)) => String::from("stopping"),
            Some(Director::Stopped) => String::from("stopped"),
        }
    }

    fn begin(&mut self, now: Instant) {
        let Some(step) = self.steps.front() else {
            return self.end();
        };
        let number = self.measured.len() + 1;
        self.outputs.push_back(Output::Begin {
            number,
            title: step.title,
        });
        for &action in &step.actions {
            self.outputs.push_back(Output::Do(action));
            match action {
                Action::PowerOn(node) => {
                    self.directors.insert(node, Director::Running(Role::Init));
                }
                Action::PowerOff(node) => {
                    self.directors.remove(&node);
                }
                Action::Stop(node) => {
                    self.directors.entry(node).and_modify(|director| {
                        if let Director::Running(role) = *director {
                            *director = Director::Stopping(role);
                        }
                    });
                }
            }
        }
        self.seen.measure_again();
        self.current = Some(Current {
            began_at: now,
            deadline: now + PATIENCE,
            arrived_at: None,
        });
    }

    fn on_answer(&mut self, by: Node, sent_at: Instant, now: Instant) {
        self.seen.on_answer(by, sent_at);
        let (Some(current), Some(step)) = (&mut self.current, self.steps.front()) else {
            return;
        };
        let is_new = self
            .seen
            .holder()
            .is_some_and(|holder| holder.since >= current.began_at);
        if by == step.holder && is_new && current.arrived_at.is_none() {
            current.arrived_at = Some(now);
            self.outputs.push_back(Output::Arrived { at: by });
        }
    }

    fn on_role(&mut self, node: Node, new: Role) {
        // A line of a director that was cut off may come after its end.
        if let Some(Director::Running(role) | Director::Stopping(role)) =
            self.directors.get_mut(&node)
        {
            *role = new;
        }
    }

    fn on_exit(&mut self, node: Node, end: Result<(), String>) {
        match (self.directors.get(&node), end) {
            // Power off.
            (None | Some(Director::Stopped), _) => {}
            (Some(Director::Stopping(_)), Ok(())) => {
                self.directors.insert(node, Director::Stopped);
            }
            (Some(Director::Stopping(_)), Err(how)) => {
                self.fail(format!(
                    "{node}'s director should have stopped with success but {how}"
                ));
            }
            (Some(Director::Running(_)), Ok(())) => {
                self.fail(format!("{node}'s director has ended by itself"));
            }
            (Some(Director::Running(_)), Err(how)) => {
                self.fail(format!("{node}'s director {how}"));
            }
        }
    }

    fn on_timeout(&mut self, now: Instant) {
        let late = self
            .current
            .as_ref()
            .is_some_and(|current| now >= current.deadline);
        if let (true, Some(missing), Some(step)) = (late, self.missing(), self.steps.front()) {
            let text = format!("{}: after {} {missing}", step.short, millis(PATIENCE));
            self.fail(text);
        }
    }

    /// Why the current step is not over.
    fn missing(&self) -> Option<String> {
        let (current, step) = (self.current.as_ref()?, self.steps.front()?);
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
        let since = holder.since.max(current.began_at);
        if self.seen.last_answered() < Some(since + CALM) {
            return Some(format!("{} has not answered for long enough", holder.node));
        }
        self.directors.iter().find_map(|(&node, director)| {
            let wanted = if node == step.holder {
                Role::Master
            } else {
                Role::Backup
            };
            match *director {
                Director::Stopped => None,
                Director::Running(role) if role == wanted => None,
                Director::Running(role) => Some(format!("{node} is {role} and should be {wanted}")),
                Director::Stopping(_) => Some(format!("{node}'s director has not stopped")),
            }
        })
    }

    fn finish(&mut self, now: Instant) {
        let (Some(current), Some(step)) = (self.current.take(), self.steps.pop_front()) else {
            return;
        };
        let measured = Measured {
            short: step.short,
            holder: step.holder,
            gap: match step.promise {
                Some(_) => self.seen.longest_gap(),
                None => current
                    .arrived_at
                    .map_or(Duration::ZERO, |at| at - current.began_at),
            },
            promise: step.promise,
        };
        if let (false, Some(promise)) = (measured.kept(), &measured.promise) {
            self.failures.push(format!(
                "{}: nobody answered for {}, the protocol waits {} and {} more are allowed here",
                measured.short,
                millis(measured.gap),
                millis(promise.gap),
                millis(ALLOWANCE)
            ));
        }
        self.measured.push(measured.clone());
        self.outputs.push_back(Output::Done(measured));
        self.begin(now);
    }

    fn fail(&mut self, why: String) {
        self.failures.push(why);
        self.steps.clear();
        self.end();
    }

    fn end(&mut self) {
        self.current = None;
        self.outputs.push_back(Output::End);
    }
}

#[cfg(test)]
mod tests;
