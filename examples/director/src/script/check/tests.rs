use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn epoch() -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "any instant will do: only differences matter"
    )]
    Instant::now()
}

fn config(rise: u32, fall: u32) -> CheckConfig {
    CheckConfig {
        interval: SECOND,
        timeout: SECOND / 2,
        rise: NonZeroU32::new(rise).unwrap(),
        fall: NonZeroU32::new(fall).unwrap(),
        init_fail: false,
    }
}

fn outputs(check: &mut Check) -> Vec<Output> {
    std::iter::from_fn(|| check.poll_output()).collect()
}

/// Hands in `input` and expects exactly these outputs.
#[track_caller]
fn expect(check: &mut Check, input: Input, now: Instant, expected: &[Output]) {
    check.handle(input, now);
    assert_eq!(outputs(check), expected);
}

fn changed(to: CheckState, outcome: Outcome) -> Output {
    Output::Changed {
        to,
        because: Because::Ended(outcome),
    }
}

#[test]
fn a_check_runs_at_its_first_time_and_then_once_an_interval() {
    let start = epoch();
    let mut check = Check::new(config(1, 1), start);
    assert_eq!(check.poll_timeout(), Some(start));
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let up = changed(CheckState::Up, Outcome::Success);
    expect(
        &mut check,
        Input::Finished(Outcome::Success),
        start + SECOND / 4,
        &[up],
    );
    assert_eq!(check.poll_timeout(), Some(start + SECOND));
    expect(&mut check, Input::Timeout, start + SECOND, &[Output::Run]);
}

#[test]
fn a_timeout_that_comes_early_does_nothing() {
    let start = epoch() + SECOND;
    let mut check = Check::new(config(1, 1), start);
    expect(&mut check, Input::Timeout, start - SECOND / 2, &[]);
    assert_eq!(check.poll_timeout(), Some(start));
}

#[test]
fn a_run_at_its_deadline_has_failed_at_once_and_its_end_is_not_counted_again() {
    let start = epoch();
    let mut check = Check::new(config(1, 1), start);
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let down = changed(CheckState::Down, Outcome::TimedOut);
    expect(
        &mut check,
        Input::Timeout,
        start + SECOND / 2,
        &[Output::Terminate, down],
    );
    expect(
        &mut check,
        Input::Finished(Outcome::Success),
        start + SECOND / 2,
        &[],
    );
    assert_eq!(check.state(), CheckState::Down);
    assert_eq!(check.counters().timed_out, 1);
    assert_eq!(check.counters().succeeded, 0);
}

#[test]
fn a_run_that_is_due_while_the_previous_one_goes_on_is_skipped_and_told_once() {
    let start = epoch();
    let timeout = 3 * SECOND;
    let mut check = Check::new(
        CheckConfig {
            timeout,
            ..config(1, 1)
        },
        start,
    );
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let skipped = Output::Skipped {
        running_for: SECOND,
    };
    expect(&mut check, Input::Timeout, start + SECOND, &[skipped]);
    expect(&mut check, Input::Timeout, start + 2 * SECOND, &[]);
    assert_eq!(check.counters().skipped, 2);
    check.handle(Input::Finished(Outcome::Success), start + SECOND * 5 / 2);
    let _ = outputs(&mut check);
    expect(
        &mut check,
        Input::Timeout,
        start + 3 * SECOND,
        &[Output::Run],
    );
}

#[test]
fn with_timeout_equal_to_interval_the_deadline_comes_before_the_skip() {
    let start = epoch();
    let mut check = Check::new(CheckConfig::every(SECOND), start);
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let down = changed(CheckState::Down, Outcome::TimedOut);
    let skipped = Output::Skipped {
        running_for: SECOND,
    };
    expect(
        &mut check,
        Input::Timeout,
        start + SECOND,
        &[Output::Terminate, down, skipped],
    );
}

#[test]
fn a_changed_exit_status_is_told_even_when_the_state_stays() {
    let start = epoch();
    let mut check = Check::new(config(1, 3), start);
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let up = changed(CheckState::Up, Outcome::Success);
    expect(&mut check, Input::Finished(Outcome::Success), start, &[up]);
    for (second, code, told) in [(1, 2, true), (2, 2, false)] {
        let now = start + second * SECOND;
        expect(&mut check, Input::Timeout, now, &[Output::Run]);
        let failure = Outcome::Failure { code };
        let expected = if told {
            vec![Output::Differs(failure.clone())]
        } else {
            vec![]
        };
        expect(&mut check, Input::Finished(failure), now, &expected);
    }
    assert_eq!(check.because(), &Because::Ended(Outcome::Success));
}

