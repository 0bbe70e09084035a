//! How a checker is configured.

use std::{num::NonZeroU32, time::Duration};

use super::Health;

/// When a [`Checker`](super::Checker) probes and what it makes of the answers.
///
/// Spans are from [`CheckConfig::SHORTEST`] to [`CheckConfig::LONGEST`] unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct CheckConfig {
    /// From one probe to the next while nothing is in doubt.
    pub interval: Duration,
    /// From one probe to the next while a server that is up fails, and while one that is down
    /// passes but not yet `rise` times.
    pub retry_interval: Duration,
    /// From one probe to the next while the server is down.
    pub down_interval: Duration,
    /// Whether the spans above run from the start of a probe or from its end.
    pub counted: Counted,
    /// The one deadline for a whole probe, from its start.
    pub timeout: Duration,
    /// Passes in a row that bring a server up.
    pub rise: NonZeroU32,
    /// Failures in a row that bring it down.
    pub fall: NonZeroU32,
    /// Probes that make one check, such as the URLs of one `HTTP_GET`: they run one after the
    /// other, an interval apart, and the check passes when the last one does.
    pub steps: NonZeroU32,
    /// Whether the steps of a server that is not up follow one another at once instead of an
    /// interval apart: keepalived's `fast_recovery`. Between checks there is a wait all the same.
    pub fast_recovery: bool,
    /// What holds before the first result.
    pub initial: Initial,
    /// What follows on failures of a server that is down.
    pub when_down: WhenDown,
    /// Up to this much is added to each wait, from zero to [`CheckConfig::LONGEST`]. It never adds
    /// up where spans count from the start: two checkers that are apart stay apart.
    pub jitter: Duration,
    /// Holds a server down that goes up and down too often.
    pub damping: Option<Damping>,
}

/// Where a wait begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a probe has two ends")]
pub enum Counted {
    /// At the end of a probe: slow servers are probed less often.
    FromEnd,
    /// At the time a probe was due: probes keep to a grid whatever the server does. A probe that
    /// outlasts its wait skips the slots it missed.
    FromStart,
}

/// What holds before the first result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the ways a server can begin")]
pub enum Initial {
    /// Up, but the first failure decides at once: keepalived without `alpha`.
    AssumedUp,
    /// Down, and it takes `rise` passes: keepalived's `alpha`.
    Down,
    /// Nothing: the first result decides at once.
    Unknown,
    /// Up, and it takes `fall` failures.
    Up,
}

impl Initial {
    pub(crate) const fn health(self) -> Health {
        match self {
            Self::AssumedUp | Self::Up => Health::Up,
            Self::Down => Health::Down,
            Self::Unknown => Health::Unknown,
        }
    }
}

/// What follows on a failure of a server that is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "keepalived knows these two")]
pub enum WhenDown {
    /// `fall` tries in a row, `retry_interval` apart, then a wait of `down_interval`: `SMTP_CHECK`.
    Retry,
    /// A wait of `down_interval`.
    Wait,
}

/// Holds a server down that flaps.
///
/// A server that has gone down `falls` times within `within` is not let up before `hold` has
/// passed since the last of them, whatever its probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these three numbers")]
pub struct Damping {
    /// How many times, 1 to [`Damping::MOST_FALLS`].
    pub falls: NonZeroU32,
    /// In how long, from the first to the last of them.
    pub within: Duration,
    /// For how long it is held down.
    pub hold: Duration,
}

impl Damping {
    /// The most falls a checker remembers.
    pub const MOST_FALLS: u32 = 1000;
}

/// The timing options of one keepalived checker, with the names of keepalived.conf.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "each checker must say all of it")]
pub struct KeepalivedTiming {
    /// `delay_loop`.
    pub delay_loop: Duration,
    /// `delay_before_retry`.
    pub delay_before_retry: Duration,
    /// `retry`: further tries before a server that was up is down.
    pub retry: u32,
    /// `connect_timeout`, or `misc_timeout`; here the deadline of the whole probe.
    pub timeout: Duration,
    /// `alpha`: down until the first success.
    pub alpha: bool,
}

