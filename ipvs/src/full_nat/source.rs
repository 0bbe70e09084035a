//! The addresses that connections come from.

use std::{fmt, net::IpAddr};

use crate::Family;

/// Addresses of the director, of one family and in a row: each connection comes from one of them,
/// chosen by its client. With one address a port of a real server can have about 64,000 connections
/// at a time, with two twice as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceRange {
    first: IpAddr,
    last: IpAddr,
}

/// Addresses are not a [`SourceRange`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceRangeError {
    /// The first and the last are of two families.
    #[error("{first} and {last} are of two families")]
    MixedFamilies {
        /// The first.
        first: IpAddr,
        /// The last.
        last: IpAddr,
    },
    /// The last is before the first.
    #[error("{last} is before {first}")]
    Backwards {
        /// The first.
        first: IpAddr,
        /// The last.
        last: IpAddr,
    },
    /// Nobody can send from it.
    #[error("{0} is not the address of one host")]
    NotUnicast(IpAddr),
}

impl SourceRange {
    /// From the first address to the last, both of them included.
    ///
    /// # Errors
    /// They are of two families, the last is before the first, or one of them is no host's.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, SourceRangeError> {
        if Family::of(first) != Family::of(last) {
            return Err(SourceRangeError::MixedFamilies { first, last });
        }
        if last < first {
            return Err(SourceRangeError::Backwards { first, last });
        }
        let is_host = |it: &IpAddr| {
            let is_broadcast = matches!(it, IpAddr::V4(it) if it.is_broadcast());
            !(it.is_unspecified() || it.is_multicast() || is_broadcast)
        };
        match [first, last].into_iter().find(|it| !is_host(it)) {
            None => Ok(Self { first, last }),
            Some(address) => Err(SourceRangeError::NotUnicast(address)),
        }
    }

    /// The first of them.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The last of them, which may be the first.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Their family.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.first)
    }
}

/// `192.0.2.1`, or `192.0.2.1-192.0.2.4` as iptables writes it.
impl fmt::Display for SourceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            self.first.fmt(f)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> Result<String, String> {
        let range = SourceRange::new(first.parse().unwrap(), last.parse().unwrap());
        range.map(|it| it.to_string()).map_err(|it| it.to_string())
    }

    #[test]
    fn a_range_is_of_hosts_in_a_row() {
        for (first, last, shown) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "192.0.3.4", "192.0.2.1-192.0.3.4"),
            ("fd00::1", "fd00::9", "fd00::1-fd00::9"),
        ] {
            assert_eq!(range(first, last).unwrap(), shown);
        }
        for (first, last, why) in [
            (
                "192.0.2.1",
                "fd00::1",
                "192.0.2.1 and fd00::1 are of two families",
            ),
            ("192.0.2.2", "192.0.2.1", "192.0.2.1 is before 192.0.2.2"),
            (
                "0.0.0.0",
                "192.0.2.1",
                "0.0.0.0 is not the address of one host",
            ),
            (
                "192.0.2.1",
                "224.0.0.1",
                "224.0.0.1 is not the address of one host",
            ),
            (
                "192.0.2.1",
                "255.255.255.255",
                "255.255.255.255 is not the address of one host",
            ),
            (
                "fd00::1",
                "ff02::1",
                "ff02::1 is not the address of one host",
            ),
        ] {
            assert_eq!(range(first, last).unwrap_err(), why);
        }
    }
}
