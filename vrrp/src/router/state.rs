//! The states of a virtual router, each with the deadlines that end with it.

use std::time::{Duration, Instant};

use super::Announcements;
use crate::{Cause, Priority, Role, election::Candidate};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Init,
    Backup(Backup),
    Master(Master),
    Fault { retry_at: Option<Instant> },
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backup {
    /// When the master is taken for dead.
    pub(super) master_down_at: Instant,
    /// Interval of the master that is waited for.
    pub(super) master_interval: Duration,
    /// End of the preempt delay, running since the first advertisement of lower priority.
    pub(super) preempt_at: Option<Instant>,
    pub(super) master: Option<Candidate>,
    /// The last advertisement had priority 0.
    pub(super) released: bool,
    /// Would be master, and waits for the sync group.
    pub(super) claiming: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) advertise_at: Instant,
    pub(super) acquired: bool,
    pub(super) because: Cause,
    pub(super) announcements: Announcements,
    /// Until when another owner may give way.
    pub(super) disputed_until: Option<Instant>,
}

impl State {
    pub(super) const fn role(&self) -> Role {
        match self {
            Self::Init => Role::Init,
            Self::Backup(_) => Role::Backup,
            Self::Master(_) => Role::Master,
            Self::Fault { .. } => Role::Fault,
            Self::Stopped => Role::Stopped,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Init | Self::Stopped => None,
            Self::Backup(backup) => Some(backup.master_down_at),
            Self::Master(master) => master
                .announcements
                .next_at()
                .into_iter()
                .chain([master.advertise_at])
                .min(),
            Self::Fault { retry_at } => *retry_at,
        }
    }
}

impl Backup {
    pub(super) const fn new(master_down_at: Instant, master_interval: Duration) -> Self {
        Self {
            master_down_at,
            master_interval,
            preempt_at: None,
            master: None,
            released: false,
            claiming: false,
        }
    }

    /// Why a backup of this priority whose wait is over becomes master.
    pub(super) fn why_master(&self, own: Priority) -> Cause {
        match self.master {
            _ if own.is_owner() => Cause::Owner,
            _ if self.released => Cause::MasterReleased,
            Some(master) if master.priority < own => Cause::Preempted,
            _ => Cause::MasterSilent,
        }
    }
}
