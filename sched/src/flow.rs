//! What arrives: a flow, and the moment of its first packet.

use std::{net::SocketAddr, time::Instant};

/// The transport protocol of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// Connections are active from their SYN until one end closes.
    Tcp,
    /// Connections are inactive from the first datagram on.
    Udp,
    /// Connections are inactive until they are established.
    Sctp,
}

/// A flow: who talks to which virtual address over which protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Flow {
    /// The transport protocol.
    pub protocol: Protocol,
    /// Source of the first packet.
    pub client: SocketAddr,
    /// Destination of the first packet: the virtual address, which in a firewall-mark service
    /// differs from flow to flow.
    pub vip: SocketAddr,
}

impl Flow {
    /// A flow of `protocol` from `client` to `vip`.
    #[must_use]
    pub const fn new(protocol: Protocol, client: SocketAddr, vip: SocketAddr) -> Self {
        Self {
            protocol,
            client,
            vip,
        }
    }

    /// A TCP flow from `client` to `vip`.
    #[must_use]
    pub const fn tcp(client: SocketAddr, vip: SocketAddr) -> Self {
        Self::new(Protocol::Tcp, client, vip)
    }

    /// A UDP flow from `client` to `vip`.
    #[must_use]
    pub const fn udp(client: SocketAddr, vip: SocketAddr) -> Self {
        Self::new(Protocol::Udp, client, vip)
    }
}

/// The first packet of a flow: what came, when, and the chance it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Arrival {
    /// The flow that begins.
    pub flow: Flow,
    /// When. May be equal to, and should not be before, the time of an earlier call.
    pub now: Instant,
    /// Sixty-four uniformly random bits, a fresh number for each arrival.
    ///
    /// Only randomised schedulers read it (`twos`, [`PeakEwma`](crate::beyond::PeakEwma)); with
    /// any other, 0 is as good as any. Replaying the same numbers gives the same picks.
    pub random: u64,
}

impl Arrival {
    /// The first packet of `flow`, at `now`, with the random bits `random`.
    #[must_use]
    pub const fn new(flow: Flow, now: Instant, random: u64) -> Self {
        Self { flow, now, random }
    }

    /// The two independent 32-bit halves of [`Arrival::random`], the high one first.
    #[must_use]
    pub fn random_halves(&self) -> (u32, u32) {
        let [a, b, c, d, e, f, g, h] = self.random.to_be_bytes();
        (
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        )
    }
}
