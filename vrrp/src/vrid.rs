//! The number of a virtual router.

use std::{fmt, num::NonZeroU8, str::FromStr};

use crate::OutOfRange;

/// Virtual router identifier, 1–255, unique on one interface and family (RFC 9568 §5.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// Makes an identifier of a number from 1 to 255.
    ///
    /// # Errors
    /// 0 is not an identifier.
    pub const fn new(value: u8) -> Result<Self, OutOfRange> {
        match NonZeroU8::new(value) {
            Some(value) => Ok(Self(value)),
            None => Err(OutOfRange {
                what: "virtual router id",
                value: 0,
                expected: "1 to 255",
            }),
        }
    }

    /// The number as it stands in a packet.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<u8> for Vrid {
    type Error = OutOfRange;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl FromStr for Vrid {
    type Err = OutOfRange;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map_or(
            Err(OutOfRange {
                what: "virtual router id",
                value: 0,
                expected: "1 to 255",
            }),
            Self::new,
        )
    }
}
