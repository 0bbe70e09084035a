//! Benchmarks, side by side with peers.

pub mod process;
pub mod sched_pool;
