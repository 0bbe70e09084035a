//! What a drain is told, what it says, and when it is over.

use std::time::{Duration, Instant};

#[cfg(doc)]
use super::Drain;
use crate::{Change, ChangeOutcome, Counts, DestinationState, Protocol, Refusal, ServiceKey};

/// When a destination has been waited for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainPolicy {
    /// Time between looks at its connections, and before something is tried again; at least 1 ms.
    /// Default: 1 s.
    pub interval: Duration,
    /// Time after which it is removed whatever connections it has. Default: never.
    pub deadline: Option<Duration>,
    /// Which connections are waited for. Default: all.
    pub wait_for: WaitFor,
}

impl Default for DrainPolicy {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            deadline: None,
            wait_for: WaitFor::Everything,
        }
    }
}

impl DrainPolicy {
    /// Waits for nothing.
    #[must_use]
    pub fn at_once() -> Self {
        Self {
            deadline: Some(Duration::ZERO),
            ..Self::default()
        }
    }

    /// When nothing is waited for any more, if it begins now; `None` for never.
    pub(super) fn deadline_at(&self, now: Instant) -> Option<Instant> {
        now.checked_add(self.deadline?)
    }
}

/// Which connections of a destination are waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitFor {
    /// Active and inactive ones, and persistence templates: no client will come back.
    #[default]
    Everything,
    /// Those that carry data: active ones, and under a service that is not of TCP or SCTP the
    /// inactive ones too, because UDP has no others.
    Traffic,
}

impl WaitFor {
    /// Whether there is nothing to wait for.
    #[must_use]
    pub fn is_over(self, service: &ServiceKey, counts: Counts) -> bool {
        let tells = matches!(service.protocol(), Some(Protocol::Tcp | Protocol::Sctp));
        match self {
            Self::Everything => counts.is_zero(),
            Self::Traffic => counts.active == 0 && (tells || counts.inactive == 0),
        }
    }
}

/// What has happened to a [`Drain`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver has to know them all")]
pub enum DrainInput {
    /// The time of [`Drain::poll_timeout`] has come. Too early does no harm.
    Timeout,
    /// What became of a [`DrainOutput::Apply`].
    Applied(ChangeOutcome),
    /// What a [`DrainOutput::Observe`] saw: the destination, if it is there.
    Observed(Option<DestinationState>),
    /// The table could not be read: it is tried again.
    Unobserved,
    /// It is waited for otherwise from now on. A deadline counts from now.
    Policy(DrainPolicy),
    /// The destination shall stay after all: it gets back how it was set up before, unless it is
    /// being removed already.
    Cancel,
}

/// What a [`Drain`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver has to know them all")]
pub enum DrainOutput {
    /// Make this change, and tell what became of it.
    Apply(Change),
    /// Look at the destination, and tell what is there.
    Observe,
    /// These connections are still waited for. Nothing has to be done.
    Waiting(Counts),
    /// It is over, and nothing follows.
    Finished(DrainEnd),
}

/// How a [`Drain`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DrainEnd {
    /// The destination is removed.
    Removed {
        /// What was cut: the connections it had when it was last seen.
        left: Counts,
    },
    /// Somebody else removed it.
    Gone,
    /// It is set up as before.
    Cancelled,
    /// The kernel refuses to do what is needed.
    Refused(Refusal),
}
