//! In the steady state, an advertisement costs no memory.

#![expect(clippy::unwrap_used, reason = "a test that goes wrong may panic")]

use std::net::IpAddr;

use vrrp::{
    Addresses, AdvertInterval, Advertisement, Authentication, Checksum, Family, Packet, Password,
    Priority, Vrid,
};

#[test]
fn parsing_what_a_master_repeats_and_sending_it_again_allocates_nothing() {
    for advert in adverts() {
        let family = advert.addresses().family();
        let source = advert.addresses().iter().next().unwrap();
        let destination = family.multicast_group();
        let mut received = Vec::new();
        advert.emit(&mut received, Checksum::Message, source, destination);
        let mut sent = Vec::with_capacity(advert.wire_len());

        let count = allocation_counter::measure(|| {
            for _ in 0..100 {
                let packet = Packet::parse(&received, source, destination).unwrap();
                let parsed = packet.to_advertisement(Some(advert.addresses()));
                sent.clear();
                parsed.emit(&mut sent, packet.checksum(), source, destination);
            }
        });
        assert_eq!(count.count_total, 0, "{advert:?}");
        assert_eq!(sent, received);
    }
}

#[test]
fn rejecting_garbage_allocates_nothing() {
    let garbage = [0x31; 300];
    let source = Family::V4.multicast_group();
    let count = allocation_counter::measure(|| {
        for length in 0..garbage.len() {
            Packet::parse(&garbage[..length], source, source).unwrap_err();
        }
    });
    assert_eq!(count.count_total, 0);
}

#[test]
fn the_counter_counts() {
    let count = allocation_counter::measure(|| drop(Box::new(1)));
    assert_eq!(count.count_total, 1);
}

fn adverts() -> [Advertisement; 3] {
    let vrid = Vrid::new(51).unwrap();
    let (priority, interval) = (Priority::DEFAULT, AdvertInterval::DEFAULT);
    let list = |address: fn(u8) -> IpAddr| Addresses::new((1..=255).map(address)).unwrap();
    let v4 = list(|last| IpAddr::from([192, 0, 2, last]));
    let v6 = list(|last| IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)]));
    let password = Authentication::Pass(Password::new("1111").unwrap());
    [
        Advertisement::v2(vrid, priority, interval, v4.clone(), password).unwrap(),
        Advertisement::v3(vrid, priority, interval, v4).unwrap(),
        Advertisement::v3(vrid, priority, interval, v6).unwrap(),
    ]
}
