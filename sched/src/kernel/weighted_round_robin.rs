//! `wrr`.

use std::time::Instant;

use super::{gcd, ranked};
use crate::{
    flow::Arrival,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
    tournament::{Rank, Tournament},
};

/// Rounds through the list at falling levels of weight: in each, every server whose weight
/// reaches the level is picked once.
///
/// With weights 4, 3, 2 (newest first) a cycle is A, A B, A B C, A B C: a server's picks come in
/// bursts at its heavier levels. A change of any server goes back to the front of the list but
/// keeps the level, so that the first cycle after setting up *n* servers is a short one.
#[derive(Debug)]
pub(crate) struct WeightedRoundRobin {
    /// Age of the server picked last; `None` for the front of the list.
    last: Option<usize>,
    /// Level of the current round (the kernel's `cw`).
    level: u32,
    /// Level of the first round of a cycle (`mw`); 0 if all weights are.
    top: u32,
    /// By how much the level falls (`di`): the greatest common divisor of the weights.
    step: u32,
    /// Finds the next server that reaches a level, in time logarithmic in their number.
    heaviest: Tournament,
}

impl Default for WeightedRoundRobin {
    fn default() -> Self {
        Self {
            last: None,
            level: 0,
            top: 0,
            step: 1,
            heaviest: Tournament::default(),
        }
    }
}

impl WeightedRoundRobin {
    fn measure(&mut self, servers: &Servers) {
        let weights = || servers.iter().map(Server::weight);
        self.last = None;
        self.step = weights().fold(0, gcd).max(1);
        self.top = weights().max().unwrap_or(0).saturating_sub(self.step - 1);
    }

    fn on_change(&mut self, servers: &Servers) {
        self.measure(servers);
        if self.level > self.top || self.level == 0 {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    fn descend(&mut self) {
        self.level = match self.level.checked_sub(self.step) {
            None | Some(0) => self.top,
            Some(level) => level,
        };
    }

    /// The state in which the kernel gives up, having asked every server for any weight at all.
    fn give_up(&mut self) {
        let in_last_round = self.level <= self.step;
        if self.last.is_some() && in_last_round {
            // It begins a new cycle and ends it, in the last round, at the server it began after.
            self.level = 1;
        } else {
            self.last = None;
            self.level = self.top;
        }
    }
}

impl Scheduler for WeightedRoundRobin {
    fn name(&self) -> &'static str {
        "wrr"
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        if self.top == 0 {
            return None;
        }
        let Some((_, best)) = self.heaviest.best() else {
            self.give_up();
            return None;
        };
        let mut next = self.heaviest.next(self.last, reaching(self.level));
        while next.is_none() {
            self.descend();
            if self.level > best.weight {
                let rounds = (self.level - best.weight).div_ceil(self.step);
                self.level -= rounds * self.step;
            }
            next = self.heaviest.next(None, reaching(self.level));
        }
        self.last = next;
        next.and_then(|age| servers.at_age(age)).map(Server::id)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.measure(servers);
        self.level = self.top;
        ranked::rebuild(&mut self.heaviest, servers, by_weight);
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        self.on_change(servers);
        ranked::update(&mut self.heaviest, server, servers, by_weight);
    }

    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        self.on_change(servers);
        ranked::update(&mut self.heaviest, server, servers, by_weight);
    }

    fn server_removed(&mut self, _: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.on_change(servers);
        ranked::rebuild(&mut self.heaviest, servers, by_weight);
    }

    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        ranked::update(&mut self.heaviest, server, servers, by_weight);
    }
}

const fn reaching(level: u32) -> Rank {
    Rank {
        load: 1,
        weight: level,
    }
}

fn by_weight(server: &Server) -> Rank {
    if server.is_usable() {
        reaching(server.weight())
    } else {
        Rank::UNUSABLE
    }
}
