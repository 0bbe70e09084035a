//! `lblc`: locality-based least connection.

use std::time::Instant;

use super::{
    Ranked,
    locality::{Cache, is_crowded},
};
use crate::{
    flow::Arrival,
    rules::Rules,
    scheduler::{Flags, Scheduler},
    server::ServerId,
    servers::Servers,
};

/// The server that served the virtual address last, unless it is crowded: then the `wlc` choice.
///
/// Neither the overload mark nor a threshold makes a cached server be left.
#[derive(Debug)]
pub(crate) struct Lblc {
    cache: Cache<ServerId>,
    least: Ranked,
}

impl Lblc {
    pub(crate) fn new(rules: &Rules) -> Self {
        Self {
            cache: Cache::new(rules.lblc_expiration),
            least: Ranked::wlc(rules.overhead),
        }
    }
}

impl Scheduler for Lblc {
    fn name(&self) -> &'static str {
        "lblc"
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        self.cache.handle_timeout(arrival.now);
        let vip = arrival.flow.vip.ip();
        let cached = self.cache.get_mut(vip, arrival.now);
        if let Some(server) = cached.as_ref().and_then(|id| servers.get(**id))
            && server.is_listed()
            && server.weight() > 0
            && !is_crowded(server, servers)
        {
            return Some(server.id());
        }
        let chosen = self.least.best(servers)?;
        match cached {
            Some(cached) => *cached = chosen,
            None => self.cache.insert(vip, chosen, arrival.now),
        }
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
        self.cache.values().any(|cached| *cached == server)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.cache.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.cache.handle_timeout(now);
    }
}
