//! Words → numbers, times, addresses, names.

use std::{fmt::Display, net::IpAddr, ops::RangeInclusive, str::FromStr, time::Duration};

use vrrp::{Broadcast, Scope, Vip, Weight};

/// A whole number in a range, in decimal as keepalived reads them. `what` names it with its unit.
pub(super) fn whole<T>(what: &str, range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| {
        text.parse::<T>()
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "`{text}` is not {what}: expected a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// A time in seconds with up to six decimals, in a range of seconds.
pub(super) fn seconds(
    what: &str,
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        decimal_seconds(text)
            .filter(|time| {
                (Duration::from_secs(*range.start())..=Duration::from_secs(*range.end()))
                    .contains(time)
            })
            .ok_or_else(|| {
                format!(
                    "`{text}` is not {what}: expected seconds from {} to {}, with up to six \
                     decimals",
                    range.start(),
                    range.end()
                )
            })
    }
}

/// Whole seconds in a range.
pub(super) fn whole_seconds(
    what: &str,
    range: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<Duration, String> {
    let number = whole(what, range);
    move |text| number(text).map(|secs| Duration::from_secs(secs.into()))
}

/// A decimal number of seconds, exact to the microsecond.
pub(super) fn decimal_seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 6 {
        return None;
    }
    let fraction = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = fraction.fold(0, |micros, digit| micros * 10 + u64::from(digit - b'0'));
    let secs: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    Some(Duration::from_secs(secs) + Duration::from_micros(micros))
}

/// `on`, `true`, `yes` or `off`, `false`, `no`.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err(format!(
            "`{text}` is neither on nor off: expected on, true, yes, off, false or no"
        )),
    }
}

/// A weight of a tracker.
pub(super) fn weight(text: &str) -> Result<Weight, String> {
    whole("a weight", -253..=253)(text)
        .and_then(|number| Weight::new(number).map_err(|error| error.to_string()))
}

/// A weight of a tracker whose state is a number.
pub(super) fn file_weight(text: &str) -> Result<Weight, String> {
    whole("a weight", -254..=254)(text)
        .and_then(|number| Weight::new(number).map_err(|error| error.to_string()))
}

/// An interface's name: up to 15 bytes, without blanks and `/`.
pub(super) fn interface(text: &str) -> Result<String, String> {
    let good = (1..=15).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not an interface's name: expected 1 to 15 bytes without blanks and `/`"
        ))
    }
}

/// An address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an IP address"))
}

/// A multicast address.
pub(super) fn group_address(text: &str) -> Result<IpAddr, String> {
    address(text).and_then(|address| {
        if address.is_multicast() {
            Ok(address)
        } else {
            Err(format!("`{text}` is not a multicast address"))
        }
    })
}

/// An address with a prefix length; without one, of the full length.
pub(super) fn vip(text: &str) -> Result<Vip, String> {
    text.parse()
        .map_err(|error: vrrp::ParseVipError| error.to_string())
}

/// An address scope by name or number (`ip address … scope`).
pub(super) fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "global" => Ok(Scope::Global),
        "site" => Ok(Scope::Site),
        "link" => Ok(Scope::Link),
        "host" => Ok(Scope::Host),
        "nowhere" => Ok(Scope::Nowhere),
        _ => text.parse().map(Scope::Other).map_err(|_| {
            format!(
                "`{text}` is not a scope: expected global, site, link, host, nowhere or a number \
                 up to 255"
            )
        }),
    }
}

/// A broadcast address: `+` for all host bits set, `-` for all clear, or an IPv4 address.
pub(super) fn broadcast(text: &str) -> Result<Broadcast, String> {
    match text {
        "+" => Ok(Broadcast::AllOnes),
        "-" => Ok(Broadcast::AllZeros),
        _ => text.parse().map(Broadcast::Address).map_err(|_| {
            format!("`{text}` is not a broadcast address: expected an IPv4 address, `+` or `-`")
        }),
    }
}

/// The path of a file or a FIFO.
pub(super) fn absolute_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains('\0') {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a path: expected one that begins with `/`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_decimal_and_in_range() {
        let priority = whole::<u8>("a priority", 1..=255);
        assert_eq!(priority("010"), Ok(10));
        assert_eq!(priority("+5"), Ok(5));
        for wrong in ["0", "256", "-1", "1.0", "0x10", "", "abc", "99999999999"] {
            let message = priority(wrong).unwrap_err();
            assert!(message.contains("from 1 to 255"), "{message}");
        }
    }

    #[test]
    fn seconds_are_exact_to_the_microsecond() {
        assert_eq!(
            decimal_seconds("2.71828"),
            Some(Duration::from_micros(2_718_280))
        );
        assert_eq!(decimal_seconds("3"), Some(Duration::from_secs(3)));
        assert_eq!(decimal_seconds(".5"), Some(Duration::from_millis(500)));
        assert_eq!(decimal_seconds("5."), Some(Duration::from_secs(5)));
        assert_eq!(decimal_seconds("0.000001"), Some(Duration::from_micros(1)));
        assert_eq!(decimal_seconds("0.0000010"), Some(Duration::from_micros(1)));
        for wrong in [
            "",
            ".",
            "-1",
            "1e3",
            "0.0000001",
            "1.2.3",
            "99999999999999999999",
        ] {
            assert_eq!(decimal_seconds(wrong), None, "{wrong}");
        }
        let delay = seconds("a delay", 0..=1000);
        assert!(delay("1000").is_ok());
        assert!(delay("1000.000001").is_err());
    }

    #[test]
    fn interface_names_are_those_the_kernel_takes() {
        assert!(interface("eth0.100@x").is_ok());
        for wrong in ["", "sixteen-bytes-aa", "a/b", "a b", ".", ".."] {
            assert!(interface(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scopes_and_broadcasts_have_names_signs_and_numbers() {
        assert_eq!(scope("link"), Ok(Scope::Link));
        assert_eq!(scope("77"), Ok(Scope::Other(77)));
        assert!(scope("foo").is_err());
        assert_eq!(broadcast("+"), Ok(Broadcast::AllOnes));
        assert_eq!(broadcast("-"), Ok(Broadcast::AllZeros));
        assert!(broadcast("fe80::1").is_err());
    }
}
