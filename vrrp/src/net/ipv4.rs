//! The IPv4 header (RFC 791), which a raw socket takes and shows with the data.

use std::net::Ipv4Addr;

use crate::IP_PROTOCOL;

/// Length of a header without options, in bytes.
const HEADER_LEN: usize = 20;
const VERSION_AND_HEADER_WORDS: u8 = 0x45;

/// A header for a VRRP message. The kernel fills in total length, identification and checksum
/// (raw(7), `IP_HDRINCL`); don't-fragment is clear, as keepalived sends it.
pub(super) fn header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ttl: u8,
    type_of_service: u8,
) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[0] = VERSION_AND_HEADER_WORDS;
    header[1] = type_of_service;
    header[8] = ttl;
    header[9] = IP_PROTOCOL;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    header
}

/// A packet as a raw socket receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) ttl: u8,
    pub(super) payload: &'a [u8],
}

/// Takes a packet apart. `None`: it is no IPv4, or shorter than its header says.
pub(super) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let header = bytes.first_chunk::<HEADER_LEN>()?;
    let header_len = usize::from(header[0] & 0xf) * 4;
    let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] >> 4 != 4 || header_len < HEADER_LEN {
        return None;
    }
    Some(Packet {
        source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
        destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
        ttl: header[8],
        payload: bytes.get(header_len..total_len)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

    fn packet(options: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut bytes = header(SOURCE, GROUP, 255, 0xc0).to_vec();
        bytes.extend(options);
        bytes.extend(payload);
        bytes[0] = 0x40 | u8::try_from((HEADER_LEN + options.len()) / 4).unwrap();
        let total_len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&total_len.to_be_bytes());
        bytes
    }

    #[test]
    fn a_packet_comes_apart() {
        let bytes = packet(&[], b"message");
        let expected = Packet {
            source: SOURCE,
            destination: GROUP,
            ttl: 255,
            payload: b"message",
        };
        assert_eq!(parse(&bytes), Some(expected));
    }

    #[test]
    fn options_are_not_part_of_the_message() {
        for words in 1..=10 {
            let bytes = packet(&vec![1; words * 4], b"message");
            assert_eq!(parse(&bytes).unwrap().payload, b"message");
        }
    }

    #[test]
    fn padding_behind_the_total_length_is_not_part_of_the_message() {
        let mut bytes = packet(&[], b"message");
        bytes.extend([0; 19]);
        assert_eq!(parse(&bytes).unwrap().payload, b"message");
    }

    #[test]
    fn a_packet_cut_short_anywhere_is_none() {
        let bytes = packet(&[1; 4], b"message");
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]), None, "{length}");
        }
    }

    #[test]
    fn a_header_shorter_than_a_header_is_none() {
        let mut bytes = packet(&[], b"message");
        for words in 0..5 {
            bytes[0] = 0x40 | words;
            assert_eq!(parse(&bytes), None);
        }
        bytes[0] = 0x65;
        assert_eq!(parse(&bytes), None, "version 6");
    }

    #[test]
    fn a_total_length_within_the_header_is_none() {
        let mut bytes = packet(&[], b"message");
        bytes[2..4].copy_from_slice(&19_u16.to_be_bytes());
        assert_eq!(parse(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}
