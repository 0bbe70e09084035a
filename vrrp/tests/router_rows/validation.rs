//! Sections 2.3 and 2.4: what is rejected, in which order, and what is counted (RFC 9568 §7.1).

use std::{net::IpAddr, time::Duration};

use vrrp::{
    AddressListCheck, AdvertInterval, Advertisement, Authentication, Checksum, Event, Family,
    Input, Output, Password, Peer, Priority, Received, RejectReason, RouterConfig, Transport,
    Unicast, Version, Vrid,
};

use crate::rig::*;

const DOWN: Duration = Duration::from_micros(3_609_375);

fn pass(text: &str) -> Authentication {
    Authentication::Pass(Password::new(text).unwrap())
}

/// An advertisement of another configuration of this router.
fn advert_of(rig: &Rig, change: impl FnOnce(&mut RouterConfig)) -> Advertisement {
    let mut config = rig.router.config().clone();
    change(&mut config);
    config
        .advertisement()
        .unwrap()
        .with_priority(Priority::from_wire(200))
}

/// It is counted and told, and the timer is not reset.
#[track_caller]
fn rejects(rig: &mut Rig, received: Received, reason: RejectReason) {
    let waits = rig.router.poll_timeout();
    let counters = *rig.router.counters();
    let from = received.from;
    rig.expect(
        Input::Advert(received),
        SECOND,
        [Output::Event(Event::Rejected { reason, from })],
    );
    assert_eq!(rig.router.poll_timeout(), waits);
    let rejected = rig.router.counters().rejected;
    assert_eq!(rejected.of(reason), counters.rejected.of(reason) + 1);
    assert_eq!(rejected.total(), counters.rejected.total() + 1);
    assert_eq!(rig.router.counters().received, counters.received);
}

#[track_caller]
fn accepts(rig: &mut Rig, received: Received) {
    let received_before = rig.router.counters().received;
    rig.give(Input::Advert(received), SECOND);
    assert_eq!(rig.router.counters().received, received_before + 1);
    rig.expect_wait(SECOND + DOWN);
}

fn v2(config: &mut RouterConfig) {
    config.version = Version::V2;
    config.authentication = pass("1111");
}

fn unicast(config: &mut RouterConfig) {
    let mut peer = Peer::new(address(HIGHER));
    (peer.min_ttl, peer.max_ttl) = (250, 254);
    let mut unicast = Unicast::to([]);
    unicast.peers = vec![peer];
    config.transport = Transport::Unicast(unicast);
}

#[test]
fn row_2_3_step_2_ttl_other_than_255_is_dropped_in_multicast() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    received.ttl = 254;
    rejects(&mut rig, received, RejectReason::Ttl);
}

#[test]
fn row_2_3_step_2_ttl_in_unicast_is_bounded_as_the_peer_is_configured() {
    let mut rig = Rig::started(unicast);
    for (ttl, good) in [(249, false), (250, true), (254, true)] {
        let mut received = rig.heard(200, HIGHER);
        received.ttl = ttl;
        match good {
            true => accepts(&mut rig, received),
            false => rejects(&mut rig, received, RejectReason::Ttl),
        }
    }
}

#[test]
fn row_2_3_step_3_version_other_than_ours_is_dropped() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    received.advert = advert_of(&rig, |config| config.version = Version::V2);
    rejects(&mut rig, received, RejectReason::Version);

    let mut rig = Rig::started(|config| config.version = Version::V2);
    let mut received = rig.heard(200, HIGHER);
    received.advert = advert_of(&rig, |config| config.version = Version::V3);
    rejects(&mut rig, received, RejectReason::Version);
}

#[test]
fn row_2_3_step_5_v2_authentication_of_another_type_or_password_is_dropped() {
    for other in [Authentication::None, pass("2222")] {
        let mut rig = Rig::started(v2);
        let mut received = rig.heard(200, HIGHER);
        received.advert = advert_of(&rig, |config| config.authentication = other);
        rejects(&mut rig, received, RejectReason::Authentication);
    }
    let mut rig = Rig::started(v2);
    let received = rig.heard(200, HIGHER);
    accepts(&mut rig, received);
}

#[test]
fn row_2_3_step_5_v3_ignores_authentication() {
    let mut rig = Rig::started(|config| config.authentication = pass("1111"));
    let received = rig.heard(200, HIGHER);
    accepts(&mut rig, received);
}

