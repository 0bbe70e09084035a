//! `virtual_server_group`: addresses, ranges of addresses and marks.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

use ipvs::Family;

use crate::conf::{
    context::{Args, Context},
    diagnostic::{Code, Diagnostic},
    instance::is_plain_entry,
    source::Span,
    tree::{Item, Word},
    values::whole,
};

/// A `virtual_server_group` as written.
#[derive(Debug)]
pub(in crate::conf) struct Group {
    pub(in crate::conf) name: Arc<str>,
    pub(in crate::conf) span: Span,
    pub(super) entries: Vec<(Entry, Span)>,
    /// Whether an entry could not be read.
    pub(super) broken: bool,
}

/// An entry of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Addresses {
        range: Range,
        port: u16,
    },
    Fwmark {
        mark: NonZeroU32,
        family: Option<Family>,
    },
}

/// Addresses of one family in a row, both ends included; the last is not before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Range {
    V4(u32, u32),
    V6(u128, u128),
}

/// The most addresses of one range. keepalived has no limit, and sets up sixteen million services
/// for a /8 without a word.
const MOST_ADDRESSES: u128 = 1 << 16;

impl Range {
    pub(super) const fn family(self) -> Family {
        match self {
            Self::V4(..) => Family::V4,
            Self::V6(..) => Family::V6,
        }
    }

    pub(super) fn addresses(self) -> Box<dyn Iterator<Item = IpAddr>> {
        match self {
            Self::V4(first, last) => {
                Box::new((first..=last).map(|bits| Ipv4Addr::from_bits(bits).into()))
            }
            Self::V6(first, last) => {
                Box::new((first..=last).map(|bits| Ipv6Addr::from_bits(bits).into()))
            }
        }
    }

    const fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Some(Self::V4(first.to_bits(), last.to_bits()))
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Some(Self::V6(first.to_bits(), last.to_bits()))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
        }
    }

    /// The first and the last.
    pub(super) fn ends(self) -> (IpAddr, IpAddr) {
        match self {
            Self::V4(first, last) => (
                Ipv4Addr::from_bits(first).into(),
                Ipv4Addr::from_bits(last).into(),
            ),
            Self::V6(first, last) => (
                Ipv6Addr::from_bits(first).into(),
                Ipv6Addr::from_bits(last).into(),
            ),
        }
    }

    /// How far the last is from the first.
    fn distance(self) -> Option<u128> {
        match self {
            Self::V4(first, last) => last.checked_sub(first).map(u128::from),
            Self::V6(first, last) => last.checked_sub(first),
        }
    }
}

/// Reads a `virtual_server_group`.
pub(in crate::conf) fn virtual_server_group(
    context: &mut Context<'_>,
    block: Item<'_>,
) -> Option<Group> {
    let name = context.name(block)?;
    let mut group = Group {
        name: name.text.into(),
        span: block.span(),
        entries: Vec::new(),
        broken: false,
    };
    for item in block.items() {
        match entry(context, item) {
            Some(entry) => group.entries.push((entry, item.span())),
            None => group.broken = true,
        }
    }
    Some(group)
}

fn entry(context: &mut Context<'_>, item: Item<'_>) -> Option<Entry> {
    let mut args = Args::of_entry(item);
    let first = args.required(context, "an address")?;
    if !is_plain_entry(context, item) {
        return None;
    }
    let entry = if first.text == "fwmark" {
        let number = args.required(context, "a number")?;
        let mark = context.parsed(number, fwmark)?;
        let family = match args.next() {
            None => None,
            Some(word) => Some(context.parsed(word, family)?),
        };
        Entry::Fwmark { mark, family }
    } else {
        let range = range(context, first)?;
        let port = match args.next() {
            None => 0,
            Some(word) => context.parsed(word, port)?,
        };
        Entry::Addresses { range, port }
    };
    args.end(context);
    Some(entry)
}

/// A mark that packets may have: 0 is none.
pub(super) fn fwmark(text: &str) -> Result<NonZeroU32, String> {
    let number = whole("a firewall mark", 1..=u32::MAX)(text)?;
    NonZeroU32::new(number).ok_or_else(|| "0 is no mark".to_owned())
}

/// `inet` or `inet6`.
pub(super) fn family(text: &str) -> Result<Family, String> {
    match text {
        "inet" => Ok(Family::V4),
        "inet6" => Ok(Family::V6),
        _ => Err(format!("`{text}` is not a family: expected inet or inet6")),
    }
}

/// A port of a virtual server; 0 is every port.
pub(super) fn port(text: &str) -> Result<u16, String> {
    whole("a port", 0..=u16::MAX)(text)
}

