//! What holds for every message, and for any bytes.

use ipvs::{
    Family, Statistics, Traffic, strategy,
    wire::{Query, Reply, Request, WireError},
};
use proptest::prelude::*;

#[path = "../../fuzz/src/ipvs_wire.rs"]
#[expect(unreachable_pub, reason = "public in the crate of the fuzz targets")]
mod ipvs_wire;

fn request() -> impl Strategy<Value = Request> {
    let of_service = strategy::service_key().prop_flat_map(|key| {
        prop_oneof![Just(Query::Service(key)), Just(Query::Destinations(key))]
    });
    let others = vec![
        Query::Info,
        Query::Timeouts,
        Query::Services,
        Query::Daemons,
    ];
    prop_oneof![
        3 => strategy::change().prop_map(Request::Change),
        1 => of_service.prop_map(Request::Query),
        1 => proptest::sample::select(others).prop_map(Request::Query),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        strategy::info().prop_map(Reply::Info),
        strategy::timeouts().prop_map(Reply::Timeouts),
        strategy::service_state().prop_map(Reply::Service),
        strategy::destination_state().prop_map(Reply::Destination),
        strategy::role()
            .prop_flat_map(strategy::daemon)
            .prop_map(Reply::Daemon),
    ]
}

fn request_bytes(request: &Request) -> Vec<u8> {
    let mut message = Vec::new();
    request.encode(&mut message);
    message
}

fn reply_bytes(reply: &Reply) -> Vec<u8> {
    let mut message = Vec::new();
    reply.encode(&mut message);
    message
}

proptest! {
    #[test]
    fn a_request_is_read_as_it_was_written(request in request()) {
        let message = request_bytes(&request);
        prop_assert_eq!(message.len() % 4, 0);
        prop_assert_eq!(Request::decode(&message).unwrap(), request);
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(reply in reply()) {
        prop_assert_eq!(Reply::decode(&reply_bytes(&reply), None).unwrap(), reply);
    }

    #[test]
    fn a_message_is_appended_to_what_is_there(
        request in request(),
        before in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut buffer = before.clone();
        request.encode(&mut buffer);
        let (kept, message) = buffer.split_at(before.len());
        prop_assert_eq!(kept, before);
        prop_assert_eq!(message, request_bytes(&request));
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        ipvs_wire::decode_any(&bytes);
    }

    #[test]
    fn a_message_with_flaws_is_a_message_or_an_error(
        message in prop_oneof![
            request().prop_map(|it| request_bytes(&it)),
            reply().prop_map(|it| reply_bytes(&it)),
        ],
        flaws in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut flawed = message;
        for (place, byte) in flaws {
            *place.get_mut(&mut flawed) = byte;
        }
        ipvs_wire::decode_any(&flawed);
        ipvs_wire::decode_any(&flawed[..length.index(flawed.len())]);
    }

    #[test]
    fn attributes_of_a_later_kernel_are_passed_over(
        request in request(),
        reply in reply(),
        kind in 100_u16..0x3fff,
        value in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut unknown = u16::try_from(value.len() + 4).unwrap().to_ne_bytes().to_vec();
        unknown.extend(kind.to_ne_bytes());
        unknown.extend(&value);
        unknown.resize(unknown.len().next_multiple_of(4), 0);
        let with_unknown = |message: Vec<u8>| {
            let (header, attributes) = message.split_at(4);
            [header, &unknown, attributes, &unknown].concat()
        };
        prop_assert_eq!(Request::decode(&with_unknown(request_bytes(&request))).unwrap(), request);
        let message = with_unknown(reply_bytes(&reply));
        prop_assert_eq!(Reply::decode(&message, None).unwrap(), reply);
    }
}

#[test]
fn every_message_that_ends_too_early_is_an_error_or_says_less() {
    proptest!(|(reply in reply())| {
        let message = reply_bytes(&reply);
        for length in 0..message.len() {
            if let Ok(read) = Reply::decode(&message[..length], None) {
                prop_assert!(matches!(read, Reply::Info(_) | Reply::Timeouts(_)), "{:?}", read);
            }
        }
    });
}

/// Attributes by hand: (type, value) with other attributes in the value where they are nested.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(value.len() + 4)
        .expect("short")
        .to_ne_bytes()
        .to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The reply of a kernel about destination 10.0.0.1:80, with more attributes.
fn destination_reply(more: &[Vec<u8>]) -> Vec<u8> {
    let mut address = [0; 16];
    address[..4].copy_from_slice(&[10, 0, 0, 1]);
    let mut inside = attribute(1, &address);
    inside.extend(attribute(2, &80_u16.to_be_bytes()));
    inside.extend(attribute(3, &3_u32.to_ne_bytes()));
    inside.extend(attribute(4, &1_u32.to_ne_bytes()));
    inside.extend(more.concat());
    [vec![5, 1, 0, 0], attribute(2, &inside)].concat()
}

#[test]
fn a_destination_without_family_is_of_the_family_of_its_service() {
    let message = destination_reply(&[]);
    let Reply::Destination(state) = Reply::decode(&message, Some(Family::V4)).unwrap() else {
        unreachable!("the message is about a destination");
    };
    assert_eq!(state.key.to_string(), "10.0.0.1:80");
    assert_eq!(
        Reply::decode(&message, None).unwrap_err(),
        WireError::Missing {
            attribute: "IPVS_DEST_ATTR_ADDR_FAMILY"
        }
    );
}

#[test]
fn counters_of_64_bits_are_preferred_wherever_they_are() {
    let narrow = attribute(10, &attribute(1, &7_u32.to_ne_bytes()));
    let wide = attribute(12, &attribute(1, &(7_u64 + (1 << 32)).to_ne_bytes()));
    let expected = |connections| {
        let total = Traffic {
            connections,
            ..Traffic::ZERO
        };
        Statistics {
            total,
            ..Statistics::ZERO
        }
    };
    for (more, connections) in [
        (vec![narrow.clone()], 7),
        (vec![wide.clone()], 7 + (1 << 32)),
        (vec![narrow.clone(), wide.clone()], 7 + (1 << 32)),
        (vec![wide, narrow], 7 + (1 << 32)),
    ] {
        let message = destination_reply(&more);
        let Reply::Destination(state) = Reply::decode(&message, Some(Family::V4)).unwrap() else {
            unreachable!("the message is about a destination");
        };
        assert_eq!(state.statistics, expected(connections));
    }
}

#[test]
fn what_means_nothing_is_told_by_its_name() {
    let weight = attribute(4, &(-1_i32).to_ne_bytes());
    let error = Reply::decode(&destination_reply(&[weight]), Some(Family::V4)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "IPVS_DEST_ATTR_WEIGHT is 4294967295, which means nothing"
    );
    let short = attribute(2, &[80]);
    let error = Reply::decode(&destination_reply(&[short]), Some(Family::V4)).unwrap_err();
    assert_eq!(error.to_string(), "IPVS_DEST_ATTR_PORT has 1 bytes");
    let error = Request::decode(&[99, 1, 0, 0]).unwrap_err();
    assert_eq!(error, WireError::Command { command: 99 });
}
