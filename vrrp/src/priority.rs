//! How much a router wants to be master.

use std::fmt;

use crate::OutOfRange;

/// Priority of a router for one virtual router, as in a packet: 0–255 (RFC 9568 §5.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// 0: the master stops taking part; a backup takes over after its skew time only.
    pub const RELEASE: Self = Self(0);
    /// 100: what a router has that was told nothing else.
    pub const DEFAULT: Self = Self(100);
    /// 254: the highest a router may have that does not own the addresses.
    pub const HIGHEST_BACKUP: Self = Self(254);
    /// 255: the router owns the addresses (they are its real ones) and is master while it lives.
    pub const OWNER: Self = Self(255);

    /// Makes a priority that a router can be given: 1–255.
    ///
    /// # Errors
    /// 0 is reserved for [`Priority::RELEASE`].
    pub const fn new(value: u8) -> Result<Self, OutOfRange> {
        match value {
            0 => Err(OutOfRange {
                what: "priority",
                value: 0,
                expected: "1 to 255",
            }),
            value => Ok(Self(value)),
        }
    }

    /// Takes the number from a packet, where all 256 values have a meaning.
    #[must_use]
    pub const fn from_wire(value: u8) -> Self {
        Self(value)
    }

    /// The number as it stands in a packet.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self.0
    }

    /// Whether this is [`Priority::OWNER`].
    #[must_use]
    pub const fn is_owner(self) -> bool {
        self.0 == Self::OWNER.0
    }

    /// Whether this is [`Priority::RELEASE`].
    #[must_use]
    pub const fn is_release(self) -> bool {
        self.0 == Self::RELEASE.0
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
