//! The scripts of one instance or group in order, as a value.
//!
//! Contract: after every [`handle`](Queue::handle) drain [`poll_output`](Queue::poll_output) to
//! `None`, then arm [`poll_timeout`](Queue::poll_timeout).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a queue may get and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by whoever makes a Notifier"
)]
pub struct Limits {
    /// How long a script may run while another waits behind it.
    pub patience: Duration,
    /// How many may wait; at least 1.
    pub most_waiting: usize,
}

impl Default for Limits {
    /// A minute of patience, 256 waiting.
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(60),
            most_waiting: 256,
        }
    }
}

/// What happens to a queue.
#[derive(Debug)]
pub(super) enum Input<T> {
    /// One more to run.
    Push(T),
    /// The one that ran is over.
    Finished,
    /// The time of [`Queue::poll_timeout`] has come; earlier it does nothing.
    Timeout,
    /// From now on whoever is in the way may run only this much longer.
    Hurry(Duration),
}

/// What a queue asks for or tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Output<T> {
    /// Run this one. Never before the previous one was [`Input::Finished`].
    Run(T),
    /// The one that runs has used up its time and another waits: end it.
    Terminate,
    /// Too many wait; this one, the oldest of them, will never run.
    Dropped(T),
}

#[derive(Debug)]
struct Running {
    since: Instant,
    terminated: bool,
}

