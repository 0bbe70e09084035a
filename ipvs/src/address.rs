//! Families, protocols, and what names a service and a destination.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    str::FromStr,
};

/// Address family of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "IPVS is defined for these two")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "those for which IPVS takes services"
)]
pub enum Protocol {
    /// TCP (6).
    Tcp,
    /// UDP (17).
    Udp,
    /// SCTP (132).
    Sctp,
}

impl Protocol {
    /// All of them, by number.
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The number that IP carries.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The protocol of a number, if IPVS serves it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }
}

/// `TCP`, `UDP` or `SCTP`, as ipvsadm lists them.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// An address and a port, of a service or of a destination.
///
/// Unlike [`SocketAddr`] it has no flow label and no scope, which IPVS does not know.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an address and a port, nothing else"
)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port; 0 of a service: every port, of a destination: the one the client asked for.
    pub port: u16,
}

impl Endpoint {
    /// An address and a port.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self { address, port }
    }

    /// The family of the address.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.address)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip(), socket.port())
    }
}

/// `10.0.0.1:80` or `[fd00::1]:80`.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = SocketAddr::new(self.address, self.port).to_string();
        f.pad(&text)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `ADDRESS:PORT`; an IPv6 address in brackets.
impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let refused = || EndpointError {
            text: text.to_owned(),
        };
        let socket: SocketAddr = text.parse().map_err(|_| refused())?;
        if matches!(socket, SocketAddr::V6(v6) if v6.scope_id() != 0) {
            return Err(refused());
        }
        Ok(socket.into())
    }
}

/// A text that is not an address and a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address and a port: expected as 10.0.0.1:80 or [fd00::1]:80")]
#[non_exhaustive]
pub struct EndpointError {
    /// What was given.
    pub text: String,
}

/// What names a virtual service; a table has one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two kinds of service that IPVS has"
)]
pub enum ServiceKey {
    /// Packets to an address and port.
    Address {
        /// Their protocol.
        protocol: Protocol,
        /// Where they go to; port 0: to any port, which needs persistence.
        endpoint: Endpoint,
    },
    /// Packets that the firewall has marked.
    Fwmark {
        /// The mark.
        mark: NonZeroU32,
        /// Their family: one mark can be a service of each.
        family: Family,
    },
}

impl ServiceKey {
    /// The service of TCP connections to an endpoint.
    #[must_use]
    pub const fn tcp(endpoint: Endpoint) -> Self {
        Self::Address {
            protocol: Protocol::Tcp,
            endpoint,
        }
    }

    /// The service of UDP datagrams to an endpoint.
    #[must_use]
    pub const fn udp(endpoint: Endpoint) -> Self {
        Self::Address {
            protocol: Protocol::Udp,
            endpoint,
        }
    }

    /// The service of SCTP associations to an endpoint.
    #[must_use]
    pub const fn sctp(endpoint: Endpoint) -> Self {
        Self::Address {
            protocol: Protocol::Sctp,
            endpoint,
        }
    }

    /// The service of what carries a firewall mark.
    #[must_use]
    pub const fn fwmark(mark: NonZeroU32, family: Family) -> Self {
        Self::Fwmark { mark, family }
    }

    /// The family of the clients' packets.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::Address { endpoint, .. } => endpoint.family(),
            Self::Fwmark { family, .. } => *family,
        }
    }

    /// The protocol, which a service by firewall mark does not have.
    #[must_use]
    pub const fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Address { protocol, .. } => Some(*protocol),
            Self::Fwmark { .. } => None,
        }
    }

    /// The port, which a service by firewall mark does not have.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        match self {
            Self::Address { endpoint, .. } => Some(endpoint.port),
            Self::Fwmark { .. } => None,
        }
    }
}

/// `TCP 10.1.0.100:80`, `FWM 7` or `FWM 7 IPv6`, as ipvsadm lists them.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, endpoint } => write!(f, "{protocol} {endpoint}"),
            Self::Fwmark {
                mark,
                family: Family::V4,
            } => write!(f, "FWM {mark}"),
            Self::Fwmark {
                mark,
                family: Family::V6,
            } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_written_as_it_is_read() {
        for text in ["10.0.0.1:80", "[fd00::1]:443", "0.0.0.0:0"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["10.0.0.1", "::1:80", "[fe80::1%3]:80", "host:80", ""] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_protocol_is_found_by_its_number() {
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_number(protocol.number()), Some(protocol));
        }
        assert_eq!(Protocol::from_number(1), None);
    }

    #[test]
    fn a_service_is_called_as_ipvsadm_lists_it() {
        let vip = "10.1.0.100:80".parse().unwrap();
        assert_eq!(ServiceKey::tcp(vip).to_string(), "TCP 10.1.0.100:80");
        let mark = NonZeroU32::new(7).unwrap();
        assert_eq!(ServiceKey::fwmark(mark, Family::V4).to_string(), "FWM 7");
        assert_eq!(
            ServiceKey::fwmark(mark, Family::V6).to_string(),
            "FWM 7 IPv6"
        );
    }
}
