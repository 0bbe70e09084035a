//! What a virtual router wants done, and how it stands.

use std::{sync::Arc, time::Duration};

#[cfg(doc)]
use crate::Input;
use crate::{Advertisement, Delivery, Event, Vip};

/// What a virtual router wants done, in the order in which it is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Send this.
    Transmit {
        /// What.
        advert: Advertisement,
        /// To whom.
        delivery: Delivery,
    },
    /// Put these addresses on their interfaces; answer with [`Input::Acquired`] or
    /// [`Input::AcquireFailed`].
    Acquire(Arc<[Vip]>),
    /// Take these addresses off their interfaces; answer only a failure, with
    /// [`Input::ReleaseFailed`].
    Release(Arc<[Vip]>),
    /// Announce these addresses.
    Announce {
        /// Which.
        vips: Arc<[Vip]>,
        /// How often each.
        rounds: u8,
        /// Time between two announcements.
        gap: Duration,
    },
    /// Tell the owner.
    Event(Event),
}

/// How a router stands, as its sync group sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Has yet to learn whether it can take part.
    NotReady,
    /// Cannot take part for a reason of its own.
    Unable,
    /// Could take part, the group is in fault.
    Held,
    /// Backup that hears a master with a better claim.
    Waiting,
    /// Backup that would be master were it alone.
    Claiming,
    /// Master.
    Master,
    /// Stopped.
    Stopped,
}
