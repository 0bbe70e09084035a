//! What the program runs on: a kernel and the names that the machine knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use async_trait::async_trait;
use ipvs::{Connection, ConnectionsError, Family, IpvsBackend, IpvsError};
use tokio::io::AsyncBufRead;

use crate::names::Services;

mod system;

pub use system::System;

/// What the program runs on. [`System`] is the machine; a test has a [`fake::Kernel`] instead.
///
/// [`fake::Kernel`]: ipvs::fake::Kernel
#[async_trait]
pub trait Host: Send + Sync {
    /// The kernel's table. Asked for once, and only by what needs it: help does not.
    ///
    /// # Errors
    /// There is no IPVS, or the process may not.
    async fn backend(&self) -> Result<Arc<dyn IpvsBackend>, IpvsError>;

    /// The kernel's connections.
    ///
    /// # Errors
    /// They cannot be read.
    async fn connections(&self) -> Result<Box<dyn Connections>, IpvsError>;

    /// The address of a host: IPv4 if it has one, unless a family is asked for. Bounded in time.
    async fn address_of(&self, name: &str, family: Option<Family>) -> Option<IpAddr>;

    /// Names of those hosts that have one. Bounded in time: who is not found by then has none.
    async fn names_of(&self, addresses: BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String>;

    /// Names of services.
    fn services(&self) -> &Services;
}

/// Connections, one after the other: there may be more than fit into memory.
#[async_trait]
pub trait Connections: Send {
    /// The next one; `None` behind the last. Cancel safe.
    ///
    /// # Errors
    /// It cannot be read. There may be more behind it.
    async fn next(&mut self) -> Option<Result<Connection, ConnectionsError>>;
}

#[async_trait]
impl<R: AsyncBufRead + Unpin + Send> Connections for ipvs::Connections<R> {
    async fn next(&mut self) -> Option<Result<Connection, ConnectionsError>> {
        Self::next(self).await
    }
}
