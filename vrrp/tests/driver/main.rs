//! The driver and its handle on fakes, under tokio's paused clock.
//!
//! Every test fails if anything logs an error.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may do what tests may"
)]

mod addresses;
mod advertisers;
mod failover;
mod handle;
mod mock;
mod reconfigure;
mod rig;
