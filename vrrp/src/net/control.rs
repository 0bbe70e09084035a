//! Control messages of IPv6 packets (RFC 3542): the fields of the IPv6 header that a raw socket
//! neither shows nor takes with the data.
//!
//! A control message is a `cmsghdr` (length, level, type) and its data, both padded to the size of
//! a word. Here they are written and read as bytes, so nothing depends on how a buffer is aligned.

use std::net::Ipv6Addr;

use libc::c_int;

const WORD: usize = size_of::<usize>();
/// The kernel's `cmsghdr`: a word and two `int`s. (A C library may declare the word in two parts.)
const HEADER_LEN: usize = WORD + 2 * size_of::<c_int>();
const PACKET_INFO_LEN: usize = size_of::<Ipv6Addr>() + size_of::<u32>();

const fn space(data_len: usize) -> usize {
    HEADER_LEN + data_len.next_multiple_of(WORD)
}

/// Room for what [`outgoing`] writes, and for what the kernel writes on packets received.
pub(super) const SPACE: usize = space(PACKET_INFO_LEN) + 2 * space(size_of::<c_int>());

/// The control messages of a packet to be sent: source and interface, hop limit, traffic class.
pub(super) fn outgoing(
    source: Ipv6Addr,
    interface: u32,
    hop_limit: u8,
    traffic_class: u8,
) -> [u8; SPACE] {
    let mut packet_info = [0; PACKET_INFO_LEN];
    let (address, index) = packet_info.split_at_mut(size_of::<Ipv6Addr>());
    address.copy_from_slice(&source.octets());
    index.copy_from_slice(&interface.to_ne_bytes());

    let mut buffer = [0; SPACE];
    let rest = append(&mut buffer, libc::IPV6_PKTINFO, &packet_info);
    let rest = append(
        rest,
        libc::IPV6_HOPLIMIT,
        &c_int::from(hop_limit).to_ne_bytes(),
    );
    append(
        rest,
        libc::IPV6_TCLASS,
        &c_int::from(traffic_class).to_ne_bytes(),
    );
    buffer
}

fn append<'a>(buffer: &'a mut [u8], kind: c_int, data: &[u8]) -> &'a mut [u8] {
    let (message, rest) = buffer.split_at_mut(space(data.len()));
    let (header, body) = message.split_at_mut(HEADER_LEN);
    let (length, level_and_kind) = header.split_at_mut(WORD);
    let (level, kind_field) = level_and_kind.split_at_mut(size_of::<c_int>());
    length.copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
    level.copy_from_slice(&libc::IPPROTO_IPV6.to_ne_bytes());
    kind_field.copy_from_slice(&kind.to_ne_bytes());
    for (to, from) in body.iter_mut().zip(data) {
        *to = *from;
    }
    rest
}

/// What the control messages of a packet received tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    /// Where it was sent to.
    pub(super) destination: Option<Ipv6Addr>,
    /// The hop limit it arrived with.
    pub(super) hop_limit: Option<u8>,
}

/// Reads control messages; what is unknown, malformed or cut short is as if it were not there.
pub(super) fn incoming(control: &[u8]) -> Incoming {
    let mut found = Incoming::default();
    for (level, kind, data) in Messages(control) {
        match (level, kind) {
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                found.destination = data.first_chunk::<16>().copied().map(Ipv6Addr::from);
            }
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                found.hop_limit = data
                    .first_chunk()
                    .and_then(|limit| u8::try_from(c_int::from_ne_bytes(*limit)).ok());
            }
            _ => {}
        }
    }
    found
}

/// The control messages in a buffer: level, type, data.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (c_int, c_int, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, _) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length);
        let data = self.0.get(HEADER_LEN..length)?;
        self.0 = self
            .0
            .get(length.next_multiple_of(WORD)..)
            .unwrap_or_default();
        Some((
            c_int::from_ne_bytes(*level),
            c_int::from_ne_bytes(*kind),
            data,
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOURCE: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn what_is_written_can_be_read() {
        let found = incoming(&outgoing(SOURCE, 7, 64, 0xc0));
        let expected = Incoming {
            destination: Some(SOURCE),
            hop_limit: Some(64),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_layout_is_that_of_the_c_macros() {
        assert_eq!(HEADER_LEN, size_of::<libc::cmsghdr>());
        assert_eq!(PACKET_INFO_LEN, size_of::<libc::in6_pktinfo>());
    }

    #[test]
    fn cut_short_anywhere_nothing_is_invented() {
        let whole = outgoing(SOURCE, 7, 64, 0xc0);
        for length in 0..whole.len() {
            let found = incoming(&whole[..length]);
            assert!(found.destination.is_none_or(|found| found == SOURCE));
            assert!(found.hop_limit.is_none_or(|found| found == 64));
        }
        assert_eq!(incoming(&whole[..HEADER_LEN + 15]), Incoming::default());
    }

    #[test]
    fn a_message_that_claims_the_whole_address_space_ends_the_list() {
        let mut control = outgoing(SOURCE, 7, 64, 0xc0);
        for length in [0, 1, HEADER_LEN - 1, usize::MAX - 7, usize::MAX] {
            control[..WORD].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(incoming(&control), Incoming::default(), "{length}");
        }
    }

    #[test]
    fn a_hop_limit_out_of_range_is_none() {
        for limit in [-1, 256, c_int::MAX] {
            let mut control = [0; space(4)];
            append(&mut control, libc::IPV6_HOPLIMIT, &limit.to_ne_bytes());
            assert_eq!(incoming(&control).hop_limit, None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>) {
            incoming(&bytes);
        }

        #[test]
        fn any_damage_is_read_to_its_end(at in 0..SPACE, byte: u8) {
            let mut control = outgoing(SOURCE, 7, 64, 0xc0);
            control[at] = byte;
            incoming(&control);
        }
    }
}
