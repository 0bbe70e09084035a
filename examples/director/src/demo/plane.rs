//! What carries the requests: the kernel's IPVS where this sandbox may use it, else the director's
//! own data plane.

use std::fs::OpenOptions;
use std::io;

use ipvs::{IpvsBackend as _, netlink::Kernel};

use crate::log::chain;

/// What the directors balance load with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plane {
    /// IPVS, by direct routing.
    Kernel,
    /// A process of its own, because of this.
    Userspace { because: String },
}

impl Plane {
    /// Looks for what there is, in the network namespace of the calling thread.
    pub(super) fn find() -> Self {
        match kernel() {
            Ok(()) => Self::Kernel,
            Err(because) => Self::Userspace { because },
        }
    }

    /// As `director run --backend` calls it.
    pub(super) const fn backend(&self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Userspace { .. } => "userspace",
        }
    }
}

fn kernel() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let kernel = Kernel::connect().await.map_err(|error| chain(&error))?;
        kernel.snapshot().await.map_err(|error| chain(&error))
    })?;
    // A real server that has the virtual address must not tell the network so.
    may_write("/proc/sys/net/ipv4/conf/all/arp_ignore")
        .map_err(|error| format!("real servers cannot be prepared for direct routing: {error}"))
}

fn may_write(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}
