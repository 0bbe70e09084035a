//! A data plane of this process between real sockets on loopback addresses.
#![cfg(feature = "userspace")]

mod balancing;
mod changes;
mod datagrams;
mod limits;
mod rig;
mod streams;
mod telling;
