//! The time between advertisements.

use std::{fmt, time::Duration};

use crate::{OutOfRange, Version};

/// Time between two advertisements of a master, counted in the centiseconds of version 3.
///
/// Version 2 carries whole seconds, 1–255 (RFC 3768 §5.3.7); version 3 carries centiseconds,
/// 1–4095 (RFC 9568 §5.2.7). [`AdvertInterval::fits`] tells whether a version can carry one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertInterval(u16);

impl AdvertInterval {
    /// One second, the default of both versions.
    pub const DEFAULT: Self = Self(100);
    /// 10 ms, the shortest.
    pub const MIN: Self = Self(1);

    const MAX_CENTIS: u16 = 255 * 100;
    const MAX_CENTIS_V3: u16 = 4095;

    /// Makes an interval of whole seconds, 1–255.
    ///
    /// # Errors
    /// 0 is not an interval.
    pub const fn from_secs(secs: u8) -> Result<Self, OutOfRange> {
        match secs {
            0 => Err(OutOfRange {
                what: "advertisement interval in seconds",
                value: 0,
                expected: "1 to 255",
            }),
            secs => Ok(Self(secs as u16 * 100)),
        }
    }

    /// Makes an interval of centiseconds, 1–25,500 (of which version 3 can carry 4095).
    ///
    /// # Errors
    /// The number is out of that range.
    pub const fn from_centis(centis: u16) -> Result<Self, OutOfRange> {
        match centis {
            1..=Self::MAX_CENTIS => Ok(Self(centis)),
            _ => Err(OutOfRange {
                what: "advertisement interval in centiseconds",
                value: centis as u32,
                expected: "1 to 25500",
            }),
        }
    }

    /// The interval in centiseconds.
    #[must_use]
    pub const fn as_centis(self) -> u16 {
        self.0
    }

    /// The interval in seconds if it is a whole number of them, as version 2 needs it.
    #[must_use]
    pub fn as_secs(self) -> Option<u8> {
        self.0
            .is_multiple_of(100)
            .then(|| u8::try_from(self.0 / 100).ok())
            .flatten()
    }

    /// The interval as a span of time.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }

    /// Whether an advertisement of this version can carry the interval.
    #[must_use]
    pub fn fits(self, version: Version) -> bool {
        match version {
            Version::V2 => self.as_secs().is_some(),
            Version::V3 => self.0 <= Self::MAX_CENTIS_V3,
        }
    }
}

impl Default for AdvertInterval {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for AdvertInterval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, centis) = (self.0 / 100, self.0 % 100);
        match centis {
            0 => write!(f, "{secs} s"),
            _ => write!(f, "{secs}.{centis:02} s"),
        }
    }
}
