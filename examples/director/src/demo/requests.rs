//! The client's requests, as a value: when one starts, how long it may take, how it ended.
//!
//! They start at an even pace, whatever becomes of those before: a client that waits for its answer
//! would ask least when it goes worst. Every request that was started ends in one [`Outcome`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::scenario::{REQUEST_DEADLINE, REQUEST_INTERVAL, Server};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With the whole answer of this real server.
    Answered(Server),
    /// There was nobody to take it, or no way there.
    Refused,
    /// It was taken, and cut off before the answer was whole.
    Reset,
    /// Nothing was heard before its deadline.
    TimedOut,
}

/// A request that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) started_at: Instant,
    pub(super) outcome: Outcome,
}

/// What comes to the client.
#[derive(Debug)]
pub(super) enum Input {
    /// A request has ended, with anything but its deadline.
    Ended { id: u64, outcome: Outcome },
    /// Start no more; those under way go on.
    Close,
    /// The deadline has come.
    Timeout,
}

/// What the client does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Start a request and tell how it ends.
    Send { id: u64 },
    /// Give a request up: its end is of no interest any more.
    Abandon { id: u64 },
    /// A request is over.
    Finished(Finished),
    /// All are over, and none will be started: so many were.
    Closed { started: u64 },
}

/// The requests of a client.
#[derive(Debug)]
pub(super) struct Requests {
    /// `None` when it is closed.
    next_at: Option<Instant>,
    started: u64,
    open: BTreeMap<u64, Instant>,
    outputs: VecDeque<Output>,
}

impl Requests {
    /// The first is due at once.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            next_at: Some(now),
            started: 0,
            open: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes what has come. A timeout before the deadline does nothing.
    pub(super) fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Ended { id, outcome } => self.finish(id, outcome),
            Input::Close => {
                if self.next_at.take().is_some() {
                    self.close_if_over();
                }
            }
            Input::Timeout => self.on_timeout(now),
        }
    }

    /// What is to be done next.
    #[must_use]
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call with [`Input::Timeout`]; `None` when it is closed and all are over.
    #[must_use]
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.oldest().map(|(_, at)| at + REQUEST_DEADLINE);
        [self.next_at, deadline].into_iter().flatten().min()
    }

    fn on_timeout(&mut self, now: Instant) {
        while let Some((id, _)) = self
            .oldest()
            .filter(|&(_, started_at)| now >= started_at + REQUEST_DEADLINE)
        {
            self.outputs.push_back(Output::Abandon { id });
            self.finish(id, Outcome::TimedOut);
        }
        if self.next_at.is_some_and(|at| now >= at) {
            // From now: those that a busy machine has missed are not made up for in a burst.
            self.next_at = Some(now + REQUEST_INTERVAL);
            let id = self.started;
            self.started += 1;
            self.open.insert(id, now);
            self.outputs.push_back(Output::Send { id });
        }
    }

    /// The second end of a request is none: it was abandoned while its answer came.
    fn finish(&mut self, id: u64, outcome: Outcome) {
        let Some(started_at) = self.open.remove(&id) else {
            return;
        };
        let finished = Finished {
            started_at,
            outcome,
        };
        self.outputs.push_back(Output::Finished(finished));
        self.close_if_over();
    }

    fn close_if_over(&mut self) {
        if self.next_at.is_none() && self.open.is_empty() {
            let started = self.started;
            self.outputs.push_back(Output::Closed { started });
        }
    }

    /// They are numbered as they start, and all may take equally long.
    fn oldest(&self) -> Option<(u64, Instant)> {
        self.open.first_key_value().map(|(&id, &at)| (id, at))
    }
}

#[cfg(test)]
mod tests {
    use super::super::now;
    use super::*;
    use std::time::Duration;

    #[test]
    fn requests_start_at_an_even_pace_whatever_becomes_of_them() {
        let start = now();
        let mut requests = Requests::new(start);

        for number in 0..5 {
            let at = requests.poll_timeout().unwrap();
            assert_eq!(at, start + REQUEST_INTERVAL * number);
            requests.handle(Input::Timeout, at);
            let id = u64::from(number);
            assert_eq!(outputs(&mut requests), [Output::Send { id }]);
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let start = now();
        let mut requests = Requests::new(start);

        requests.handle(Input::Timeout, start + Duration::from_millis(300));
        requests.handle(Input::Timeout, start + Duration::from_millis(301));

        assert_eq!(outputs(&mut requests), [Output::Send { id: 0 }]);
    }

    #[test]
    fn a_request_ends_once_with_its_outcome_or_its_deadline() {
        let start = now();
        let mut requests = Requests::new(start);
        let second_at = start + REQUEST_INTERVAL;
        requests.handle(Input::Timeout, start);
        requests.handle(Input::Timeout, second_at);
        outputs(&mut requests);
        let answered = Outcome::Answered(Server::One);

        let ended = Input::Ended {
            id: 1,
            outcome: answered,
        };
        requests.handle(ended, second_at);
        assert_eq!(outputs(&mut requests), [finished(second_at, answered)]);

        requests.handle(Input::Close, second_at);
        let deadline = start + REQUEST_DEADLINE;
        assert_eq!(requests.poll_timeout(), Some(deadline));
        requests.handle(Input::Timeout, deadline - Duration::from_nanos(1));
        assert_eq!(outputs(&mut requests), []);
        requests.handle(Input::Timeout, deadline);
        let expected = [
            Output::Abandon { id: 0 },
            finished(start, Outcome::TimedOut),
            Output::Closed { started: 2 },
        ];
        assert_eq!(outputs(&mut requests), expected);

        let outcome = Outcome::Reset;
        requests.handle(Input::Ended { id: 0, outcome }, deadline);
        assert_eq!(outputs(&mut requests), []);
        assert_eq!(requests.poll_timeout(), None);
    }

    #[test]
    fn a_client_without_requests_is_closed_at_once_and_once() {
        let start = now();
        let mut requests = Requests::new(start);

        requests.handle(Input::Close, start);
        requests.handle(Input::Close, start);

        assert_eq!(outputs(&mut requests), [Output::Closed { started: 0 }]);
    }

    fn finished(started_at: Instant, outcome: Outcome) -> Output {
        Output::Finished(Finished {
            started_at,
            outcome,
        })
    }

    fn outputs(requests: &mut Requests) -> Vec<Output> {
        std::iter::from_fn(|| requests.poll_output()).collect()
    }
}
