//! Arbitrary values of this crate's types, for property tests (feature `proptest`).
//!
//! Whatever can be in a packet or on an interface is among them, not only what is likely.
//!
//! ```
//! use proptest::prelude::*;
//! use vrrp::{Advertisement, strategy};
//!
//! proptest! {
//!     fn fits_a_jumbo_frame(advert in strategy::advertisement()) {
//!         prop_assert!(advert.wire_len() < 9000);
//!     }
//! }
//! fits_a_jumbo_frame();
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::{collection, option, prelude::*};

use crate::{
    Addresses, AdvertInterval, Advertisement, Authentication, Broadcast, Checksum, Family,
    Password, Priority, Scope, Version, Vip, Vrid,
};

/// Either family.
pub fn family() -> impl Strategy<Value = Family> + Clone {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

/// An address of a family; any address.
pub fn address(family: Family) -> BoxedStrategy<IpAddr> {
    match family {
        Family::V4 => any::<Ipv4Addr>().prop_map(IpAddr::V4).boxed(),
        Family::V6 => any::<Ipv6Addr>().prop_map(IpAddr::V6).boxed(),
    }
}

/// Any virtual router identifier.
pub fn vrid() -> impl Strategy<Value = Vrid> + Clone {
    (1..=u8::MAX).prop_map(|value| Vrid::new(value).expect("it is not 0"))
}

/// Any priority that a packet can have, [`Priority::RELEASE`] and [`Priority::OWNER`] among them.
pub fn priority() -> impl Strategy<Value = Priority> + Clone {
    any::<u8>().prop_map(Priority::from_wire)
}

/// Any interval that a version can carry.
pub fn interval(version: Version) -> BoxedStrategy<AdvertInterval> {
    const IN_RANGE: &str = "it is in range";
    match version {
        Version::V2 => (1..=u8::MAX)
            .prop_map(|secs| AdvertInterval::from_secs(secs).expect(IN_RANGE))
            .boxed(),
        Version::V3 => (1..=4095_u16)
            .prop_map(|centis| AdvertInterval::from_centis(centis).expect(IN_RANGE))
            .boxed(),
    }
}

/// 1–255 addresses of a family, mostly few.
pub fn addresses(family: Family) -> impl Strategy<Value = Addresses> + Clone {
    let count = prop_oneof![9 => 1..=4_usize, 1 => 5..=Addresses::MAX];
    count
        .prop_flat_map(move |count| collection::vec(address(family), count))
        .prop_map(|list| Addresses::new(list).expect("1 to 255 of one family"))
}

/// None, or a password of printable characters.
pub fn authentication() -> impl Strategy<Value = Authentication> + Clone {
    let password = "[ -~]{1,8}".prop_map(|text| Password::new(&text).expect("1 to 8 bytes"));
    prop_oneof![
        Just(Authentication::None),
        password.prop_map(Authentication::Pass),
    ]
}

/// Either convention.
pub fn checksum() -> impl Strategy<Value = Checksum> + Clone {
    prop_oneof![Just(Checksum::Message), Just(Checksum::PseudoHeader)]
}

/// Any advertisement: version 2, version 3 over IPv4, version 3 over IPv6.
pub fn advertisement() -> impl Strategy<Value = Advertisement> + Clone {
    prop_oneof![
        advertisement_v2(),
        advertisement_v3(Family::V4),
        advertisement_v3(Family::V6),
    ]
}

/// Any advertisement of version 2.
pub fn advertisement_v2() -> impl Strategy<Value = Advertisement> + Clone {
    (
        vrid(),
        priority(),
        interval(Version::V2),
        addresses(Family::V4),
        authentication(),
    )
        .prop_map(|(vrid, priority, interval, addresses, authentication)| {
            Advertisement::v2(vrid, priority, interval, addresses, authentication)
                .expect("IPv4 and whole seconds")
        })
}

/// Any advertisement of version 3 with addresses of a family.
pub fn advertisement_v3(family: Family) -> impl Strategy<Value = Advertisement> + Clone {
    (vrid(), priority(), interval(Version::V3), addresses(family)).prop_map(
        |(vrid, priority, interval, addresses)| {
            Advertisement::v3(vrid, priority, interval, addresses).expect("at most 40.95 s")
        },
    )
}

/// Any virtual address of either family, with an interface or without.
pub fn vip() -> impl Strategy<Value = Vip> + Clone {
    (family(), option::of("[a-z]{1,11}[0-9]{1,4}")).prop_flat_map(|(family, interface)| {
        let longest = match family {
            Family::V4 => 32_u8,
            Family::V6 => 128,
        };
        let label = "[a-z]{1,9}:[0-9]{1,5}";
        let attributes = match family {
            Family::V4 => (option::of(label), broadcast().boxed()).boxed(),
            Family::V6 => Just((None, Broadcast::None)).boxed(),
        };
        (
            address(family),
            0..=longest,
            option::of(scope()),
            attributes,
        )
            .prop_map(
                move |(address, prefix_len, scope, (label, broadcast))| Vip {
                    interface: interface.as_deref().map(Into::into),
                    address,
                    prefix_len,
                    scope,
                    label: label.map(Into::into),
                    broadcast,
                },
            )
    })
}

/// Any scope; each number has one name only.
pub fn scope() -> impl Strategy<Value = Scope> + Clone {
    any::<u8>().prop_map(|number| match number {
        0 => Scope::Global,
        200 => Scope::Site,
        253 => Scope::Link,
        254 => Scope::Host,
        255 => Scope::Nowhere,
        other => Scope::Other(other),
    })
}

fn broadcast() -> impl Strategy<Value = Broadcast> + Clone {
    prop_oneof![
        Just(Broadcast::None),
        Just(Broadcast::AllOnes),
        Just(Broadcast::AllZeros),
        any::<Ipv4Addr>().prop_map(Broadcast::Address),
    ]
}
