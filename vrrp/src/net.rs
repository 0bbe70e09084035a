//! The kernel's own network: raw sockets for advertisements, netlink for addresses and interfaces.
//!
//! [`Kernel::connect`] gives both halves that a driver needs: the [`Network`] (the interfaces and
//! the raw sockets on them) and the [`VipManager`](crate::VipManager).
//!
//! ```no_run
//! use vrrp::{Vip, VipManager as _, net::Kernel};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::connect().await?;
//! let vip = "192.0.2.100/24".parse::<Vip>()?.on("eth0");
//! kernel.vips().acquire(&[vip.clone()]).await?;
//! kernel.vips().announce(&[vip]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! | piece | needs | for |
//! | --- | --- | --- |
//! | [`RawAdvertiser`] | CAP_NET_RAW | a raw socket of protocol 112 |
//! | [`NetlinkVips`] | CAP_NET_RAW | a packet socket for gratuitous ARP and neighbour advertisements |
//! | [`NetlinkVips`] | CAP_NET_ADMIN | changing addresses |
//! | [`LinkMonitor`] | nothing | looking on |
//!
//! The capabilities count in the user namespace that owns the network namespace, so root inside
//! `unshare --user --net` will do.
//!
//! # Network namespaces
//! A socket belongs to the network namespace of the thread that opens it: for [`Kernel::connect`],
//! [`NetlinkVips::open`] and [`LinkMonitor::open`] the thread that polls them first, for
//! [`RawAdvertiser::open`] and [`Network::open`] the calling one. What has to be opened again later
//! (a netlink socket that broke) is opened on a thread that stays in that namespace.
//!
//! # Threads
//! The kernel works on a netlink request inside the system call that sends it, and keeps it waiting
//! for as long as anybody else changes interfaces, which can be seconds. So netlink has threads of
//! its own, one in each [`NetlinkVips`] and one in each [`LinkMonitor`]; they sleep while nothing
//! happens and end when the value is dropped. What runs on the caller's runtime never waits for the
//! kernel. That runtime needs its IO and time drivers.

use std::{io, sync::Arc};

use tokio::sync::watch;

use crate::{Advertiser, AdvertiserError, Family, Links, Network};

mod advertiser;
mod announce;
mod control;
mod decode;
mod frames;
mod ipv4;
mod links;
mod netlink;
mod sys;
mod vips;

pub use advertiser::RawAdvertiser;
pub use links::LinkMonitor;
pub use vips::NetlinkVips;

/// This host's network, in one network namespace.
#[derive(Debug, Clone)]
pub struct Kernel {
    links: LinkMonitor,
    vips: Arc<NetlinkVips>,
}

impl Kernel {
    /// Connects to the kernel and waits until all interfaces are known.
    ///
    /// # Errors
    /// The process lacks a capability (the error says which), or the kernel does not answer.
    ///
    /// # Panics
    /// Outside of a tokio runtime with IO and time drivers.
    pub async fn connect() -> Result<Self, OpenError> {
        let vips = NetlinkVips::open().await?;
        let links = LinkMonitor::open().await?;
        Ok(Self {
            links,
            vips: Arc::new(vips),
        })
    }

    /// What puts virtual addresses on the interfaces.
    #[must_use]
    pub fn vips(&self) -> Arc<NetlinkVips> {
        Arc::clone(&self.vips)
    }

    /// What watches the interfaces.
    #[must_use]
    pub const fn link_monitor(&self) -> &LinkMonitor {
        &self.links
    }
}

impl Network for Kernel {
    fn links(&self) -> watch::Receiver<Links> {
        self.links.links()
    }

    fn open(
        &self,
        interface: &str,
        family: Family,
    ) -> Result<Arc<dyn Advertiser>, AdvertiserError> {
        Ok(Arc::new(RawAdvertiser::open(interface, family)?))
    }
}

/// Why there is no connection to the kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The process lacks a capability.
    #[error(
        "cannot {operation}: {capability} is missing, run as root or grant it \
         (setcap cap_net_raw,cap_net_admin+ep)"
    )]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// The capability it takes.
        capability: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The system refused for another reason, or did not answer.
    #[error("cannot {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    fn new(operation: &'static str, capability: &'static str, source: io::Error) -> Self {
        match errno(&source) {
            libc::EPERM => Self::Forbidden {
                operation,
                capability,
                source,
            },
            _ => Self::Io { operation, source },
        }
    }
}

/// The kernel's number for an error; 0 for one that is not the kernel's.
fn errno(error: &io::Error) -> libc::c_int {
    error.raw_os_error().unwrap_or_default()
}

/// Whether an interface can have this name.
///
/// The kernel must not be asked about another: it cuts a long name and may find the interface of
/// the shorter one, and it takes an empty one to mean every interface.
fn is_interface_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    (1..libc::IFNAMSIZ).contains(&bytes.len()) && !bytes.contains(&0)
}