fn range(context: &mut Context<'_>, word: Word<'_>) -> Option<Range> {
    let wrong =
        |context: &mut Context<'_>, message: String| {
            context.report(Diagnostic::new(Code::WrongAddress, word.span, message).help(
            "write an address, a range as 10.0.0.1-20 or 10.0.0.1-10.0.1.20, or a network as \
             10.0.0.8/29",
        ));
        };
    let range = match parsed_range(word.text) {
        Ok(range) => range,
        Err(message) => {
            wrong(context, message);
            return None;
        }
    };
    match range.distance() {
        Some(distance) if distance < MOST_ADDRESSES => Some(range),
        Some(_) => {
            let message = format!(
                "`{}` has more than {MOST_ADDRESSES} addresses, each a service in the kernel",
                word.text
            );
            context.report(
                Diagnostic::new(Code::WrongAddress, word.span, message)
                    .help("mark the packets in the firewall and write `fwmark N`"),
            );
            None
        }
        None => {
            let message = format!("the end of `{}` is before its beginning", word.text);
            wrong(context, message);
            None
        }
    }
}

pub(super) fn parsed_range(text: &str) -> Result<Range, String> {
    let address = |text: &str| -> Result<IpAddr, String> {
        text.parse()
            .map_err(|_| format!("`{text}` is not an IP address"))
    };
    if let Some((start, prefix)) = text.split_once('/') {
        return network(address(start)?, prefix);
    }
    let Some((start, end)) = text.split_once('-') else {
        let only = address(text)?;
        return Range::between(only, only).ok_or_else(|| unmatched(text));
    };
    let start = address(start)?;
    let last = match (end.parse::<IpAddr>(), start) {
        (Ok(last), _) => last,
        (Err(_), IpAddr::V4(first)) => {
            let [a, b, c, _] = first.octets();
            let d = whole("the end of a range", 0..=255)(end)?;
            Ipv4Addr::new(a, b, c, d).into()
        }
        (Err(_), IpAddr::V6(first)) => {
            let group = u16::from_str_radix(end, 16).map_err(|_| {
                format!("`{end}` is not the end of a range: expected up to four hexadecimal digits")
            })?;
            let bits = first.to_bits() & !u128::from(u16::MAX) | u128::from(group);
            Ipv6Addr::from_bits(bits).into()
        }
    };
    Range::between(start, last).ok_or_else(|| unmatched(text))
}

fn unmatched(text: &str) -> String {
    format!("the ends of `{text}` are of two families")
}

/// The addresses of a network, first and last included, as keepalived takes them.
fn network(start: IpAddr, prefix: &str) -> Result<Range, String> {
    let hosts = |bits: u32| -> Result<u32, String> {
        whole("a prefix length", 0..=bits)(prefix).map(|prefix| bits - prefix)
    };
    let (range, empty) = match start {
        IpAddr::V4(start) => {
            let mask = u32::MAX.checked_shr(32 - hosts(32)?).unwrap_or(0);
            let first = start.to_bits();
            (Range::V4(first, first | mask), first & mask == 0)
        }
        IpAddr::V6(start) => {
            let mask = u128::MAX.checked_shr(128 - hosts(128)?).unwrap_or(0);
            let first = start.to_bits();
            (Range::V6(first, first | mask), first & mask == 0)
        }
    };
    if empty {
        Ok(range)
    } else {
        Err(format!(
            "`{start}/{prefix}` is not a network: there are bits of hosts in it"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        let range = parsed_range(text).unwrap();
        range
            .addresses()
            .map(|address| address.to_string())
            .collect()
    }

    #[test]
    fn ranges_have_three_forms_in_both_families() {
        assert_eq!(
            addresses("10.0.0.9-11"),
            ["10.0.0.9", "10.0.0.10", "10.0.0.11"]
        );
        assert_eq!(
            addresses("10.0.0.255-10.0.1.1"),
            ["10.0.0.255", "10.0.1.0", "10.0.1.1"]
        );
        assert_eq!(addresses("10.0.0.8/31"), ["10.0.0.8", "10.0.0.9"]);
        assert_eq!(addresses("10.0.0.8/32"), ["10.0.0.8"]);
        assert_eq!(addresses("fd00::9-b"), ["fd00::9", "fd00::a", "fd00::b"]);
        assert_eq!(addresses("fd00::8/127"), ["fd00::8", "fd00::9"]);
        assert_eq!(addresses("fd00::8/128"), ["fd00::8"]);
        assert_eq!(addresses("10.0.0.1"), ["10.0.0.1"]);
    }

    #[test]
    fn what_is_no_range_says_why() {
        for (text, why) in [
            ("10.0.0.1-256", "from 0 to 255"),
            ("10.0.0.1-x", "from 0 to 255"),
            ("10.0.0.3/29", "bits of hosts"),
            ("10.0.0.0/33", "from 0 to 32"),
            ("fd00::1-10000", "four hexadecimal digits"),
            ("10.0.0.1-fd00::1", "two families"),
            ("here", "not an IP address"),
        ] {
            let message = parsed_range(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
        let backwards = parsed_range("10.0.0.9-8").unwrap();
        assert_eq!(backwards.distance(), None);
        assert_eq!(
            parsed_range("0.0.0.0/0").unwrap().distance(),
            Some(u128::from(u32::MAX))
        );
    }
}
