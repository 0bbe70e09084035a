//! Virtual addresses.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

/// A virtual address and how it is put on an interface.
///
/// Two are the same address for the kernel if interface, address and prefix length agree; the
/// other fields are attributes of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Vip {
    /// Interface that gets the address; `None`: the interface of the virtual router.
    pub interface: Option<Arc<str>>,
    /// The address.
    pub address: IpAddr,
    /// Length of the network prefix in bits: 0–32 or 0–128.
    pub prefix_len: u8,
    /// How far the address is valid; `None` leaves the choice to the kernel (global).
    pub scope: Option<Scope>,
    /// Label of an IPv4 address, at most 15 bytes, as `ip address` shows it.
    pub label: Option<Arc<str>>,
    /// Broadcast address of an IPv4 address.
    pub broadcast: Broadcast,
}

/// How far an address is valid (`ip address … scope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Everywhere.
    Global,
    /// Within the site (deprecated for IPv6).
    Site,
    /// On the link.
    Link,
    /// On this host.
    Host,
    /// Nowhere.
    Nowhere,
    /// Any other number of `/etc/iproute2/rt_scopes`.
    Other(u8),
}

impl Scope {
    /// The number the kernel knows it by (`RT_SCOPE_*`).
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Global => 0,
            Self::Site => 200,
            Self::Link => 253,
            Self::Host => 254,
            Self::Nowhere => 255,
            Self::Other(number) => number,
        }
    }
}

/// Broadcast address of an IPv4 address on an interface (`ip address … broadcast`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Broadcast {
    /// No broadcast address, as keepalived and `ip address add` do it.
    #[default]
    None,
    /// The network's own: all host bits set (`brd +`).
    AllOnes,
    /// The network's own: all host bits clear (`brd -`).
    AllZeros,
    /// This one.
    Address(std::net::Ipv4Addr),
}

impl Vip {
    /// An address with the prefix of a single host: /32 or /128, as keepalived's default.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        Self {
            interface: None,
            address,
            prefix_len: if address.is_ipv4() { 32 } else { 128 },
            scope: None,
            label: None,
            broadcast: Broadcast::None,
        }
    }

    /// An address with a prefix length, 0–32 or 0–128.
    ///
    /// # Errors
    /// The prefix is longer than the address.
    pub fn new(address: IpAddr, prefix_len: u8) -> Result<Self, ParseVipError> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix_len > longest {
            return Err(ParseVipError::Prefix {
                text: format!("{address}/{prefix_len}"),
                longest,
            });
        }
        Ok(Self {
            prefix_len,
            ..Self::host(address)
        })
    }

    /// Whether the kernel takes both for one: interface, address and prefix length agree.
    #[must_use]
    pub fn same_address(&self, other: &Self) -> bool {
        let key = |vip: &Self| (vip.interface.clone(), vip.address, vip.prefix_len);
        key(self) == key(other)
    }

    /// The same address on this interface.
    #[must_use]
    pub fn on(mut self, interface: &str) -> Self {
        self.interface = Some(interface.into());
        self
    }
}

/// `ADDRESS` or `ADDRESS/PREFIX`.
impl FromStr for Vip {
    type Err = ParseVipError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| ParseVipError::Address {
            text: text.to_owned(),
        })?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix_len = match prefix {
            None => longest,
            Some(prefix) => prefix.parse().map_err(|_| ParseVipError::Prefix {
                text: text.to_owned(),
                longest,
            })?,
        };
        Self::new(address, prefix_len)
    }
}

impl fmt::Display for Vip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)?;
        self.interface
            .as_deref()
            .map_or(Ok(()), |interface| write!(f, " dev {interface}"))
    }
}

/// Why a text is not a virtual address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseVipError {
    /// The part before the slash.
    #[error("`{text}` is not an IP address: expected ADDRESS or ADDRESS/PREFIX, as 192.0.2.10/24")]
    Address {
        /// What was given.
        text: String,
    },
    /// The part behind the slash.
    #[error("`{text}` has no valid prefix length: expected 0 to {longest}")]
    Prefix {
        /// What was given.
        text: String,
        /// The longest prefix of the family in bits.
        longest: u8,
    },
}
