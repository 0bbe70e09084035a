//! ICMP echo messages (RFC 792, RFC 4443 §4) and the errors that come instead of a reply.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an ICMP header.
const HEADER: usize = 8;
/// What follows it, as much as ping(8) sends: our number first, then nothing of interest.
const PAYLOAD: usize = 56;

/// The version of IP, each of which has its own ICMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V4,
    V6,
}

impl Version {
    pub(super) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    const fn request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    const fn reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }
}

/// What an echo is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Echo {
    /// The socket's number. The kernel chooses it for a socket that is not raw.
    pub(super) id: u16,
    /// The echo's number.
    pub(super) sequence: u16,
    /// What a stranger cannot guess.
    pub(super) cookie: u64,
}

impl Echo {
    /// The request as bytes. The kernel fills in the checksum of ICMPv6.
    pub(super) fn request(self, version: Version) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + PAYLOAD);
        bytes.extend([version.request(), 0, 0, 0]);
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.cookie.to_be_bytes());
        bytes.resize(HEADER + PAYLOAD, 0);
        if version == Version::V4 {
            let sum = checksum(&bytes).to_be_bytes();
            if let Some(field) = bytes.get_mut(2..4) {
                field.copy_from_slice(&sum);
            }
        }
        bytes
    }

    /// Reads a reply, with the IPv4 header in front of it if a raw socket has left it there.
    pub(super) fn from_reply(bytes: &[u8], version: Version, with_header: bool) -> Option<Self> {
        let bytes = if with_header {
            let words = usize::from(bytes.first()? & 0x0f);
            bytes.get(4 * words..)?
        } else {
            bytes
        };
        let (id, sequence) = numbers(bytes, version.reply())?;
        let cookie = bytes.get(HEADER..)?.first_chunk()?;
        Some(Self {
            id,
            sequence,
            cookie: u64::from_be_bytes(*cookie),
        })
    }
}

/// Reads the identifier and the sequence number of the request that an error quotes. More of it
/// need not be there (RFC 792).
pub(super) fn quoted(bytes: &[u8], version: Version) -> Option<(u16, u16)> {
    numbers(bytes, version.request())
}

fn numbers(bytes: &[u8], kind: u8) -> Option<(u16, u16)> {
    let &[found, 0, _, _, id, id2, sequence, sequence2] = bytes.first_chunk::<HEADER>()? else {
        return None;
    };
    (found == kind).then_some((
        u16::from_be_bytes([id, id2]),
        u16::from_be_bytes([sequence, sequence2]),
    ))
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u32::from(u16::from_be_bytes([high, low])),
            [high] => u32::from(u16::from_be_bytes([high, 0])),
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = sum.to_be_bytes();
    !u16::from_be_bytes([high, low])
}

/// The address in a `sockaddr` of the kernel.
pub(super) fn address(sockaddr: &[u8]) -> Option<IpAddr> {
    let family = libc::c_int::from(u16::from_ne_bytes(*sockaddr.first_chunk()?));
    match family {
        libc::AF_INET => {
            let bytes: &[u8; 4] = sockaddr.get(4..)?.first_chunk()?;
            Some(Ipv4Addr::from(*bytes).into())
        }
        libc::AF_INET6 => {
            let bytes: &[u8; 16] = sockaddr.get(8..)?.first_chunk()?;
            Some(Ipv6Addr::from(*bytes).into())
        }
        _ => None,
    }
}

/// An error that the kernel has queued (`struct sock_extended_err` of ip(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Queued {
    pub(super) errno: i32,
    /// Type and code, of an ICMP message.
    pub(super) icmp: Option<(u8, u8)>,
    /// Who sent it.
    pub(super) by: Option<IpAddr>,
}

