use std::num::NonZeroU32;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[expect(
    clippy::disallowed_methods,
    reason = "a test needs some instant to begin with"
)]
fn plain() -> (Checker, Instant) {
    let now = Instant::now();
    let config = CheckConfig::plain(10 * SECOND, 2 * SECOND);
    (Checker::new(config, now, 0).unwrap(), now)
}

fn begin(checker: &mut Checker, now: Instant) -> Run {
    checker.handle(Input::Timeout, now);
    match checker.poll_output() {
        Some(Output::Probe { run, .. }) => run,
        other => panic!("{other:?} instead of a probe"),
    }
}

/// Runs the next probe, which answers at once, and returns when that was.
fn probe(checker: &mut Checker, passed: bool) -> Instant {
    let now = checker.poll_timeout().unwrap();
    let run = begin(checker, now);
    checker.handle(Input::Outcome { run, passed }, now);
    while checker.poll_output().is_some() {}
    now
}

#[test]
fn nothing_is_known_until_the_first_result_which_decides_at_once() {
    for (passed, health) in [(true, Health::Up), (false, Health::Down)] {
        let (mut checker, _) = plain();
        assert_eq!(checker.health(), Health::Unknown);
        probe(&mut checker, passed);
        assert_eq!(checker.health(), health);
    }
}

#[test]
fn a_timeout_that_comes_early_does_nothing() {
    let (mut checker, now) = plain();
    probe(&mut checker, true);
    checker.handle(Input::Timeout, now + 9 * SECOND);
    assert_eq!(checker.poll_output(), None);
    assert_eq!(checker.poll_timeout(), Some(now + 10 * SECOND));
}

#[test]
fn a_probe_without_an_answer_fails_at_its_deadline() {
    let (mut checker, now) = plain();
    let run = begin(&mut checker, now);
    assert_eq!(checker.poll_timeout(), Some(now + 2 * SECOND));
    checker.handle(Input::Timeout, now + 2 * SECOND);
    assert_eq!(checker.poll_output(), Some(Output::Abandon { run }));
    let (from, to) = (Health::Unknown, Health::Down);
    assert_eq!(checker.poll_output(), Some(Output::Changed { from, to }));
    assert_eq!(checker.counters().timed_out, 1);
}

#[test]
fn an_answer_after_the_deadline_is_late_even_if_nobody_looked_at_the_clock() {
    let (mut checker, now) = plain();
    let run = begin(&mut checker, now);
    checker.handle(Input::Outcome { run, passed: true }, now + 3 * SECOND);
    assert_eq!(checker.health(), Health::Down);
    let counters = checker.counters();
    assert_eq!(
        (counters.late, counters.timed_out, counters.passed),
        (1, 1, 0)
    );
}

#[test]
fn a_pause_abandons_the_probe_and_resuming_probes_at_once() {
    let (mut checker, now) = plain();
    let run = begin(&mut checker, now);
    checker.handle(Input::Pause, now);
    assert_eq!(checker.poll_output(), Some(Output::Abandon { run }));
    assert_eq!(checker.poll_timeout(), None);
    checker.handle(Input::Outcome { run, passed: true }, now);
    assert_eq!(
        (checker.health(), checker.counters().late),
        (Health::Unknown, 1)
    );
    checker.handle(Input::Resume, now + SECOND);
    assert_eq!(checker.poll_timeout(), Some(now + SECOND));
    checker.handle(Input::Timeout, now + SECOND);
    assert!(matches!(checker.poll_output(), Some(Output::Probe { .. })));
}

#[test]
fn a_server_that_flaps_is_held_down_and_comes_up_when_the_hold_is_over() {
    let (checker, now) = plain();
    let mut config = checker.config().clone();
    config.rise = NonZeroU32::MIN;
    config.fall = NonZeroU32::MIN;
    config.damping = Some(Damping {
        falls: NonZeroU32::new(2).unwrap(),
        within: 60 * SECOND,
        hold: 25 * SECOND,
    });
    let mut checker = Checker::new(config, now, 0).unwrap();
    let health: Vec<_> = [false, true, false, true, true, true]
        .into_iter()
        .map(|passed| {
            probe(&mut checker, passed);
            checker.health()
        })
        .collect();
    use Health::{Down, Up};
    assert_eq!(health, [Down, Up, Down, Down, Down, Up]);
    assert_eq!(checker.counters().held, 2);
}

#[test]
fn falls_far_apart_are_no_flapping() {
    let (checker, now) = plain();
    let mut config = checker.config().clone();
    config.rise = NonZeroU32::MIN;
    config.fall = NonZeroU32::MIN;
    config.damping = Some(Damping {
        falls: NonZeroU32::new(2).unwrap(),
        within: 15 * SECOND,
        hold: 60 * SECOND,
    });
    let mut checker = Checker::new(config, now, 0).unwrap();
    for passed in [false, true, false, true] {
        probe(&mut checker, passed);
    }
    assert_eq!(checker.health(), Health::Up);
}

#[test]
fn spans_out_of_range_are_refused_by_name() {
    let (checker, now) = plain();
    let mut config = checker.config().clone();
    config.retry_interval = Duration::ZERO;
    let error = Checker::new(config.clone(), now, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "retry_interval is 0ns, it must be from 1 ms to 366 days"
    );
    config.retry_interval = Duration::MAX;
    assert!(Checker::new(config, now, 0).is_err());
}
