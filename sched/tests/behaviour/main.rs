//! What a service and each scheduler do, on virtual time.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test, also in its helpers, a panic is the report"
)]

mod beyond;
mod hashing;
mod history;
mod laboratory;
mod least_connection;
mod lists;
mod locality;
mod own_scheduler;
mod persistence;
mod properties;
mod round_robin;
mod thresholds;
mod two_choices;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};

use sched::{Arrival, Connection, Flags, Flow, Kind, Protocol, Rules, ServerSettings, Service};

/// A service with a clock of its own and short names.
struct Bench {
    service: Service,
    now: Instant,
}

impl Bench {
    fn new(kind: Kind) -> Self {
        Self::with_rules(kind, Rules::default())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an arbitrary origin of virtual time"
    )]
    fn with_rules(kind: Kind, rules: Rules) -> Self {
        let now = Instant::now();
        Self {
            service: Service::new(kind, rules, now),
            now,
        }
    }

    /// A service with servers 1, 2, … of these weights, added in that order.
    fn with_weights(kind: Kind, weights: &[u32]) -> Self {
        let mut bench = Self::new(kind);
        for (number, weight) in (1..).zip(weights) {
            bench.add(number, *weight);
        }
        bench
    }

    fn flags(mut self, flags: Flags) -> Self {
        self.service.set_flags(flags);
        self
    }

    fn add(&mut self, number: u8, weight: u32) {
        let settings = ServerSettings::new(weight);
        self.service
            .add_server(server(number), settings, self.now)
            .unwrap();
    }

    fn edit(&mut self, number: u8, weight: u32) {
        let settings = ServerSettings::new(weight);
        self.service
            .edit_server(server(number), settings, self.now)
            .unwrap();
    }

    fn remove(&mut self, number: u8) {
        self.service
            .remove_server(server(number), self.now)
            .unwrap();
    }

    /// The server that a TCP connection of this client gets.
    fn connect(&mut self, client: u32) -> Option<(u8, Connection)> {
        self.arrive(Flow::tcp(address(client), vip(1)), 0)
    }

    fn arrive(&mut self, flow: Flow, random: u64) -> Option<(u8, Connection)> {
        let pick = self
            .service
            .connect(&Arrival::new(flow, self.now, random))?;
        Some((number(pick.address), pick.connection.unwrap()))
    }

    /// The servers that these many connections get, which all stay.
    fn hold(&mut self, connections: u32) -> Vec<u8> {
        (0..connections)
            .map(|client| self.connect(client).unwrap().0)
            .collect()
    }

    /// The server that a connection gets which is gone at once.
    fn visit(&mut self, client: u32) -> Option<u8> {
        let (server, connection) = self.connect(client)?;
        self.service.expire(connection, self.now);
        Some(server)
    }

    fn visits(&mut self, clients: std::ops::Range<u32>) -> Vec<Option<u8>> {
        clients.map(|client| self.visit(client)).collect()
    }
}

/// The real server of a number.
fn server(number: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 0, 0, number), 80).into()
}

fn number(server: SocketAddr) -> u8 {
    match server.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[3],
        std::net::IpAddr::V6(ip) => ip.octets()[15],
    }
}

/// A client, by the number that is added to 192.168.0.0; port 1024.
fn address(client: u32) -> SocketAddr {
    let network = Ipv4Addr::new(192, 168, 0, 0).to_bits();
    (Ipv4Addr::from_bits(network.wrapping_add(client)), 1024).into()
}

fn vip(number: u8) -> SocketAddr {
    (Ipv4Addr::new(10, 1, 0, number), 80).into()
}

fn flow(protocol: Protocol, client: u32) -> Flow {
    Flow::new(protocol, address(client), vip(1))
}
