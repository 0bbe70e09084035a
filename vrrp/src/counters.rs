//! What is counted.

use std::fmt;

/// Why a received advertisement was not taken; each reason has its own counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// Length does not fit the content.
    Length,
    /// TTL or hop limit out of bounds: 255 for multicast (RFC 9568 §7.1), the peer's own bounds
    /// for unicast.
    Ttl,
    /// Version unknown, or not the one configured.
    Version,
    /// Not an advertisement.
    Type,
    /// Checksum wrong under every convention.
    Checksum,
    /// Authentication type or password of version 2 differs.
    Authentication,
    /// Advertisement interval is zero, or differs in version 2.
    AdvertInterval,
    /// Address list is empty, or differs where that is configured to matter.
    AddressList,
    /// Virtual router id is zero, or nobody here takes part in it.
    Vrid,
    /// Sender is not one of the unicast peers, or has an address of ours.
    Source,
    /// Multicast for a router with unicast peers, or the other way round.
    Destination,
}

impl RejectReason {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Length,
        Self::Ttl,
        Self::Version,
        Self::Type,
        Self::Checksum,
        Self::Authentication,
        Self::AdvertInterval,
        Self::AddressList,
        Self::Vrid,
        Self::Source,
        Self::Destination,
    ];
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Length => "length",
            Self::Ttl => "TTL or hop limit",
            Self::Version => "version",
            Self::Type => "type",
            Self::Checksum => "checksum",
            Self::Authentication => "authentication",
            Self::AdvertInterval => "advertisement interval",
            Self::AddressList => "address list",
            Self::Vrid => "virtual router id",
            Self::Source => "source address",
            Self::Destination => "destination address",
        })
    }
}

/// How many advertisements were rejected, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rejections([u64; RejectReason::ALL.len()]);

impl Rejections {
    /// Counts one.
    pub fn count(&mut self, reason: RejectReason) {
        if let Some(count) = self.0.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// How many for this reason.
    #[must_use]
    pub fn of(&self, reason: RejectReason) -> u64 {
        self.0.get(reason as usize).copied().unwrap_or_default()
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (RejectReason, u64)> + '_ {
        RejectReason::ALL
            .into_iter()
            .map(|reason| (reason, self.of(reason)))
    }
}

/// What one virtual router has counted since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Advertisements sent, priority 0 included.
    pub sent: u64,
    /// Advertisements with priority 0 sent.
    pub released: u64,
    /// Advertisements that could not be sent.
    pub send_failures: u64,
    /// Advertisements received and taken.
    pub received: u64,
    /// Of those, with priority 0.
    pub received_release: u64,
    /// Of those in version 3 over IPv4, with a checksum over the message alone.
    pub checksum_message: u64,
    /// Of those in version 3 over IPv4, with a checksum that includes the pseudo header.
    pub checksum_pseudo_header: u64,
    /// Of those, with other addresses than ours.
    pub address_list_differs: u64,
    /// Advertisements received and not taken.
    pub rejected: Rejections,
    /// How often the router became master.
    pub became_master: u64,
    /// How often the addresses could not be put on the interface.
    pub acquire_failures: u64,
    /// How often somebody else removed an address that we hold.
    pub addresses_lost: u64,
}
