//! The Internet checksum (RFC 1071), over the message or with a pseudo header before it.

use std::net::IpAddr;

use super::{Checksum, IP_PROTOCOL};

/// One's complement sum, not yet folded.
#[derive(Clone, Copy, Default)]
struct Sum(u64);

impl Sum {
    fn add(self, bytes: &[u8]) -> Self {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let whole: u64 = pairs
            .iter()
            .map(|pair| u64::from(u16::from_be_bytes(*pair)))
            .sum();
        let last = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
        Self(self.0 + whole + last)
    }

    fn pseudo_header(protocol: u8, source: IpAddr, destination: IpAddr, length: usize) -> Self {
        let addresses = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Self::default()
                .add(&source.octets())
                .add(&destination.octets()),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Self::default()
                .add(&source.octets())
                .add(&destination.octets()),
            // A packet has one family; a caller that mixes them gets a sum that fits nothing.
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => Self::default(),
        };
        Self(addresses.0 + u64::from(protocol) + length as u64)
    }

    #[expect(clippy::cast_possible_truncation, reason = "folded until it fits")]
    fn fold(self) -> u16 {
        let mut sum = self.0;
        while sum > u64::from(u16::MAX) {
            sum = (sum & u64::from(u16::MAX)) + (sum >> 16);
        }
        sum as u16
    }
}

/// The checksum of a message whose checksum field is zero.
pub(super) fn compute(kind: Checksum, message: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    match kind {
        Checksum::Message => !Sum::default().add(message).fold(),
        Checksum::PseudoHeader => with_pseudo_header(IP_PROTOCOL, message, source, destination),
    }
}

/// The checksum, pseudo header included (RFC 8200 §8.1), of a message of any protocol whose
/// checksum field is zero.
pub(crate) fn with_pseudo_header(
    protocol: u8,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> u16 {
    !Sum::pseudo_header(protocol, source, destination, message.len())
        .add(message)
        .fold()
}

/// Whether a message, its checksum field included, adds up.
pub(super) fn verify(kind: Checksum, message: &[u8], source: IpAddr, destination: IpAddr) -> bool {
    cfg!(fuzzing) || compute(kind, message, source, destination) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_adds_up() {
        let sum = Sum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.fold(), 0xddf2);
    }

    #[test]
    fn an_odd_last_byte_counts_as_the_high_one() {
        assert_eq!(Sum::default().add(&[0x12]).fold(), 0x1200);
    }
}
