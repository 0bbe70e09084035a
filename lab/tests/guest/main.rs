//! Real traffic from a client through a director to real servers, in a guest whose kernel has IPVS.
//!
//! Director and servers are set up by the crate `ipvs` alone, except in the chapters of the guide,
//! where their reader sets them up.

#![expect(clippy::panic, reason = "a step that fails is a test that fails")]

mod compatibility;
mod demo;
mod direct_route;
mod director;
mod drain;
mod full_nat;
mod guide;
mod kernel;
mod masquerade;
mod orders;
mod path;
mod site;
mod sync;
mod tunnel;
mod two_directors;
