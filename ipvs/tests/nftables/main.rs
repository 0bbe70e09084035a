//! Load balancing by nftables, in network namespaces of this machine's own kernel.
#![cfg(feature = "machine")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conformance;
#[path = "../conformance/mod.rs"]
mod conformance_of_all;
mod traffic;
