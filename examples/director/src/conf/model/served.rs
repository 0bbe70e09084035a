//! What a machine serves as a real server.

use std::{collections::BTreeMap, net::IpAddr, num::NonZeroU32};

use ipvs::{Forwarding, ServiceKey};

use super::{Config, Lvs};

/// A virtual address that a real server serves without the packets being translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Served {
    /// What clients connect to.
    pub vip: Vip,
    /// The address of the real server.
    pub server: IpAddr,
    /// [`Forwarding::DirectRoute`] or [`Forwarding::Tunnel`].
    pub forwarding: Forwarding,
}

/// What the clients of a [`Served`] connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two kinds of service")]
pub enum Vip {
    /// An address.
    Address(IpAddr),
    /// Whatever has that mark: the configuration does not say which addresses those are.
    Fwmark(NonZeroU32),
}

impl Config {
    /// Whether it asks for load balancing.
    #[must_use]
    pub fn balances(&self) -> bool {
        !self.virtual_servers.is_empty() || self.lvs != Lvs::default()
    }

    /// The virtual addresses that a machine with these addresses has to take for its own, because
    /// it is a real server by direct routing or through a tunnel: each once, in the order of the
    /// file. Sorry servers are among them.
    #[must_use]
    pub fn served_by(&self, own: &[IpAddr]) -> Vec<Served> {
        let mut seen: BTreeMap<(Vip, IpAddr), Vec<Forwarding>> = BTreeMap::new();
        let mut served = Vec::new();
        for server in &self.virtual_servers {
            let sorry = server.sorry_server.iter().map(|sorry| &sorry.destination);
            let real = server.real_servers.iter().map(|real| &real.destination);
            for destination in real.chain(sorry) {
                let forwarding = destination.settings.forwarding;
                let keeps_address =
                    matches!(forwarding, Forwarding::DirectRoute | Forwarding::Tunnel(_));
                if !keeps_address || !own.contains(&destination.address) {
                    continue;
                }
                served.extend(server.services.iter().filter_map(|service| {
                    let vip = match service {
                        ServiceKey::Address { endpoint, .. } => Vip::Address(endpoint.address),
                        ServiceKey::Fwmark { mark, .. } => Vip::Fwmark(*mark),
                    };
                    let ways = seen.entry((vip, destination.address)).or_default();
                    if ways.contains(&forwarding) {
                        return None;
                    }
                    ways.push(forwarding);
                    Some(Served {
                        vip,
                        server: destination.address,
                        forwarding,
                    })
                }));
            }
        }
        served
    }
}
