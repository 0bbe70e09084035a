//! How far a connection is, as the director sees it.

use crate::{Protocol, Seconds, Timeouts};

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is not over yet.
    Opening,
    /// Both ends may send. UDP is in no other.
    Open,
    /// The client has said that it sends no more.
    ClientClosed,
    /// The destination has said that it sends no more; or the client has, and the destination
    /// answers it directly.
    HalfClosed,
    /// Both ends have said that they send no more, and the director saw both.
    Closed,
    /// One end broke it off.
    Reset,
}

/// What packets do to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The handshake is over.
    Established,
    /// Data.
    Data,
    /// The client says that it sends no more.
    ClientFin,
    /// The destination says that it sends no more.
    DestinationFin,
    /// One end breaks it off.
    Reset,
}

impl Phase {
    /// The first of a connection.
    pub(super) const fn first(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp | Protocol::Sctp => Self::Opening,
            Protocol::Udp => Self::Open,
        }
    }

    pub(super) const fn after(self, step: Step, protocol: Protocol, sees_both_ends: bool) -> Self {
        match (protocol, step, self) {
            (Protocol::Udp, _, _) | (_, Step::Established, _) => Self::Open,
            (_, Step::Reset, _) => Self::Reset,
            (Protocol::Sctp, Step::ClientFin, Self::Opening | Self::Open) => Self::Closed,
            (Protocol::Tcp, Step::ClientFin, Self::Opening | Self::Open) => match sees_both_ends {
                true => Self::ClientClosed,
                false => Self::HalfClosed,
            },
            (_, Step::DestinationFin, Self::Opening | Self::Open) if sees_both_ends => {
                Self::HalfClosed
            }
            (_, Step::ClientFin, Self::HalfClosed) if sees_both_ends => Self::Closed,
            (_, Step::DestinationFin, Self::ClientClosed) => Self::Closed,
            (_, Step::Data | Step::ClientFin | Step::DestinationFin, phase) => phase,
        }
    }

    /// Whether it counts as active.
    pub(super) const fn is_active(self, protocol: Protocol) -> bool {
        matches!(
            (self, protocol),
            (Self::Open, Protocol::Tcp | Protocol::Sctp) | (Self::Opening, Protocol::Tcp)
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
            (Protocol::Tcp, Self::Opening) => ("SYN_RECV", Seconds::new(60)),
            (Protocol::Tcp, Self::Open) => ("ESTABLISHED", timeouts.tcp),
            (Protocol::Tcp, Self::ClientClosed) => ("CLOSE_WAIT", Seconds::new(60)),
            (Protocol::Tcp, Self::HalfClosed) => ("FIN_WAIT", timeouts.tcp_fin),
            (Protocol::Tcp, Self::Closed) => ("TIME_WAIT", Seconds::new(120)),
            (Protocol::Tcp, Self::Reset) => ("CLOSE", Seconds::new(10)),
            (Protocol::Sctp, Self::Opening) => ("INIT1", Seconds::new(3)),
            (Protocol::Sctp, Self::Open) => ("ESTABLISHED", Seconds::new(900)),
            (
                Protocol::Sctp,
                Self::ClientClosed | Self::HalfClosed | Self::Closed | Self::Reset,
            ) => ("CLOSED", Seconds::new(10)),
        }
    }

    /// Whether a client that connects again from the same port is expected to.
    pub(super) const fn is_over(self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Tcp => matches!(self, Self::Closed | Self::Reset),
            Protocol::Sctp => !matches!(self, Self::Opening | Self::Open),
            Protocol::Udp => false,
        }
    }
}
