//! What `lblc` and `lblcr` have in common: they remember what belongs to a virtual address.

mod cache;
mod lblc;
mod lblcr;

use std::{
    fmt,
    time::{Duration, Instant},
};

use self::cache::Cache;
pub(crate) use self::{lblc::OneServer, lblcr::ServerSet};
use super::Ranked;
use crate::{
    flow::Arrival,
    rules::Overhead,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
};

/// Goes on with what it remembers of a virtual address while that serves; if not, with the `wlc`
/// choice, which it remembers.
///
/// As all clients of a virtual address share what is remembered, it is of use only where a
/// service has many addresses: firewall marks, transparent caches.
#[derive(Debug)]
pub(crate) struct Locality<M> {
    cache: Cache<M>,
    least: Ranked,
    settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    overhead: Overhead,
    expiration: Duration,
}

/// What is remembered of a virtual address.
pub(crate) trait Memory: fmt::Debug + Send {
    const NAME: &'static str;

    fn new(server: ServerId, now: Instant) -> Self;

    /// The server to go on with, if it is not crowded.
    fn server(&mut self, servers: &Servers, settings: Settings, now: Instant) -> Option<ServerId>;

    /// Another server was chosen, because there was none to go on with.
    fn change_to(&mut self, server: ServerId, now: Instant);

    fn contains(&self, server: ServerId) -> bool;
}

impl<M: Memory> Locality<M> {
    /// `expiration` is the time for which what is remembered may be unused.
    pub(crate) fn new(overhead: Overhead, expiration: Duration) -> Self {
        Self {
            cache: Cache::new(expiration),
            least: Ranked::wlc(overhead),
            settings: Settings {
                overhead,
                expiration,
            },
        }
    }
}

impl<M: Memory> Scheduler for Locality<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let (vip, now) = (arrival.flow.vip.ip(), arrival.now);
        self.cache.handle_timeout(now);
        let memory = match self.cache.get_mut(vip, now) {
            Some(memory) => match memory.server(servers, self.settings, now) {
                Some(server) => return Some(server),
                None => Some(memory),
            },
            None => None,
        };
        let chosen = self.least.best(servers)?;
        match memory {
            Some(memory) => memory.change_to(chosen, now),
            None => self.cache.insert(vip, M::new(chosen, now), now),
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
        self.cache.values().any(|memory| memory.contains(server))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.cache.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.cache.handle_timeout(now);
    }
}

/// Whether `server` should not go on serving its virtual addresses: it has more active
/// connections than weight, and some server of the list has less than half as many.
fn is_crowded(server: &Server, servers: &Servers) -> bool {
    let active = |server: &Server| u64::from(server.active());
    let weight = |server: &Server| u64::from(server.weight());
    active(server) > weight(server)
        && servers
            .iter()
            .any(|other| active(other) * 2 < weight(other))
}
