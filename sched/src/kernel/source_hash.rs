//! `sh`.

use std::time::Instant;

use super::hashed;
use crate::{
    flow::Arrival,
    hash::{fold, hash_32},
    rules::SourceHashTable,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
};

/// The server in the bucket of the client's address.
///
/// Each server of the list in turn gets as many consecutive buckets as its weight, one for
/// weight 0, until all are dealt. So a weight edit moves most clients, and a server of weight 0
/// has buckets whose clients are refused unless the service has `sh-fallback`.
#[derive(Debug)]
pub(crate) struct SourceHash {
    table: SourceHashTable,
    buckets: Vec<ServerId>,
}

impl SourceHash {
    pub(crate) const fn new(table: SourceHashTable) -> Self {
        Self {
            table,
            buckets: Vec::new(),
        }
    }

    fn deal(&mut self, servers: &Servers) {
        let size = 1 << self.table.bits();
        let runs = servers.iter().flat_map(|server| {
            std::iter::repeat_n(server.id(), size.min(server.weight().max(1) as usize))
        });
        self.buckets.clear();
        self.buckets.extend(runs.cycle().take(size));
    }
}

impl Scheduler for SourceHash {
    fn name(&self) -> &'static str {
        "sh"
    }

    fn pick(&mut self, arrival: &Arrival, flags: Flags, servers: &Servers) -> Option<ServerId> {
        let client = arrival.flow.client;
        let port = if flags.port {
            u32::from(client.port())
        } else {
            0
        };
        let hash = hash_32(fold(client.ip()).wrapping_add(port), self.table.bits());
        let size = 1 << self.table.bits();
        let bucket = |offset: u32| offset.wrapping_add(hash) % size;
        hashed(flags, size, bucket, |bucket| {
            let id = self.buckets.get(bucket as usize)?;
            servers.usable(*id).map(Server::id)
        })
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.deal(servers);
    }

    fn server_added(&mut self, _: ServerId, servers: &Servers) {
        self.deal(servers);
    }

    fn server_edited(&mut self, _: ServerId, servers: &Servers) {
        self.deal(servers);
    }

    fn server_removed(&mut self, _: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.deal(servers);
    }
}
