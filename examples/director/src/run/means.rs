//! What load balancing is carried out with: the kernel's parts, this process, or those in memory.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use ipvs::{
    FullNat, Iptables, IpvsBackend, NetfilterError, Nft, SourceNat, fake,
    machine::{Linux, Machine},
    netlink,
    nftables::NftablesBackend,
    userspace::{Config, UserspaceBackend},
};
use tokio::sync::Mutex;
use tracing::{debug, info};

use super::{Backend, balancing::BalanceError};
use crate::log::chain;

/// What load balancing is carried out with.
#[derive(Clone)]
pub(super) struct Means {
    pub(super) backend: Arc<dyn IpvsBackend>,
    /// For FULLNAT, as is the machine.
    pub(super) source_nat: Arc<dyn SourceNat>,
    pub(super) machine: Arc<dyn Machine>,
}

impl fmt::Debug for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Means").finish_non_exhaustive()
    }
}

impl Means {
    /// # Errors
    /// The kernel has no IPVS, or this process may not ask the kernel; or it has no threads.
    pub(super) async fn of(backend: Backend) -> Result<Self, BalanceError> {
        Ok(match backend {
            Backend::Kernel => Self {
                backend: Arc::new(netlink::Kernel::connect().await?),
                source_nat: Arc::new(FirstThatWorks::new(vec![Arc::new(Nft), Arc::new(Iptables)])),
                machine: Arc::new(Linux::open()?),
            },
            Backend::Nftables => Self {
                backend: Arc::new(NftablesBackend::new()),
                source_nat: Arc::new(Nft),
                machine: Arc::new(Linux::open()?),
            },
            Backend::Userspace => Self {
                backend: Arc::new(
                    UserspaceBackend::start(Config::default()).map_err(BalanceError::Userspace)?,
                ),
                // Real servers see this machine's address anyway, and nothing is forwarded by the
                // kernel: there is nothing to set up.
                source_nat: Arc::new(fake::SourceNat::new()),
                machine: Arc::new(fake::Machine::new()),
            },
            Backend::Memory => Self {
                backend: Arc::new(fake::Kernel::new()),
                source_nat: Arc::new(fake::SourceNat::new()),
                machine: Arc::new(fake::Machine::new()),
            },
        })
    }
}

/// The first of some that works; from then on that one alone, so that two never translate at once.
struct FirstThatWorks {
    candidates: Vec<Arc<dyn SourceNat>>,
    chosen: Mutex<Option<Arc<dyn SourceNat>>>,
}

impl FirstThatWorks {
    fn new(candidates: Vec<Arc<dyn SourceNat>>) -> Self {
        Self {
            candidates,
            chosen: Mutex::default(),
        }
    }
}

#[async_trait]
impl SourceNat for FirstThatWorks {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        let mut chosen = self.chosen.lock().await;
        if let Some(chosen) = &*chosen {
            return chosen.install(full_nat).await;
        }
        let mut refusal = None;
        for candidate in &self.candidates {
            match candidate.install(full_nat).await {
                Ok(()) => {
                    *chosen = Some(Arc::clone(candidate));
                    return Ok(());
                }
                Err(error) => {
                    info!("FULLNAT cannot be done this way: {}", chain(&error));
                    refusal.get_or_insert(error);
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        let mut chosen = self.chosen.lock().await;
        match &*chosen {
            Some(installed) => installed.remove().await?,
            None => debug!("no source was ever translated"),
        }
        *chosen = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_that_works_is_used_from_then_on() {
        let (nft, iptables) = (
            Arc::new(fake::SourceNat::new()),
            Arc::new(fake::SourceNat::new()),
        );
        let both = FirstThatWorks::new(vec![Arc::clone(&nft) as _, Arc::clone(&iptables) as _]);
        let full_nat = FullNat::default();
        nft.refuse();
        both.install(&full_nat).await.unwrap();
        both.install(&full_nat).await.unwrap();
        assert_eq!(
            (nft.installed(), iptables.installed()),
            (None, Some(full_nat.clone()))
        );
        both.remove().await.unwrap();
        assert_eq!(iptables.installed(), None);
        nft.refuse();
        iptables.refuse();
        both.install(&full_nat).await.unwrap_err();
        both.install(&full_nat).await.unwrap();
        assert_eq!(nft.installed(), Some(full_nat));
    }
}
