//! FULLNAT: the director's own address as the source towards real servers.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;

use crate::{Endpoint, Forwarding, NetfilterError, ServiceKey, Table};

#[cfg(feature = "machine")]
mod iptables;
#[cfg(feature = "machine")]
mod nft;
mod source;

#[cfg(feature = "machine")]
pub use iptables::{CHAIN, Iptables};
#[cfg(feature = "machine")]
pub use nft::{Nft, TABLE};
pub use source::{SourceRange, SourceRangeError};

/// Connections whose source becomes the director's own, so that real servers answer to the director
/// without a route back through it.
///
/// IPVS masquerades the destination alone: the real server sees the client's address, and must have
/// the director as its gateway. What changes the source as well is a rule of netfilter, for which
/// connection tracking has to see what IPVS does (`net.ipv4.vs.conntrack`, see
/// [`Forwarder::tracked`](crate::Forwarder::tracked)), and packets have to be forwarded. The price:
/// real servers do not see the client, and a port of a real server can have about 64,000 connections
/// from one source address at a time ([`SourceRange`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FullNat {
    /// Which connections.
    pub translated: BTreeSet<Translated>,
}

/// Connections to a virtual service that go to one real server, and where they come from.
///
/// Of two for the same service and server with different sources one is in force, and so it is with
/// [`Nft`] for two services of one address whose connections go to the same port of a server: the
/// port that the client asked for is not known any more where the source is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "it is these three")]
pub struct Translated {
    /// The virtual service.
    pub service: ServiceKey,
    /// The real server; port 0: the one the client asked for.
    pub server: Endpoint,
    /// The source, of the server's family; `None`, or of the other family: the first address of
    /// the interface that leads to the server.
    pub source: Option<SourceRange>,
}

impl Translated {
    /// Its source, if that is of the server's family.
    #[cfg(feature = "machine")]
    fn fitting_source(&self) -> Option<SourceRange> {
        let family = self.server.family();
        self.source.filter(|source| source.family() == family)
    }
}

impl FullNat {
    /// The connections to these services of a table, as far as they are masqueraded, from the first
    /// address of the interface that leads to each server.
    #[must_use]
    pub fn of<'a>(table: &Table, services: impl IntoIterator<Item = &'a ServiceKey>) -> Self {
        let mut full_nat = Self::default();
        for key in services {
            let Some(service) = table.services.get(key) else {
                continue;
            };
            let masqueraded = service
                .destinations
                .iter()
                .filter(|(_, settings)| settings.forwarding == Forwarding::Masquerade);
            full_nat
                .translated
                .extend(masqueraded.map(|(destination, _)| Translated {
                    service: *key,
                    server: *destination,
                    source: None,
                }));
        }
        full_nat
    }
}

/// Who translates sources: the kernel's netfilter ([`Nft`], [`Iptables`]), or one in memory
/// ([`fake::SourceNat`](crate::fake::SourceNat)).
///
/// Implement with `#[async_trait]`, which this crate re-exports.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait SourceNat: Send + Sync {
    /// Translates exactly these connections from now on, in one step. Those that are under way go
    /// on as they began. Idempotent; a dropped call has done it or not.
    ///
    /// # Errors
    /// It was refused: what was translated before still is.
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError>;

    /// Translates no new connections and leaves no trace. Idempotent; a dropped call has done it or
    /// not. The kernel tracks connections for as long as a rule asks it to: if ours were the last
    /// that did, those under way stall.
    ///
    /// # Errors
    /// It was refused.
    async fn remove(&self) -> Result<(), NetfilterError>;
}

#[async_trait]
impl<T: SourceNat + ?Sized> SourceNat for Arc<T> {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        (**self).install(full_nat).await
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        (**self).remove().await
    }
}
