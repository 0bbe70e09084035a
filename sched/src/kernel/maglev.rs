//! `mh`: Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", NSDI 2016, section 3.4) with the kernel's hash functions and weights.

use std::time::Instant;

use super::{gcd, hashed};
use crate::{
    flow::Arrival,
    hash,
    rules::MaglevTable,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    servers::Servers,
};

const FIRST_KEY: u64 = 2_654_435_761;
const SECOND_KEY: u64 = 2_654_446_892;

/// The server in the table's slot of the client's address.
///
/// The table follows the *last* weight of each server: one that is edited to weight 0 keeps its
/// slots, whose clients are refused unless the service has `mh-fallback`.
///
/// The hash is that of 64-bit kernels (SipHash); 32-bit kernels use another (HalfSipHash), and
/// with it other tables.
#[derive(Debug)]
pub(crate) struct Maglev {
    table: MaglevTable,
    slots: Vec<Option<ServerId>>,
    /// Kept for its memory between two fillings of the table.
    walks: Vec<Walk>,
}

/// A server's way through the table: every slot once, in an order of its own.
#[derive(Debug)]
struct Walk {
    server: ServerId,
    slot: u32,
    skip: u32,
    turns: u32,
}

impl Maglev {
    pub(crate) const fn new(table: MaglevTable) -> Self {
        Self {
            table,
            slots: Vec::new(),
            walks: Vec::new(),
        }
    }

    fn fill(&mut self, servers: &Servers) {
        let size = self.table.slots();
        if servers.len() > size as usize {
            return; // as the kernel, which refuses and keeps the table it has
        }
        let common = servers.iter().map(Server::last_weight).fold(0, gcd).max(1);
        let heaviest = servers.iter().map(Server::last_weight).max().unwrap_or(0) / common;
        let shift = (u32::BITS - heaviest.leading_zeros()).saturating_sub(self.table.weight_bits());
        let turns = |weight: u32| match (weight / common) >> shift {
            0 if weight > 0 => 1,
            turns => turns,
        };
        self.walks.clear();
        self.walks.extend(servers.iter().map(|server| {
            let (ip, port) = (server.address().ip(), server.address().port());
            Walk {
                server: server.id(),
                slot: hash::maglev(FIRST_KEY, ip, port, 0) % size,
                skip: hash::maglev(SECOND_KEY, ip, port, 0) % (size - 1) + 1,
                turns: turns(server.last_weight()),
            }
        }));
        self.slots.clear();
        self.slots.resize(size as usize, None);
        let mut free = if heaviest > 0 { size } else { 0 };
        while free > 0 {
            for walk in &mut self.walks {
                for _ in 0..walk.turns.min(free) {
                    walk.take_next(&mut self.slots);
                    free -= 1;
                }
            }
        }
    }
}

impl Walk {
    /// Takes the next free slot on the way; there must be one.
    fn take_next(&mut self, slots: &mut [Option<ServerId>]) {
        let size = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        loop {
            let here = self.slot;
            self.slot = (self.slot + self.skip) % size;
            if let Some(slot @ None) = slots.get_mut(here as usize) {
                *slot = Some(self.server);
                return;
            }
        }
    }
}

impl Scheduler for Maglev {
    fn name(&self) -> &'static str {
        "mh"
    }

    fn max_servers(&self) -> Option<usize> {
        Some(self.table.slots() as usize)
    }

    fn pick(&mut self, arrival: &Arrival, flags: Flags, servers: &Servers) -> Option<ServerId> {
        let client = arrival.flow.client;
        let port = if flags.port { client.port() } else { 0 };
        let size = self.table.slots();
        let slot = |offset| hash::maglev(FIRST_KEY, client.ip(), port, offset) % size;
        hashed(flags, size, slot, |slot| {
            let id = self.slots.get(slot as usize).copied().flatten()?;
            servers.usable(id).map(Server::id)
        })
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        self.fill(servers);
    }

    fn server_added(&mut self, _: ServerId, servers: &Servers) {
        self.fill(servers);
    }

    fn server_edited(&mut self, _: ServerId, servers: &Servers) {
        self.fill(servers);
    }

    fn server_removed(&mut self, _: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.fill(servers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Rules, ServerSettings, Service};

    // The numbers in these tests were taken from a kernel.

    #[test]
    fn the_hashes_of_a_server_are_the_kernels() {
        for (host, first, second) in [
            (1, 0x439c_0cbe, 0x97b3_dc47),
            (2, 0xa1cf_683b, 0xfa5d_46df),
            (3, 0x2cdf_0afa, 0xedeb_33d0),
        ] {
            let ip = [10, 0, 0, host].into();
            assert_eq!(hash::maglev(FIRST_KEY, ip, 80, 0), first);
            assert_eq!(hash::maglev(SECOND_KEY, ip, 80, 0), second);
        }
    }

    #[test]
    fn the_table_is_the_kernels_slot_by_slot() {
        let (counts, checksum) = table(&[1, 1, 1]);
        assert_eq!((counts, checksum), (vec![1364, 1364, 1365], 0x88fc_9da2));
        let (counts, checksum) = table(&[1, 2, 3]);
        assert_eq!((counts, checksum), (vec![682, 1364, 2047], 0x8a26_aec8));
    }

    #[test]
    fn weights_far_apart_keep_at_least_one_turn_and_weight_0_has_none() {
        assert_eq!(table(&[0, 1, 1000]).0, [0, 64, 4029]);
        assert_eq!(table(&[0, 0]).0, [0, 0]);
    }

    #[test]
    fn a_server_that_leaves_moves_four_of_the_others_slots() {
        let mut servers = service(&[1, 1, 1]);
        let mut maglev = Maglev::new(MaglevTable::default());
        maglev.fill(servers.servers());
        let before = maglev.slots.clone();
        let left = servers.remove_server(address(2), now()).unwrap();
        maglev.fill(servers.servers());
        let others = before
            .iter()
            .zip(&maglev.slots)
            .filter(|(before, _)| **before != Some(left));
        assert_eq!(others.clone().count(), 2729);
        assert_eq!(others.filter(|(before, after)| before != after).count(), 4);
    }

    /// Slots of each server, in the order in which they are added, and a CRC-32 of their places
    /// in the list, slot by slot.
    fn table(weights: &[u32]) -> (Vec<usize>, u32) {
        let service = service(weights);
        let mut maglev = Maglev::new(MaglevTable::default());
        maglev.fill(service.servers());
        let place = |id: ServerId| {
            service
                .servers()
                .iter()
                .position(|it| it.id() == id)
                .unwrap()
        };
        let places: Vec<usize> = maglev.slots.iter().flatten().map(|id| place(*id)).collect();
        let count = |place| places.iter().filter(|it| **it == place).count();
        let counts = (0..weights.len()).rev().map(count).collect();
        let checksum = places.iter().fold(u32::MAX, |crc, place| {
            (0..8).fold(crc ^ u32::try_from(*place).unwrap(), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        });
        (counts, !checksum)
    }

    fn service(weights: &[u32]) -> Service {
        let mut service = Service::new(Kind::Mh, Rules::default(), now());
        for (host, weight) in (1..).zip(weights) {
            service
                .add_server(address(host), ServerSettings::new(*weight), now())
                .unwrap();
        }
        service
    }

    fn address(host: u8) -> std::net::SocketAddr {
        ([10, 0, 0, host], 80).into()
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary moment")]
    fn now() -> Instant {
        Instant::now()
    }
}