#[test]
fn another_kind_of_failure_is_told_once_where_no_change_of_state_tells_it() {
    let start = epoch();
    let mut check = Check::new(config(1, 1), start);
    let signalled = Outcome::Signalled { signal: 9 };
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let down = changed(CheckState::Down, signalled.clone());
    expect(&mut check, Input::Finished(signalled), start, &[down]);
    expect(&mut check, Input::Timeout, start + SECOND, &[Output::Run]);
    let differs = Output::Differs(Outcome::TimedOut);
    let now = start + SECOND * 3 / 2;
    expect(
        &mut check,
        Input::Timeout,
        now,
        &[Output::Terminate, differs],
    );
}

#[test]
fn init_fail_is_told_at_once_and_needs_rise_successes() {
    let start = epoch();
    let mut check = Check::new(
        CheckConfig {
            init_fail: true,
            ..config(2, 1)
        },
        start,
    );
    let down = Output::Changed {
        to: CheckState::Down,
        because: Because::InitFail,
    };
    assert_eq!(outputs(&mut check), [down]);
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    expect(&mut check, Input::Finished(Outcome::Success), start, &[]);
    expect(&mut check, Input::Timeout, start + SECOND, &[Output::Run]);
    let up = changed(CheckState::Up, Outcome::Success);
    expect(
        &mut check,
        Input::Finished(Outcome::Success),
        start + SECOND,
        &[up],
    );
}

#[test]
fn a_check_added_by_a_reload_is_up_until_its_first_result() {
    let start = epoch();
    let mut check = Check::added_by_reload(config(3, 3), start);
    let up = Output::Changed {
        to: CheckState::Up,
        because: Because::AddedByReload,
    };
    assert_eq!(outputs(&mut check), [up]);
    expect(&mut check, Input::Timeout, start, &[Output::Run]);
    let failure = Outcome::Failure { code: 1 };
    check.handle(Input::Finished(failure.clone()), start);
    let expected = [
        Output::Differs(failure.clone()),
        changed(CheckState::Down, failure),
    ];
    assert_eq!(outputs(&mut check), expected);
}

#[test]
fn another_configuration_keeps_the_state_and_runs_at_once() {
    let start = epoch();
    let mut check = Check::new(config(1, 1), start);
    check.handle(Input::Timeout, start);
    check.handle(Input::Finished(Outcome::Success), start);
    check.handle(Input::Timeout, start + SECOND);
    let _ = outputs(&mut check);
    let now = start + SECOND * 5 / 4;
    let mut check = check.reconfigured(
        CheckConfig {
            interval: 3 * SECOND,
            ..config(1, 1)
        },
        now,
    );
    assert_eq!(check.state(), CheckState::Up);
    assert_eq!(outputs(&mut check), []);
    assert_eq!(check.poll_timeout(), Some(now));
    expect(&mut check, Input::Timeout, now, &[Output::Run]);
    assert_eq!(check.poll_timeout(), Some(now + SECOND / 2));
}

#[test]
fn a_result_that_was_not_asked_for_is_counted_and_changes_nothing() {
    let start = epoch();
    let mut check = Check::new(config(1, 1), start);
    expect(&mut check, Input::Finished(Outcome::Success), start, &[]);
    assert_eq!(check.state(), CheckState::Unknown);
    assert_eq!(check.counters().unexpected, 1);
}

#[test]
fn times_that_no_clock_can_hold_do_no_harm() {
    let start = epoch();
    for (interval, timeout) in [
        (Duration::ZERO, Duration::MAX),
        (Duration::MAX, Duration::ZERO),
    ] {
        let mut check = Check::new(
            CheckConfig {
                interval,
                timeout,
                ..config(1, 1)
            },
            start,
        );
        expect(&mut check, Input::Timeout, start, &[Output::Run]);
        assert!(check.poll_timeout().unwrap() > start);
    }
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        2 => (1..256).prop_map(|code| Outcome::Failure { code }),
        1 => (1..32).prop_map(|signal| Outcome::Signalled { signal }),
        1 => Just(Outcome::TimedOut),
    ]
}

/// How many milliseconds each run takes and how it ends.
fn any_runs() -> impl Strategy<Value = Vec<(u64, Outcome)>> {
    proptest::collection::vec((0_u64..5000, any_outcome()), 1..60)
}

