//! `lblcr`: locality-based least connection with replication.

use std::time::{Duration, Instant};

use super::{
    Ranked,
    locality::{Cache, is_crowded},
};
use crate::{
    flow::Arrival,
    rules::{Overhead, Rules},
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
    tournament::Rank,
};

/// The least loaded of the servers of the virtual address; when that one is crowded, the `wlc`
/// choice among all, which joins them. A set that did not change for the expiration time loses
/// its most loaded member.
#[derive(Debug)]
pub(crate) struct Lblcr {
    cache: Cache<ServerSet>,
    least: Ranked,
    overhead: Overhead,
    expiration: Duration,
}

/// The servers of one virtual address, the one that joined last at the end.
#[derive(Debug)]
struct ServerSet {
    members: Vec<ServerId>,
    changed_at: Instant,
}

impl Lblcr {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            cache: Cache::new(rules.lblcr_expiration),
            least: Ranked::wlc(rules.overhead),
            overhead: rules.overhead,
            expiration: rules.lblcr_expiration,
        }
    }
}

impl ServerSet {
    fn new(server: ServerId, now: Instant) -> Self {
        Self {
            members: vec![server],
            changed_at: now,
        }
    }

    /// The members, the one that joined last first.
    fn iter<'a>(&self, servers: &'a Servers) -> impl Iterator<Item = &'a Server> {
        self.members.iter().rev().filter_map(|id| servers.get(*id))
    }

    fn least_loaded<'a>(&self, servers: &'a Servers, overhead: Overhead) -> Option<&'a Server> {
        let usable = self.iter(servers).filter(|server| server.is_usable());
        best_by(usable, |a, b| {
            rank(a, overhead).is_better_than(rank(b, overhead))
        })
    }

    /// Drops the most loaded member of a weight above 0, whether it is in the list or not.
    fn drop_most_loaded(&mut self, servers: &Servers, overhead: Overhead, now: Instant) {
        let weighty = self.iter(servers).filter(|server| server.weight() > 0);
        let most = best_by(weighty, |a, b| {
            rank(b, overhead).is_better_than(rank(a, overhead))
        });
        if let Some(most) = most.map(Server::id) {
            self.members.retain(|member| *member != most);
            self.changed_at = now;
        }
    }

    fn join(&mut self, server: ServerId, now: Instant) {
        if !self.members.contains(&server) {
            self.members.push(server);
            self.changed_at = now;
        }
    }
}

fn rank(server: &Server, overhead: Overhead) -> Rank {
    Rank {
        load: overhead.of(server),
        weight: server.weight(),
    }
}

/// The first that no later one beats.
fn best_by<'a>(
    servers: impl Iterator<Item = &'a Server>,
    beats: impl Fn(&Server, &Server) -> bool,
) -> Option<&'a Server> {
    servers.reduce(|best, next| if beats(next, best) { next } else { best })
}

impl Scheduler for Lblcr {
    fn name(&self) -> &'static str {
        "lblcr"
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let now = arrival.now;
        self.cache.handle_timeout(now);
        let vip = arrival.flow.vip.ip();
        let Some(set) = self.cache.get_mut(vip, now) else {
            let chosen = self.least.best(servers)?;
            self.cache.insert(vip, ServerSet::new(chosen, now), now);
            return Some(chosen);
        };
        let least = set.least_loaded(servers, self.overhead);
        if set.members.len() > 1 && now > set.changed_at + self.expiration {
            set.drop_most_loaded(servers, self.overhead, now);
        }
        if let Some(least) = least.filter(|server| !is_crowded(server, servers)) {
            return Some(least.id());
        }
        let chosen = self.least.best(servers)?;
        set.join(chosen, now);
        Some(chosen)
    }

    fn start(&mut self, servers: &Servers, now: Instant) {
        self.cache.start(now);
        self.least.start(servers, now);
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        self.least.server_added(server, servers);
    }

    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        self.least.server_edited(server, servers);
    }

    fn server_removed(&mut self, server: ServerId, previous: Option<ServerId>, servers: &Servers) {
        self.least.server_removed(server, previous, servers);
    }

    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        self.least.load_changed(server, servers);
    }

    fn remembers(&self, server: ServerId) -> bool {
        self.cache.values().any(|set| set.members.contains(&server))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.cache.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.cache.handle_timeout(now);
    }
}
