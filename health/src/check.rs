//! A probe and what it probes.

use std::{cmp::Ordering, fmt, sync::Arc};

use crate::{HealthProbe, Target};

/// A probe and what it probes: what a running fleet asks for.
///
/// Two are the same if they have the same target and *are* the same probe, not only an equal one:
/// clone the `Arc` for services that shall share a check.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "it is these two")]
pub struct Check {
    /// How.
    pub probe: Arc<dyn HealthProbe>,
    /// What.
    pub target: Target,
}

impl Check {
    /// A check of a target.
    #[must_use]
    pub const fn new(probe: Arc<dyn HealthProbe>, target: Target) -> Self {
        Self { probe, target }
    }

    fn identity(&self) -> (Target, *const ()) {
        (self.target, Arc::as_ptr(&self.probe).cast())
    }
}

impl PartialEq for Check {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Check {}

impl Ord for Check {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl PartialOrd for Check {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Check");
        debug.field("target", &self.target).finish_non_exhaustive()
    }
}