proptest! {
    /// A driver on virtual time: the invariants of style 2.4 and the promises of this module.
    #[test]
    fn no_sequence_of_outcomes_breaks_an_invariant(
        interval in 100_u64..3000,
        timeout in 50_u64..6000,
        rise in 1_u32..4,
        fall in 1_u32..4,
        init_fail: bool,
        runs in any_runs(),
    ) {
        let ms = Duration::from_millis;
        let start = epoch();
        let thresholds = config(rise, fall);
        let config =
            CheckConfig { interval: ms(interval), timeout: ms(timeout), init_fail, ..thresholds };
        let mut check = Check::new(config, start);
        let mut told = if init_fail { CheckState::Down } else { CheckState::Unknown };
        let _ = outputs(&mut check);

        let mut now = start;
        let mut in_flight: Option<(Instant, Outcome)> = None;
        let mut streak: (Option<bool>, u32) = (None, 0);
        let mut overdue = false;
        let mut runs = runs.into_iter();
        let mut steps = 0_u64;
        'time: loop {
            let due = check.poll_timeout().unwrap();
            let (at, input) = match in_flight.take() {
                Some((ends_at, outcome)) if ends_at < due => {
                    if !overdue {
                        let success = outcome.is_success();
                        let again = streak.0 == Some(success);
                        streak = (Some(success), if again { streak.1 + 1 } else { 1 });
                    }
                    (ends_at, Input::Finished(outcome))
                }
                running => {
                    in_flight = running;
                    (due, Input::Timeout)
                }
            };
            now = now.max(at);
            check.handle(input.clone(), now);
            steps += 1;
            for output in outputs(&mut check) {
                match output {
                    Output::Run => {
                        prop_assert!(in_flight.is_none(), "two runs in flight");
                        let since_start = u64::try_from((now - start).as_millis()).unwrap();
                        prop_assert_eq!(since_start % interval, 0, "the interval drifts");
                        let Some((takes, outcome)) = runs.next() else { break 'time };
                        in_flight = Some((now + ms(takes), outcome));
                        overdue = false;
                    }
                    Output::Terminate => {
                        prop_assert!(in_flight.is_some() && !overdue);
                        overdue = true;
                        let again = streak.0 == Some(false);
                        streak = (Some(false), if again { streak.1 + 1 } else { 1 });
                    }
                    Output::Changed { to, because } => {
                        prop_assert_ne!(to, told);
                        let Because::Ended(outcome) = because else { panic!("{because:?}") };
                        prop_assert_eq!(outcome.is_success(), to == CheckState::Up);
                        let needed = match told {
                            CheckState::Unknown => 1,
                            CheckState::Up => fall,
                            CheckState::Down => rise,
                        };
                        prop_assert!(streak.1 >= needed, "{:?} after {:?}", to, streak);
                        told = to;
                    }
                    Output::Skipped { running_for } => {
                        prop_assert!(running_for >= ms(interval) / 2);
                        prop_assert!(in_flight.is_some());
                    }
                    Output::Differs(_) => {}
                }
            }
            prop_assert_eq!(check.state(), told, "a change was not told");
            if input == Input::Timeout {
                prop_assert!(check.poll_timeout().unwrap() > now, "busy loop");
            }
            prop_assert!(steps < 100_000, "endless");
        }
        let counters = check.counters();
        prop_assert_eq!(counters.unexpected, 0);
        let ended = counters.succeeded + counters.failed + counters.timed_out;
        prop_assert!(counters.runs - ended <= 1);
    }

    /// Late timers move no later start, unless a whole interval was slept through.
    #[test]
    fn lateness_does_not_add_up(late in proptest::collection::vec(0_u64..900, 1..50)) {
        let start = epoch();
        let mut check = Check::new(config(1, 1), start);
        for (round, late) in (0_u32..).zip(late) {
            let due = start + round * SECOND;
            prop_assert_eq!(check.poll_timeout(), Some(due));
            let now = due + Duration::from_millis(late);
            check.handle(Input::Timeout, now);
            check.handle(Input::Finished(Outcome::Success), now);
            let _ = outputs(&mut check);
        }
    }

    /// After a stall of any length there is one run, not one for each interval that was missed.
    #[test]
    fn a_stall_is_not_made_up_for(seconds in 1_u32..100_000) {
        let start = epoch();
        let mut check = Check::new(config(1, 1), start);
        let now = start + seconds * SECOND + SECOND / 3;
        check.handle(Input::Timeout, now);
        prop_assert_eq!(outputs(&mut check), [Output::Run]);
        check.handle(Input::Finished(Outcome::Success), now);
        prop_assert_eq!(check.poll_timeout(), Some(now + SECOND));
    }
}
