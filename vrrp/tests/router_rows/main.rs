//! The virtual router against the tables of keepalived's behaviour that users rely on: each test
//! names the row it proves (`row_2_3_…`: section 2.3, receive rules), or the section of RFC 9568.
//!
//! A test reads as input, time, and all that follows: `rig.expect(input, at, [outputs])`.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may do what tests may"
)]

mod addresses;
mod announcements;
mod as_backup;
mod as_master;
mod leaving;
mod priority;
mod reconfigure;
mod rig;
mod validation;
mod waits;
