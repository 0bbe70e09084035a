//! Test-only: network namespaces, real peers and packet captures on one machine.
//!
//! A [`Lab`] is what one test builds: nodes (network namespaces), local networks (bridges) and
//! cables between them that can be cut. A [`Peer`] is a daemon that runs on a node, keepalived or
//! our own `director`, from the same configuration text. A [`Capture`] is tcpdump's opinion of what
//! was sent, a [`Prober`] measures how long an address did not answer, a [`Responder`] tells which
//! server a client got and whom that server saw.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use lab::{Lab, Peer, Software, wait_until};
//!
//! let lab = Lab::new("one-address");
//! let lan = lab.lan("lan");
//! let node = lab.node("a");
//! let cable = lan.connect(&node, "eth0", &["192.0.2.1/24"]);
//! let peer = Peer::start(
//!     Software::Keepalived,
//!     &node,
//!     "vrrp_instance VI_1 {
//!          interface eth0
//!          virtual_router_id 51
//!          virtual_ipaddress { 192.0.2.100/24 }
//!      }",
//! );
//! let vip = "192.0.2.100".parse().expect("an address");
//! wait_until("a holds the address", Duration::from_secs(10), || node.holds(vip));
//! cable.cut();
//! ```
//!
//! Everything is undone when the values are dropped, after a panic too, and what a killed test
//! process left behind is swept up by the next one. A failed step panics and so fails the test; the
//! [`Lab`] then prints the log of every process. Nothing waits by sleeping for a fixed time:
//! [`wait_until`] polls, with a bound.
//!
//! What needs a kernel with IPVS runs in a [`guest`], whose documentation says how a test asks for
//! one. The chapters of the [`guide`] are tests there.
//!
//! It needs root, and Debian's iproute2, tcpdump and keepalived. Tests that use it carry
//! `#[cfg_attr(not(feature = "lab"), ignore = "lab: needs root and network namespaces")]`.

#![expect(
    clippy::panic,
    reason = "a step of the laboratory that fails is a test that fails"
)]

mod capture;
pub mod guest;
pub mod guide;
mod namespace;
mod pair;
mod pairing;
mod peer;
mod probe;
mod process;
mod swallower;
mod topology;
mod traffic;
mod wait;

pub use capture::{ANNOUNCEMENTS, Capture, GRATUITOUS, Packet, RELEASES, VRRP};
pub use namespace::{Namespace, in_namespace};
pub use pair::{Pair, Side};
pub use peer::{Notifications, Peer, Software, director, program};
pub use probe::{Prober, Reachability};
pub use process::Process;
pub use swallower::Swallower;
pub use topology::{Cable, Lab, Lan, Node};
pub use traffic::{Answer, Flow, Responder, Session, curl};
pub use wait::{becomes_true, stays, wait_until};
