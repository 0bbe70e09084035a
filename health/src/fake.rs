//! Servers in memory, and a fleet on virtual time.
//!
//! A [`Model`] answers probes by a script, and by a seed when that has ended; a [`World`] runs a
//! [`Fleet`](crate::Fleet) on models. Nothing waits and nothing is random: the same seed gives the
//! same answers.

mod model;
mod world;

pub use model::{Answer, Behaviour, Flapping, Model};
pub use world::{Happening, World};
