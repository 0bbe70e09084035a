//! What holds of a checker whatever the server does.

#![expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use health::{CheckConfig, Checker, Counted, Damping, Health, Initial, Input, Output, WhenDown};
use proptest::prelude::*;

fn millis(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_millis)
}

fn small() -> impl Strategy<Value = NonZeroU32> {
    (0_u32..4).prop_map(|number| NonZeroU32::MIN.saturating_add(number))
}

prop_compose! {
    fn damping()(falls in small(), within in millis(1..60_000), hold in millis(1..60_000))
        -> Damping {
        Damping { falls, within, hold }
    }
}

prop_compose! {
    fn config()(
        interval in millis(1..5_000),
        retry_interval in millis(1..5_000),
        down_interval in millis(1..5_000),
        timeout in millis(1..10_000),
        counted in prop_oneof![Just(Counted::FromEnd), Just(Counted::FromStart)],
        (rise, fall, steps) in (small(), small(), small()),
        fast_recovery in any::<bool>(),
        initial in prop_oneof![
            Just(Initial::AssumedUp), Just(Initial::Down), Just(Initial::Unknown), Just(Initial::Up)
        ],
        when_down in prop_oneof![Just(WhenDown::Retry), Just(WhenDown::Wait)],
        jitter in millis(0..1_000),
        damping in proptest::option::of(damping()),
    ) -> CheckConfig {
        let mut config = CheckConfig::plain(interval, timeout);
        config.retry_interval = retry_interval;
        config.down_interval = down_interval;
        config.counted = counted;
        config.rise = rise;
        config.fall = fall;
        config.steps = steps;
        config.fast_recovery = fast_recovery;
        config.initial = initial;
        config.when_down = when_down;
        config.jitter = jitter;
        config.damping = damping;
        config
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Time passes, not always as far as the checker asked.
    Wait(Duration),
    Timeout,
    Answer(bool),
    /// An answer to a probe that is over, if there is one.
    Stale,
    Pause,
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => millis(0..6_000).prop_map(Step::Wait),
        8 => Just(Step::Timeout),
        8 => any::<bool>().prop_map(Step::Answer),
        1 => Just(Step::Stale),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
    ]
}

proptest! {
    #[test]
    fn one_probe_at_a_time_and_a_change_only_after_rise_or_fall(
        config in config(),
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut now = Instant::now();
        let mut checker = Checker::new(config.clone(), now, 7).unwrap();
        let (mut running, mut over) = (None, None);
        let mut health = checker.health();
        let (mut passes, mut failures, mut results) = (0, 0, 0_u32);
        for step in steps {
            let before = *checker.counters();
            match step {
                Step::Wait(span) => now += span,
                Step::Timeout => {
                    now = checker.poll_timeout().map_or(now, |at| at.max(now));
                    checker.handle(Input::Timeout, now);
                }
                Step::Answer(passed) => if let Some(run) = running.take() {
                    over = Some(run);
                    checker.handle(Input::Outcome { run, passed }, now);
                },
                Step::Stale => if let Some(run) = over {
                    checker.handle(Input::Outcome { run, passed: true }, now);
                    prop_assert_eq!(checker.counters().late, before.late + 1);
                    prop_assert_eq!(checker.counters().passed, before.passed);
                },
                Step::Pause => checker.handle(Input::Pause, now),
                Step::Resume => checker.handle(Input::Resume, now),
            }
            if checker.counters().passed > before.passed {
                (passes, failures, results) = (passes + 1, 0, results + 1);
            }
            if checker.counters().failed > before.failed {
                (passes, failures, results) = (0, failures + 1, results + 1);
            }
            while let Some(output) = checker.poll_output() {
                match output {
                    Output::Probe { run, deadline, .. } => {
                        prop_assert_eq!(running, None, "two probes at a time");
                        prop_assert_eq!(deadline, now + config.timeout);
                        running = Some(run);
                    }
                    Output::Abandon { run } => {
                        // An answer that came too late was taken out above.
                        prop_assert!(running == Some(run) || over == Some(run));
                        running = None;
                        over = Some(run);
                    }
                    Output::Changed { from, to } => {
                        prop_assert_eq!(from, health);
                        prop_assert_ne!(from, to);
                        let (rise, fall) = (config.rise.get(), config.fall.get());
                        let steps = config.steps.get();
                        match (from, to) {
                            (Health::Unknown, Health::Up) => prop_assert!(passes >= steps),
                            (_, Health::Up) => prop_assert!(passes >= rise * steps),
                            (Health::Unknown, Health::Down) => prop_assert_eq!(failures, 1),
                            (_, Health::Down) => prop_assert!(
                                failures >= fall
                                    || (results == 1 && config.initial == Initial::AssumedUp)
                            ),
                            (_, Health::Unknown) => prop_assert!(false, "nothing is forgotten"),
                        }
                        if to == Health::Up && from == Health::Down {
                            prop_assert_eq!(checker.held_until(now), None);
                        }
                        health = to;
                    }
                }
            }
            prop_assert_eq!(checker.health(), health);
            prop_assert_eq!(checker.running(), running);
            let counted = checker.counters().passed + checker.counters().failed
                > before.passed + before.failed;
            if matches!(step, Step::Timeout) || counted {
                let next = checker.poll_timeout();
                let between_steps = passes % config.steps.get() != 0;
                let at_once = config.fast_recovery && health != Health::Up && between_steps;
                prop_assert!(next.is_none_or(|at| at > now || at_once), "a busy loop");
            }
        }
    }

    #[test]
    fn a_grid_does_not_drift_however_long_probes_take(
        interval in millis(10..5_000),
        jitter in millis(0..9),
        lasting in proptest::collection::vec(millis(0..20_000), 1..100),
    ) {
        let start = Instant::now();
        let mut config = CheckConfig::plain(interval, Duration::from_secs(60));
        config.jitter = jitter;
        let mut checker = Checker::new(config, start, 3).unwrap();
        let mut last = None;
        for lasting in lasting {
            let at = checker.poll_timeout().unwrap();
            let off = at.duration_since(start).as_nanos() % interval.as_nanos();
            prop_assert!(off <= jitter.as_nanos(), "{off} ns off the grid");
            if let Some(last) = last {
                prop_assert!(at > last);
            }
            checker.handle(Input::Timeout, at);
            let Some(Output::Probe { run, .. }) = checker.poll_output() else {
                return Err(TestCaseError::fail("no probe"));
            };
            last = Some(at + lasting);
            checker.handle(Input::Outcome { run, passed: true }, at + lasting);
            while checker.poll_output().is_some() {}
            let wait = checker.poll_timeout().unwrap().duration_since(at + lasting);
            prop_assert!(wait <= interval + jitter);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_outputs(
        config in config(),
        passed in proptest::collection::vec(any::<bool>(), 0..50),
    ) {
        let start = Instant::now();
        let run = || {
            let mut checker = Checker::new(config.clone(), start, 11).unwrap();
            let mut outputs = Vec::new();
            for passed in &passed {
                let now = checker.poll_timeout().unwrap();
                checker.handle(Input::Timeout, now);
                while let Some(output) = checker.poll_output() {
                    if let Output::Probe { run, .. } = output {
                        checker.handle(Input::Outcome { run, passed: *passed }, now);
                    }
                    outputs.push((now, output));
                }
            }
            outputs
        };
        prop_assert_eq!(run(), run());
    }
}
