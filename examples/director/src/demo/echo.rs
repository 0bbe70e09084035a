//! ICMP echo requests and replies as bytes (RFC 792).

use std::net::Ipv4Addr;

/// What tells our probes from anybody else's. The network is private: any number would do.
const IDENTIFIER: u16 = 0x7670;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const PROTOCOL_ICMP: u8 = 1;

/// An echo request, from the ICMP header on.
pub(super) fn request(sequence: u16) -> [u8; 8] {
    let [identifier_high, identifier_low] = IDENTIFIER.to_be_bytes();
    let [sequence_high, sequence_low] = sequence.to_be_bytes();
    // The one's complement sum of the three words that are not zero (RFC 1071).
    let sum = u32::from(ECHO_REQUEST) * 256 + u32::from(IDENTIFIER) + u32::from(sequence);
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, checksum_high, checksum_low] = (!folded).to_be_bytes();
    [
        ECHO_REQUEST,
        0,
        checksum_high,
        checksum_low,
        identifier_high,
        identifier_low,
        sequence_high,
        sequence_low,
    ]
}

/// The sequence number of an IPv4 packet that is the reply of `from` to a request of ours.
pub(super) fn reply(packet: &[u8], from: Ipv4Addr) -> Option<u16> {
    let (&first, _) = packet.split_first()?;
    let header_len = usize::from(first & 0x0f) * 4;
    let (header, icmp) = packet.split_at_checked(header_len)?;
    let is_icmp = first >> 4 == 4 && header.get(9) == Some(&PROTOCOL_ICMP);
    if !is_icmp || header.get(12..16) != Some(&from.octets()) {
        return None;
    }
    let &[
        ECHO_REPLY,
        0,
        _,
        _,
        identifier_high,
        identifier_low,
        high,
        low,
    ] = icmp.get(..8)?
    else {
        return None;
    };
    (u16::from_be_bytes([identifier_high, identifier_low]) == IDENTIFIER)
        .then(|| u16::from_be_bytes([high, low]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

    #[test]
    fn the_checksum_makes_the_sum_of_a_request_all_ones() {
        for sequence in 0..=u16::MAX {
            let request = request(sequence);
            let sum: u32 = request
                .chunks(2)
                .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "sequence {sequence}");
        }
    }

    #[test]
    fn a_reply_tells_which_request_it_answers() {
        assert_eq!(reply(&packet(VIP, 0, 0xabcd), VIP), Some(0xabcd));
    }

    #[test]
    fn a_reply_may_have_ip_options_and_more_data() {
        let mut with_options = packet(VIP, 0, 7);
        with_options[0] = 0x46;
        with_options.splice(20..20, [1, 1, 1, 1]);
        with_options.extend([0xa5; 30]);

        assert_eq!(reply(&with_options, VIP), Some(7));
    }

    #[test]
    fn requests_of_others_and_replies_of_others_are_not_ours() {
        assert_eq!(reply(&packet(VIP, 8, 1), VIP), None);
        assert_eq!(reply(&packet(Ipv4Addr::new(192, 0, 2, 1), 0, 1), VIP), None);
        let mut udp = packet(VIP, 0, 1);
        udp[9] = 17;
        assert_eq!(reply(&udp, VIP), None);
    }

    #[test]
    fn a_packet_cut_short_anywhere_is_no_reply() {
        let whole = packet(VIP, 0, 1);
        for length in 0..whole.len() {
            assert_eq!(reply(&whole[..length], VIP), None, "{length} bytes");
        }
    }

    fn packet(from: Ipv4Addr, icmp_type: u8, sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, PROTOCOL_ICMP, 0, 0];
        packet.extend(from.octets());
        packet.extend([192, 0, 2, 10]);
        packet.extend(request(sequence));
        packet[20] = icmp_type;
        packet
    }
}