impl CheckConfig {
    /// The shortest span a checker takes: 1 ms.
    pub const SHORTEST: Duration = Duration::from_millis(1);
    /// The longest span a checker takes: a year.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    /// A probe every `interval`, whatever the server does: unknown until the first result, down
    /// after 3 failures, up after 2 passes, no jitter, no damping.
    #[must_use]
    pub const fn plain(interval: Duration, timeout: Duration) -> Self {
        Self {
            interval,
            retry_interval: interval,
            down_interval: interval,
            counted: Counted::FromStart,
            timeout,
            rise: NonZeroU32::new(2).expect("it is not zero"),
            fall: NonZeroU32::new(3).expect("it is not zero"),
            steps: NonZeroU32::MIN,
            fast_recovery: false,
            initial: Initial::Unknown,
            when_down: WhenDown::Wait,
            jitter: Duration::ZERO,
            damping: None,
        }
    }

    /// keepalived's timing, as `TCP_CHECK`, `UDP_CHECK`, `DNS_CHECK` and `PING_CHECK` have it.
    ///
    /// The others differ in one thing each: `MISC_CHECK` counts [`Counted::FromStart`];
    /// `SMTP_CHECK` is [`WhenDown::Retry`]; `HTTP_GET` and `SSL_GET` have a `down_interval` of the
    /// longer of `delay_loop` and `delay_before_retry`, as many `steps` as URLs, and
    /// [`fast_recovery`](Self::fast_recovery).
    #[must_use]
    pub const fn keepalived(timing: &KeepalivedTiming) -> Self {
        Self {
            interval: timing.delay_loop,
            retry_interval: timing.delay_before_retry,
            down_interval: timing.delay_loop,
            counted: Counted::FromEnd,
            timeout: timing.timeout,
            rise: NonZeroU32::MIN,
            fall: NonZeroU32::MIN.saturating_add(timing.retry),
            steps: NonZeroU32::MIN,
            fast_recovery: false,
            initial: if timing.alpha {
                Initial::Down
            } else {
                Initial::AssumedUp
            },
            when_down: WhenDown::Wait,
            jitter: Duration::ZERO,
            damping: None,
        }
    }

    /// Whether a checker takes it.
    ///
    /// # Errors
    /// A span or a number is out of range; the error says which, and what the range is.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let damping = self.damping.as_ref();
        for (name, span) in [
            ("interval", Some(self.interval)),
            ("retry_interval", Some(self.retry_interval)),
            ("down_interval", Some(self.down_interval)),
            ("timeout", Some(self.timeout)),
            ("damping.within", damping.map(|damping| damping.within)),
            ("damping.hold", damping.map(|damping| damping.hold)),
        ] {
            if let Some(span) = span
                && !(Self::SHORTEST..=Self::LONGEST).contains(&span)
            {
                return Err(ConfigError::Span { name, span });
            }
        }
        if self.jitter > Self::LONGEST {
            return Err(ConfigError::Jitter { span: self.jitter });
        }
        match damping {
            Some(damping) if damping.falls.get() > Damping::MOST_FALLS => Err(ConfigError::Falls {
                falls: damping.falls.get(),
            }),
            _ => Ok(()),
        }
    }
}

/// Why a checker does not take a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A span is too short or too long.
    #[error("{name} is {span:?}, it must be from 1 ms to 366 days")]
    Span {
        /// The field.
        name: &'static str,
        /// What it was set to.
        span: Duration,
    },
    /// The jitter is too long.
    #[error("jitter is {span:?}, it must be at most 366 days")]
    Jitter {
        /// What it was set to.
        span: Duration,
    },
    /// Damping counts too many falls.
    #[error("damping.falls is {falls}, it must be at most {}", Damping::MOST_FALLS)]
    Falls {
        /// What it was set to.
        falls: u32,
    },
}
