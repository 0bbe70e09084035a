//! The trait that puts virtual addresses on interfaces.

use std::{io, sync::Arc};

use async_trait::async_trait;

use crate::Vip;

/// Puts sets of virtual addresses on interfaces and takes them off.
///
/// Every [`Vip`] handed to it names its interface. Sets are whole so that 250 addresses are one
/// batch. Implement with `#[async_trait]`, which this crate re-exports.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait VipManager: Send + Sync {
    /// Adds the addresses; one that is there already is fine, whoever put it there.
    ///
    /// Idempotent. Not cancel safe: a dropped call may have added some of them; release them all.
    ///
    /// # Errors
    /// At least one is not there now; every one was tried.
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError>;

    /// Removes the addresses; one that is not there is fine, and so is an interface that is gone.
    ///
    /// Idempotent. Not cancel safe: a dropped call may have removed some of them; call it again.
    ///
    /// # Errors
    /// At least one is still there; every one was tried.
    async fn release(&self, vips: &[Vip]) -> Result<(), VipError>;

    /// Tells the link who holds the addresses: one gratuitous ARP request (RFC 9568 §8.1.2, as
    /// keepalived sends it) or one unsolicited neighbour advertisement (§8.2.2) for each.
    ///
    /// Idempotent; cancel safe in that an announcement too few does no harm.
    ///
    /// # Errors
    /// At least one could not be announced; every one was tried.
    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError>;

    /// All addresses that are on an interface now, whoever put them there. Cancel safe.
    ///
    /// # Errors
    /// The interface does not exist or the system does not answer.
    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError>;
}

/// Why addresses are not as they were asked to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VipError {
    /// No interface of that name.
    #[error("cannot {operation} {vip}: there is no interface {interface}")]
    NoSuchInterface {
        /// What was tried.
        operation: &'static str,
        /// The first address concerned, or the interface where a list was asked for.
        vip: String,
        /// The interface that is missing.
        interface: Arc<str>,
    },
    /// The process may not change addresses.
    #[error(
        "cannot {operation} {vip}: changing addresses needs CAP_NET_ADMIN, run as root or grant it \
         (setcap cap_net_raw,cap_net_admin+ep)"
    )]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// The first address refused.
        vip: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The interface takes no IPv6 addresses.
    #[error(
        "cannot {operation} {vip}: IPv6 is disabled on {interface}, set the sysctl \
         net.ipv6.conf.{interface}.disable_ipv6 to 0"
    )]
    Ipv6Disabled {
        /// What was tried.
        operation: &'static str,
        /// The first address refused.
        vip: String,
        /// Its interface.
        interface: Arc<str>,
    },
    /// The system refused for another reason.
    #[error("cannot {operation} {vip} ({failed} of {tried} addresses failed)")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The first address refused.
        vip: String,
        /// How many were refused.
        failed: usize,
        /// How many there were.
        tried: usize,
        /// The system's answer for the first.
        #[source]
        source: io::Error,
    },
    /// The system did not answer in time, or the connection to it broke.
    #[error("cannot {operation} {vip}: the kernel did not answer")]
    Unanswered {
        /// What was tried.
        operation: &'static str,
        /// The first address concerned.
        vip: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

#[async_trait]
impl<T: VipManager + ?Sized> VipManager for Arc<T> {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        (**self).acquire(vips).await
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        (**self).release(vips).await
    }

    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError> {
        (**self).announce(vips).await
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        (**self).list(interface).await
    }
}
