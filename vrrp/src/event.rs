//! What a virtual router tells its owner.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use crate::{AdvertInterval, Family, Priority, RejectReason, Role, Tracked};

/// Something that happened to a virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The role changed. Master is told once the addresses are held; `from` is always the role
    /// that was told last.
    RoleChanged {
        /// The role it had.
        from: Role,
        /// The role it has.
        to: Role,
        /// Why.
        because: Cause,
    },
    /// The effective priority changed.
    PriorityChanged {
        /// What it was.
        from: Priority,
        /// What it is.
        to: Priority,
    },
    /// While master, an advertisement of lower priority arrived: somebody believed there was no
    /// master.
    LowerPriorityReceived {
        /// Who sent it.
        from: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// An advertisement was rejected. Told at most once a minute for each reason; the counters
    /// have them all.
    Rejected {
        /// Why.
        reason: RejectReason,
        /// Who sent it.
        from: IpAddr,
    },
    /// A master lists other addresses than we have. Told when it is first heard, at
    /// most once a minute.
    AddressListDiffers {
        /// The master.
        from: IpAddr,
    },
    /// A master advertises at another interval than ours, which version 3 follows unless it is
    /// about to preempt. Told when it is first heard, at
    /// most once a minute.
    IntervalDiffers {
        /// The master.
        from: IpAddr,
        /// Its interval.
        interval: AdvertInterval,
    },
    /// Somebody else removed an address that we hold; it is being put back.
    AddressesLost,
    /// The addresses could not be put on the interface; the router is in fault until it tries
    /// again.
    AcquireFailed {
        /// What the system said.
        error: Arc<str>,
        /// When it tries again.
        retry_in: Duration,
    },
    /// Addresses could not be taken off the interface. It is tried again every second, unless the
    /// router is master, where they are what a configuration took away, or has stopped.
    ReleaseFailed {
        /// What the system said.
        error: Arc<str>,
    },
    /// An advertisement could not be sent. Told at most once a minute; the counters have them
    /// all.
    SendFailed {
        /// What the system said.
        error: Arc<str>,
    },
    /// As master we were silent for so long that others took us for dead: the process or machine
    /// was stopped. We advertise and announce at once.
    Overslept {
        /// By how much the advertisement was late.
        by: Duration,
    },
    /// Another address owner (priority 255) does not give way; we step down to 254 until it is
    /// gone.
    OwnerDisputed {
        /// The other one.
        by: IpAddr,
    },
}

/// Why a role changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The router was started.
    Started,
    /// We own the addresses.
    Owner,
    /// No master was heard for a master-down interval.
    MasterSilent,
    /// The master has left with an advertisement of priority 0.
    MasterReleased,
    /// The master has a lower priority than we and we preempt.
    Preempted,
    /// Somebody with a better claim advertises.
    Outranked {
        /// Who.
        by: IpAddr,
        /// Its priority.
        priority: Priority,
    },
    /// Something is wrong with us.
    Fault(FaultCause),
    /// Nothing is wrong with us any more.
    FaultCleared,
    /// The sync group changed role.
    Group,
    /// The router was stopped.
    Stopped,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Owner => f.write_str("address owner"),
            Self::MasterSilent => f.write_str("no master was heard"),
            Self::MasterReleased => f.write_str("the master has left"),
            Self::Preempted => f.write_str("the master has a lower priority"),
            Self::Outranked { by, priority } => write!(f, "{by} has priority {priority}"),
            Self::Fault(cause) => cause.fmt(f),
            Self::FaultCleared => f.write_str("no fault is left"),
            Self::Group => f.write_str("its sync group changed role"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Why a router cannot take part. Several may hold at a time; it takes part again when none does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FaultCause {
    /// Its interface is down, without carrier, or gone.
    InterfaceDown(Arc<str>),
    /// Its interface has no address of the family to send from; for IPv6 that is a link-local one
    /// (RFC 9568 §5.1.2.1).
    NoSourceAddress(Arc<str>, Family),
    /// Advertisements cannot be sent or received on its interface.
    NoAdvertiser(Arc<str>),
    /// A condition it requires does not hold.
    Tracker(Tracked),
    /// The addresses cannot be put on the interface.
    Addresses,
    /// A member of its sync group is in fault.
    Group,
    /// The embedding program says so.
    Requested,
}

impl fmt::Display for FaultCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceDown(name) => write!(f, "interface {name} is down or does not exist"),
            Self::NoSourceAddress(name, Family::V4) => {
                write!(f, "interface {name} has no IPv4 address to send from")
            }
            Self::NoSourceAddress(name, Family::V6) => {
                write!(
                    f,
                    "interface {name} has no IPv6 link-local address to send from"
                )
            }
            Self::NoAdvertiser(name) => write!(f, "cannot send or receive on interface {name}"),
            Self::Tracker(tracked) => write!(f, "{tracked} is down"),
            Self::Addresses => f.write_str("the addresses cannot be put on the interface"),
            Self::Group => f.write_str("a member of the sync group is in fault"),
            Self::Requested => f.write_str("requested"),
        }
    }
}
