//! A data plane of this process between real sockets on loopback addresses.
#![cfg(feature = "userspace")]

mod alone;
mod balancing;
mod changes;
mod datagrams;
mod failures;
mod limits;
mod rig;
mod shards;
mod streams;
mod telling;
