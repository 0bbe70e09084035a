//! VRRP v2 and v3: an address that moves to the next node when its holder dies.

mod addresses;
mod advertiser;
mod config;
mod counters;
mod driver;
pub mod election;
mod event;
pub mod fake;
mod group;
mod handle;
mod interval;
#[cfg(feature = "net")]
pub mod net;
mod network;
mod node;
mod packet;
mod priority;
mod role;
mod router;
#[cfg(feature = "proptest")]
pub mod strategy;
mod track;
mod vip;
mod vip_manager;
mod vrid;

pub use addresses::{Addresses, AddressesError, Family};
#[cfg(any(test, feature = "mock"))]
pub use advertiser::MockAdvertiser;
pub use advertiser::{Advertiser, AdvertiserError, Delivery, Destination};
pub use async_trait::async_trait;
pub use config::{
    AddressListCheck, AnnounceSchedule, ConfigError, ConfigProblem, OnHigherPriority,
    OnLowerPriority, Peer, Preempt, RouterConfig, StartAs, Transport, Unicast,
};
pub use counters::{Counters, RejectReason, Rejections};
pub use driver::spawn;
pub use event::{Cause, Event, FaultCause};
pub use group::{GroupOutput, SyncGroup};
pub use handle::{ConfigureError, Happening, NodeHandle, NodeStatus, PortStatus, RouterStatus};
pub use interval::AdvertInterval;
pub use network::{Link, LinkAddress, Links, Network};
pub use node::{Change, Node, NodeInput, NodeOutput, RouterId};
pub use packet::{
    Advertisement, AdvertisementError, Authentication, Checksum, IP_PROTOCOL, Packet, ParseError,
    Password, Received, TTL, Version,
};
pub use priority::Priority;
pub use role::Role;
pub use router::{GroupOrder, Input, Output, Standing, VirtualRouter};
pub use track::{Tracked, Tracker, TrackerState, Weight};
pub use vip::{Broadcast, ParseVipError, Scope, Vip};
#[cfg(any(test, feature = "mock"))]
pub use vip_manager::MockVipManager;
pub use vip_manager::{VipError, VipManager};
pub use vrid::Vrid;

/// A number that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {value}: expected {expected}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// What the number stands for, with its unit.
    pub what: &'static str,
    /// The number.
    pub value: u32,
    /// The range it should be in.
    pub expected: &'static str,
}

/// An error and what led to it, on one line.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
