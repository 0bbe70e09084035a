//! A connection that a kernel knows.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};

use crate::{Endpoint, Family, Protocol, Seconds, ServiceKey};

/// An entry of the kernel's connection table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Its protocol; `None` for the template of a service by firewall mark.
    pub protocol: Option<Protocol>,
    /// The client.
    pub client: Endpoint,
    /// What the client connected to; of a template by firewall mark the mark as an address.
    pub service: Endpoint,
    /// Who serves it.
    pub destination: Endpoint,
    /// State in the kernel's words, as `ESTABLISHED`.
    pub state: String,
    /// Time after which it is forgotten if no packet comes.
    pub expires: Seconds,
    /// Persistence engine and what it knows the client by.
    pub engine: Option<(String, String)>,
    /// How the kernel knows of it, where that is told.
    pub origin: Option<Origin>,
}

/// How a kernel knows of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that there are")]
pub enum Origin {
    /// Its packets pass here.
    Local,
    /// Another director told of it.
    Synced,
}

impl Connection {
    /// An entry of no persistence engine and untold origin.
    #[must_use]
    pub fn new(
        protocol: Option<Protocol>,
        [client, service, destination]: [Endpoint; 3],
        state: &str,
        expires: Seconds,
    ) -> Self {
        let (state, engine, origin) = (state.to_owned(), None, None);
        Self {
            protocol,
            client,
            service,
            destination,
            state,
            expires,
            engine,
            origin,
        }
    }

    /// Whether it is a template: the memory that a persistent client belongs to a destination.
    #[must_use]
    pub const fn is_template(&self) -> bool {
        self.client.port == 0
    }

    /// Whether it belongs to a service. Of one by firewall mark only templates can be told.
    #[must_use]
    pub fn is_of(&self, service: &ServiceKey) -> bool {
        match service {
            ServiceKey::Address { protocol, endpoint } => {
                self.protocol == Some(*protocol)
                    && self.service.address == endpoint.address
                    && (endpoint.port == 0 || self.service.port == endpoint.port)
            }
            ServiceKey::Fwmark { mark, family } => {
                let address = mark_address(*mark, *family);
                self.protocol.is_none() && self.is_template() && self.service.address == address
            }
        }
    }
}

/// What stands for a firewall mark where a template has an address.
pub(crate) fn mark_address(mark: NonZeroU32, family: Family) -> IpAddr {
    let bits = mark.get();
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(bits)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 96)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_knows_its_service() {
        let row = |protocol, ends: [&str; 3]| {
            let ends = ends.map(|text| text.parse().unwrap());
            Connection::new(protocol, ends, "NONE", Seconds::new(1))
        };
        let at = |text: &str| text.parse::<Endpoint>().unwrap();
        let ends = ["192.0.2.7:4012", "10.1.0.100:80", "10.0.0.1:8080"];
        let open = row(Some(Protocol::Tcp), ends);
        assert!(!open.is_template());
        assert!(open.is_of(&ServiceKey::tcp(at("10.1.0.100:80"))));
        assert!(open.is_of(&ServiceKey::tcp(at("10.1.0.100:0"))));
        assert!(!open.is_of(&ServiceKey::tcp(at("10.1.0.100:81"))));
        assert!(!open.is_of(&ServiceKey::udp(at("10.1.0.100:80"))));

        let mark = |mark: u32, family| ServiceKey::fwmark(mark.try_into().unwrap(), family);
        let template = row(None, ["192.0.2.0:0", "0.0.1.7:0", "10.0.0.1:0"]);
        assert!(template.is_template());
        assert!(template.is_of(&mark(0x107, Family::V4)));
        assert!(!template.is_of(&mark(0x108, Family::V4)));
        assert!(!template.is_of(&mark(0x107, Family::V6)));
        let template = row(None, ["[2001:db8::]:0", "[0:107::]:0", "[fd00::1]:0"]);
        assert!(template.is_of(&mark(0x107, Family::V6)));
    }
}
