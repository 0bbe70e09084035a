//! What matters of the kernel's messages about interfaces and addresses.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel tells a hundred things, a dozen matter here"
)]

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rtnetlink::{
    packet_core::NetlinkPayload,
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags},
        link::{AfSpecInet6, AfSpecUnspec, LinkAttribute, LinkFlags, LinkLayerType},
    },
};

use super::{
    frames::Mac,
    netlink::{Answer, Message},
};

/// What a message that came for a request says about it.
pub(super) fn answer(message: Message) -> Answer {
    match message.payload {
        NetlinkPayload::InnerMessage(message) => Ok(Some(message)),
        NetlinkPayload::Error(error) if error.code.is_some() => Err(error.to_io()),
        NetlinkPayload::Done(done) if done.code < 0 => {
            Err(io::Error::from_raw_os_error(done.code.saturating_neg()))
        }
        NetlinkPayload::Error(_) | NetlinkPayload::Done(_) | NetlinkPayload::Noop => Ok(None),
        other => Err(io::Error::other(format!("unexpected answer: {other:?}"))),
    }
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: Arc<str>,
    pub(super) is_running: bool,
    /// `None`: it is not an Ethernet.
    pub(super) mac: Option<Mac>,
    /// The sysctl `net.ipv6.conf.INTERFACE.forwarding`.
    pub(super) forwards_ipv6: bool,
}

impl Interface {
    /// `None`: the message is not about an interface.
    pub(super) fn decode(message: RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewLink(message) = message else {
            return None;
        };
        let mut name = None;
        let mut mac = None;
        let mut forwards_ipv6 = false;
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = Some(text.into()),
                LinkAttribute::Address(bytes) => mac = Mac::try_from(bytes).ok(),
                LinkAttribute::AfSpecUnspec(families) => forwards_ipv6 = forwards(&families),
                _ => {}
            }
        }
        let header = message.header;
        Some(Self {
            index: header.index,
            name: name?,
            is_running: header.flags.contains(LinkFlags::Up | LinkFlags::Running),
            mac: mac.filter(|_| header.link_layer_type == LinkLayerType::Ether),
            forwards_ipv6,
        })
    }
}

fn forwards(families: &[AfSpecUnspec]) -> bool {
    let ipv6 = families.iter().find_map(|family| match family {
        AfSpecUnspec::Inet6(ipv6) => Some(ipv6),
        _ => None,
    });
    ipv6.into_iter().flatten().any(|item| match item {
        AfSpecInet6::DevConf(configuration) => configuration.forwarding != 0,
        _ => false,
    })
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The interface.
    pub(super) index: u32,
    pub(super) address: IpAddr,
    pub(super) prefix_len: u8,
    pub(super) scope: u8,
    pub(super) label: Option<String>,
    pub(super) broadcast: Option<Ipv4Addr>,
    /// Neither waiting for duplicate address detection nor found to be a duplicate.
    pub(super) is_usable: bool,
}

impl Address {
    /// `None`: the message is not about an address.
    pub(super) fn decode(message: RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewAddress(message) = message else {
            return None;
        };
        let header = message.header;
        let mut local = None;
        let mut peer = None;
        let mut label = None;
        let mut broadcast = None;
        let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
        for attribute in message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(address),
                AddressAttribute::Address(address) => peer = Some(address),
                AddressAttribute::Label(text) => label = Some(text),
                AddressAttribute::Broadcast(address) => broadcast = Some(address),
                AddressAttribute::Flags(all) => flags = all,
                _ => {}
            }
        }
        let is_tentative =
            flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
        Some(Self {
            index: header.index,
            // The two differ on a point-to-point link, where the second is the other end's.
            address: local.or(peer)?,
            prefix_len: header.prefix_len,
            scope: header.scope.into(),
            label,
            broadcast,
            is_usable: !is_tentative && !flags.contains(AddressFlags::Dadfailed),
        })
    }
}

/// What the kernel says unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Something about this interface changed.
    Changed(u32),
    /// Some of what it said was lost.
    Lost,
}

impl Event {
    /// `None`: nothing that matters here.
    pub(super) fn decode(message: &Message) -> Option<Self> {
        let message = match &message.payload {
            NetlinkPayload::InnerMessage(message) => message,
            NetlinkPayload::Overrun(_) => return Some(Self::Lost),
            _ => return None,
        };
        match message {
            RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => {
                Some(Self::Changed(link.header.index))
            }
            RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => {
                Some(Self::Changed(address.header.index))
            }
            _ => None,
        }
    }
}
