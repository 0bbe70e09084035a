//! Raw sockets and netlink on a real kernel: hosts are network namespaces.

#![cfg(feature = "net")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "the helpers of tests may do what tests may"
)]

mod adverts;
mod announcements;
mod host;
mod links;
mod traffic;
mod trouble;
mod vips;
