//! What happens to a virtual router.

use std::{net::IpAddr, sync::Arc};

use crate::{FaultCause, Priority, Received, RouterConfig, Tracked, TrackerState};
#[cfg(doc)]
use crate::{Output, VirtualRouter};

/// What happens to a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// The router shall take part as soon as it knows what it needs to.
    Start,
    /// The router shall leave for good.
    Stop,
    /// The time of [`VirtualRouter::poll_timeout`] has come; too early is harmless.
    Timeout,
    /// An advertisement arrived on its interface.
    Advert(Received),
    /// The base priority shall be another.
    Priority(Priority),
    /// Something that is tracked changed; routers that do not track it take no notice.
    Tracker {
        /// What is tracked.
        tracked: Tracked,
        /// Its state.
        state: TrackerState,
    },
    /// The state of its interface: whether it runs, and its primary address.
    Link {
        /// Whether it is up and has carrier.
        running: bool,
        /// The address to send from if none is configured.
        primary: Option<IpAddr>,
    },
    /// A reason not to take part has come or gone.
    Fault {
        /// The reason.
        cause: FaultCause,
        /// Whether it holds.
        present: bool,
    },
    /// An [`Output::Acquire`] was done.
    Acquired,
    /// An [`Output::Acquire`] failed.
    AcquireFailed(Arc<str>),
    /// An [`Output::Release`] failed.
    ReleaseFailed(Arc<str>),
    /// Somebody else removed an address that this router holds.
    AddressesLost,
    /// An [`Output::Transmit`] failed.
    SendFailed(Arc<str>),
    /// The sync group decides.
    Group(GroupOrder),
    /// The configuration shall be another of the same router ([`RouterConfig::same_router`]).
    Configure(Box<RouterConfig>),
}

/// What a sync group tells a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupOrder {
    /// All members can be master: become it.
    Promote,
    /// Another member cannot be master: be backup.
    Demote,
    /// Another member is in fault.
    Fault,
    /// No other member is in fault any more.
    FaultCleared,
    /// Another member heard a rival: announce the addresses.
    Announce,
}
