//! All routers and sync groups of a node together: what concerns more than one of them.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "the helpers of tests may do what tests may, and look at what matters to them"
)]

mod configuring;
mod links;
mod rig;
mod sync_groups;
