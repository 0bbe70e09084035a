//! Digests of bodies.

use std::{fmt, str::FromStr};

use md5::{Digest as _, Md5};
use sha2::Sha256;

/// A digest that a body must have. Written in hexadecimal digits, whose number says which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum BodyDigest {
    /// MD5, as `genhash` prints it and keepalived.conf's `digest` has it.
    Md5([u8; 16]),
    /// SHA-256, as `sha256sum` prints it.
    Sha256([u8; 32]),
}

/// What is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" is no digest: 32 hexadecimal digits are an MD5, 64 a SHA-256", .0.escape_debug())]
pub struct DigestError(String);

impl BodyDigest {
    /// The digest, of the same kind, that a body has.
    #[must_use]
    pub fn of_the_same_kind(&self, body: &[u8]) -> Self {
        match self {
            Self::Md5(_) => Self::Md5(Md5::digest(body).into()),
            Self::Sha256(_) => Self::Sha256(Sha256::digest(body).into()),
        }
    }
}

impl FromStr for BodyDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = crate::parse_hex(text).map_err(|_| DigestError(text.to_owned()))?;
        if let Ok(md5) = bytes.as_slice().try_into() {
            return Ok(Self::Md5(md5));
        }
        let sha256 = bytes.as_slice().try_into();
        sha256.map_or_else(
            |_| Err(DigestError(text.to_owned())),
            |it| Ok(Self::Sha256(it)),
        )
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: &[u8] = match self {
            Self::Md5(bytes) => bytes,
            Self::Sha256(bytes) => bytes,
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_digest_reads_back_and_is_of_its_body_alone(body: Vec<u8>, other: Vec<u8>) {
            for kind in [BodyDigest::Md5([0; 16]), BodyDigest::Sha256([0; 32])] {
                let digest = kind.of_the_same_kind(&body);
                prop_assert_eq!(digest.to_string().parse(), Ok(digest));
                prop_assert_eq!(digest == digest.of_the_same_kind(&other), body == other);
            }
        }
    }

    #[test]
    fn known_digests_of_rfc_1321_and_fips_180() {
        for text in [
            "900150983cd24fb0d6963f7d28e17f72",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ] {
            let digest: BodyDigest = text.parse().unwrap();
            assert_eq!(digest.of_the_same_kind(b"abc").to_string(), text);
        }
    }

    #[test]
    fn what_is_no_digest_is_refused_with_its_text() {
        for text in ["", "00", "9001\n", &"0".repeat(33), &"0".repeat(63), "x"] {
            assert!(text.parse::<BodyDigest>().is_err(), "{text}");
        }
    }
}
