//! How far a connection is, as the director sees it.

use crate::{Protocol, Seconds, Timeouts};

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Both ends may send. UDP is in no other.
    Open,
    /// Both ends have said that they send no more, and the director saw both.
    Closed,
    /// The same, but the director saw only the client say so: the destination answers it directly.
    HalfSeen,
    /// One end broke it off.
    Reset,
}

/// What packets do to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fake) enum Step {
    /// A handshake.
    Begin,
    /// Data.
    Data,
    /// Both ends say that they send no more.
    Close,
    /// One end breaks it off.
    Reset,
}

impl Phase {
    pub(super) const fn after(self, step: Step, protocol: Protocol, sees_both_ends: bool) -> Self {
        match (protocol, step, self) {
            (Protocol::Udp, _, _) | (_, Step::Begin, _) => Self::Open,
            (_, Step::Reset, _) => Self::Reset,
            (_, Step::Close, Self::Open) if sees_both_ends => Self::Closed,
            (_, Step::Close, Self::Open) => Self::HalfSeen,
            (_, Step::Close | Step::Data, phase) => phase,
        }
    }

    /// Whether it counts as active.
    pub(super) const fn is_active(self, protocol: Protocol) -> bool {
        matches!(
            (self, protocol),
            (Self::Open, Protocol::Tcp | Protocol::Sctp)
        )
    }

    /// The state in the kernel's words, and how long it is remembered in it. Three of the times can
    /// be set; the others are fixed in Linux.
    pub(super) const fn told(
        self,
        protocol: Protocol,
        timeouts: Timeouts,
    ) -> (&'static str, Seconds) {
        match (protocol, self) {
            (Protocol::Udp, _) => ("UDP", timeouts.udp),
            (Protocol::Tcp, Self::Open) => ("ESTABLISHED", timeouts.tcp),
            (Protocol::Tcp, Self::Closed) => ("TIME_WAIT", Seconds::new(120)),
            (Protocol::Tcp, Self::HalfSeen) => ("FIN_WAIT", timeouts.tcp_fin),
            (Protocol::Tcp, Self::Reset) => ("CLOSE", Seconds::new(10)),
            (Protocol::Sctp, Self::Open) => ("ESTABLISHED", Seconds::new(900)),
            (Protocol::Sctp, Self::Closed | Self::HalfSeen | Self::Reset) => {
                ("CLOSED", Seconds::new(10))
            }
        }
    }

    /// Whether a client that connects again from the same port is expected to.
    pub(super) const fn is_over(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => matches!(self, Self::Closed | Self::Reset),
            Protocol::Sctp => !matches!(self, Self::Open),
            Protocol::Udp => false,
        }
    }
}
