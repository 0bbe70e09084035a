//! Advertisements that keepalived 2.2.7 put on the wire (`golden/README.md`).
//!
//! What each means is read from tcpdump's line above it: a second decoder, not this one, says what
//! is right.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that goes wrong may panic"
)]

use std::{fs, net::IpAddr, path::Path};

use vrrp::{
    Addresses, AdvertInterval, Advertisement, Authentication, Checksum, Family, IP_PROTOCOL,
    Packet, Password, Priority, Version, Vrid,
};

/// Files with advertisements, and how many there are.
const FILES: [(&str, usize); 6] = [
    ("v2-multicast-ipv4", 4),
    ("v2-unicast-ipv4", 1),
    ("v3-multicast-ipv4", 4),
    ("v3-multicast-ipv6", 2),
    ("v3-unicast-ipv4", 2),
    ("v3-unicast-ipv6", 2),
];

#[test]
fn every_captured_advertisement_means_what_tcpdump_says() {
    for_each(|golden| {
        let packet = Packet::parse(&golden.message, golden.source, golden.destination).unwrap();
        assert_eq!(packet.to_advertisement(None), golden.expected());
    });
}

#[test]
fn every_captured_advertisement_is_emitted_again_byte_by_byte() {
    for_each(|golden| {
        // A pool of used memory, to see bytes that were not written.
        let mut buffer = vec![0xa5; 64];
        golden.expected().emit(
            &mut buffer,
            Checksum::PseudoHeader,
            golden.source,
            golden.destination,
        );
        assert_eq!(buffer[..64], [0xa5; 64]);
        assert_eq!(buffer[64..], golden.message);
    });
}

#[test]
fn keepalived_sums_the_pseudo_header_in_version_3_and_the_message_in_version_2() {
    for_each(|golden| {
        let packet = Packet::parse(&golden.message, golden.source, golden.destination).unwrap();
        let expected = match golden.expected().version() {
            Version::V2 => Checksum::Message,
            Version::V3 => Checksum::PseudoHeader,
        };
        assert_eq!(packet.checksum(), expected);
    });
}

#[test]
fn keepalived_sends_multicast_with_ttl_255() {
    for_each(|golden| {
        if golden.destination.is_multicast() {
            assert_eq!(golden.ttl, vrrp::TTL);
        }
    });
}

fn for_each(check: impl Fn(Golden)) {
    for (name, count) in FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name)
            .with_extension("hex");
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let packets: Vec<_> = lines
            .windows(2)
            .filter(|pair| !pair[1].starts_with('#'))
            .map(|pair| Golden::new(pair[0], pair[1]))
            .collect();
        assert_eq!(packets.len(), count, "{}", path.display());
        packets.into_iter().for_each(&check);
    }
}

/// A captured packet.
struct Golden {
    tcpdump: String,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    message: Vec<u8>,
}

impl Golden {
    fn new(tcpdump: &str, hex: &str) -> Self {
        let bytes: Vec<_> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let (ethernet, packet) = bytes.split_at(14);
        let address4 = |at: usize| IpAddr::from(<[u8; 4]>::try_from(&packet[at..at + 4]).unwrap());
        let address6 =
            |at: usize| IpAddr::from(<[u8; 16]>::try_from(&packet[at..at + 16]).unwrap());
        let (source, destination, ttl, protocol, header) = match ethernet[12..] {
            [0x08, 0x00] => (address4(12), address4(16), packet[8], packet[9], 20),
            [0x86, 0xdd] => (address6(8), address6(24), packet[7], packet[6], 40),
            _ => panic!("no IP packet: {hex}"),
        };
        assert_eq!(protocol, IP_PROTOCOL);
        assert!(tcpdump.contains(&format!(" {source} > {destination}: VRRPv")));
        Self {
            tcpdump: tcpdump.split_once(": VRRPv").unwrap().1.to_owned(),
            source,
            destination,
            ttl,
            message: packet[header..].to_vec(),
        }
    }

    /// What tcpdump read in it.
    fn expected(&self) -> Advertisement {
        let length: usize = self.field("length ").parse().unwrap();
        assert_eq!(length, self.message.len());
        let vrid = Vrid::new(self.field("vrid ").parse().unwrap()).unwrap();
        let priority = Priority::from_wire(self.field("prio ").parse().unwrap());
        let (_, addresses) = self.tcpdump.split_once("addrs").unwrap();
        let (_, addresses) = addresses.split_once(": ").unwrap();
        let addresses = addresses.split(' ').next().unwrap().split(',');
        let addresses = Addresses::new(addresses.map(|text| text.parse().unwrap())).unwrap();
        assert_eq!(addresses.family(), Family::of(self.source));
        match self.tcpdump.split_once(',').unwrap().0 {
            "2" => {
                let secs = self.field("intvl ").strip_suffix('s').unwrap();
                let interval = AdvertInterval::from_secs(secs.parse().unwrap()).unwrap();
                let authentication = match self.field("authtype ") {
                    "none" => Authentication::None,
                    "simple" => {
                        let (_, text) = self.tcpdump.split_once("auth \"").unwrap();
                        Authentication::Pass(Password::new(text.trim_end_matches('"')).unwrap())
                    }
                    other => panic!("authentication type {other}"),
                };
                Advertisement::v2(vrid, priority, interval, addresses, authentication).unwrap()
            }
            "3" => {
                let centis = self.field("intvl ").strip_suffix("cs").unwrap();
                let interval = AdvertInterval::from_centis(centis.parse().unwrap()).unwrap();
                Advertisement::v3(vrid, priority, interval, addresses).unwrap()
            }
            other => panic!("version {other}"),
        }
    }

    fn field(&self, name: &str) -> &str {
        let (_, rest) = self.tcpdump.split_once(&format!(", {name}")).unwrap();
        rest.split(',').next().unwrap()
    }
}