#[test]
fn row_2_3_step_6_v2_advert_int_other_than_ours_is_dropped_and_both_become_master() {
    let mut rig = Rig::started(v2);
    let mut received = rig.heard(200, HIGHER);
    let other = AdvertInterval::from_secs(2).unwrap();
    received.advert = advert_of(&rig, |config| config.interval = other);
    rejects(&mut rig, received, RejectReason::AdvertInterval);
    rig.expect(Input::Timeout, DOWN, [rig.advert(100), rig.acquire()]);
}

#[test]
fn row_2_3_step_8_v3_advert_int_other_than_ours_is_accepted_and_told_once() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    let interval = AdvertInterval::from_secs(2).unwrap();
    received.advert = advert_of(&rig, |config| config.interval = interval);
    let from = received.from;
    let differs = Output::Event(Event::IntervalDiffers { from, interval });
    rig.expect(Input::Advert(received.clone()), SECOND, [differs]);
    rig.expect(Input::Advert(received), 2 * SECOND, []);
}

#[test]
fn row_2_3_step_10_multicast_for_a_unicast_router_and_the_other_way_round_is_dropped() {
    let mut rig = Rig::started(unicast);
    let mut received = rig.heard(200, HIGHER);
    (received.to, received.ttl) = (Family::V4.multicast_group(), 254);
    rejects(&mut rig, received, RejectReason::Destination);

    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    received.to = address(OWN);
    rejects(&mut rig, received, RejectReason::Destination);
}

#[test]
fn row_2_3_step_12_another_vip_list_is_told_and_accepted_as_keepalived_since_2_3_3_does() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    let other = "192.0.2.101".parse().unwrap();
    received.advert = advert_of(&rig, |config| config.vips.push(other));
    let from = received.from;
    let differs = Output::Event(Event::AddressListDiffers { from });
    rig.expect(Input::Advert(received.clone()), NOW, [differs]);
    accepts(&mut rig, received);
    assert_eq!(rig.router.counters().address_list_differs, 2);
}

#[test]
fn two_masters_that_alternate_with_other_vips_are_told_of_once_a_minute() {
    let mut rig = Rig::started(|_| {});
    let other: vrrp::Vip = "192.0.2.101".parse().unwrap();
    let mut told = 0;
    for tenth in 0..700 {
        let from = if tenth % 2 == 0 { HIGHER } else { "192.0.2.77" };
        let mut received = rig.heard(200, from);
        received.advert = advert_of(&rig, |config| config.vips.push(other.clone()));
        told += rig.give(Input::Advert(received), ms(100 * tenth)).len();
    }
    assert_eq!(told, 2, "in 70 s");
}

#[test]
fn row_2_3_step_12_another_vip_list_is_dropped_where_that_is_configured() {
    let mut rig = Rig::started(|config| config.address_list = AddressListCheck::Reject);
    let mut received = rig.heard(200, HIGHER);
    let other = "192.0.2.101".parse().unwrap();
    received.advert = advert_of(&rig, |config| config.vips = vec![other]);
    rejects(&mut rig, received, RejectReason::AddressList);
}

#[test]
fn row_2_3_step_12_the_order_of_the_vips_does_not_matter() {
    let mut rig = Rig::started(|config| {
        config.address_list = AddressListCheck::Reject;
        config.vips.push("192.0.2.101".parse().unwrap());
    });
    let mut received = rig.heard(200, HIGHER);
    received.advert = advert_of(&rig, |config| config.vips.reverse());
    accepts(&mut rig, received);
    assert_eq!(rig.router.counters().address_list_differs, 0);
}

#[test]
fn row_2_3_step_13_a_unicast_source_that_is_no_peer_is_dropped_unless_told_otherwise() {
    let mut rig = Rig::started(unicast);
    let received = rig.heard(200, LOWER);
    rejects(&mut rig, received, RejectReason::Source);

    let mut rig = Rig::started(|config| {
        let mut to = Unicast::to([address(HIGHER)]);
        to.check_source = false;
        config.transport = Transport::Unicast(to);
    });
    let received = rig.heard(200, LOWER);
    accepts(&mut rig, received);
}

