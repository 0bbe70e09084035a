//! keepalived's timing, row by row of its reference (2.8).

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test begins at some instant, and fails by panicking"
)]

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use health::{
    CheckConfig, Checker, Counted, Health, Initial, Input, KeepalivedTiming, Output, WhenDown,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn tcp(retry: u32) -> CheckConfig {
    CheckConfig::keepalived(&KeepalivedTiming {
        delay_loop: secs(60),
        delay_before_retry: secs(1),
        retry,
        timeout: secs(5),
        alpha: false,
    })
}

/// Runs a checker on probes that take a second each; times are seconds since its start.
struct Rig {
    checker: Checker,
    start: Instant,
    now: Instant,
}

impl Rig {
    fn new(config: CheckConfig) -> Self {
        let start = Instant::now();
        Self {
            checker: Checker::new(config, start + secs(1), 0).unwrap(),
            start,
            now: start,
        }
    }

    /// Runs the next probe: when it began, its step, the health after it.
    fn probe(&mut self, passed: bool) -> (u64, u32, Health) {
        self.now = self.checker.poll_timeout().unwrap();
        self.checker.handle(Input::Timeout, self.now);
        let Some(Output::Probe { run, step, .. }) = self.checker.poll_output() else {
            panic!("no probe");
        };
        let began = self.now.duration_since(self.start).as_secs();
        self.now += secs(1);
        self.checker
            .handle(Input::Outcome { run, passed }, self.now);
        while self.checker.poll_output().is_some() {}
        (began, step, self.checker.health())
    }

    fn probes<const N: usize>(&mut self, passed: [bool; N]) -> [(u64, u32, Health); N] {
        passed.map(|passed| self.probe(passed))
    }
}

use Health::{Down, Up};

#[test]
fn row_1_the_first_run_is_when_it_is_told_and_the_next_count_from_the_end() {
    assert_eq!(
        Rig::new(tcp(1)).probes([true, true, true]),
        [(1, 0, Up), (62, 0, Up), (123, 0, Up)],
    );
}

#[test]
fn row_1_misc_check_counts_from_the_start() {
    let mut config = tcp(1);
    config.counted = Counted::FromStart;
    assert_eq!(
        Rig::new(config).probes([true, true, true]),
        [(1, 0, Up), (61, 0, Up), (121, 0, Up)],
    );
}

#[test]
fn row_2_a_first_failure_at_start_is_down_at_once_whatever_retry_is() {
    assert_eq!(Rig::new(tcp(5)).probe(false), (1, 0, Down));
}

#[test]
fn row_3_a_server_is_up_from_the_start_unless_alpha() {
    assert_eq!(Rig::new(tcp(1)).checker.health(), Up);
    let alpha = CheckConfig::keepalived(&KeepalivedTiming {
        delay_loop: secs(60),
        delay_before_retry: secs(1),
        retry: 1,
        timeout: secs(5),
        alpha: true,
    });
    let mut rig = Rig::new(alpha);
    assert_eq!(rig.checker.health(), Down);
    assert_eq!(rig.probe(true), (1, 0, Up));
}

#[test]
fn row_4_a_server_that_is_up_gets_retry_further_tries() {
    assert_eq!(
        Rig::new(tcp(2)).probes([true, false, false, true, false, false, false]),
        [
            (1, 0, Up),
            (62, 0, Up),
            (64, 0, Up),
            (66, 0, Up),
            (127, 0, Up),
            (129, 0, Up),
            (131, 0, Down),
        ],
    );
}

#[test]
fn row_5_a_server_that_is_down_is_tried_every_delay_loop_and_one_success_is_enough() {
    assert_eq!(
        Rig::new(tcp(1)).probes([false, false, false, true]),
        [(1, 0, Down), (62, 0, Down), (123, 0, Down), (184, 0, Up)],
    );
}

#[test]
fn row_5_http_waits_for_the_longer_of_its_two_delays() {
    let mut config = tcp(1);
    config.retry_interval = secs(90);
    config.down_interval = secs(90);
    assert_eq!(
        Rig::new(config).probes([false, false]),
        [(1, 0, Down), (92, 0, Down)],
    );
}

#[test]
fn row_5_smtp_retries_even_while_down() {
    let mut config = tcp(1);
    config.when_down = WhenDown::Retry;
    assert_eq!(
        Rig::new(config).probes([false, false, false, false]),
        [(1, 0, Down), (62, 0, Down), (64, 0, Down), (125, 0, Down)],
    );
}

#[test]
fn row_6_urls_run_one_per_delay_loop_and_all_must_pass_in_sequence() {
    let mut config = tcp(0);
    config.steps = NonZeroU32::new(2).unwrap();
    assert_eq!(
        Rig::new(config).probes([true, false, true, false, true, true, true]),
        [
            (1, 0, Up),
            (62, 1, Down),
            (123, 0, Down),
            (184, 1, Down),
            (245, 0, Down),
            (306, 1, Up),
            (367, 0, Up),
        ],
    );
}

#[test]
fn row_6_with_fast_recovery_the_urls_of_a_server_that_is_not_up_run_without_a_wait() {
    let mut config = tcp(0);
    config.steps = NonZeroU32::new(3).unwrap();
    config.fast_recovery = true;
    config.initial = Initial::Down;
    assert_eq!(
        Rig::new(config).probes([true, true, true, true, false, true, false, true]),
        [
            (1, 0, Down),
            (2, 1, Down),
            (3, 2, Up),
            (64, 0, Up),
            (125, 1, Down),
            (186, 0, Down),
            (187, 1, Down),
            (248, 0, Down),
        ],
    );
}

#[test]
fn steps_without_a_wait_keep_to_the_grid() {
    let mut config = CheckConfig::plain(secs(60), secs(5));
    config.steps = NonZeroU32::new(3).unwrap();
    config.fast_recovery = true;
    assert_eq!(
        Rig::new(config).probes([true, true, true, true]),
        [
            (1, 0, Health::Unknown),
            (2, 1, Health::Unknown),
            (3, 2, Up),
            (61, 0, Up),
        ],
    );
}
