//! How a destination (real server) of a virtual service is set up.

use std::{fmt, num::NonZeroU16};

use crate::OutOfRange;

/// How a destination is set up: everything about it but its address and port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DestinationSettings {
    /// How packets get to it. Default: direct route.
    pub forwarding: Forwarding,
    /// Its share of the connections. Default: 1.
    pub weight: Weight,
    /// How many connections it may have. Default: any number.
    pub thresholds: Thresholds,
}

impl DestinationSettings {
    /// A destination of weight 1 without thresholds.
    #[must_use]
    pub const fn new(forwarding: Forwarding) -> Self {
        Self {
            forwarding,
            weight: Weight::DEFAULT,
            thresholds: Thresholds::NONE,
        }
    }

    /// The same with a weight.
    #[must_use]
    pub const fn with_weight(self, weight: Weight) -> Self {
        Self { weight, ..self }
    }

    /// The same with thresholds.
    #[must_use]
    pub const fn with_thresholds(self, thresholds: Thresholds) -> Self {
        Self { thresholds, ..self }
    }
}

/// How packets get to a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's methods")]
pub enum Forwarding {
    /// Network address translation (`-m`, NAT): the destination answers through the director.
    Masquerade,
    /// To this machine itself.
    Local,
    /// In a tunnel to the destination (`-i`, TUN), which answers the client directly.
    Tunnel(Tunnel),
    /// On the link, by the destination's MAC address (`-g`, DR); it answers the client directly.
    #[default]
    DirectRoute,
    /// To where the packet was going anyway (transparent cache that is unavailable).
    Bypass,
}

/// What packets to a destination are wrapped in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's tunnels")]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation (Linux 5.2).
    Gue {
        /// UDP port of the destination.
        port: NonZeroU16,
        /// What protects them.
        checksum: GueChecksum,
    },
    /// Generic routing encapsulation (Linux 5.3).
    Gre {
        /// What protects them.
        checksum: GreChecksum,
    },
}

/// Checksum of packets in generic UDP encapsulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's choices")]
pub enum GueChecksum {
    /// None (`--tun-nocsum`).
    #[default]
    None,
    /// Of UDP (`--tun-csum`).
    Csum,
    /// Left to the receiver (`--tun-remcsum`).
    Remcsum,
}

/// Checksum of packets in generic routing encapsulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's choices")]
pub enum GreChecksum {
    /// None (`--tun-nocsum`).
    #[default]
    None,
    /// Of GRE (`--tun-csum`).
    Csum,
}

/// Share of a destination in the connections of its service: 0 to 2,147,483,647.
///
/// With weight 0 it gets no new connections, except from clients that are known by persistence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// 1.
    pub const DEFAULT: Self = Self(1);
    /// 0: no new connections.
    pub const ZERO: Self = Self(0);
    /// The greatest, 2,147,483,647: the kernel's is a signed number.
    pub const MAX: Self = Self(i32::MAX.unsigned_abs());

    /// A weight of 0 to 2,147,483,647.
    ///
    /// # Errors
    /// The number is greater.
    pub const fn new(weight: u32) -> Result<Self, OutOfRange> {
        if weight > Self::MAX.0 {
            return Err(OutOfRange {
                what: "weight",
                value: weight as u64,
                expected: "0 to 2147483647",
            });
        }
        Ok(Self(weight))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers of connections at which a destination is taken out and put back.
///
/// With `upper` connections it gets no more until it has fewer than `lower`, or, if that is 0,
/// fewer than three quarters of `upper`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Thresholds {
    upper: u32,
    lower: u32,
}

impl Thresholds {
    /// Any number of connections.
    pub const NONE: Self = Self { upper: 0, lower: 0 };
    const MAX: u32 = i32::MAX.unsigned_abs();

    /// An upper threshold, at most 2,147,483,647 (0: any number of connections), and a lower one
    /// that is not above it (0: three quarters).
    ///
    /// # Errors
    /// They are not; the kernel would answer ERANGE or EINVAL.
    pub const fn new(upper: u32, lower: u32) -> Result<Self, ThresholdsError> {
        if upper > Self::MAX {
            return Err(ThresholdsError::TooGreat { upper });
        }
        if lower > upper {
            return Err(match upper {
                0 => ThresholdsError::LowerAlone { lower },
                upper => ThresholdsError::LowerAboveUpper { upper, lower },
            });
        }
        Ok(Self { upper, lower })
    }

    /// The number of connections with which it gets no more; 0: there is none.
    #[must_use]
    pub const fn upper(self) -> u32 {
        self.upper
    }

    /// The number of connections below which it gets more again; 0: three quarters of the upper.
    #[must_use]
    pub const fn lower(self) -> u32 {
        self.lower
    }
}

/// Why two numbers are not thresholds of a destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ThresholdsError {
    /// The lower one makes no sense without the upper one.
    #[error(
        "a lower threshold of {lower} needs an upper one that is not below it: \
         write -x with at least {lower}, or leave -y out"
    )]
    LowerAlone {
        /// The lower one.
        lower: u32,
    },
    /// They are the wrong way round.
    #[error(
        "the lower threshold {lower} is above the upper one {upper}: \
         write -y with at most {upper}, or a greater -x"
    )]
    LowerAboveUpper {
        /// The upper one.
        upper: u32,
        /// The lower one.
        lower: u32,
    },
    /// More than the kernel's number can be.
    #[error("an upper threshold of {upper} is more than 2147483647: write 0 for any number")]
    TooGreat {
        /// The upper one.
        upper: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_that_the_kernel_takes() {
        assert_eq!(Weight::new(65_536).unwrap().get(), 65_536);
        assert_eq!(Weight::new(i32::MAX.unsigned_abs()).unwrap(), Weight::MAX);
        assert_eq!(
            Weight::new(1 << 31).unwrap_err().to_string(),
            "weight is 2147483648: expected 0 to 2147483647"
        );
    }

    #[test]
    fn thresholds_that_the_kernel_refuses_are_refused_with_what_to_write_instead() {
        let error = |upper, lower| Thresholds::new(upper, lower).unwrap_err().to_string();
        assert!(error(0, 9).contains("write -x with at least 9"));
        assert!(error(5, 9).contains("write -y with at most 5"));
        assert!(error(1 << 31, 0).contains("write 0"));
        let thresholds = Thresholds::new(1000, 500).unwrap();
        assert_eq!((thresholds.upper(), thresholds.lower()), (1000, 500));
        assert!(Thresholds::new(5, 5).is_ok());
    }
}
