//! Bytes written as hexadecimal digits, and patterns of them.

use std::{fmt, str::FromStr};

/// Bytes to compare with, of which some bits may not count.
///
/// Written as hexadecimal digits, with a mask of the same length after a slash: `0a00/ff00` is a
/// byte 10 and any other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BytePattern {
    bytes: Vec<u8>,
    mask: Vec<u8>,
}

/// Text that is no bytes or no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexError {
    /// A character is no digit.
    #[error("'{}' is no hexadecimal digit", .0.escape_debug())]
    Digit(char),
    /// The last byte has one digit.
    #[error("a byte has two hexadecimal digits, and the last one has one")]
    Half,
    /// There is nothing.
    #[error("expected hexadecimal digits")]
    Nothing,
    /// Mask and bytes differ in length.
    #[error(
        "the mask has {mask} bytes, and what it is for {bytes}: they must have the same number"
    )]
    Mask {
        /// How many bytes.
        bytes: usize,
        /// How many of the mask.
        mask: usize,
    },
}

/// Reads bytes from hexadecimal digits. `0x` in front, and blanks between, are passed over.
///
/// # Errors
/// Something else is there, nothing is, or half a byte.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, HexError> {
    let text = text.trim();
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .unwrap_or(text);
    let mut bytes = Vec::new();
    let mut high = None;
    for character in digits.chars().filter(|c| !c.is_ascii_whitespace()) {
        let digit = character.to_digit(16).and_then(|d| u8::try_from(d).ok());
        let digit = digit.ok_or(HexError::Digit(character))?;
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    match high {
        Some(_) => Err(HexError::Half),
        None if bytes.is_empty() => Err(HexError::Nothing),
        None => Ok(bytes),
    }
}

impl BytePattern {
    /// These bytes, all of whose bits count.
    #[must_use]
    pub fn exact(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        let mask = vec![0xff; bytes.len()];
        Self { bytes, mask }
    }

    /// Bytes, each with the bits of it that count.
    #[must_use]
    pub fn masked(bytes: impl IntoIterator<Item = (u8, u8)>) -> Self {
        let (bytes, mask) = bytes.into_iter().unzip();
        Self { bytes, mask }
    }

    /// Whether these bytes begin with the pattern or, if they `may_end_early`, with as much of it as
    /// there are bytes.
    #[must_use]
    pub fn matches(&self, bytes: &[u8], may_end_early: bool) -> bool {
        (may_end_early || bytes.len() >= self.bytes.len())
            && self
                .bytes
                .iter()
                .zip(&self.mask)
                .zip(bytes)
                .all(|((wanted, mask), byte)| wanted & mask == byte & mask)
    }
}

impl FromStr for BytePattern {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        let Some((bytes, mask)) = text.split_once('/') else {
            return Ok(Self::exact(parse_hex(text)?));
        };
        let (bytes, mask) = (parse_hex(bytes)?, parse_hex(mask)?);
        if bytes.len() != mask.len() {
            return Err(HexError::Mask {
                bytes: bytes.len(),
                mask: mask.len(),
            });
        }
        Ok(Self { bytes, mask })
    }
}

/// Writes it as it is read.
impl fmt::Display for BytePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        digits(f, &self.bytes)?;
        if self.mask.iter().any(|&byte| byte != 0xff) {
            f.write_str("/")?;
            digits(f, &self.mask)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn digits_are_read_with_and_without_ornament() {
        for text in ["0aFF", "0x0aff", " 0a ff ", "0X0A F F"] {
            assert_eq!(parse_hex(text), Ok(vec![10, 255]), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(parse_hex("0g"), Err(HexError::Digit('g')));
        assert_eq!(parse_hex("012"), Err(HexError::Half));
        assert_eq!(parse_hex("0x"), Err(HexError::Nothing));
        let error = "0102/ff".parse::<BytePattern>().unwrap_err();
        assert_eq!(error, HexError::Mask { bytes: 2, mask: 1 });
    }

    #[test]
    fn bits_outside_of_the_mask_do_not_count() {
        let pattern: BytePattern = "0a0f/ff0f".parse().unwrap();
        for early in [false, true] {
            assert!(pattern.matches(b"\x0a\xff and more", early));
            assert!(!pattern.matches(b"\x0a\xf0", early));
            assert_eq!(pattern.matches(b"\x0a", early), early);
            assert!(!pattern.matches(b"\x0b", early));
        }
    }

    proptest! {
        #[test]
        fn a_pattern_is_read_as_it_is_written(
            pairs in proptest::collection::vec(any::<(u8, u8)>(), 1..20),
        ) {
            let (bytes, mask): (Vec<u8>, Vec<u8>) = pairs.into_iter().unzip();
            let pattern = BytePattern { bytes, mask };
            prop_assert!(pattern.matches(&pattern.bytes, false));
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _result = text.parse::<BytePattern>();
        }
    }
}
