//! Smooth weighted round robin.

use std::time::Instant;

use crate::{
    flow::Arrival,
    scheduler::{Flags, Scheduler},
    server::ServerId,
    server_map::ServerMap,
    servers::Servers,
};

/// Smooth weighted round robin: exact shares, without the bursts of `wrr`.
///
/// At each pick every usable server earns its weight; the richest one (the first of the list in
/// a tie) is picked and pays the sum of the weights. Weights 5, 1, 1 give A A B A C A A.
///
/// While the usable servers and their weights stay, any run of as many picks as the sum of the
/// weights gives every server exactly its weight. A pick looks at every server.
///
/// Source: nginx, "Upstream: smooth weighted round-robin balancing" (2012), its
/// `ngx_http_upstream_round_robin` module, by description.
#[derive(Debug, Clone, Default)]
pub struct SmoothWrr {
    credits: ServerMap<i64>,
}

impl SmoothWrr {
    /// A scheduler in which no server has credit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Scheduler for SmoothWrr {
    fn name(&self) -> &'static str {
        "smooth-wrr"
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let mut total = 0;
        let mut richest: Option<(i64, ServerId)> = None;
        for server in servers.iter().filter(|server| server.is_usable()) {
            let weight = i64::from(server.weight());
            total += weight;
            let Some(credit) = self.credits.get_mut(server.id()) else {
                continue;
            };
            *credit += weight;
            if richest.is_none_or(|(most, _)| *credit > most) {
                richest = Some((*credit, server.id()));
            }
        }
        let (_, richest) = richest?;
        *self.credits.get_mut(richest)? -= total;
        Some(richest)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.credits = ServerMap::default();
        for server in servers.iter() {
            self.credits.insert(server.id(), 0);
        }
    }

    fn server_added(&mut self, server: ServerId, _: &Servers) {
        self.credits.insert(server, 0);
    }

    fn server_edited(&mut self, _: ServerId, servers: &Servers) {
        // Credit earned by other weights would be paid back in a burst.
        for server in servers.iter() {
            self.credits.insert(server.id(), 0);
        }
    }

    fn server_removed(&mut self, server: ServerId, _: Option<ServerId>, _: &Servers) {
        self.credits.remove(server);
    }
}
