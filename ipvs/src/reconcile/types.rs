//! What goes into a reconciler and comes out of it.

use std::time::Duration;

use crate::{
    Change, ChangeOutcome, Counts, DrainEnd, DrainPolicy, Endpoint, Refusal, ServiceKey, Snapshot,
    Table,
};

/// How a table is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconcilePolicy {
    /// Whose the table is. Default: others have services in it too.
    pub claim: Claim,
    /// Time between looks at a table that is right, for drift; at least 1 ms. Default: 30 s.
    pub interval: Duration,
    /// Time before what failed is tried again, at least 1 ms; it doubles with each failure.
    /// Default: 1 s.
    pub shortest_retry: Duration,
    /// The longest that this time becomes. Default: 60 s.
    pub longest_retry: Duration,
}

impl Default for ReconcilePolicy {
    fn default() -> Self {
        Self {
            claim: Claim::Own,
            interval: Duration::from_secs(30),
            shortest_retry: Duration::from_secs(1),
            longest_retry: Duration::from_secs(60),
        }
    }
}

/// Whose services and sync daemons are in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "ours or all")]
pub enum Claim {
    /// Others' too: what was never desired is left alone.
    #[default]
    Own,
    /// Nobody else's: what is not desired is removed.
    Whole,
}

/// How destinations go that are no longer desired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "with their connections or after")]
pub enum Removal {
    /// With the connections that they have.
    #[default]
    AtOnce,
    /// Once their connections are gone. One that is desired again meanwhile stays.
    Drain(DrainPolicy),
}

/// What has happened to a [`Reconciler`](super::Reconciler).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver has to know them all")]
pub enum ReconcileInput {
    /// The time of [`Reconciler::poll_timeout`](super::Reconciler::poll_timeout) has come. Too
    /// early does no harm.
    Timeout,
    /// The table shall be like that from now on. What it leaves open (timeouts, attributes of
    /// daemons) is left as it is.
    Desired {
        /// The table.
        table: Table,
        /// How destinations go that it takes out. Those that an earlier one took out go as that
        /// one said.
        removal: Removal,
    },
    /// All destinations that are not desired go like that, also those on their way already.
    Leave(Removal),
    /// These destinations, as far as they are on their way out, go at once instead of as was said
    /// when they were taken out.
    Cut(Vec<(ServiceKey, Endpoint)>),
    /// Somebody says that the table has changed: it is read at once.
    Look,
    /// What a [`ReconcileOutput::Read`] saw.
    Read(Snapshot),
    /// The table could not be read.
    NotRead {
        /// Why, for people.
        because: String,
    },
    /// What became of a [`ReconcileOutput::Apply`], in the order of its changes.
    Applied(Vec<ChangeOutcome>),
    /// The changes could not be asked for, or it is not known what became of them.
    NotApplied {
        /// Why, for people.
        because: String,
    },
}

/// What a [`Reconciler`](super::Reconciler) wants done, or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver has to know them all")]
pub enum ReconcileOutput {
    /// Read the table, and tell what is there.
    Read,
    /// Make these changes in their order, and tell what became of each.
    Apply(Vec<Change>),
    /// Something happened. Nothing has to be done.
    Event(ReconcileEvent),
}

/// Something that happened to a table that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconcileEvent {
    /// The table was right and is not any more: somebody else changed it. This repairs it.
    Drift(Vec<Change>),
    /// The table is as desired, but for what is refused and what is being drained.
    Converged,
    /// The kernel refuses a change. It is tried again later; told once for each change and reason.
    Refused(Refusal),
    /// The kernel cannot be asked. That is tried again later; told once.
    Unreachable {
        /// Why.
        because: String,
    },
    /// The kernel can be asked again.
    Reachable,
    /// A destination is still waited for.
    Draining {
        /// Its service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
        /// The connections that it still has.
        counts: Counts,
    },
    /// A destination is waited for no more.
    Drained {
        /// Its service.
        service: ServiceKey,
        /// The destination.
        destination: Endpoint,
        /// What became of it.
        end: DrainEnd,
    },
}
