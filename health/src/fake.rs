//! Servers in memory, and a fleet on virtual time.
//!
//! A [`Model`] answers probes by a script, and by a seed when that has ended; a [`World`] runs a
//! [`Fleet`](crate::Fleet) on models. Nothing waits and nothing is random: the same seed gives the
//! same answers. With feature `net`, `Servers` are models behind the trait
//! [`HealthProbe`](crate::HealthProbe), in tokio's time.

mod model;
#[cfg(feature = "net")]
mod servers;
mod world;

pub use model::{Answer, Behaviour, Flapping, Model};
#[cfg(feature = "net")]
pub use servers::Servers;
pub use world::{Happening, World};
