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

use crate::{scheduler::Flags, server::ServerId};

/// The way of `sh` and `mh` through their table of `size`: the bucket of a hash without offset,
/// and if that gives nothing and the service has the fallback flag, those of all offsets,
/// beginning with the number of the first bucket. So the bucket after the first is another.
fn hashed(
    flags: Flags,
    size: u32,
    bucket: impl Fn(u32) -> u32,
    server: impl Fn(u32) -> Option<ServerId>,
) -> Option<ServerId> {
    let first = bucket(0);
    let found = server(first);
    if found.is_some() || !flags.fallback {
        return found;
    }
    (0..size)
        .map(|offset| bucket((offset + first) % size))
        .find_map(server)
}

/// The greatest common divisor, with 0 as the neutral element.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
