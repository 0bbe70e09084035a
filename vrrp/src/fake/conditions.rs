//! How well a segment carries frames.

use std::time::Duration;

/// How well frames are carried: perfectly, unless told otherwise.
///
/// ```
/// use std::time::Duration;
/// use vrrp::fake::{Conditions, Probability};
///
/// let bad = Conditions::default()
///     .latency(Duration::from_millis(5))
///     .jitter(Duration::from_millis(10))
///     .loss(Probability::percent(20))
///     .duplication(Probability::percent(1))
///     .reordering(Probability::percent(1), Duration::from_millis(50));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conditions {
    /// Time that every frame takes.
    pub latency: Duration,
    /// Time that a frame takes on top: uniformly from zero to this. Frames of one sender to one
    /// receiver wait for each other: jitter alone reorders nothing.
    pub jitter: Duration,
    /// How often a frame does not arrive; drawn for each receiver on its own.
    pub loss: Probability,
    /// How often a frame arrives twice, the copy with a jitter of its own.
    pub duplication: Probability,
    /// How often a frame is held back while later ones pass it.
    pub reordering: Probability,
    /// How much later a frame that is held back arrives: uniformly from zero to this.
    pub hold_back: Duration,
}

impl Conditions {
    /// The same with another latency.
    #[must_use]
    pub const fn latency(self, latency: Duration) -> Self {
        Self { latency, ..self }
    }

    /// The same with another jitter.
    #[must_use]
    pub const fn jitter(self, jitter: Duration) -> Self {
        Self { jitter, ..self }
    }

    /// The same with another loss.
    #[must_use]
    pub const fn loss(self, loss: Probability) -> Self {
        Self { loss, ..self }
    }

    /// The same with another duplication.
    #[must_use]
    pub const fn duplication(self, duplication: Probability) -> Self {
        Self {
            duplication,
            ..self
        }
    }

    /// The same with this part of the frames held back by up to `hold_back`.
    #[must_use]
    pub const fn reordering(self, reordering: Probability, hold_back: Duration) -> Self {
        Self {
            reordering,
            hold_back,
            ..self
        }
    }
}

/// How often something happens, in millionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability(u32);

impl Probability {
    /// Never: the default.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(Self::MILLION);

    pub(super) const MILLION: u32 = 1_000_000;

    /// So many times in a hundred; more than 100 is [`Probability::ALWAYS`].
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::per_million(percent.saturating_mul(Self::MILLION / 100))
    }

    /// So many times in a million; more than a million is [`Probability::ALWAYS`].
    #[must_use]
    pub const fn per_million(times: u32) -> Self {
        match times {
            0..Self::MILLION => Self(times),
            _ => Self::ALWAYS,
        }
    }

    pub(super) const fn as_per_million(self) -> u32 {
        self.0
    }
}
