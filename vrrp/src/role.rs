//! What a router is for its virtual router.

use std::fmt;

/// Role of a router for one virtual router.
///
/// RFC 9568 says *Active* and *Backup Router*; this crate says Master as keepalived.conf and its
/// users do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a new role is a new protocol")]
pub enum Role {
    /// Not started, or waiting for the first result of a tracker it depends on.
    #[default]
    Init,
    /// Listens and is ready to take over.
    Backup,
    /// Holds the addresses and advertises.
    Master,
    /// Cannot take part: an interface is down, a tracked condition failed, …
    Fault,
    /// Stopped by its owner; it takes part no more.
    Stopped,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stopped => "STOP",
        })
    }
}
