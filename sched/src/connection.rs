//! The answer to an arrival: a server, and the connection to it.

use std::net::SocketAddr;

use crate::{persistence::TemplateId, server::ServerId};

/// Where a new connection goes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Pick {
    /// The server.
    pub server: ServerId,
    /// Its address and port; port 0 stands for the port of the packet.
    pub address: SocketAddr,
    /// Whether a persistence template decided and the scheduler was not asked.
    pub by_template: bool,
    /// The connection, counted from now on; `None` for a packet scheduled by itself.
    pub connection: Option<Connection>,
}

/// A connection that its service counts.
///
/// Give it back to [`Service::expire`](crate::Service::expire) of the same service: one that is
/// dropped instead stays counted for ever. It cannot be copied, so that it is not counted out twice.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a connection stays counted until it is given to `Service::expire`"]
pub struct Connection {
    pub(crate) server: ServerId,
    pub(crate) active: bool,
    pub(crate) template: Option<TemplateId>,
}

impl Connection {
    /// The server it goes to.
    #[must_use]
    pub const fn server(&self) -> ServerId {
        self.server
    }

    /// Whether it is counted as active.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active
    }
}
