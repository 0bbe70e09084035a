//! A network in memory: what a test needs to see addresses move without root, sockets or waiting.
//!
//! There are two layers, and the upper one is made of the lower.
//!
//! * [`Segment`] is an Ethernet segment as a value: no clock, no task, no randomness but its seed.
//!   Time is an argument, so a property test drives it through hours of failures in milliseconds
//!   and gets the same deliveries for the same seed and calls, always.
//! * [`Lan`] is a segment on tokio's clock, [`Host`] a machine on it that implements
//!   [`Network`](crate::Network), [`FakeAdvertiser`] what such a host opens, and [`Vips`] the
//!   [`VipManager`](crate::VipManager) of a host. Under `#[tokio::test(start_paused = true)]` they
//!   too take no real time.
//!
//! Frames carry real messages: what is sent goes through the same [`Advertisement::emit`] and what
//! arrives through the same [`Packet::parse`] as on a real socket, so garbage put on the segment is
//! rejected and counted where it would be.
//!
//! [`Advertisement::emit`]: crate::Advertisement::emit
//! [`Packet::parse`]: crate::Packet::parse
//!
//! # Two hosts
//!
//! ```
//! use vrrp::{
//!     AdvertInterval, Addresses, Advertisement, Advertiser, Checksum, Delivery, Destination,
//!     Family, LinkAddress, Network, Priority, TTL, VipManager, Vrid,
//!     fake::{Host, Lan, Vips},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lan = Lan::new(42);
//! let (a, b) = (Host::new(), Host::new());
//! a.add_interface("eth0", &lan, [LinkAddress::usable("192.0.2.1".parse()?, 24)]);
//! b.add_interface("eth0", &lan, [LinkAddress::usable("192.0.2.2".parse()?, 24)]);
//!
//! let group = Family::V4.multicast_group();
//! let (from_a, to_b) = (a.open("eth0", Family::V4)?, b.open("eth0", Family::V4)?);
//! to_b.join(group).await?;
//!
//! let advert = Advertisement::v3(
//!     Vrid::new(51)?,
//!     Priority::DEFAULT,
//!     AdvertInterval::DEFAULT,
//!     Addresses::new(["192.0.2.100".parse()?])?,
//! )?;
//! let to_group = Destination::Group(group);
//! let delivery = Delivery::new("192.0.2.1".parse()?, to_group, TTL, Checksum::Message);
//! from_a.send(&advert, &delivery).await?;
//! assert_eq!(to_b.recv().await?.advert, advert);
//!
//! let vips = Vips::on(&a);
//! vips.acquire(&["192.0.2.100/24".parse::<vrrp::Vip>()?.on("eth0")]).await?;
//! assert!(a.holds("192.0.2.100".parse()?));
//! # Ok(())
//! # }
//! ```
//!
//! # Failures
//!
//! | what fails | how |
//! | --- | --- |
//! | frames are late, lost, doubled, out of order | [`Segment::set_conditions`], [`Segment::set_link`] |
//! | the segment falls apart | [`Segment::partition`], [`Segment::heal`] |
//! | a cable is pulled | [`Segment::unplug`]; noticed by the host: [`Host::link_down`] |
//! | an interface disappears | [`Host::remove_interface`] |
//! | a process is stopped for a while | [`Segment::freeze`], [`Host::freeze`] |
//! | a machine dies | [`Segment::crash`], [`Host::crash`] |
//! | somebody sends garbage | [`Segment::send`] with any [`Frame`], [`Lan::inject`] |
//! | somebody changes our addresses | [`Host::remove_address`], a second [`Vips::on`] the host |
//! | the kernel refuses, hangs or is slow | [`Vips::fail_next`] and its neighbours |
//!
//! The segment of a [`Lan`] is reached by [`Lan::with`].

mod advertiser;
mod conditions;
mod frame;
mod host;
mod journal;
mod lan;
mod random;
mod segment;
mod vips;

pub use advertiser::FakeAdvertiser;
pub use conditions::{Conditions, Probability};
pub use frame::Frame;
pub use host::Host;
pub use journal::{FrameEvent, FrameRecord, LossCause};
pub use lan::Lan;
pub use segment::{Port, Segment};
pub use vips::{Operation, VipEvent, VipRecord, Vips};
