//! Ranges of status codes.

use std::{fmt, str::FromStr};

/// Status codes of HTTP from one to another, both included.
///
/// Written as keepalived.conf's `status_code` has it: `204`, `200-299`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// What is no range of status codes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no range of HTTP status codes: write 204 or 200-299, from 100 to 599", .0.escape_debug())]
pub struct StatusRangeError(String);

impl StatusRange {
    /// Success (RFC 9110 §15.3): 200 to 299.
    pub const SUCCESS: Self = Self {
        first: 200,
        last: 299,
    };

    /// The codes from `first` to `last`, both included.
    ///
    /// # Errors
    /// The last is less than the first, or one of them is not within 100 and 599.
    pub fn new(first: u16, last: u16) -> Result<Self, StatusRangeError> {
        if first < 100 || last > 599 || first > last {
            return Err(StatusRangeError(format!("{first}-{last}")));
        }
        Ok(Self { first, last })
    }

    /// Whether a code is in it.
    #[must_use]
    pub const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}

impl Default for StatusRange {
    fn default() -> Self {
        Self::SUCCESS
    }
}

impl FromStr for StatusRange {
    type Err = StatusRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |text: &str| {
            let plain = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse().ok()).flatten()
        };
        number(first)
            .zip(number(last))
            .and_then(|(first, last)| Self::new(first, last).ok())
            .ok_or_else(|| StatusRangeError(text.to_owned()))
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        if self.first < self.last {
            write!(f, "-{}", self.last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(first in 100..600_u16, last in 100..600_u16) {
            let range = StatusRange::new(first.min(last), first.max(last)).unwrap();
            prop_assert_eq!(range.to_string().parse(), Ok(range));
            prop_assert!(range.contains(first) && range.contains(last));
        }

        #[test]
        fn text_is_a_range_that_holds_its_ends_or_refused(text in "[0-9+-]{0,8}") {
            if let Ok(range) = text.parse::<StatusRange>() {
                prop_assert_eq!(range.to_string().parse(), Ok(range));
                prop_assert!((100..=599).contains(&range.first));
                prop_assert!((range.first..=599).contains(&range.last));
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused_with_its_text() {
        for text in [
            "",
            "2",
            "99",
            "600",
            "299-200",
            "200-",
            "-200",
            "200-299-300",
            "+20",
            "2xx",
        ] {
            let error = text.parse::<StatusRange>().unwrap_err().to_string();
            assert!(error.contains(&format!("\"{text}\"")), "{error}");
        }
    }
}
