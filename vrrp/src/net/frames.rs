//! The frames that tell a link who holds an address, as pure functions.
//!
//! Both are those of keepalived, byte for byte (`tests/golden`): a gratuitous ARP *request*
//! (RFC 9568 §8.1.2 leaves the form open) and an unsolicited neighbour advertisement (§8.2.2).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::packet::checksum;

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

pub(super) const ETHERTYPE_ARP: u16 = 0x0806;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;

const BROADCAST: Mac = [0xff; 6];

const ICMPV6: u8 = 58;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// RFC 4861 §4.4.
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const MESSAGE_LEN: u16 = 32;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];

/// A gratuitous ARP request (RFC 5227 §3): everybody who knows `vip` learns that it is at `mac`.
///
/// keepalived fills the target's hardware address, which means nothing in a request, with ones.
pub(super) fn gratuitous_arp(mac: Mac, vip: Ipv4Addr) -> [u8; 42] {
    const REQUEST: [u8; 8] = [
        0, 1, // hardware: Ethernet
        0x08, 0x00, // protocol: IPv4
        6, 4, // lengths of their addresses
        0, 1, // operation: request
    ];
    fill(&[
        &BROADCAST,
        &mac,
        &ETHERTYPE_ARP.to_be_bytes(),
        &REQUEST,
        &mac,
        &vip.octets(),
        &BROADCAST,
        &vip.octets(),
    ])
}

/// An unsolicited neighbour advertisement (RFC 4861 §7.2.6) to all nodes, from `vip` itself.
pub(super) fn neighbour_advertisement(mac: Mac, vip: Ipv6Addr, is_router: bool) -> [u8; 86] {
    let flags = OVERRIDE | if is_router { ROUTER } else { 0 };
    let mut message: [u8; MESSAGE_LEN as usize] = fill(&[
        &[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0],
        &[flags, 0, 0, 0],
        &vip.octets(),
        &[TARGET_LINK_LAYER_ADDRESS, 1],
        &mac,
    ]);
    let sum = checksum::with_pseudo_header(ICMPV6, &message, vip.into(), ALL_NODES.into());
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    fill(&[
        &ALL_NODES_MAC,
        &mac,
        &ETHERTYPE_IPV6.to_be_bytes(),
        &[0x60, 0, 0, 0],
        &MESSAGE_LEN.to_be_bytes(),
        &[ICMPV6, 255],
        &vip.octets(),
        &ALL_NODES.octets(),
        &message,
    ])
}

/// Puts the parts one after the other; they fill the frame exactly.
fn fill<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut frame = [0; N];
    let bytes = parts.iter().copied().flatten();
    debug_assert_eq!(bytes.clone().count(), N, "the parts fill the frame");
    for (to, from) in frame.iter_mut().zip(bytes) {
        *to = *from;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    /// The packets of a file of `tests/golden`, in hex.
    fn golden(file: &str) -> Vec<&str> {
        file.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .collect()
    }

    fn hex(frame: &[u8]) -> String {
        frame.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_gratuitous_arp_is_that_of_keepalived() {
        let expected = golden(include_str!("../../tests/golden/gratuitous-arp.hex"));
        let vips = ["192.0.2.100", "192.0.2.101", "198.51.100.1"];
        let ours = vips.map(|vip| hex(&gratuitous_arp(MAC, vip.parse().unwrap())));
        assert_eq!(expected.len(), 15);
        for burst in expected.chunks(vips.len()) {
            assert_eq!(burst, ours);
        }
    }

    #[test]
    fn a_neighbour_advertisement_is_that_of_keepalived() {
        let expected = golden(include_str!(
            "../../tests/golden/unsolicited-neighbour-advertisement.hex"
        ));
        let vips = ["fe80::100", "2001:db8::100"];
        let ours = vips.map(|vip| hex(&neighbour_advertisement(MAC, vip.parse().unwrap(), false)));
        assert_eq!(expected.len(), 10);
        for burst in expected.chunks(vips.len()) {
            assert_eq!(burst, ours);
        }
    }

    #[test]
    fn a_router_says_so() {
        let vip = "fe80::100".parse().unwrap();
        let host = neighbour_advertisement(MAC, vip, false);
        let router = neighbour_advertisement(MAC, vip, true);
        assert_eq!(host[58], OVERRIDE);
        assert_eq!(router[58], OVERRIDE | ROUTER);
        let message = &router[54..];
        let sum = checksum::with_pseudo_header(ICMPV6, message, vip.into(), ALL_NODES.into());
        assert_eq!(sum, 0, "the checksum covers the flag");
    }
}
