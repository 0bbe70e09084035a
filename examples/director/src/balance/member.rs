//! A real server of a virtual server, and what is known of it.

use std::time::Instant;

use health::{AskedWeight, Health, Server, Standing, all_must_pass, dynamic_weight};

use super::{Order, Ramp, RealServerName};
use crate::conf::model::RealServer;

/// A real server.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: RealServerName,
    /// What is known by each of its checks; `None` before anything is.
    pub(super) checks: Vec<Option<Standing>>,
    /// Whether it is up, as it was told last.
    pub(super) told: Option<bool>,
    pub(super) order: Order,
    /// Whether it could be used when that was known last.
    pub(super) was_usable: Option<bool>,
    /// While its weight grows.
    pub(super) ramp: Option<Ramp>,
}

impl Member {
    /// Begins a ramp if it has just come back, and ends it if it is gone. `server` is what it counts
    /// for.
    pub(super) fn ramp_up(&mut self, config: &RealServer, server: Server, now: Instant) {
        let usable = match server.health {
            Health::Up => server.weight > 0,
            Health::Down => false,
            Health::Unknown => return,
        };
        self.ramp = match (self.was_usable.replace(usable), usable) {
            (_, false) => None,
            (Some(false), true) => config.slow_start.map(|span| Ramp { since: now, span }),
            (_, true) => self.ramp,
        };
    }

    /// What it counts for, but for what is ordered.
    pub(super) fn server(&self, config: &RealServer) -> Server {
        Server {
            health: self.health(),
            weight: self.weight(config.destination.settings.weight.get()),
            inhibit: config.inhibit_on_failure,
        }
    }

    pub(super) fn health(&self) -> Health {
        let known = self.checks.iter();
        all_must_pass(known.map(|check| check.map_or(Health::Unknown, |it| it.health)))
    }

    /// Its weight as its checks ask for: the last that sets one sets it, all others change it.
    fn weight(&self, configured: u32) -> u32 {
        let asked = self.checks.iter().flatten().filter_map(|it| it.weight);
        let (mut base, mut changes) = (configured, Vec::new());
        for asked in asked {
            match asked {
                AskedWeight::Exactly(weight) => base = weight,
                AskedWeight::Change(change) => changes.push(change),
            }
        }
        dynamic_weight(base, changes)
    }
}