#[test]
fn an_advert_for_another_vrid_or_of_another_family_is_dropped() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    received.advert = advert_of(&rig, |config| config.vrid = Vrid::new(52).unwrap());
    rejects(&mut rig, received, RejectReason::Vrid);

    let mut received = rig.heard(200, HIGHER);
    received.from = IpAddr::V6("fe80::1".parse().unwrap());
    rejects(&mut rig, received, RejectReason::Source);
}

/// Everything is wrong with it; what is repaired lets the next check speak.
#[test]
fn row_2_3_packet_validation_order() {
    let mut rig = Rig::started(|config| {
        v2(config);
        config.address_list = AddressListCheck::Reject;
        unicast(config);
    });
    let mut config = rig.router.config().clone();
    config.vrid = Vrid::new(1).unwrap();
    config.version = Version::V3;
    config.authentication = pass("2222");
    config.interval = AdvertInterval::from_secs(2).unwrap();
    config.vips = vec!["192.0.2.101".parse().unwrap()];
    let mut received = rig.heard(200, HIGHER);
    received.to = Family::V4.multicast_group();
    received.ttl = 1;
    type Repair = fn(&mut RouterConfig, &mut Received);
    let repairs: [(RejectReason, Repair); 7] = [
        (RejectReason::Vrid, |config, _| {
            config.vrid = Vrid::new(51).unwrap();
        }),
        (RejectReason::Ttl, |_, received| received.ttl = 254),
        (RejectReason::Version, |config, _| {
            config.version = Version::V2;
        }),
        (RejectReason::Authentication, |config, _| {
            config.authentication = pass("1111");
        }),
        (RejectReason::AdvertInterval, |config, _| {
            config.interval = AdvertInterval::DEFAULT;
        }),
        (RejectReason::Destination, |_, received| {
            received.to = address(OWN);
        }),
        (RejectReason::AddressList, |config, _| {
            config.vips = vec!["192.0.2.100".parse().unwrap()];
        }),
    ];
    for (reason, repair) in repairs {
        received.advert = config
            .advertisement()
            .unwrap()
            .with_priority(Priority::from_wire(200));
        rejects(&mut rig, received.clone(), reason);
        repair(&mut config, &mut received);
    }
    received.advert = config
        .advertisement()
        .unwrap()
        .with_priority(Priority::from_wire(200));
    let mut stranger = received.clone();
    stranger.from = address(LOWER);
    rejects(&mut rig, stranger, RejectReason::Source);
    accepts(&mut rig, received);
}

#[test]
fn a_reason_is_told_once_a_minute_and_counted_each_time() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    received.ttl = 1;
    let told_times: usize = (0..=120)
        .map(|at| rig.give(Input::Advert(received.clone()), at * SECOND).len())
        .sum();
    assert_eq!(told_times, 3);
    assert_eq!(rig.router.counters().rejected.of(RejectReason::Ttl), 121);
}

#[test]
fn row_2_4_either_checksum_of_v3_over_ipv4_is_accepted_and_counted_by_kind() {
    let mut rig = Rig::started(|_| {});
    let mut received = rig.heard(200, HIGHER);
    accepts(&mut rig, received.clone());
    received.checksum = Checksum::PseudoHeader;
    accepts(&mut rig, received.clone());
    accepts(&mut rig, received);
    let counters = rig.router.counters();
    assert_eq!(counters.checksum_message, 1);
    assert_eq!(counters.checksum_pseudo_header, 2);
}

#[test]
fn row_2_4_the_checksum_that_is_sent_is_the_one_configured() {
    for checksum in [Checksum::Message, Checksum::PseudoHeader] {
        let mut rig = Rig::started(|config| config.checksum = checksum);
        let outputs = rig.give(Input::Timeout, DOWN);
        let Output::Transmit { delivery, .. } = &outputs[0] else {
            panic!("no advertisement: {outputs:?}");
        };
        assert_eq!(delivery.checksum, checksum);
    }
}

#[test]
fn a_router_in_fault_or_without_a_part_takes_adverts_without_consequence() {
    let mut rig = Rig::started(|_| {});
    rig.give(link_down(), NOW);
    rig.expect(rig.hear(200, HIGHER), SECOND, []);
    assert_eq!(rig.router.counters().received, 1);
    assert_eq!(rig.router.poll_timeout(), None);
}
