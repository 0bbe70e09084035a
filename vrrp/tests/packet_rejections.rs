//! Each way in which a message can be malformed is found, named and counted.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that goes wrong may panic"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp::{
    Addresses, AdvertInterval, Advertisement, Authentication, Checksum, Family, Packet, ParseError,
    Priority, RejectReason, Vrid,
};

const SOURCE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const SOURCE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

#[test]
fn the_messages_that_the_others_are_made_from_are_good() {
    v2().parse().unwrap();
    v3().parse().unwrap();
    v6().parse().unwrap();
}

#[test]
fn nothing_at_all_is_too_short() {
    let error = ParseError::TooShort { length: 0 };
    v3().cut(0).is_rejected(error, RejectReason::Length);
}

#[test]
fn seven_bytes_are_too_short() {
    let error = ParseError::TooShort { length: 7 };
    v3().cut(7).is_rejected(error, RejectReason::Length);
}

#[test]
fn a_missing_byte_is_a_wrong_length() {
    let error = ParseError::Length {
        length: 11,
        expected: 12,
    };
    v3().cut(11).is_rejected(error, RejectReason::Length);
}

#[test]
fn a_byte_too_many_is_a_wrong_length() {
    let error = ParseError::Length {
        length: 21,
        expected: 20,
    };
    v2().with_byte(20, 0)
        .is_rejected(error, RejectReason::Length);
}

#[test]
fn version_2_without_authentication_data_is_a_wrong_length() {
    let error = ParseError::Length {
        length: 12,
        expected: 20,
    };
    v2().cut(12).is_rejected(error, RejectReason::Length);
}

#[test]
fn more_addresses_announced_than_there_are_is_a_wrong_length() {
    let error = ParseError::Length {
        length: 24,
        expected: 8 + 255 * 16,
    };
    let message = v6().with_byte(3, 255);
    message.is_rejected(error, RejectReason::Length);
}

#[test]
fn versions_1_and_4_do_not_exist() {
    for number in [0, 1, 4, 15] {
        let message = v3().with_byte(0, number << 4 | 1);
        let family = Family::V4;
        message.is_rejected(
            ParseError::Version { number, family },
            RejectReason::Version,
        );
    }
}

#[test]
fn version_2_does_not_come_over_ipv6() {
    let error = ParseError::Version {
        number: 2,
        family: Family::V6,
    };
    v6().with_byte(0, 0x21)
        .is_rejected(error, RejectReason::Version);
}

#[test]
fn a_type_other_than_advertisement_is_rejected() {
    for number in [0, 2, 15] {
        let message = v3().with_byte(0, 0x30 | number);
        message.is_rejected(ParseError::Type { number }, RejectReason::Type);
    }
}

#[test]
fn a_wrong_checksum_is_rejected_in_every_version() {
    for message in [v2(), v3(), v6()] {
        let wrong = message.bytes[7] ^ 0x40;
        let message = message.with_byte(7, wrong);
        message.is_rejected(ParseError::Checksum, RejectReason::Checksum);
    }
}

#[test]
fn a_checksum_over_the_message_alone_is_wrong_over_ipv6() {
    let message = v6().with_byte(6, 0).with_byte(7, 0).summed();
    message.is_rejected(ParseError::Checksum, RejectReason::Checksum);
}

#[test]
fn a_checksum_with_a_pseudo_header_is_wrong_in_version_2() {
    // 192.0.2.1, 224.0.0.18, protocol, length
    let pseudo_header = 0xc000 + 0x0201 + 0xe000 + 0x0012 + 112 + 20;
    let message = v2().summed_after(pseudo_header);
    message.is_rejected(ParseError::Checksum, RejectReason::Checksum);
}

#[test]
fn a_checksum_for_other_addresses_is_wrong() {
    let mut message = v6();
    message.source = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2));
    message.is_rejected(ParseError::Checksum, RejectReason::Checksum);
}

#[test]
fn authentication_types_other_than_none_and_password_are_rejected() {
    for kind in [2, 254] {
        let message = v2().with_byte(4, kind).summed();
        message.is_rejected(
            ParseError::Authentication { kind },
            RejectReason::Authentication,
        );
    }
}

