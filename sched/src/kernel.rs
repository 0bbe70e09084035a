//! The fourteen schedulers of the kernel, one file for each way of choosing.

mod destination_hash;
mod locality;
mod maglev;
mod ranked;
mod round_robin;
mod source_hash;
mod two_choices;
mod weighted_round_robin;

pub(crate) use destination_hash::DestinationHash;
pub(crate) use locality::{Locality, OneServer, ServerSet};
pub(crate) use maglev::Maglev;
pub(crate) use ranked::Ranked;
pub(crate) use round_robin::RoundRobin;
pub(crate) use source_hash::SourceHash;
pub(crate) use two_choices::TwoChoices;
pub(crate) use weighted_round_robin::WeightedRoundRobin;

/// The greatest common divisor, with 0 as the neutral element.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
