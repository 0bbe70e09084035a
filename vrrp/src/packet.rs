//! Advertisements on the wire.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type=1|     VRID      |   Priority    | Address count |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! | v2: Auth type | Interval (s)  |           Checksum            |
//! | v3: 0 |    Interval (cs)      |                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |         Addresses: 4 bytes each (IPv4) or 16 (IPv6)           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |           v2 only: 8 bytes of authentication data             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//! RFC 3768 §5.1 (version 2), RFC 9568 §5.1 (version 3).
//!
//! [`Packet::parse`] looks at bytes without copying them; [`Advertisement::emit`] appends to a
//! buffer that the caller keeps. Neither allocates once the buffer has grown.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::{Addresses, AdvertInterval, Family, OutOfRange, Priority, Vrid};

pub(crate) mod checksum;
mod emit;
mod parse;

pub use parse::{Packet, ParseError};

/// IP protocol number of VRRP (RFC 9568 §5.1).
pub const IP_PROTOCOL: u8 = 112;

/// TTL or hop limit that every multicast advertisement is sent with and must arrive with
/// (RFC 9568 §5.1.1.3, §5.1.2.3).
pub const TTL: u8 = 255;

/// Length of what comes before the addresses, in bytes.
const HEADER_LEN: usize = 8;

/// Length of version 2's authentication data, in bytes.
const AUTH_LEN: usize = 8;

/// Version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "version 1 is dead and a version 4 is another protocol"
)]
pub enum Version {
    /// RFC 3768, IPv4 only; keepalived's default for IPv4.
    V2,
    /// RFC 5798 and RFC 9568.
    V3,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V2 => "2",
            Self::V3 => "3",
        })
    }
}

/// Checksum of a version 3 advertisement over IPv4, where two conventions are in use.
///
/// Received advertisements are good with either; this tells which one to send and which one was
/// seen. Version 2 is always [`Checksum::Message`], IPv6 always [`Checksum::PseudoHeader`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the two conventions there are")]
pub enum Checksum {
    /// Over the VRRP message alone: RFC 9568 §5.2.8, FRR, most vendors; keepalived with
    /// `v3_checksum_as_v2`.
    #[default]
    Message,
    /// Over an IPv4 pseudo header and the message: keepalived's default.
    PseudoHeader,
}

/// Authentication of version 2 (RFC 2338 §5.3.6, kept by keepalived).
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two that can be told from the message itself"
)]
pub enum Authentication {
    /// None.
    #[default]
    None,
    /// A password that everybody on the link can read; it keeps apart, it does not protect.
    Pass(Password),
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Pass(_) => "Pass(…)",
        })
    }
}

/// Password of version 2, 1–8 bytes, padded with zeros on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; AUTH_LEN]);

impl Password {
    /// Makes a password.
    ///
    /// # Errors
    /// It is empty or longer than 8 bytes. (keepalived cuts a longer one and logs it.)
    pub fn new(text: &str) -> Result<Self, OutOfRange> {
        let mut bytes = [0; AUTH_LEN];
        match (text.len(), bytes.get_mut(..text.len())) {
            (1.., Some(start)) => start.copy_from_slice(text.as_bytes()),
            (length, _) => {
                return Err(OutOfRange {
                    what: "length of the password",
                    value: u32::try_from(length).unwrap_or(u32::MAX),
                    expected: "1 to 8 bytes",
                });
            }
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What a master tells the others: the meaning of one VRRP message.
///
/// Holds nothing that contradicts itself: no version 2 with IPv6 or with part of a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    vrid: Vrid,
    priority: Priority,
    interval: AdvertInterval,
    addresses: Addresses,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    V2(Authentication),
    V3,
}

impl Advertisement {
    /// An advertisement of version 2.
    ///
    /// # Errors
    /// The addresses are IPv6 or the interval is no whole number of seconds.
    pub fn v2(
        vrid: Vrid,
        priority: Priority,
        interval: AdvertInterval,
        addresses: Addresses,
        authentication: Authentication,
    ) -> Result<Self, AdvertisementError> {
        match (addresses.family(), interval.fits(Version::V2)) {
            (Family::V6, _) => Err(AdvertisementError::Ipv6InV2),
            (_, false) => Err(AdvertisementError::Interval {
                interval,
                version: Version::V2,
            }),
            (Family::V4, true) => Ok(Self {
                vrid,
                priority,
                interval,
                addresses,
                format: Format::V2(authentication),
            }),
        }
    }

    /// An advertisement of version 3.
    ///
    /// # Errors
    /// The interval is longer than 40.95 s.
    pub fn v3(
        vrid: Vrid,
        priority: Priority,
        interval: AdvertInterval,
        addresses: Addresses,
    ) -> Result<Self, AdvertisementError> {
        match interval.fits(Version::V3) {
            true => Ok(Self {
                vrid,
                priority,
                interval,
                addresses,
                format: Format::V3,
            }),
            false => Err(AdvertisementError::Interval {
                interval,
                version: Version::V3,
            }),
        }
    }

    /// The same advertisement with another priority.
    #[must_use]
    pub fn with_priority(&self, priority: Priority) -> Self {
        Self {
            priority,
            ..self.clone()
        }
    }

    /// Which virtual router it speaks of.
    #[must_use]
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// The sender's effective priority.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The time between the sender's advertisements.
    #[must_use]
    pub const fn interval(&self) -> AdvertInterval {
        self.interval
    }

    /// The addresses the sender holds.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Version of the message.
    #[must_use]
    pub const fn version(&self) -> Version {
        match self.format {
            Format::V2(_) => Version::V2,
            Format::V3 => Version::V3,
        }
    }

    /// Authentication; always none in version 3.
    #[must_use]
    pub const fn authentication(&self) -> Authentication {
        match self.format {
            Format::V2(authentication) => authentication,
            Format::V3 => Authentication::None,
        }
    }

    /// Length of the message in bytes.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        let trailer = match self.format {
            Format::V2(_) => AUTH_LEN,
            Format::V3 => 0,
        };
        HEADER_LEN + self.addresses.len() * address_len(self.addresses.family()) + trailer
    }
}

const fn address_len(family: Family) -> usize {
    match family {
        Family::V4 => size_of::<Ipv4Addr>(),
        Family::V6 => size_of::<Ipv6Addr>(),
    }
}

/// Why values do not make an advertisement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertisementError {
    /// Version 2 knows IPv4 only (RFC 3768 §1).
    #[error("VRRP version 2 cannot carry IPv6 addresses: use version 3")]
    Ipv6InV2,
    /// The version cannot carry the interval.
    #[error(
        "VRRP version {version} cannot carry an interval of {interval}: version 2 takes whole \
         seconds, version 3 at most 40.95 s"
    )]
    Interval {
        /// What was asked for.
        interval: AdvertInterval,
        /// The version it does not fit.
        version: Version,
    },
}

/// A well-formed advertisement that has arrived, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// What it says.
    pub advert: Advertisement,
    /// The sender's address.
    pub from: IpAddr,
    /// The address it was sent to: the group, or one of ours.
    pub to: IpAddr,
    /// TTL or hop limit it arrived with.
    pub ttl: u8,
    /// Which checksum it carries.
    pub checksum: Checksum,
}

impl Received {
    /// Puts together an advertisement and how it arrived.
    #[must_use]
    pub const fn new(
        advert: Advertisement,
        from: IpAddr,
        to: IpAddr,
        ttl: u8,
        checksum: Checksum,
    ) -> Self {
        Self {
            advert,
            from,
            to,
            ttl,
            checksum,
        }
    }
}