impl Queued {
    /// Finds the error among control messages (cmsg(3)).
    pub(super) fn from_control(mut control: &[u8]) -> Option<Self> {
        const WORD: usize = size_of::<usize>();
        const CONTROL_HEADER: usize = (WORD + 8).next_multiple_of(WORD);
        loop {
            let length = usize::from_ne_bytes(*control.first_chunk::<WORD>()?);
            let level = i32::from_ne_bytes(*control.get(WORD..)?.first_chunk()?);
            let kind = i32::from_ne_bytes(*control.get(WORD + 4..)?.first_chunk()?);
            let data = control.get(CONTROL_HEADER..length)?;
            if (level, kind) == (libc::IPPROTO_IP, libc::IP_RECVERR)
                || (level, kind) == (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
            {
                return Self::from_data(data);
            }
            control = control.get(length.next_multiple_of(WORD)..)?;
        }
    }

    fn from_data(data: &[u8]) -> Option<Self> {
        let errno = i32::from_ne_bytes(*data.first_chunk()?);
        let &[origin, kind, code, _] = data.get(4..)?.first_chunk()?;
        let icmp = matches!(origin, libc::SO_EE_ORIGIN_ICMP | libc::SO_EE_ORIGIN_ICMP6);
        Some(Self {
            errno,
            icmp: icmp.then_some((kind, code)),
            by: data.get(16..).and_then(address),
        })
    }
}

/// What an ICMP error says, in words.
pub(super) const fn meaning(version: Version, kind: u8, code: u8) -> &'static str {
    match (version, kind, code) {
        (Version::V4, 3, 0 | 6) => "its network cannot be reached",
        (Version::V4, 3, 1 | 7) | (Version::V6, 1, 3) => "it cannot be reached",
        (Version::V4, 3, 2) | (Version::V6, 4, 1) => "it does not speak ICMP",
        (Version::V4, 3, 4) | (Version::V6, 2, _) => "the packet is too big for the way to it",
        (Version::V4, 3, 9 | 10 | 13) | (Version::V6, 1, 1 | 5 | 6) => "a firewall forbids it",
        (Version::V4, 11, _) | (Version::V6, 3, _) => "packets to it run in circles",
        (Version::V6, 1, 0) => "there is no route to it",
        (Version::V6, 1, 2) => "the source address is not valid there",
        (Version::V4 | Version::V6, _, _) => "packets to it are sent back",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply_to(request: &[u8], version: Version) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[0] = version.reply();
        reply
    }

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        // The example of RFC 1071 §3, complemented.
        let sum = checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum, !0xddf2);
        let request = Echo {
            id: 1,
            sequence: 2,
            cookie: 3,
        }
        .request(Version::V4);
        assert_eq!(checksum(&request), 0);
    }

    #[test]
    fn an_ipv4_header_with_options_is_passed_over() {
        let echo = Echo {
            id: 1,
            sequence: 2,
            cookie: 3,
        };
        let mut bytes = vec![0; 24];
        bytes[0] = 0x46;
        bytes.extend(reply_to(&echo.request(Version::V4), Version::V4));
        assert_eq!(Echo::from_reply(&bytes, Version::V4, true), Some(echo));
        assert_eq!(Echo::from_reply(&bytes[..39], Version::V4, true), None);
    }

    #[test]
    fn our_own_request_seen_on_loopback_is_no_reply() {
        let request = Echo {
            id: 1,
            sequence: 2,
            cookie: 3,
        }
        .request(Version::V6);
        assert_eq!(Echo::from_reply(&request, Version::V6, false), None);
        assert_eq!(quoted(&request[..8], Version::V6), Some((1, 2)));
    }

    #[test]
    fn an_error_is_found_behind_other_control_messages() {
        let message = |level: i32, kind: i32, data: &[u8]| {
            let mut bytes = (16 + data.len()).to_ne_bytes().to_vec();
            bytes.extend(level.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(data);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let mut data = libc::EHOSTUNREACH.to_ne_bytes().to_vec();
        data.extend([libc::SO_EE_ORIGIN_ICMP, 3, 1, 0]);
        data.extend([0; 8]);
        data.extend(
            libc::sa_family_t::try_from(libc::AF_INET)
                .unwrap()
                .to_ne_bytes(),
        );
        data.extend([0, 0, 192, 0, 2, 1]);
        let mut control = message(libc::SOL_SOCKET, libc::SO_TIMESTAMP, &[0; 5]);
        control.extend(message(libc::IPPROTO_IP, libc::IP_RECVERR, &data));
        let expected = Queued {
            errno: libc::EHOSTUNREACH,
            icmp: Some((3, 1)),
            by: Some("192.0.2.1".parse().unwrap()),
        };
        assert_eq!(Queued::from_control(&control), Some(expected));
        for end in 0..control.len() - 8 {
            assert_ne!(Queued::from_control(&control[..end]), Some(expected));
        }
    }

    proptest! {
        #[test]
        fn a_reply_carries_the_numbers_of_its_request(
            id: u16, sequence: u16, cookie: u64, v6: bool,
        ) {
            let version = if v6 { Version::V6 } else { Version::V4 };
            let echo = Echo { id, sequence, cookie };
            let reply = reply_to(&echo.request(version), version);
            prop_assert_eq!(Echo::from_reply(&reply, version, false), Some(echo));
            for end in 0..16 {
                prop_assert_eq!(Echo::from_reply(&reply[..end], version, false), None);
            }
        }

        #[test]
        fn nothing_that_arrives_makes_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200), header: bool,
        ) {
            let _echo = Echo::from_reply(&bytes, Version::V4, header);
            let _numbers = quoted(&bytes, Version::V6);
            let _address = address(&bytes);
            let _queued = Queued::from_control(&bytes);
        }
    }
}
