//! What holds for every advertisement, and for every message.

use std::{fs, net::IpAddr};

use proptest::prelude::*;
use vrrp::{Advertisement, Checksum, Family, Packet, ParseError, Version, strategy};

#[path = "../../fuzz/src/advert.rs"]
#[expect(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod advert;

proptest! {
    #[test]
    fn what_was_emitted_is_parsed_and_carries_the_checksum_asked_for(sent in sent()) {
        let (advert, checksum) = sent.parse(&sent.message).unwrap();
        prop_assert_eq!(&advert, &sent.advert);
        let expected = match (advert.version(), advert.addresses().family()) {
            (Version::V2, _) => Checksum::Message,
            (Version::V3, Family::V6) => Checksum::PseudoHeader,
            // Where both conventions come to the same sum, the first is told.
            (Version::V3, Family::V4) if sent.with(Checksum::Message) == sent.message => {
                Checksum::Message
            }
            (Version::V3, Family::V4) => sent.checksum,
        };
        prop_assert_eq!(checksum, expected);
    }

    #[test]
    fn what_was_parsed_is_emitted_byte_by_byte(sent in sent()) {
        let (advert, checksum) = sent.parse(&sent.message).unwrap();
        let mut again = Vec::new();
        advert.emit(&mut again, checksum, sent.source, sent.destination);
        prop_assert_eq!(again, sent.message);
    }

    #[test]
    fn emit_appends_wire_len_bytes_and_keeps_what_is_there(
        sent in sent(),
        before in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut buffer = before.clone();
        sent.emit(&mut buffer);
        let (kept, message) = buffer.split_at(before.len());
        prop_assert_eq!(kept, before);
        prop_assert_eq!(message, &sent.message);
        prop_assert_eq!(message.len(), sent.advert.wire_len());
    }

    #[test]
    fn the_addresses_of_the_last_advertisement_are_shared_only_if_they_are_the_same(
        sent in sent(),
        other in strategy::family().prop_flat_map(strategy::addresses),
    ) {
        let packet = Packet::parse(&sent.message, sent.source, sent.destination).unwrap();
        for last in [sent.advert.addresses(), &other] {
            prop_assert_eq!(&packet.to_advertisement(Some(last)), &sent.advert);
        }
        prop_assert!(packet.addresses().eq(sent.advert.addresses().iter()));
    }

    #[test]
    fn every_truncation_is_an_error_of_length(sent in sent()) {
        for length in 0..sent.message.len() {
            let error = sent.parse(&sent.message[..length]).unwrap_err();
            let short = matches!(
                error,
                ParseError::TooShort { length: found } | ParseError::Length { length: found, .. }
                    if found == length
            );
            prop_assert!(short, "{}: {}", length, error);
        }
    }

    #[test]
    fn every_byte_too_many_is_an_error_of_length(
        sent in sent(),
        rest in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let longer = [&sent.message[..], &rest].concat();
        let error = sent.parse(&longer).unwrap_err();
        prop_assert!(matches!(error, ParseError::Length { .. }), "{}", error);
    }

    #[test]
    fn a_flipped_bit_never_passes_for_the_original(sent in sent()) {
        let original = Ok(sent.parse(&sent.message).unwrap());
        // The rest of a long list of addresses is all alike.
        for at in 0..sent.message.len().min(64) {
            for bit in 0..8 {
                let mut flipped = sent.message.clone();
                flipped[at] ^= 1 << bit;
                // Over IPv4, version 3 has two good checksums: a flip can turn one into the other.
                prop_assert_ne!(&sent.parse(&flipped), &original);
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_rejected_where_there_is_but_one_checksum(
        sent in sent().prop_filter("two checksums", |sent| !sent.has_two_checksums()),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u32,
    ) {
        let mut flipped = sent.message.clone();
        flipped[at.index(sent.message.len())] ^= 1_u8 << bit;
        prop_assert!(sent.parse(&flipped).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_parsed_or_rejected_and_mean_the_same_when_sent_again(
        bytes in proptest::collection::vec(any::<u8>(), 0..1100),
    ) {
        advert::parse_emit_parse(&bytes);
    }

    #[test]
    fn good_messages_with_some_bytes_changed_are_parsed_or_rejected(
        sent in sent(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut message = sent.message;
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        advert::parse_emit_parse(&message);
    }
}

#[test]
fn what_the_fuzzer_found_is_parsed_or_rejected() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/advert");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().collect();
    assert!(files.len() > 10, "{} files in {corpus}", files.len());
    for file in files {
        advert::parse_emit_parse(&fs::read(file.unwrap().path()).unwrap());
    }
}

/// An advertisement, and how it was sent.
#[derive(Debug, Clone)]
struct Sent {
    advert: Advertisement,
    checksum: Checksum,
    source: IpAddr,
    destination: IpAddr,
    message: Vec<u8>,
}

impl Sent {
    fn emit(&self, buffer: &mut Vec<u8>) {
        self.advert
            .emit(buffer, self.checksum, self.source, self.destination);
    }

    /// The message, had it been sent with this checksum.
    fn with(&self, checksum: Checksum) -> Vec<u8> {
        let mut message = Vec::new();
        self.advert
            .emit(&mut message, checksum, self.source, self.destination);
        message
    }

    fn parse(&self, message: &[u8]) -> Result<(Advertisement, Checksum), ParseError> {
        let packet = Packet::parse(message, self.source, self.destination)?;
        Ok((packet.to_advertisement(None), packet.checksum()))
    }

    fn has_two_checksums(&self) -> bool {
        self.advert.version() == Version::V3 && self.source.is_ipv4()
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    (strategy::advertisement(), strategy::checksum()).prop_flat_map(|(advert, checksum)| {
        let family = advert.addresses().family();
        let destination = prop_oneof![Just(family.multicast_group()), strategy::address(family),];
        (strategy::address(family), destination).prop_map(move |(source, destination)| {
            let sent = Sent {
                advert: advert.clone(),
                checksum,
                source,
                destination,
                message: Vec::new(),
            };
            let message = sent.with(checksum);
            Sent { message, ..sent }
        })
    })
}
