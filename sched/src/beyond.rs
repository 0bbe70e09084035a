//! Schedulers that the kernel does not have, for those who are not bound to it.
//!
//! Each implements [`Scheduler`](crate::Scheduler) and is given to
//! [`Service::with_scheduler`](crate::Service::with_scheduler) or
//! [`Service::set_scheduler`](crate::Service::set_scheduler):
//!
//! | scheduler | instead of | because |
//! | --- | --- | --- |
//! | [`SmoothWrr`] | `wrr` | the picks of a heavy server are spread over the cycle, not in bursts |
//! | [`BoundedLoads`] | `sh`, `mh` | clients keep their servers, but no server is overrun |
//! | [`PeakEwma`] | `wlc`, `twos` | a slow server is noticed by its response times |
//!
//! None picks a server of weight 0 or one with the overload mark, and each refuses only if there
//! is no other.

mod bounded_loads;
mod peak_ewma;
mod smooth_wrr;

pub use bounded_loads::BoundedLoads;
pub use peak_ewma::PeakEwma;
pub use smooth_wrr::SmoothWrr;
