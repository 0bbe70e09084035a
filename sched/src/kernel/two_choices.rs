//! `twos`.

use crate::{
    flow::Arrival,
    rules::Overhead,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
    tournament::Rank,
};

/// The better, as by `wlc`, of two servers drawn at random by weight.
///
/// The kernel draws from 0 to the sum of the weights inclusive, which gives the first usable
/// server of the list one chance more than its weight. Both draws may be the same server.
#[derive(Debug)]
pub(crate) struct TwoChoices {
    overhead: Overhead,
}

impl TwoChoices {
    pub(crate) const fn new(overhead: Overhead) -> Self {
        Self { overhead }
    }

    fn rank(&self, server: &Server) -> Rank {
        Rank {
            load: self.overhead.of(server),
            weight: server.weight(),
        }
    }
}

impl Scheduler for TwoChoices {
    fn name(&self) -> &'static str {
        "twos"
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let usable = || servers.iter().filter(|server| server.is_usable());
        let total: u64 = usable().map(|server| u64::from(server.weight())).sum();
        let draw = |random: u32| {
            // A multiplication and a shift, so that no division is needed; as total is far
            // below 2 to the power of 32 in any real service, no chance is off measurably.
            let ticket = (u128::from(random) * u128::from(total + 1)) >> u32::BITS;
            let mut sum = 0;
            usable().find(|server| {
                sum += u128::from(server.weight());
                ticket <= sum
            })
        };
        let (first, second) = arrival.random_halves();
        let (first, second) = (draw(first)?, draw(second)?);
        let better = self.rank(second).is_better_than(self.rank(first));
        Some(if better { second.id() } else { first.id() })
    }
}
