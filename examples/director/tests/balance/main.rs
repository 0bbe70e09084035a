//! What configuration, health and an operator's orders make of the table.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]

mod orders;
mod paths;
mod ramp;
mod rig;
mod verdicts;
