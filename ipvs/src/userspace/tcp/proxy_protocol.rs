//! The header of the PROXY protocol, by which a server is told who its client is.

use std::net::IpAddr;

use crate::{Endpoint, userspace::ProxyProtocol};

/// What begins a header of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, command PROXY.
const V2_PROXY: u8 = 0x21;
const V2_TCP_OVER_IPV4: u8 = 0x11;
const V2_TCP_OVER_IPV6: u8 = 0x21;

/// The header of a TCP connection of a client to a virtual address. Both are of one family, or of
/// none that could be told.
pub(super) fn header(version: ProxyProtocol, client: Endpoint, to: Endpoint) -> Vec<u8> {
    match version {
        ProxyProtocol::V1 => text(client, to).into_bytes(),
        ProxyProtocol::V2 => binary(client, to),
    }
}

fn text(client: Endpoint, to: Endpoint) -> String {
    let family = match (client.address, to.address) {
        (IpAddr::V4(_), IpAddr::V4(_)) => "TCP4",
        (IpAddr::V6(_), IpAddr::V6(_)) => "TCP6",
        _ => return "PROXY UNKNOWN\r\n".to_owned(),
    };
    format!(
        "PROXY {family} {} {} {} {}\r\n",
        client.address, to.address, client.port, to.port
    )
}

fn binary(client: Endpoint, to: Endpoint) -> Vec<u8> {
    let mut addresses = Vec::with_capacity(36);
    let family = match (client.address, to.address) {
        (IpAddr::V4(client), IpAddr::V4(to)) => {
            addresses.extend(client.octets());
            addresses.extend(to.octets());
            V2_TCP_OVER_IPV4
        }
        (IpAddr::V6(client), IpAddr::V6(to)) => {
            addresses.extend(client.octets());
            addresses.extend(to.octets());
            V2_TCP_OVER_IPV6
        }
        _ => 0,
    };
    if family != 0 {
        addresses.extend(client.port.to_be_bytes());
        addresses.extend(to.port.to_be_bytes());
    }
    let length = u16::try_from(addresses.len()).expect("at most 36");
    let mut header = SIGNATURE.to_vec();
    header.extend([V2_PROXY, family]);
    header.extend(length.to_be_bytes());
    header.extend(addresses);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        text.parse().unwrap()
    }

    #[test]
    fn version_1_is_a_line() {
        let header = |client, to| text(at(client), at(to));
        assert_eq!(
            header("192.0.2.7:4012", "10.1.0.100:80"),
            "PROXY TCP4 192.0.2.7 10.1.0.100 4012 80\r\n"
        );
        assert_eq!(
            header("[2001:db8::7]:4012", "[fd00::100]:443"),
            "PROXY TCP6 2001:db8::7 fd00::100 4012 443\r\n"
        );
    }

    #[test]
    fn version_2_is_the_bytes_of_its_specification() {
        let v2 = |client, to| header(ProxyProtocol::V2, at(client), at(to));
        let mut expected = vec![13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10];
        expected.extend([
            0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 1, 0, 100, 0x0f, 0xac, 0, 80,
        ]);
        assert_eq!(v2("192.0.2.7:4012", "10.1.0.100:80"), expected);
        let header = v2("[2001:db8::7]:4012", "[fd00::100]:443");
        assert_eq!((header.len(), header[13], header[15]), (52, 0x21, 36));
    }
}
