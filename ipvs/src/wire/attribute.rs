//! Attributes (`nlattr`): a length, a type, a value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::WireError;
use crate::Family;

const HEADER: usize = 4;
const NESTED: u16 = 1 << 15;
const TYPE_MASK: u16 = 0x3fff;

/// The kernel's numbers of families (`AF_INET`, `AF_INET6`).
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Appends an attribute.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = HEADER + value.len();
    let length = u16::try_from(length).expect("no attribute of the family is that long");
    out.extend(length.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(value);
    let filling = value.len().next_multiple_of(4) - value.len();
    out.extend(std::iter::repeat_n(0, filling));
}

pub(super) fn put_u16(out: &mut Vec<u8>, kind: u16, value: u16) {
    put(out, kind, &value.to_ne_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, kind: u16, value: u32) {
    put(out, kind, &value.to_ne_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, kind: u16, value: u64) {
    put(out, kind, &value.to_ne_bytes());
}

/// A port, in network order.
pub(super) fn put_port(out: &mut Vec<u8>, kind: u16, port: u16) {
    put(out, kind, &port.to_be_bytes());
}

/// A text with a zero at its end.
pub(super) fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let mut value = text.as_bytes().to_vec();
    value.push(0);
    put(out, kind, &value);
}

/// An address in 16 bytes, an IPv4 one in the first four.
pub(super) fn put_address(out: &mut Vec<u8>, kind: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let mut value = [0; 16];
            let (first, _) = value.split_at_mut(4);
            first.copy_from_slice(&address.octets());
            put(out, kind, &value);
        }
        IpAddr::V6(address) => put(out, kind, &address.octets()),
    }
}

pub(super) fn put_family(out: &mut Vec<u8>, kind: u16, family: Family) {
    let number = match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    };
    put_u16(out, kind, number);
}

/// Appends an attribute of what `inside` appends.
pub(super) fn nest(
    out: &mut Vec<u8>,
    kind: u16,
    nested: Nested,
    inside: impl FnOnce(&mut Vec<u8>),
) {
    let mut value = Vec::new();
    inside(&mut value);
    let bit = match nested {
        Nested::Marked => NESTED,
        Nested::Plain => 0,
    };
    put(out, kind | bit, &value);
}

/// Whether attributes inside attributes are said to be: in requests they are, in replies not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Nested {
    Marked,
    Plain,
}

/// An attribute that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute<'a> {
    /// Its type without the two bits of its nature.
    pub(crate) kind: u16,
    /// Its value.
    pub(super) value: &'a [u8],
}

/// The attributes in some bytes. Fewer bytes than a header at the end are filling.
pub(crate) fn attributes(
    mut bytes: &[u8],
) -> impl Iterator<Item = Result<Attribute<'_>, WireError>> {
    std::iter::from_fn(move || {
        let [a, b, c, d, after @ ..] = bytes else {
            return None;
        };
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        let kind = u16::from_ne_bytes([*c, *d]) & TYPE_MASK;
        let Some(value) = length
            .checked_sub(HEADER)
            .and_then(|length| after.get(..length))
        else {
            bytes = &[];
            return Some(Err(WireError::Truncated {
                what: "an attribute",
            }));
        };
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Attribute { kind, value }))
    })
}

/// The first attribute of a kind, with its name for the error if there is none.
pub(super) fn find<'a>(
    bytes: &'a [u8],
    kind: u16,
    name: &'static str,
) -> Result<&'a [u8], WireError> {
    for attribute in attributes(bytes) {
        let attribute = attribute?;
        if attribute.kind == kind {
            return Ok(attribute.value);
        }
    }
    Err(WireError::Missing { attribute: name })
}

impl<'a> Attribute<'a> {
    fn exactly<const N: usize>(self, name: &'static str) -> Result<[u8; N], WireError> {
        let wrong = WireError::Length {
            attribute: name,
            length: self.value.len(),
        };
        self.value.try_into().map_err(|_| wrong)
    }

    pub(super) fn u8(self, name: &'static str) -> Result<u8, WireError> {
        self.exactly(name).map(|[byte]| byte)
    }

    pub(super) fn u16(self, name: &'static str) -> Result<u16, WireError> {
        self.exactly(name).map(u16::from_ne_bytes)
    }

    pub(super) fn u32(self, name: &'static str) -> Result<u32, WireError> {
        self.exactly(name).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(self, name: &'static str) -> Result<u64, WireError> {
        self.exactly(name).map(u64::from_ne_bytes)
    }

    pub(super) fn port(self, name: &'static str) -> Result<u16, WireError> {
        self.exactly(name).map(u16::from_be_bytes)
    }

    pub(super) fn ipv4(self, name: &'static str) -> Result<Ipv4Addr, WireError> {
        self.exactly::<4>(name).map(Ipv4Addr::from)
    }

    pub(super) fn address(self, name: &'static str) -> Result<RawAddress, WireError> {
        self.exactly(name).map(RawAddress)
    }

    pub(super) fn ipv6(self, name: &'static str) -> Result<Ipv6Addr, WireError> {
        self.exactly::<16>(name).map(Ipv6Addr::from)
    }

    /// Two numbers: flags and which of them are meant.
    pub(super) fn flags(self, name: &'static str) -> Result<u32, WireError> {
        let [a, b, c, d, ..] = self.exactly::<8>(name)?;
        Ok(u32::from_ne_bytes([a, b, c, d]))
    }

    pub(super) fn family(self, name: &'static str) -> Result<Option<Family>, WireError> {
        match self.u16(name)? {
            0 => Ok(None),
            AF_INET => Ok(Some(Family::V4)),
            AF_INET6 => Ok(Some(Family::V6)),
            value => Err(WireError::Value {
                attribute: name,
                value: value.into(),
            }),
        }
    }

    /// A text up to its zero, of which there need be none; `None` if it is empty.
    pub(crate) fn text(self, name: &'static str) -> Result<Option<&'a str>, WireError> {
        let text = self
            .value
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        let text = std::str::from_utf8(text).map_err(|_| WireError::Name { attribute: name })?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// The name that the text is; `None` if it is empty.
    pub(super) fn name<T: std::str::FromStr>(
        self,
        name: &'static str,
    ) -> Result<Option<T>, WireError> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| WireError::Name { attribute: name })
        };
        self.text(name)?.map(parse).transpose()
    }
}

/// An address of which the family is told elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawAddress([u8; 16]);

impl RawAddress {
    pub(super) fn of(self, family: Family) -> IpAddr {
        let [a, b, c, d, ..] = self.0;
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(self.0)),
        }
    }
}
