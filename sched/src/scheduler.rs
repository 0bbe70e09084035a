//! The trait of all schedulers.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{flow::Arrival, server::ServerId, servers::Servers};

/// Chooses the server of a new connection.
///
/// Implement it for a scheduler of your own and give it to
/// [`Service::with_scheduler`](crate::Service::with_scheduler). Only [`name`](Self::name) and
/// [`pick`](Self::pick) are needed; the other methods tell of changes, because the memory of a
/// scheduler may depend on them. A service calls them, each after the change it tells of:
///
/// | method | after |
/// | --- | --- |
/// | [`start`](Self::start) | the scheduler was given to a service, which may have servers |
/// | [`server_added`](Self::server_added) | a server was put at the front of the list |
/// | [`server_edited`](Self::server_edited) | settings were set, be they the same as before |
/// | [`server_removed`](Self::server_removed) | a server was taken off the list |
/// | [`load_changed`](Self::load_changed) | connections or overload mark of a listed server changed |
/// | [`observed`](Self::observed) | a response time was measured |
///
/// A scheduler reads no clock and draws no random number: both come with the [`Arrival`].
pub trait Scheduler: fmt::Debug + Send {
    /// The name, as ipvsadm shows it.
    fn name(&self) -> &str;

    /// Chooses a server of the list for a connection that arrives, `None` to refuse it.
    ///
    /// `flags` are the service's at this moment. A service trusts the choice: picking a server
    /// that is not [usable](crate::Server::is_usable) is the scheduler's right.
    fn pick(&mut self, arrival: &Arrival, flags: Flags, servers: &Servers) -> Option<ServerId>;

    /// The greatest number of servers it can start with, `None` for any.
    fn max_servers(&self) -> Option<usize> {
        None
    }

    /// Begins, with no memory and with the servers there are.
    fn start(&mut self, servers: &Servers, now: Instant) {
        let _ = (servers, now);
    }

    /// A server was added: it is the first of the list.
    fn server_added(&mut self, server: ServerId, servers: &Servers) {
        let _ = (server, servers);
    }

    /// A listed server was given settings.
    fn server_edited(&mut self, server: ServerId, servers: &Servers) {
        let _ = (server, servers);
    }

    /// A server was removed; `previous` stood before it in the list, `None` if it was the first.
    fn server_removed(&mut self, server: ServerId, previous: Option<ServerId>, servers: &Servers) {
        let _ = (server, previous, servers);
    }

    /// The connections or the overload mark of a listed server changed.
    fn load_changed(&mut self, server: ServerId, servers: &Servers) {
        let _ = (server, servers);
    }

    /// A response of `server` took `latency`.
    fn observed(&mut self, server: ServerId, latency: Duration, now: Instant) {
        let _ = (server, latency, now);
    }

    /// Whether the memory refers to a removed server, which is then kept so that it can return.
    fn remembers(&self, server: ServerId) -> bool {
        let _ = server;
        false
    }

    /// When [`handle_timeout`](Self::handle_timeout) should be called next.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Does what is due by `now`; nothing if called early.
    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }
}

/// The flags of a service that bear on scheduling.
///
/// The kernel has three bits that mean what a scheduler makes of them; only `sh` and `mh` make
/// anything of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Flags {
    /// `ipvsadm -o`: each UDP packet is scheduled by itself and leaves no connection.
    pub one_packet: bool,
    /// `sh-fallback`, `mh-fallback`, `flag-1`: another server when the hashed one is unusable.
    pub fallback: bool,
    /// `sh-port`, `mh-port`, `flag-2`: the client's port is hashed too.
    pub port: bool,
    /// `flag-3`, which no scheduler of the kernel uses.
    pub third: bool,
}

impl Flags {
    /// No flag set.
    pub const NONE: Self = Self {
        one_packet: false,
        fallback: false,
        port: false,
        third: false,
    };

    /// These and one-packet scheduling.
    #[must_use]
    pub const fn with_one_packet(self) -> Self {
        Self {
            one_packet: true,
            ..self
        }
    }

    /// These and `sh-fallback` or `mh-fallback`.
    #[must_use]
    pub const fn with_fallback(self) -> Self {
        Self {
            fallback: true,
            ..self
        }
    }

    /// These and `sh-port` or `mh-port`.
    #[must_use]
    pub const fn with_port(self) -> Self {
        Self { port: true, ..self }
    }

    /// These and `flag-3`.
    #[must_use]
    pub const fn with_third(self) -> Self {
        Self {
            third: true,
            ..self
        }
    }
}