#[test]
fn an_interval_of_zero_is_rejected_in_every_version() {
    let message = v2().with_byte(5, 0).summed();
    message.is_rejected(ParseError::Interval, RejectReason::AdvertInterval);
    // The upper half of the first byte is reserved and no part of it.
    let message = v3().with_byte(4, 0xf0).with_byte(5, 0).summed();
    message.is_rejected(ParseError::Interval, RejectReason::AdvertInterval);
}

#[test]
fn a_list_without_addresses_is_rejected_in_every_version() {
    let mut two = v2().with_byte(3, 0);
    two.bytes.drain(8..12);
    let three = v3().with_byte(3, 0).cut(8);
    for message in [two.summed(), three.summed()] {
        message.is_rejected(ParseError::NoAddresses, RejectReason::AddressList);
    }
}

#[test]
fn virtual_router_0_is_rejected() {
    let message = v3().with_byte(1, 0).summed();
    message.is_rejected(ParseError::Vrid, RejectReason::Vrid);
}

#[test]
fn reserved_bits_are_ignored_as_rfc_9568_wants_it() {
    let message = v3().with_byte(4, 0xf0).summed();
    assert_eq!(message.parse().unwrap(), v3().parse().unwrap());
}

/// A message on its way.
struct Message {
    bytes: Vec<u8>,
    source: IpAddr,
}

impl Message {
    fn new(advert: &Advertisement, source: IpAddr) -> Self {
        let mut bytes = Vec::new();
        let destination = Family::of(source).multicast_group();
        advert.emit(&mut bytes, Checksum::Message, source, destination);
        Self { bytes, source }
    }

    fn parse(&self) -> Result<Advertisement, ParseError> {
        let destination = Family::of(self.source).multicast_group();
        Packet::parse(&self.bytes, self.source, destination)
            .map(|packet| packet.to_advertisement(None))
    }

    #[track_caller]
    fn is_rejected(&self, error: ParseError, reason: RejectReason) {
        assert_eq!(self.parse(), Err(error.clone()));
        assert_eq!(error.reason(), reason);
    }

    fn cut(mut self, length: usize) -> Self {
        self.bytes.truncate(length);
        self
    }

    /// With another byte, or with one more at the end.
    fn with_byte(mut self, at: usize, byte: u8) -> Self {
        if at == self.bytes.len() {
            self.bytes.push(0);
        }
        self.bytes[at] = byte;
        self
    }

    /// With a checksum over the message alone that is right.
    fn summed(self) -> Self {
        self.summed_after(0)
    }

    /// With a checksum over something that comes to `before`, and the message.
    fn summed_after(mut self, before: u64) -> Self {
        self.bytes[6..8].fill(0);
        let words = self.bytes.chunks(2);
        let sum: u64 = words
            .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        let folded = u16::try_from((before + sum) % 0xffff).unwrap();
        self.bytes[6..8].copy_from_slice(&(!folded).to_be_bytes());
        self
    }
}

fn v2() -> Message {
    let (vrid, priority, interval) = common();
    let addresses = Addresses::new([IpAddr::from([192, 0, 2, 100])]).unwrap();
    let advert =
        Advertisement::v2(vrid, priority, interval, addresses, Authentication::None).unwrap();
    Message::new(&advert, SOURCE_V4)
}

fn v3() -> Message {
    let (vrid, priority, interval) = common();
    let addresses = Addresses::new([IpAddr::from([192, 0, 2, 100])]).unwrap();
    let advert = Advertisement::v3(vrid, priority, interval, addresses).unwrap();
    Message::new(&advert, SOURCE_V4)
}

fn v6() -> Message {
    let (vrid, priority, interval) = common();
    let addresses = Addresses::new([SOURCE_V6]).unwrap();
    let advert = Advertisement::v3(vrid, priority, interval, addresses).unwrap();
    Message::new(&advert, SOURCE_V6)
}

fn common() -> (Vrid, Priority, AdvertInterval) {
    let vrid = Vrid::new(51).unwrap();
    (vrid, Priority::DEFAULT, AdvertInterval::DEFAULT)
}