/// A queue. See the [module](self).
#[derive(Debug)]
pub(super) struct Queue<T> {
    limits: Limits,
    hurry: Option<Instant>,
    running: Option<Running>,
    waiting: VecDeque<T>,
    outputs: VecDeque<Output<T>>,
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        let (waiting, outputs) = (VecDeque::new(), VecDeque::new());
        Self {
            limits,
            hurry: None,
            running: None,
            waiting,
            outputs,
        }
    }

    pub(super) fn handle(&mut self, input: Input<T>, now: Instant) {
        match input {
            Input::Push(item) => {
                self.waiting.push_back(item);
                self.run_next(now);
                // The latest always stays: what a node has become matters more than what it was.
                if self.waiting.len() > self.limits.most_waiting.max(1) {
                    self.outputs
                        .extend(self.waiting.pop_front().map(Output::Dropped));
                }
            }
            Input::Finished => {
                self.running = None;
                self.run_next(now);
            }
            Input::Hurry(left) => self.hurry = now.checked_add(left),
            Input::Timeout => {}
        }
        if self.poll_timeout().is_some_and(|at| at <= now)
            && let Some(running) = &mut self.running
        {
            running.terminated = true;
            self.outputs.push_back(Output::Terminate);
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let running = self
            .running
            .as_ref()
            .filter(|running| !running.terminated)?;
        if self.waiting.is_empty() {
            return None;
        }
        let patient_until = running.since.checked_add(self.limits.patience);
        [patient_until, self.hurry].into_iter().flatten().min()
    }

    /// Whether nothing runs and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty() && self.outputs.is_empty()
    }

    /// What still waits, in order.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter()
    }

    fn run_next(&mut self, now: Instant) {
        if self.running.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.running = Some(Running {
                since: now,
                terminated: false,
            });
            self.outputs.push_back(Output::Run(next));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits {
        patience: Duration::from_secs(60),
        most_waiting: 3,
    };

    fn epoch() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do")]
        Instant::now()
    }

    #[track_caller]
    fn expect(queue: &mut Queue<u32>, input: Input<u32>, at: Instant, outputs: &[Output<u32>]) {
        queue.handle(input, at);
        let got: Vec<_> = std::iter::from_fn(|| queue.poll_output()).collect();
        assert_eq!(got, outputs);
    }

    #[test]
    fn one_runs_after_the_other_in_order() {
        let (mut queue, now) = (Queue::new(LIMITS), epoch());
        expect(&mut queue, Input::Push(1), now, &[Output::Run(1)]);
        expect(&mut queue, Input::Push(2), now, &[]);
        expect(&mut queue, Input::Push(3), now, &[]);
        expect(&mut queue, Input::Finished, now, &[Output::Run(2)]);
        expect(&mut queue, Input::Finished, now, &[Output::Run(3)]);
        assert!(!queue.is_empty());
        expect(&mut queue, Input::Finished, now, &[]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_script_in_nobody_s_way_may_run_for_ever() {
        let (mut queue, now) = (Queue::new(LIMITS), epoch());
        expect(&mut queue, Input::Push(1), now, &[Output::Run(1)]);
        assert_eq!(queue.poll_timeout(), None);
        expect(&mut queue, Input::Timeout, now + 9999 * SECOND, &[]);
        expect(
            &mut queue,
            Input::Push(2),
            now + 9999 * SECOND,
            &[Output::Terminate],
        );
        expect(&mut queue, Input::Push(3), now + 9999 * SECOND, &[]);
        expect(
            &mut queue,
            Input::Finished,
            now + 9999 * SECOND,
            &[Output::Run(2)],
        );
    }

    #[test]
    fn a_script_that_is_waited_for_is_ended_after_a_minute() {
        let (mut queue, now) = (Queue::new(LIMITS), epoch());
        expect(&mut queue, Input::Push(1), now, &[Output::Run(1)]);
        expect(&mut queue, Input::Push(2), now + 7 * SECOND, &[]);
        assert_eq!(queue.poll_timeout(), Some(now + 60 * SECOND));
        expect(&mut queue, Input::Timeout, now + 59 * SECOND, &[]);
        expect(
            &mut queue,
            Input::Timeout,
            now + 60 * SECOND,
            &[Output::Terminate],
        );
        assert_eq!(queue.poll_timeout(), None);
    }

    #[test]
    fn in_a_hurry_patience_is_short() {
        let (mut queue, now) = (Queue::new(LIMITS), epoch());
        expect(&mut queue, Input::Push(1), now, &[Output::Run(1)]);
        expect(&mut queue, Input::Push(2), now, &[]);
        expect(&mut queue, Input::Hurry(2 * SECOND), now, &[]);
        assert_eq!(queue.poll_timeout(), Some(now + 2 * SECOND));
        expect(
            &mut queue,
            Input::Timeout,
            now + 2 * SECOND,
            &[Output::Terminate],
        );
    }

    #[test]
    fn of_too_many_that_wait_the_oldest_is_dropped() {
        let (mut queue, now) = (Queue::new(LIMITS), epoch());
        expect(&mut queue, Input::Push(0), now, &[Output::Run(0)]);
        for item in 1..=3 {
            expect(&mut queue, Input::Push(item), now, &[]);
        }
        expect(&mut queue, Input::Push(4), now, &[Output::Dropped(1)]);
        assert_eq!(queue.waiting().copied().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Finish,
        Wait(u64),
        Hurry(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            3 => Just(Step::Finish),
            2 => (0_u64..100).prop_map(Step::Wait),
            1 => (0_u64..100).prop_map(Step::Hurry),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_all_run_in_order_one_at_a_time_or_are_dropped_oldest_first(
            steps in proptest::collection::vec(any_step(), 1..200),
        ) {
            let (mut queue, mut now) = (Queue::new(LIMITS), epoch());
            let (mut pushed, mut running, mut last) = (0_u32, false, None);
            let mut seen = 0;
            // At last everything is allowed to finish.
            let steps = steps.into_iter().chain((0..=LIMITS.most_waiting).map(|_| Step::Finish));
            for step in steps {
                let input = match step {
                    Step::Push => {
                        pushed += 1;
                        Input::Push(pushed)
                    }
                    Step::Finish if running => {
                        running = false;
                        Input::Finished
                    }
                    Step::Finish => continue,
                    Step::Wait(seconds) => {
                        now += Duration::from_secs(seconds);
                        Input::Timeout
                    }
                    Step::Hurry(seconds) => Input::Hurry(Duration::from_secs(seconds)),
                };
                queue.handle(input, now);
                while let Some(output) = queue.poll_output() {
                    match output {
                        Output::Run(item) => {
                            prop_assert!(!running, "two at a time");
                            prop_assert!(Some(item) > last, "out of order");
                            (running, last, seen) = (true, Some(item), seen + 1);
                        }
                        Output::Dropped(item) => {
                            prop_assert!(Some(item) > last);
                            (last, seen) = (Some(item), seen + 1);
                        }
                        Output::Terminate => prop_assert!(running),
                    }
                }
                prop_assert!(queue.waiting().count() <= LIMITS.most_waiting);
                prop_assert!(queue.poll_timeout().is_none_or(|at| at > now), "busy loop");
            }
            prop_assert_eq!(seen, pushed, "one was lost");
            prop_assert!(pushed == 0 || last == Some(pushed), "the latest was dropped");
            prop_assert!(queue.is_empty() || running);
        }
    }
}
