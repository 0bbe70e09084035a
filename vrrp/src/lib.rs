//! VRRP v2 and v3: an address that moves to the next node when its holder dies.
//!
//! Several nodes share *virtual addresses*. One of them, the *master*, holds the addresses and says
//! so every second or faster; the others, *backups*, take over when they hear it no more. Which one
//! is master is decided by priority. That is a *virtual router*; a node has one for each set of
//! addresses that shall move together.
//!
//! # Holding an address
//!
//! [`spawn`] runs a node on a [`Network`] and a [`VipManager`]: the kernel's own (module [`net`]),
//! or the ones in memory of module [`fake`], which need no root and, on tokio's paused clock, no
//! time. Here two nodes share an address, and the master's cable is pulled:
//!
//! ```
//! use std::sync::Arc;
//! use vrrp::{LinkAddress, Priority, Role, RouterConfig, Vrid, fake::{Host, Lan, Vips}};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lan = Lan::new(42);
//! let host = |address: &str| -> Result<Host, std::net::AddrParseError> {
//!     let host = Host::new();
//!     host.add_interface("eth0", &lan, [LinkAddress::usable(address.parse()?, 24)]);
//!     Ok(host)
//! };
//! let config = |priority| -> Result<_, Box<dyn std::error::Error>> {
//!     let address = "192.0.2.100/24".parse()?;
//!     let mut config = RouterConfig::new("web", "eth0", Vrid::new(51)?, vec![address]);
//!     config.priority = Priority::new(priority)?;
//!     Ok(config)
//! };
//! let (a, b) = (host("192.0.2.1")?, host("192.0.2.2")?);
//! let node_a = vrrp::spawn(Arc::new(a.clone()), Arc::new(Vips::on(&a)));
//! let node_b = vrrp::spawn(Arc::new(b.clone()), Arc::new(Vips::on(&b)));
//! node_a.configure([config(150)?]).await?;
//! node_b.configure([config(100)?]).await?;
//!
//! let mut role_of_a = node_a.role("web").expect("it was just configured");
//! let mut role_of_b = node_b.role("web").expect("it was just configured");
//! role_of_a.wait_for(|role| *role == Role::Master).await?;
//! assert!(a.holds("192.0.2.100".parse()?) && !b.holds("192.0.2.100".parse()?));
//!
//! a.link_down("eth0");
//! role_of_b.wait_for(|role| *role == Role::Master).await?;
//! assert!(b.holds("192.0.2.100".parse()?) && !a.holds("192.0.2.100".parse()?));
//!
//! node_b.shutdown().await;
//! assert!(!b.holds("192.0.2.100".parse()?));
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! | question | answer |
//! | --- | --- |
//! | what can be configured? | [`RouterConfig`] |
//! | who is master now? what happened, and why? | [`NodeHandle::role`], [`NodeHandle::events`] |
//! | how does it stand, what was counted? | [`NodeHandle::status`] |
//! | may it be master while my service is down? | [`Tracker`], [`NodeHandle::set_condition`] |
//! | several addresses that move together? | one [`RouterConfig`], or a [`SyncGroup`] of several |
//! | another way to move an address (a cloud's API)? | implement [`VipManager`] |
//! | another way to reach the others? | implement [`Advertiser`] and [`Network`] |
//! | my own test? | module [`fake`]; `MockAdvertiser`, `MockVipManager` with feature `mock` |
//!
//! # The values underneath
//!
//! Everything that is decided is decided by plain values without sockets, tasks or clocks:
//! [`VirtualRouter`], [`SyncGroup`], and [`Node`] which carries both. They have one contract:
//!
//! 1. give the value an input and the time at which it happens (`handle`);
//! 2. take its outputs until there is none (`poll_output`), and do them in that order;
//! 3. wait until the time it names (`poll_timeout`) or the next input, whichever is first;
//! 4. give it the results of what it asked for as inputs: nothing is fire-and-forget.
//!
//! ```
//! use std::time::Instant;
//! use vrrp::{Input, Output, RouterConfig, VirtualRouter, Vrid};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # #[expect(clippy::disallowed_methods, reason = "an example has to start somewhere")]
//! let mut now = Instant::now();
//! let vip = "192.0.2.100/24".parse()?;
//! let config = RouterConfig::new("web", "eth0", Vrid::new(51)?, vec![vip]);
//! let mut router = VirtualRouter::new(config)?;
//! router.handle(Input::Link { running: true, primary: Some("192.0.2.1".parse()?) }, now);
//! router.handle(Input::Start, now);
//! while router.poll_output().is_some() {}
//!
//! now = router.poll_timeout().expect("a backup waits for its master");
//! router.handle(Input::Timeout, now);
//! assert!(matches!(router.poll_output(), Some(Output::Transmit { .. })));
//! assert!(matches!(router.poll_output(), Some(Output::Acquire(_))));
//! # Ok(())
//! # }
//! ```
//!
//! So a simulation of a whole network is a loop, thousands of hours of failures take seconds, and a
//! driver for another runtime is a page.
//!
//! # Errors and panics
//!
//! What comes from the network is counted and, at a bounded rate, told; it is never an error and
//! never a panic. An error is told to whoever asked for what failed. Nothing here panics but by a
//! defect.
//!
//! # Features
//!
//! | feature | default | what |
//! | --- | --- | --- |
//! | `net` | yes | module [`net`]: raw sockets and netlink |
//! | `mock` | no | `MockAdvertiser` and `MockVipManager`, made by mockall |
//! | `proptest` | no | module `strategy`: arbitrary values of the crate's types |
//!
//! # Sources
//!
//! RFC 9568 (version 3), RFC 5798 (its predecessor), RFC 3768 (version 2), and what keepalived does
//! where its users rely on it: the order of things on becoming master, the announcement schedule,
//! trackers and sync groups.

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
