//! VRRP v2 and v3: an address that moves to the next node when its holder dies.

mod addresses;
mod advertiser;
mod counters;
mod interval;
mod network;
mod packet;
mod priority;
mod role;
mod vip;
mod vip_manager;
mod vrid;

pub use addresses::{Addresses, AddressesError, Family};
#[cfg(any(test, feature = "mock"))]
pub use advertiser::MockAdvertiser;
pub use advertiser::{Advertiser, AdvertiserError, Delivery, Destination};
pub use async_trait::async_trait;
pub use counters::{Counters, RejectReason, Rejections};
pub use interval::AdvertInterval;
pub use network::{Link, LinkAddress, Links, Network};
pub use packet::{
    Advertisement, AdvertisementError, Authentication, Checksum, IP_PROTOCOL, Packet, ParseError,
    Password, Received, TTL, Version,
};
pub use priority::Priority;
pub use role::Role;
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
