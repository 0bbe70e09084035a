//! Waiting for something to become true, with a bound, by looking again and again.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long to leave a condition alone before looking at it again.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The clock of the laboratory: real, because the peers' is.
#[expect(
    clippy::disallowed_methods,
    reason = "real peers run on the real clock"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Whether `condition` became true within `within`.
pub fn becomes_true(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = now() + within;
    loop {
        if condition() {
            return true;
        }
        if now() >= deadline {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Waits until `condition` holds and returns how long that took.
///
/// # Panics
///
/// When `within` has passed and the condition does not hold; `what` says what was expected.
#[track_caller]
pub fn wait_until(what: &str, within: Duration, condition: impl FnMut() -> bool) -> Duration {
    let start = now();
    assert!(
        becomes_true(within, condition),
        "not within {within:?}: {what}"
    );
    start.elapsed()
}

/// Watches that `condition` holds at every look until `until` does, for behaviour that consists in
/// nothing happening: `until` names the event (so many advertisements seen) that would have brought
/// it about.
///
/// # Panics
///
/// When the condition does not hold, or `until` is not reached within `within`.
#[track_caller]
pub fn stays(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> bool,
    mut until: impl FnMut() -> bool,
) {
    let mut held = true;
    let ended = becomes_true(within, || {
        held = condition();
        !held || until()
    });
    assert!(held, "no longer true: {what}");
    assert!(ended, "nothing to judge by within {within:?}: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        wait_until("three looks", Duration::from_secs(10), || {
            looks += 1;
            looks == 3
        });
        assert_eq!(looks, 3);
    }

    #[test]
    #[should_panic(expected = "not within 0ns: the impossible")]
    fn a_condition_that_never_holds_fails_the_test() {
        wait_until("the impossible", Duration::ZERO, || false);
    }

    #[test]
    #[should_panic(expected = "no longer true: two looks at most")]
    fn a_condition_that_breaks_fails_the_test_though_its_end_comes_later() {
        let mut looks = 0;
        stays(
            "two looks at most",
            Duration::from_secs(10),
            || {
                looks += 1;
                looks < 3
            },
            || false,
        );
    }

    #[test]
    #[should_panic(expected = "nothing to judge by")]
    fn watching_without_reaching_the_end_proves_nothing() {
        stays("quiet", Duration::ZERO, || true, || false);
    }
}
