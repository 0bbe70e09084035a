//! What is known at the end of one life of the daemon for the next one: a value and the text it is
//! kept as. Where it is kept is the matter of [`mod@file`].
//!
//! A daemon that starts without it knows of no check until its first probe, has no orders, and
//! takes whatever is in the kernel's table for somebody else's.

use std::{collections::BTreeMap, time::Duration};

use health::Standing;
use ipvs::Ownership;

use crate::balance::{CheckName, MemberName, Order};

mod document;
pub mod file;
mod fingerprint;

pub use fingerprint::{Fingerprint, fingerprints};

/// What was known at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct State {
    /// What was known by checks, for those by which something was.
    pub checks: BTreeMap<CheckName, KnownCheck>,
    /// What was ordered for real servers.
    pub orders: BTreeMap<MemberName, Order>,
    /// What the daemon had set up in the kernel's table.
    pub owned: Ownership,
}

/// What was known by a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownCheck {
    /// Of the check: one that is configured otherwise is another one.
    pub fingerprint: Fingerprint,
    /// What was known.
    pub standing: Standing,
}

impl KnownCheck {
    /// What is known by a check with this fingerprint.
    #[must_use]
    pub const fn new(fingerprint: Fingerprint, standing: Standing) -> Self {
        Self {
            fingerprint,
            standing,
        }
    }
}

/// Why what was kept is not gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Another version of the daemon has written it.
    #[error(
        "it has version {found}, and this daemon reads version {}",
        State::VERSION
    )]
    Version {
        /// What it says.
        found: u32,
    },
    /// It is not what the daemon writes.
    #[error("it is broken")]
    Broken(#[from] serde_json::Error),
    /// It names something that cannot be.
    #[error("it is broken: `{0}` means nothing")]
    Meaningless(String),
}

/// Why what was known by checks is not gone on with. What was ordered and set up is nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Outdated {
    /// It says too little about now.
    #[error("it is {} s old, more than {} s", age.as_secs(), State::LONGEST_AGE.as_secs())]
    Old {
        /// How old it is.
        age: Duration,
    },
    /// The clock was set back since, so that its age is not known.
    #[error("it is from the future: the clock was set back")]
    FromTheFuture,
}

impl State {
    /// The version of what [`to_bytes`](Self::to_bytes) writes.
    pub const VERSION: u32 = 1;

    /// Of older ones nothing is believed that checks knew; what is ordered holds until it is taken
    /// back, and what was set up was set up, however long ago. A restart takes seconds, an upgrade of packages with one
    /// perhaps a minute; of a server that nobody has looked at for longer, nobody knows how it is.
    /// keepalived's checks look every minute at the latest unless they are told otherwise.
    pub const LONGEST_AGE: Duration = Duration::from_secs(60);

    /// The text of it: JSON, on one line. `at` is the time since 1970.
    ///
    /// # Errors
    /// Never; the writer of JSON has errors for what this does not have.
    pub fn to_bytes(&self, at: Duration) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&document::Document::of(self, at))
    }

    /// What was written, and how long ago, or why nothing that checks knew is left of it; `now` is
    /// the time since 1970.
    ///
    /// # Errors
    /// It is not to be gone on with.
    pub fn from_bytes(
        text: &[u8],
        now: Duration,
    ) -> Result<(Self, Result<Duration, Outdated>), Refusal> {
        document::read(text, now)
    }

    /// What is known by a check, if it is that one still.
    #[must_use]
    pub fn standing(&self, check: &CheckName, fingerprint: Fingerprint) -> Option<Standing> {
        let known = self.checks.get(check)?;
        (known.fingerprint == fingerprint).then_some(known.standing)
    }
}

#[cfg(test)]
mod tests;
