//! Who talks to which address, and why a packet goes nowhere.

use std::num::NonZeroU32;

use crate::{Endpoint, Protocol, ServiceKey};

/// Who talks to which address: the packets of one client's socket to one service.
///
/// A kernel knows a connection by these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what a kernel knows a connection by"
)]
pub struct Flow {
    /// The protocol of its packets.
    pub protocol: Protocol,
    /// Where they come from.
    pub client: Endpoint,
    /// Where they go to.
    pub to: Endpoint,
}

impl Flow {
    /// TCP segments.
    #[must_use]
    pub const fn tcp(client: Endpoint, to: Endpoint) -> Self {
        let protocol = Protocol::Tcp;
        Self {
            protocol,
            client,
            to,
        }
    }

    /// UDP datagrams.
    #[must_use]
    pub const fn udp(client: Endpoint, to: Endpoint) -> Self {
        let protocol = Protocol::Udp;
        Self {
            protocol,
            client,
            to,
        }
    }

    /// SCTP chunks.
    #[must_use]
    pub const fn sctp(client: Endpoint, to: Endpoint) -> Self {
        let protocol = Protocol::Sctp;
        Self {
            protocol,
            client,
            to,
        }
    }

    /// The services it can be of, in the order in which the kernel looks for one: of its firewall
    /// mark, of its address and port, of all ports of its address.
    pub(super) fn services(&self, mark: Option<NonZeroU32>) -> impl Iterator<Item = ServiceKey> {
        let by_mark = mark.map(|mark| ServiceKey::fwmark(mark, self.to.family()));
        let by_port = [self.to.port, 0].map(|port| ServiceKey::Address {
            protocol: self.protocol,
            endpoint: Endpoint::new(self.to.address, port),
        });
        by_mark.into_iter().chain(by_port)
    }
}

/// Why a packet of a client got to no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Dropped {
    /// It is of no service: the kernel does not balance it.
    #[error("no service is for {to}: add one, or mark the packet for one by firewall mark")]
    NoService {
        /// Where it went to.
        to: Endpoint,
    },
    /// The scheduler has no destination for it: there is none, or those that could be have
    /// weight 0 or as many connections as their upper threshold. The kernel drops it and tells the
    /// client by ICMP that the port is unreachable.
    #[error("no destination of {service} takes a new connection")]
    NoDestination {
        /// Its service.
        service: ServiceKey,
    },
    /// The destination of its connection was removed. The kernel drops it without a word, as long
    /// as the connection is remembered; added again, the destination has it back.
    #[error("the destination {destination} of the connection was removed")]
    Removed {
        /// The destination.
        destination: Endpoint,
    },
    /// It belongs to a connection that the kernel does not know: it never was, or was forgotten.
    #[error("there is no connection from {client} to {to}: connect first")]
    NoConnection {
        /// Where it came from.
        client: Endpoint,
        /// Where it went to.
        to: Endpoint,
    },
}
