//! Benchmarks, side by side with peers.

pub mod sched_pool;
