//! The list of addresses in an advertisement.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

/// Address family of a virtual router; one router serves one family (RFC 9568 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "VRRP is defined for these two")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The group that advertisements are sent to: 224.0.0.18 or ff02::12 (RFC 9568 §5.1).
    #[must_use]
    pub const fn multicast_group(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Addresses that a virtual router backs up, as an advertisement lists them: 1–255 of one family.
///
/// Cheap to clone: sending an advertisement copies no address.
#[derive(Clone, PartialEq, Eq)]
pub struct Addresses(List);

#[derive(Clone, PartialEq, Eq)]
enum List {
    V4(Arc<[Ipv4Addr]>),
    V6(Arc<[Ipv6Addr]>),
}

impl Addresses {
    /// The most one advertisement can list; the count is one byte.
    pub const MAX: usize = 255;

    /// Takes addresses in the order in which they are to be sent.
    ///
    /// # Errors
    /// There is none, there are more than 255, or both families are among them.
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Result<Self, AddressesError> {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            match address {
                IpAddr::V4(address) => v4.push(address),
                IpAddr::V6(address) => v6.push(address),
            }
        }
        let list = match (v4.as_slice(), v6.as_slice()) {
            ([], []) => return Err(AddressesError::None),
            ([_, ..], [_, ..]) => return Err(AddressesError::Mixed),
            (_, []) => List::V4(v4.into()),
            ([], _) => List::V6(v6.into()),
        };
        let addresses = Self(list);
        match addresses.len() {
            count @ ..=Self::MAX => {
                debug_assert!(count > 0, "the empty list was refused above");
                Ok(addresses)
            }
            count => Err(AddressesError::TooMany { count }),
        }
    }

    /// How many there are: 1–255.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "the list is never empty")]
    pub fn len(&self) -> usize {
        match &self.0 {
            List::V4(list) => list.len(),
            List::V6(list) => list.len(),
        }
    }

    /// The family of all of them.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self.0 {
            List::V4(_) => Family::V4,
            List::V6(_) => Family::V6,
        }
    }

    /// The addresses in the order in which they are sent.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let (v4, v6) = match &self.0 {
            List::V4(list) => (&**list, &[][..]),
            List::V6(list) => (&[][..], &**list),
        };
        v4.iter()
            .copied()
            .map(IpAddr::V4)
            .chain(v6.iter().copied().map(IpAddr::V6))
    }

    /// Whether both list the same addresses, in whatever order.
    #[must_use]
    pub fn same_set(&self, other: &Self) -> bool {
        self == other
            || (self.len() == other.len()
                && self
                    .iter()
                    .all(|address| other.iter().any(|known| known == address))
                && other
                    .iter()
                    .all(|address| self.iter().any(|known| known == address)))
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Why addresses do not make a list for an advertisement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressesError {
    /// No address at all.
    #[error("a virtual router needs at least one virtual address")]
    None,
    /// More than the count byte of an advertisement can tell.
    #[error("{count} virtual addresses do not fit an advertisement: at most 255 do, exclude some")]
    TooMany {
        /// How many were given.
        count: usize,
    },
    /// IPv4 and IPv6 together.
    #[error(
        "a virtual router serves one address family: use two, or exclude one family's addresses"
    )]
    Mixed,
}
