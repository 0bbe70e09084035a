//! The quorum of a virtual server: with what is ordered, and as it would be without.

use health::{Decision, Health, PoolConfig, Quorum, QuorumChange, QuorumConfig, Server, decide};

/// A quorum remembers (its hysteresis does), and so orders must not touch the one that holds without
/// them: once they are taken back nothing shall be left of them.
#[derive(Debug, Clone)]
pub(super) struct Quorums {
    config: QuorumConfig,
    /// As it is without orders.
    unordered: Quorum,
    /// As it is with them, while there are any.
    ordered: Option<Quorum>,
}

impl Quorums {
    pub(super) const fn at_start(config: QuorumConfig, alpha: bool) -> Self {
        Self {
            config,
            unordered: Quorum::at_start(config, alpha),
            ordered: None,
        }
    }

    /// After a reload, among these servers as they were before it.
    pub(super) fn after_reload(&self, config: QuorumConfig, before: &Servers) -> Self {
        if config == self.config {
            return self.clone();
        }
        let after = |servers: &[Server]| Quorum::after_reload(config, alive(servers));
        Self {
            config,
            unordered: after(&before.unordered),
            ordered: before.ordered.as_deref().map(after),
        }
    }

    /// Whether it is there.
    pub(super) const fn is_up(&self) -> bool {
        match &self.ordered {
            Some(ordered) => ordered.is_up(),
            None => self.unordered.is_up(),
        }
    }

    /// What is to be told when the program stops.
    pub(super) fn at_stop(&self, omega: bool) -> Option<QuorumChange> {
        let in_force = self.ordered.as_ref().unwrap_or(&self.unordered);
        in_force.at_stop(omega)
    }

    /// Decides which servers are used, by the orders for them.
    pub(super) fn decide(&mut self, config: &PoolConfig, servers: &Servers) -> Decision {
        let (before, was_up) = (self.unordered.clone(), self.is_up());
        let mut decision = decide(config, &mut self.unordered, &servers.unordered);
        if let Some(servers) = &servers.ordered {
            let ordered = self.ordered.get_or_insert(before);
            return decide(config, ordered, servers);
        }
        if self.ordered.take().is_some() {
            decision.quorum = match (was_up, self.is_up()) {
                (true, false) => Some(QuorumChange::Down),
                (false, true) => Some(QuorumChange::Up),
                (true, true) | (false, false) => None,
            };
        }
        decision
    }
}

/// The real servers of a virtual server, in the order of the file.
#[derive(Debug)]
pub(super) struct Servers {
    /// As they are without orders.
    pub(super) unordered: Vec<Server>,
    /// As they are with them, if there are any.
    pub(super) ordered: Option<Vec<Server>>,
}

impl Servers {
    /// The weight of those that are up, as they are.
    pub(super) fn alive(&self) -> u64 {
        alive(self.as_ordered())
    }

    /// As they are, with orders if there are any.
    pub(super) fn as_ordered(&self) -> &[Server] {
        self.ordered.as_deref().unwrap_or(&self.unordered)
    }
}

fn alive(servers: &[Server]) -> u64 {
    let alive = servers.iter().filter(|server| server.health == Health::Up);
    alive.map(|server| u64::from(server.weight)).sum()
}
