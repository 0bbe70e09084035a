//! The machine.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, ToSocketAddrs as _},
    process::Stdio,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use ipvs::{Family, IpvsBackend, IpvsError, netlink::Kernel};
use tokio::{
    sync::OnceCell,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use super::{Connections, Host};
use crate::{names::Services, sys};

/// How long one name on the command line may take.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(20);
/// How long all names of a list may take together: ipvsadm waits for each.
const NAMES_TIMEOUT: Duration = Duration::from_secs(5);
/// How many names are looked up at the same time.
const LOOKUPS: usize = 32;

/// This machine, and the network namespace of the thread that asks.
#[derive(Debug, Default)]
pub struct System {
    services: OnceLock<Services>,
    /// When names of lists are given up.
    names_until: OnceCell<Instant>,
}

#[async_trait]
impl Host for System {
    async fn backend(&self) -> Result<Arc<dyn IpvsBackend>, IpvsError> {
        Ok(Arc::new(connect().await?))
    }

    async fn connections(&self) -> Result<Box<dyn Connections>, IpvsError> {
        Ok(Box::new(connect().await?.connections().await?))
    }

    async fn address_of(&self, name: &str, family: Option<Family>) -> Option<IpAddr> {
        let name = name.to_owned();
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), 0).to_socket_addrs().ok()?;
            let addresses: Vec<_> = found.map(|it| it.ip()).collect();
            let of = |family| addresses.iter().find(|it| Family::of(**it) == family);
            match family {
                Some(family) => of(family).copied(),
                None => of(Family::V4).or_else(|| of(Family::V6)).copied(),
            }
        });
        timeout(ADDRESS_TIMEOUT, lookup).await.ok()?.ok()?
    }

    async fn names_of(&self, addresses: BTreeSet<IpAddr>) -> BTreeMap<IpAddr, String> {
        let until = self.names_until.get_or_init(async || {
            #[expect(clippy::disallowed_methods, reason = "this is where the clock is")]
            let now = Instant::now();
            now + NAMES_TIMEOUT
        });
        let until = *until.await;
        let mut names = BTreeMap::new();
        let mut addresses = addresses.into_iter();
        let mut lookups = JoinSet::new();
        loop {
            while lookups.len() < LOOKUPS
                && let Some(address) = addresses.next()
            {
                lookups.spawn_blocking(move || (address, sys::name_of(address)));
            }
            match timeout_at(until, lookups.join_next()).await {
                Ok(Some(Ok((address, name)))) => names.extend(name.map(|name| (address, name))),
                Ok(Some(Err(_))) => {}
                Ok(None) | Err(_) => return names,
            }
        }
    }

    fn services(&self) -> &Services {
        self.services.get_or_init(|| {
            let text = std::fs::read("/etc/services").unwrap_or_default();
            Services::parse(&String::from_utf8_lossy(&text))
        })
    }
}

async fn connect() -> Result<Kernel, IpvsError> {
    match Kernel::connect().await {
        // As ipvsadm does. Most kernels loaded it by themselves when they were asked.
        Err(IpvsError::Unavailable { .. }) if load().is_ok() => Kernel::connect().await,
        connected => connected,
    }
}

fn load() -> io::Result<()> {
    let status = std::process::Command::new("/sbin/modprobe")
        .args(["--", "ip_vs"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}
