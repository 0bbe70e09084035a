//! The trait that moves advertisements.

use std::{io, net::IpAddr, sync::Arc};

use async_trait::async_trait;

use crate::{Advertisement, Checksum, Received, Rejections};

/// Sends and receives advertisements on one interface and family, for all virtual routers there.
///
/// Implement with `#[async_trait]`, which this crate re-exports.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait Advertiser: Send + Sync {
    /// Takes part in a multicast group. Idempotent; cancel safe.
    ///
    /// # Errors
    /// The interface is gone or the system refuses.
    async fn join(&self, group: IpAddr) -> Result<(), AdvertiserError>;

    /// Sends one advertisement to each destination of `delivery`.
    ///
    /// Must not wait for anybody: what cannot be sent at once is an error. When it returns, the
    /// packet is out of this process' hands. Not idempotent; cancel safe in that an advertisement
    /// too few does no harm.
    ///
    /// # Errors
    /// At least one destination could not be sent to; the others were.
    async fn send(
        &self,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), AdvertiserError>;

    /// Waits for the next well-formed advertisement; malformed ones are counted and passed over.
    /// Cancel safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// The advertiser can receive no more, now or ever: [`AdvertiserError::is_final`].
    async fn recv(&self) -> Result<Received, AdvertiserError>;

    /// Malformed messages so far, by reason. Which virtual router they were for is not known.
    fn rejections(&self) -> Rejections;
}

/// From where, to whom and how an advertisement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Source address of the IP header; the backup with the higher one wins a tie.
    pub source: IpAddr,
    /// Who gets it.
    pub to: Destination,
    /// TTL or hop limit: 255 unless unicast peers are told otherwise.
    pub ttl: u8,
    /// Checksum of version 3 over IPv4.
    pub checksum: Checksum,
}

impl Delivery {
    /// Puts a delivery together.
    #[must_use]
    pub const fn new(source: IpAddr, to: Destination, ttl: u8, checksum: Checksum) -> Self {
        Self {
            source,
            to,
            ttl,
            checksum,
        }
    }
}

/// Who gets an advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Destination {
    /// The members of a multicast group on the link.
    Group(IpAddr),
    /// Each of these.
    Peers(Arc<[IpAddr]>),
}

/// Why an advertiser did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertiserError {
    /// No interface of that name.
    #[error("there is no interface {interface}")]
    NoSuchInterface {
        /// Its name.
        interface: Arc<str>,
    },
    /// The process may not use raw sockets.
    #[error(
        "cannot {operation} on {interface}: raw sockets need CAP_NET_RAW, run as root or grant it \
         (setcap cap_net_raw,cap_net_admin+ep)"
    )]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// Where.
        interface: Arc<str>,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Not every destination could be sent to; the others were.
    #[error(
        "cannot send to {to} on {interface} ({failed} of {tried} destinations failed){}",
        rule_hint(source)
    )]
    Send {
        /// The first destination that failed.
        to: IpAddr,
        /// Where.
        interface: Arc<str>,
        /// How many failed.
        failed: usize,
        /// How many there were.
        tried: usize,
        /// The system's answer for the first.
        #[source]
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("cannot {operation} on {interface}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Where.
        interface: Arc<str>,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The advertiser was closed, or its interface is gone for good.
    #[error("the advertiser on {interface} is closed")]
    Closed {
        /// Where it was.
        interface: Arc<str>,
    },
}

impl AdvertiserError {
    /// Whether the advertiser will never work again and has to be opened anew.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Closed { .. } | Self::NoSuchInterface { .. })
    }
}

/// Linux answers a packet that a rule drops on its way out with "operation not permitted" or
/// "permission denied", which sends people looking for a missing capability.
fn rule_hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied {
        ": a firewall or routing rule of this host forbids it"
    } else {
        ""
    }
}

#[async_trait]
impl<T: Advertiser + ?Sized> Advertiser for Arc<T> {
    async fn join(&self, group: IpAddr) -> Result<(), AdvertiserError> {
        (**self).join(group).await
    }

    async fn send(
        &self,
        advert: &Advertisement,
        delivery: &Delivery,
    ) -> Result<(), AdvertiserError> {
        (**self).send(advert, delivery).await
    }

    async fn recv(&self) -> Result<Received, AdvertiserError> {
        (**self).recv().await
    }

    fn rejections(&self) -> Rejections {
        (**self).rejections()
    }
}
