//! The interfaces of a host as the driver sees them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio::sync::watch;

use crate::{Advertiser, AdvertiserError, Family};

/// The interfaces of a host: what state they are in, and how to send on them.
pub trait Network: Send + Sync {
    /// The state of all interfaces, now and whenever it changes.
    ///
    /// It is a state and not a stream of events: a reader that is slow or late sees the present
    /// and never half of it.
    fn links(&self) -> watch::Receiver<Links>;

    /// Opens the one advertiser that all virtual routers of an interface and family share.
    ///
    /// # Errors
    /// The interface does not exist, or the process may not open raw sockets.
    fn open(&self, interface: &str, family: Family)
    -> Result<Arc<dyn Advertiser>, AdvertiserError>;
}

/// All interfaces by name.
pub type Links = BTreeMap<Arc<str>, Link>;

/// State of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The kernel's number; another number under the same name is another interface.
    pub index: u32,
    /// Administratively up, with carrier and operational: the kernel's `IFF_RUNNING` and `IFF_UP`.
    pub running: bool,
    /// Its addresses, in the kernel's order.
    pub addresses: Vec<LinkAddress>,
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkAddress {
    /// The address.
    pub address: IpAddr,
    /// Length of its network prefix in bits.
    pub prefix_len: u8,
    /// Whether packets can be sent from it: not tentative, no duplicate found.
    pub usable: bool,
}

impl Link {
    /// An interface that runs.
    #[must_use]
    pub const fn running(index: u32, addresses: Vec<LinkAddress>) -> Self {
        Self {
            index,
            running: true,
            addresses,
        }
    }

    /// The address that advertisements are sent from if none is configured: the first usable IPv4
    /// address, or the first usable link-local IPv6 address (RFC 9568 §5.1.1.1, §5.1.2.1), that is
    /// not a virtual address itself.
    #[must_use]
    pub fn primary(&self, family: Family, is_virtual: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        self.addresses
            .iter()
            .filter(|known| known.usable && !is_virtual(known.address))
            .map(|known| known.address)
            .find(|address| match (address, family) {
                (IpAddr::V4(_), Family::V4) => true,
                (IpAddr::V6(address), Family::V6) => address.is_unicast_link_local(),
                (IpAddr::V4(_), Family::V6) | (IpAddr::V6(_), Family::V4) => false,
            })
    }

    /// Whether the interface has an address, usable or not.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.address == address)
    }
}

impl LinkAddress {
    /// An address that packets can be sent from.
    #[must_use]
    pub const fn usable(address: IpAddr, prefix_len: u8) -> Self {
        Self {
            address,
            prefix_len,
            usable: true,
        }
    }
}
