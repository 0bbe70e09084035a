//! The command line, on a kernel in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends at the first surprise"
)]

mod different;
mod listing;
mod many;
mod properties;
mod recorded;
mod restoring;
mod rig;
