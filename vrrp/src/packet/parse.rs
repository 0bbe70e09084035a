//! Bytes to advertisement.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    AUTH_LEN, Advertisement, Authentication, Checksum, Format, HEADER_LEN, Password, Version,
    address_len, checksum,
};
use crate::{Addresses, AdvertInterval, Family, Priority, RejectReason, Vrid};

/// A message that was found to be well formed, still lying in the buffer it was received in.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    vrid: Vrid,
    priority: Priority,
    interval: AdvertInterval,
    family: Family,
    format: Format,
    checksum: Checksum,
    addresses: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Checks a VRRP message (what follows the IP header, cut to the length that header tells) and
    /// takes it apart. The addresses are those of the IP header.
    ///
    /// What depends on the receiver's configuration (TTL, version, password, interval, addresses,
    /// source) is checked by the [`VirtualRouter`](crate::VirtualRouter) it is for.
    ///
    /// # Errors
    /// The message is malformed; each way to be so is a [`ParseError`] and a [`RejectReason`].
    pub fn parse(
        message: &'a [u8],
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Self, ParseError> {
        let [version_type, vrid, priority, count, b4, b5, _, _, body @ ..] = message else {
            return Err(ParseError::TooShort {
                length: message.len(),
            });
        };
        let family = Family::of(source);
        let version = match (version_type >> 4, family) {
            (2, Family::V4) => Version::V2,
            (3, _) => Version::V3,
            (number, family) => return Err(ParseError::Version { number, family }),
        };
        if version_type & 0xf != 1 {
            return Err(ParseError::Type {
                number: version_type & 0xf,
            });
        }
        let trailer = match version {
            Version::V2 => AUTH_LEN,
            Version::V3 => 0,
        };
        let addresses_len = usize::from(*count) * address_len(family);
        let expected = HEADER_LEN + addresses_len + trailer;
        let (addresses, trailer) = match body.split_at_checked(addresses_len) {
            Some((addresses, trailer)) if message.len() == expected => (addresses, trailer),
            _ => {
                return Err(ParseError::Length {
                    length: message.len(),
                    expected,
                });
            }
        };
        let checksum = find_checksum(version, family, message, source, destination)
            .ok_or(ParseError::Checksum)?;
        let vrid = Vrid::new(*vrid).map_err(|_| ParseError::Vrid)?;
        if *count == 0 {
            return Err(ParseError::NoAddresses);
        }
        let (format, interval) = match version {
            Version::V2 => (
                Format::V2(authentication(*b4, trailer)?),
                AdvertInterval::from_secs(*b5),
            ),
            Version::V3 => {
                let centis = u16::from_be_bytes([b4 & 0xf, *b5]);
                (Format::V3, AdvertInterval::from_centis(centis))
            }
        };
        let interval = interval.map_err(|_| ParseError::Interval)?;
        let priority = Priority::from_wire(*priority);
        Ok(Self {
            vrid,
            priority,
            interval,
            family,
            format,
            checksum,
            addresses,
        })
    }

    /// Which virtual router it speaks of.
    #[must_use]
    pub const fn vrid(&self) -> Vrid {
        self.vrid
    }

    /// Which checksum it carries.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.checksum
    }

    /// The addresses it lists.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + 'a {
        let (v4, v6) = match self.family {
            Family::V4 => (self.addresses.as_chunks::<4>().0, &[][..]),
            Family::V6 => (&[][..], self.addresses.as_chunks::<16>().0),
        };
        let v4 = v4.iter().map(|octets| IpAddr::V4(Ipv4Addr::from(*octets)));
        v4.chain(v6.iter().map(|octets| IpAddr::V6(Ipv6Addr::from(*octets))))
    }

    /// The meaning, on its own.
    ///
    /// A master lists the same addresses again and again: given those of its last advertisement,
    /// they are shared and nothing is allocated.
    #[must_use]
    pub fn to_advertisement(&self, last: Option<&Addresses>) -> Advertisement {
        let addresses = last
            .filter(|last| last.iter().eq(self.addresses()))
            .cloned()
            .or_else(|| Addresses::new(self.addresses()).ok());
        let Packet {
            vrid,
            priority,
            interval,
            format,
            ..
        } = *self;
        Advertisement {
            vrid,
            priority,
            interval,
            addresses: addresses.expect("parse found 1 to 255 addresses of one family"),
            format,
        }
    }
}

fn authentication(kind: u8, data: &[u8]) -> Result<Authentication, ParseError> {
    match (kind, data.try_into()) {
        (0, _) => Ok(Authentication::None),
        (1, Ok(password)) => Ok(Authentication::Pass(Password(password))),
        (kind, _) => Err(ParseError::Authentication { kind }),
    }
}

fn find_checksum(
    version: Version,
    family: Family,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Option<Checksum> {
    let kinds: &[_] = match (version, family) {
        (Version::V2, _) => &[Checksum::Message],
        (Version::V3, Family::V6) => &[Checksum::PseudoHeader],
        (Version::V3, Family::V4) => &[Checksum::Message, Checksum::PseudoHeader],
    };
    kinds
        .iter()
        .copied()
        .find(|kind| checksum::verify(*kind, message, source, destination))
}

/// Why bytes are not an advertisement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than any.
    #[error("the message has {length} bytes, at least {HEADER_LEN} expected")]
    TooShort {
        /// Its length in bytes.
        length: usize,
    },
    /// Its length does not fit its version and address count.
    #[error("the message has {length} bytes, {expected} expected for its address count")]
    Length {
        /// Its length in bytes.
        length: usize,
        /// The length it should have, in bytes.
        expected: usize,
    },
    /// A version that does not exist, or version 2 over IPv6.
    #[error("VRRP version {number} over {family} is not known: expected 2 (IPv4 only) or 3")]
    Version {
        /// The version field.
        number: u8,
        /// The family it came over.
        family: Family,
    },
    /// Not an advertisement.
    #[error("type {number} is not an advertisement: expected 1")]
    Type {
        /// The type field.
        number: u8,
    },
    /// It does not add up, with or without a pseudo header.
    #[error("the checksum is wrong")]
    Checksum,
    /// An authentication type of version 2 other than none and password.
    #[error("authentication type {kind} is not supported: expected 0 (none) or 1 (password)")]
    Authentication {
        /// The authentication type field.
        kind: u8,
    },
    /// The interval is zero.
    #[error("the advertisement interval is 0")]
    Interval,
    /// It lists no address (RFC 9568 §5.2.5: MUST be ignored).
    #[error("the advertisement lists no address")]
    NoAddresses,
    /// The virtual router identifier is zero.
    #[error("the virtual router id is 0")]
    Vrid,
}

impl ParseError {
    /// The counter it belongs to.
    #[must_use]
    pub const fn reason(&self) -> RejectReason {
        match self {
            Self::TooShort { .. } | Self::Length { .. } => RejectReason::Length,
            Self::Version { .. } => RejectReason::Version,
            Self::Type { .. } => RejectReason::Type,
            Self::Checksum => RejectReason::Checksum,
            Self::Authentication { .. } => RejectReason::Authentication,
            Self::Interval => RejectReason::AdvertInterval,
            Self::NoAddresses => RejectReason::AddressList,
            Self::Vrid => RejectReason::Vrid,
        }
    }
}
