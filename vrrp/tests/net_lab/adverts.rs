//! What the tests of the advertiser send, and how.

use std::net::IpAddr;

use vrrp::{
    Addresses, AdvertInterval, Advertisement, Checksum, Delivery, Destination, Family, Priority,
    TTL, Vrid,
};

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// That of the golden captures.
pub(crate) fn advert(addresses: &[&str]) -> Advertisement {
    Advertisement::v3(
        Vrid::new(51).unwrap(),
        Priority::new(200).unwrap(),
        AdvertInterval::from_centis(10).unwrap(),
        Addresses::new(addresses.iter().map(|text| ip(text))).unwrap(),
    )
    .unwrap()
}

pub(crate) fn advert_v4() -> Advertisement {
    advert(&["192.0.2.100"])
}

pub(crate) fn advert_v6() -> Advertisement {
    advert(&["fe80::100", "2001:db8::100"])
}

pub(crate) fn to_group(source: &str) -> Delivery {
    let source = ip(source);
    let group = Family::of(source).multicast_group();
    Delivery::new(
        source,
        Destination::Group(group),
        TTL,
        Checksum::PseudoHeader,
    )
}

pub(crate) fn to_peers(source: &str, peers: &[&str], ttl: u8) -> Delivery {
    let peers = peers.iter().map(|text| ip(text)).collect();
    Delivery::new(
        ip(source),
        Destination::Peers(peers),
        ttl,
        Checksum::Message,
    )
}
