//! Virtual addresses to the kernel's messages and back.

use std::net::{IpAddr, Ipv4Addr};

use rtnetlink::packet_route::{
    AddressFamily,
    address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo},
};

use super::super::decode::Address;
use crate::{Broadcast, Scope, Vip};

/// What the kernel knows an address by.
pub(super) fn key_message(index: u32, vip: &Vip) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match vip.address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.index = index;
    message.header.prefix_len = vip.prefix_len;
    message.attributes.extend([
        AddressAttribute::Local(vip.address),
        AddressAttribute::Address(vip.address),
    ]);
    message
}

/// An address with all that it is to have.
pub(super) fn full_message(index: u32, vip: &Vip) -> AddressMessage {
    let mut message = key_message(index, vip);
    message.header.scope = vip
        .scope
        .map_or(AddressScope::Universe, |scope| scope.as_u8().into());
    match vip.address {
        IpAddr::V4(address) => {
            let label = vip.label.as_deref().map(str::to_owned);
            let broadcast = broadcast_address(address, vip.prefix_len, vip.broadcast);
            message
                .attributes
                .extend(label.map(AddressAttribute::Label));
            message
                .attributes
                .extend(broadcast.map(AddressAttribute::Broadcast));
        }
        IpAddr::V6(_) => {
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
            if vip.prefix_len == 128 {
                let mut lifetimes = CacheInfo::default();
                lifetimes.ifa_preferred = 0;
                lifetimes.ifa_valid = u32::MAX;
                message
                    .attributes
                    .push(AddressAttribute::CacheInfo(lifetimes));
            }
        }
    }
    message
}

/// As `ip address` does, a network of one or two addresses has no broadcast address of its own.
fn broadcast_address(address: Ipv4Addr, prefix_len: u8, broadcast: Broadcast) -> Option<Ipv4Addr> {
    let host_bits = u32::MAX.checked_shr(prefix_len.into()).unwrap_or_default();
    match broadcast {
        Broadcast::Address(broadcast) => Some(broadcast),
        Broadcast::AllOnes if prefix_len < 31 => Some((address.to_bits() | host_bits).into()),
        Broadcast::AllZeros if prefix_len < 31 => Some((address.to_bits() & !host_bits).into()),
        Broadcast::None | Broadcast::AllOnes | Broadcast::AllZeros => None,
    }
}

/// An address that the kernel told of.
pub(super) fn vip_of(interface: &str, address: Address) -> Option<Vip> {
    let label = address.label.filter(|label| label != interface);
    let vip = Vip::new(address.address, address.prefix_len).ok()?;
    Some(Vip {
        interface: Some(interface.into()),
        scope: Some(scope_of(address.scope)),
        label: label.map(Into::into),
        broadcast: address
            .broadcast
            .map_or(Broadcast::None, Broadcast::Address),
        ..vip
    })
}

const fn scope_of(number: u8) -> Scope {
    match number {
        0 => Scope::Global,
        200 => Scope::Site,
        253 => Scope::Link,
        254 => Scope::Host,
        255 => Scope::Nowhere,
        number => Scope::Other(number),
    }
}

#[cfg(test)]
mod tests {
    use rtnetlink::packet_route::RouteNetlinkMessage;

    use super::*;

    fn broadcast(vip: &str, broadcast: Broadcast) -> Option<Ipv4Addr> {
        let vip: Vip = vip.parse().unwrap();
        let IpAddr::V4(address) = vip.address else {
            panic!("an IPv4 address was expected");
        };
        broadcast_address(address, vip.prefix_len, broadcast)
    }

    #[test]
    fn broadcast_addresses_are_those_of_the_network() {
        let given = Ipv4Addr::new(192, 0, 2, 7);
        let expect = |text: &str| Some(text.parse().unwrap());
        assert_eq!(broadcast("192.0.2.9/24", Broadcast::None), None);
        assert_eq!(
            broadcast("192.0.2.9/24", Broadcast::AllOnes),
            expect("192.0.2.255")
        );
        assert_eq!(
            broadcast("192.0.2.9/24", Broadcast::AllZeros),
            expect("192.0.2.0")
        );
        assert_eq!(
            broadcast("192.0.2.9/30", Broadcast::AllOnes),
            expect("192.0.2.11")
        );
        assert_eq!(
            broadcast("192.0.2.9/0", Broadcast::AllOnes),
            expect("255.255.255.255")
        );
        assert_eq!(broadcast("192.0.2.9/31", Broadcast::AllOnes), None);
        assert_eq!(broadcast("192.0.2.9/32", Broadcast::AllZeros), None);
        assert_eq!(
            broadcast("192.0.2.9/32", Broadcast::Address(given)),
            Some(given)
        );
    }

    #[test]
    fn what_is_asked_for_is_what_is_listed() {
        let vip = Vip {
            scope: Some(Scope::Link),
            label: Some("eth0:vip".into()),
            broadcast: Broadcast::Address(Ipv4Addr::new(192, 0, 2, 255)),
            ..Vip::new(Ipv4Addr::new(192, 0, 2, 9).into(), 24)
                .unwrap()
                .on("eth0")
        };
        let message = RouteNetlinkMessage::NewAddress(full_message(7, &vip));
        let address = Address::decode(message).unwrap();
        assert_eq!(vip_of("eth0", address), Some(vip));
    }

    #[test]
    fn every_scope_survives_the_way_to_the_kernel_and_back() {
        for number in 0..=u8::MAX {
            assert_eq!(scope_of(number).as_u8(), number);
        }
    }
}
