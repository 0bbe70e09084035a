//! The body of the fuzz target `advert`, which the property tests of `vrrp` run too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp::{Packet, ParseError};

/// Parses any bytes as a message over each family; what is one has to mean the same after it was
/// sent again.
pub fn parse_emit_parse(bytes: &[u8]) {
    let v4 = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(224, 0, 0, 18)].map(IpAddr::V4);
    let v6 = [
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1),
        Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12),
    ]
    .map(IpAddr::V6);
    for [source, destination] in [v4, v6] {
        let packet = match Packet::parse(bytes, source, destination) {
            Ok(packet) => packet,
            Err(error) => {
                check_error(bytes, &error);
                continue;
            }
        };
        let advert = packet.to_advertisement(None);
        assert_eq!(advert.wire_len(), bytes.len());
        assert_eq!(packet.to_advertisement(Some(advert.addresses())), advert);
        let mut again = Vec::new();
        advert.emit(&mut again, packet.checksum(), source, destination);
        let packet = Packet::parse(&again, source, destination).expect("it was emitted");
        assert_eq!(packet.to_advertisement(None), advert);
    }
}

fn check_error(bytes: &[u8], error: &ParseError) {
    assert!(!error.to_string().is_empty());
    if let ParseError::TooShort { length } | ParseError::Length { length, .. } = error {
        assert_eq!(*length, bytes.len());
    }
}
