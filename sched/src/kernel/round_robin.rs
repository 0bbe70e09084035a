//! `rr`.

use crate::{
    flow::Arrival,
    scheduler::{Flags, Scheduler},
    server::ServerId,
    servers::Servers,
};

/// The next usable server after the one picked last.
#[derive(Debug, Default)]
pub(crate) struct RoundRobin {
    /// The server picked last, or the one before it if that was removed; `None` for the front.
    last: Option<ServerId>,
}

impl Scheduler for RoundRobin {
    fn name(&self) -> &'static str {
        "rr"
    }

    fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let last = self
            .last
            .and_then(|last| servers.age(last))
            .unwrap_or(servers.len());
        let next = (0..last)
            .rev()
            .chain((last..servers.len()).rev())
            .filter_map(|age| servers.at_age(age))
            .find(|server| server.is_usable())?;
        self.last = Some(next.id());
        self.last
    }

    fn start(&mut self, _: &Servers, _: std::time::Instant) {
        self.last = None;
    }

    fn server_removed(&mut self, server: ServerId, previous: Option<ServerId>, _: &Servers) {
        if self.last == Some(server) {
            self.last = previous;
        }
    }
}
