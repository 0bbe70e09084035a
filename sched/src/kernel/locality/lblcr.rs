//! `lblcr`: locality-based least connection with replication.

use std::time::Instant;

use super::{Memory, Settings, is_crowded};
use crate::{
    rules::Overhead,
    server::{Server, ServerId},
    servers::Servers,
    tournament::Rank,
};

/// The servers of a virtual address, of which the least loaded is taken.
///
/// When that one is crowded another joins. A set that did not change for the expiration time
/// loses its most loaded member.
#[derive(Debug)]
pub(crate) struct ServerSet {
    /// The one that joined last at the end.
    members: Vec<ServerId>,
    changed_at: Instant,
}

impl ServerSet {
    /// The members, the one that joined last first.
    fn iter<'a>(&self, servers: &'a Servers) -> impl Iterator<Item = &'a Server> {
        self.members.iter().rev().filter_map(|id| servers.get(*id))
    }

    fn least_loaded<'a>(&self, servers: &'a Servers, overhead: Overhead) -> Option<&'a Server> {
        let usable = self.iter(servers).filter(|server| server.is_usable());
        first_best(usable, |a, b| {
            rank(a, overhead).is_better_than(rank(b, overhead))
        })
    }

    /// Drops the most loaded member of a weight above 0, whether it is in the list or not.
    fn drop_most_loaded(&mut self, servers: &Servers, overhead: Overhead, now: Instant) {
        let weighty = self.iter(servers).filter(|server| server.weight() > 0);
        let most = first_best(weighty, |a, b| {
            rank(b, overhead).is_better_than(rank(a, overhead))
        });
        if let Some(most) = most.map(Server::id) {
            self.members.retain(|member| *member != most);
            self.changed_at = now;
        }
    }
}

impl Memory for ServerSet {
    const NAME: &'static str = "lblcr";

    fn new(server: ServerId, now: Instant) -> Self {
        Self {
            members: vec![server],
            changed_at: now,
        }
    }

    fn server(&mut self, servers: &Servers, settings: Settings, now: Instant) -> Option<ServerId> {
        let least = self.least_loaded(servers, settings.overhead);
        if self.members.len() > 1
            && now.saturating_duration_since(self.changed_at) > settings.expiration
        {
            self.drop_most_loaded(servers, settings.overhead, now);
        }
        least
            .filter(|server| !is_crowded(server, servers))
            .map(Server::id)
    }

    fn change_to(&mut self, server: ServerId, now: Instant) {
        if !self.contains(server) {
            self.members.push(server);
            self.changed_at = now;
        }
    }

    fn contains(&self, server: ServerId) -> bool {
        self.members.contains(&server)
    }
}

fn rank(server: &Server, overhead: Overhead) -> Rank {
    Rank {
        load: overhead.of(server),
        weight: server.weight(),
    }
}

/// The first that no later one beats.
fn first_best<'a>(
    servers: impl Iterator<Item = &'a Server>,
    beats: impl Fn(&Server, &Server) -> bool,
) -> Option<&'a Server> {
    servers.reduce(|best, next| if beats(next, best) { next } else { best })
}
