//! The last moments of a run: `SIGTERM`, `SIGKILL`, and at last giving up.

use std::pin::pin;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;

/// What is supervised: a process group, or the hope of one.
pub(super) trait Supervised {
    /// Returns when its leader has exited, or it turned out that it will never start. Cancel safe.
    fn exited(&mut self) -> impl Future<Output = ()> + Send;
    /// Returns when nothing of the group is left but what cannot be seen. Cancel safe.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
    /// Sends a signal to the group.
    fn signal(&mut self, signal: Signal);
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From `SIGTERM` to `SIGKILL`.
    pub(super) grace: Duration,
    /// From `SIGKILL` until it is given up.
    pub(super) give_up: Duration,
}

impl Limits {
    /// keepalived's two seconds of grace. keepalived never gives up.
    pub(super) const DEFAULT: Self = Self {
        grace: Duration::from_secs(2),
        give_up: Duration::from_secs(5),
    };
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Exited,
    /// By a signal of ours; nothing of the group is left.
    Ended,
    /// Not at all: something of the group is left and cannot be ended.
    Left,
}

/// Waits until the leader exits; when `stop` is ready before that, ends the whole group.
pub(super) async fn supervise(
    group: &mut (impl Supervised + Send),
    stop: impl Future<Output = ()> + Send,
    limits: Limits,
) -> End {
    let stop = pin!(stop);
    tokio::select! {
        biased;
        () = group.exited() => return End::Exited,
        () = stop => {}
    }
    for (signal, wait) in [
        (Signal::SIGTERM, limits.grace),
        (Signal::SIGKILL, limits.give_up),
    ] {
        group.signal(signal);
        if timeout(wait, group.gone()).await.is_ok() {
            return End::Ended;
        }
    }
    End::Left
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep, sleep_until};

    use super::*;

    /// A group whose leader exits, and whose last process goes, at given times or after signals.
    struct Fake {
        start: Instant,
        exits_after: Duration,
        ends_on: &'static [Signal],
        signals: Vec<(Signal, Duration)>,
    }

    const NEVER: Duration = Duration::from_secs(1 << 30);
    const STOP: Duration = Duration::from_secs(10);

    impl Fake {
        #[expect(clippy::disallowed_methods, reason = "tokio's paused clock")]
        fn new(exits_after: Duration, ends_on: &'static [Signal]) -> Self {
            Self {
                start: Instant::now(),
                exits_after,
                ends_on,
                signals: Vec::new(),
            }
        }
    }

    impl Supervised for Fake {
        async fn exited(&mut self) {
            sleep_until(self.start + self.exits_after).await;
        }

        async fn gone(&mut self) {
            let last = self.signals.last().map(|(signal, _)| signal);
            match last.is_some_and(|signal| self.ends_on.contains(signal)) {
                true => sleep(Duration::from_millis(100)).await,
                false => std::future::pending().await,
            }
        }

        fn signal(&mut self, signal: Signal) {
            self.signals.push((signal, self.start.elapsed()));
        }
    }

    async fn supervised(mut group: Fake) -> (End, Vec<(Signal, Duration)>, Duration) {
        let end = supervise(&mut group, sleep(STOP), Limits::DEFAULT).await;
        (end, group.signals, group.start.elapsed())
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_exits_in_time_gets_no_signal() {
        let (end, signals, took) = supervised(Fake::new(ms(9999), &[])).await;
        assert_eq!((end, signals, took), (End::Exited, vec![], ms(9999)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_exit_at_the_very_deadline_is_an_exit() {
        let (end, ..) = supervised(Fake::new(STOP, &[])).await;
        assert_eq!(end, End::Exited);
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_heeds_sigterm_gets_no_sigkill() {
        let (end, signals, took) = supervised(Fake::new(NEVER, &[Signal::SIGTERM])).await;
        assert_eq!((end, signals), (End::Ended, vec![(Signal::SIGTERM, STOP)]));
        assert_eq!(took, STOP + ms(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_ignores_sigterm_gets_sigkill_two_seconds_later() {
        let (end, signals, took) = supervised(Fake::new(NEVER, &[Signal::SIGKILL])).await;
        let both = vec![(Signal::SIGTERM, STOP), (Signal::SIGKILL, STOP + ms(2000))];
        assert_eq!((end, signals, took), (End::Ended, both, STOP + ms(2100)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_survives_sigkill_is_given_up_five_seconds_later() {
        let (end, signals, took) = supervised(Fake::new(NEVER, &[])).await;
        assert_eq!((end, signals.len(), took), (End::Left, 2, STOP + ms(7000)));
    }
}
