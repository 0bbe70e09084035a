//! `lblc`: locality-based least connection.

use std::time::Instant;

use super::{Memory, Settings, is_crowded};
use crate::{server::ServerId, servers::Servers};

/// The server that served the virtual address last.
///
/// It is kept with the overload mark and above its threshold; only weight 0, removal and being
/// crowded make it be left.
#[derive(Debug)]
pub(crate) struct OneServer(ServerId);

impl Memory for OneServer {
    const NAME: &'static str = "lblc";

    fn new(server: ServerId, _: Instant) -> Self {
        Self(server)
    }

    fn server(&mut self, servers: &Servers, _: Settings, _: Instant) -> Option<ServerId> {
        let server = servers.get(self.0)?;
        let serves = server.is_listed() && server.weight() > 0 && !is_crowded(server, servers);
        serves.then_some(self.0)
    }

    fn change_to(&mut self, server: ServerId, _: Instant) {
        self.0 = server;
    }

    fn contains(&self, server: ServerId) -> bool {
        self.0 == server
    }
}
