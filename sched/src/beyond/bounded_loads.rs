//! Consistent hashing with bounded loads.

use std::{net::SocketAddr, time::Instant};

use crate::{
    flow::Arrival,
    hash::ring_point,
    scheduler::{Flags, Scheduler},
    server::{Server, ServerId},
    server_map::ServerMap,
    servers::Servers,
};

/// Points on the ring of the heaviest server; the others have theirs by weight.
const POINTS: u32 = 128;
const SERVER_KEY: u64 = 0x7461_6b65_6f76_6572;
const CLIENT_KEY: u64 = 0x636c_6965_6e74_0000;

/// Consistent hashing with bounded loads: a client goes to the server of its place on a ring,
/// or, if that one is full, to the next on the ring that is not.
///
/// A server is full when it has its bound of connections, active and inactive: its share, by
/// weight, of all connections including the new one, and the slack, rounded up. So with a slack
/// of 25 percent no server gets more than 1.25 times its share (and less than one connection
/// more), while a client stays with its server as long as that one is not full, and a server
/// that leaves moves only its own clients and those that overflow onto others.
///
/// The client is hashed by address, and by port too with [`Flags::port`].
///
/// Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads",
/// SODA 2018 (arXiv:1608.01350), with capacities by weight.
#[derive(Debug, Clone)]
pub struct BoundedLoads {
    slack_percent: u32,
    /// Sorted.
    ring: Vec<(u64, ServerId)>,
    heaviest: u32,
    /// What each listed server is counted with in the totals.
    counted: ServerMap<Share>,
    total: Share,
}

/// Connections and weight of one usable server, or of all.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    connections: u64,
    weight: u64,
}

impl BoundedLoads {
    /// A ring whose servers may have up to `slack_percent` (such as 25) more than their share.
    #[must_use]
    pub fn new(slack_percent: u32) -> Self {
        let (counted, total) = (ServerMap::default(), Share::default());
        Self {
            slack_percent,
            ring: Vec::new(),
            heaviest: 0,
            counted,
            total,
        }
    }

    /// How many connections `server` may have when one more than now exists.
    ///
    /// 0 for a server that is not usable.
    #[must_use]
    pub fn bound(&self, server: &Server) -> u64 {
        if !server.is_usable() || self.total.weight == 0 {
            return 0;
        }
        let percents = u128::from(self.total.connections + 1)
            * u128::from(server.weight())
            * (100 + u128::from(self.slack_percent));
        let bound = percents.div_ceil(100 * u128::from(self.total.weight));
        u64::try_from(bound).unwrap_or(u64::MAX)
    }

    /// Counts a server anew, or no more if it is not usable or not listed.
    fn count(&mut self, id: ServerId, servers: &Servers) {
        let now = servers
            .usable(id)
            .map_or_else(Share::default, |server| Share {
                connections: server.connections(),
                weight: server.weight().into(),
            });
        let before = self.counted.insert(id, now).unwrap_or_default();
        self.total.connections += now.connections;
        self.total.connections -= before.connections;
        self.total.weight += now.weight;
        self.total.weight -= before.weight;
    }

    /// Places the points of all servers anew if the heaviest weight changed, else of one.
    fn place(&mut self, server: ServerId, servers: &Servers) {
        let heaviest = servers.iter().map(Server::weight).max().unwrap_or(0);
        if self.heaviest == heaviest {
            self.ring.retain(|(_, at)| *at != server);
            self.ring.extend(
                servers
                    .get(server)
                    .into_iter()
                    .flat_map(|it| points(it, heaviest)),
            );
        } else {
            self.heaviest = heaviest;
            self.ring.clear();
            self.ring
                .extend(servers.iter().flat_map(|it| points(it, heaviest)));
        }
        self.ring.sort();
    }
}

/// The points of a server: in proportion to the heaviest, at least one if it has any weight.
fn points(server: &Server, heaviest: u32) -> impl Iterator<Item = (u64, ServerId)> + use<> {
    let (id, address) = (server.id(), server.address());
    let share = u64::from(POINTS) * u64::from(server.weight());
    let count = share.div_ceil(u64::from(heaviest.max(1)));
    let listed = u32::try_from(count).unwrap_or(POINTS);
    let listed = if server.is_listed() { listed } else { 0 };
    (0..listed).map(move |replica| (ring_point(SERVER_KEY, address, replica), id))
}

impl Scheduler for BoundedLoads {
    fn name(&self) -> &'static str {
        "bounded-loads"
    }

    fn pick(&mut self, arrival: &Arrival, flags: Flags, servers: &Servers) -> Option<ServerId> {
        let client = arrival.flow.client;
        let port = if flags.port { client.port() } else { 0 };
        let place = ring_point(CLIENT_KEY, SocketAddr::new(client.ip(), port), 0);
        let start = self.ring.partition_point(|(point, _)| *point < place);
        let (before, after) = self.ring.split_at_checked(start)?;
        let mut onwards = after
            .iter()
            .chain(before)
            .filter_map(|(_, id)| servers.get(*id));
        // The bounds add up to more than the connections, so a server below its own exists.
        onwards
            .find(|server| server.connections() < self.bound(server))
            .map(Server::id)
    }

    fn start(&mut self, servers: &Servers, _: Instant) {
        *self = Self::new(self.slack_percent);
        for server in servers.iter() {
            self.count(server.id(), servers);
        }
        if let Some(server) = servers.iter().next() {
            self.place(server.id(), servers);
        }
    }

    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        self.count(server, servers);
        self.place(server, servers);
    }

    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        self.count(server, servers);
        self.place(server, servers);
    }

    fn server_removed(&mut self, server: ServerId, _: Option<ServerId>, servers: &Servers) {
        self.count(server, servers);
        self.counted.remove(server);
        self.place(server, servers);
    }

    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        self.count(server, servers);
    }
}
