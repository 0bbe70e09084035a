//! `dh`.

use std::time::Instant;

use crate::{
    flow::Arrival,
    hash::{fold, hash_32},
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
};

const BITS: u32 = 8;

/// The server in the bucket of the virtual address, or none.
///
/// The list is dealt over the buckets again and again, whatever the weights. As all clients of
/// a virtual address go to one server, it is of use only where a service has many of them:
/// firewall marks, transparent caches.
#[derive(Debug, Default)]
pub(crate) struct DestinationHash {
    buckets: Vec<ServerId>,
}

impl DestinationHash {
    fn deal(&mut self, servers: &Servers) {
        self.buckets.clear();
        self.buckets
            .extend(servers.iter().map(Server::id).cycle().take(1 << BITS));
    }
}

impl Scheduler for DestinationHash {
    fn name(&self) -> &'static str {
        "dh"
    }

    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let bucket = hash_32(fold(arrival.flow.vip.ip()), BITS) as usize;
        servers.usable(*self.buckets.get(bucket)?).map(Server::id)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.deal(servers);
    }

    fn server_added(&mut self, _: ServerId, servers: &Servers) {
        self.deal(servers);
    }

    fn server_removed(&mut self, _: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.deal(servers);
    }
}
