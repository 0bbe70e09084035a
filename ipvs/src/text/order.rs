//! In which order things are listed.

use std::{cmp::Ordering, net::IpAddr};

use crate::{Endpoint, ServiceKey};

/// In which order services and destinations are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "sorted, as ipvsadm sorts, or not at all"
)]
pub enum Order {
    /// By family, protocol, address and port; services by firewall mark last.
    #[default]
    Numeric,
    /// As ipvsadm does: addresses, of both families together, word by word by the sign of their
    /// difference in 32 bits, so that 200.0.0.1 and fd00::1 are before 10.1.0.100.
    Ipvsadm,
    /// As the kernel tells them (`--nosort`): destinations with the newest first.
    Kernel,
}

impl Order {
    /// Puts things into this order by what names the service they are about.
    #[must_use]
    pub fn services<T>(self, items: Vec<T>, key: impl Fn(&T) -> ServiceKey) -> Vec<T> {
        let rank = |key: ServiceKey| match key {
            ServiceKey::Address { protocol, endpoint } => {
                (0, key.family(), protocol.number(), Some(endpoint))
            }
            ServiceKey::Fwmark { mark, family } => (mark.get(), family, 0, None),
        };
        self.sort(items, |a, b| {
            let (a, b) = (rank(key(a)), rank(key(b)));
            let head = (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2));
            head.then_with(|| match (a.3, b.3) {
                (Some(a), Some(b)) => self.endpoints(&a, &b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            })
        })
    }

    /// Puts things into this order by the destination they are about.
    #[must_use]
    pub fn destinations<T>(self, items: Vec<T>, key: impl Fn(&T) -> Endpoint) -> Vec<T> {
        self.sort(items, |a, b| self.endpoints(&key(a), &key(b)))
    }

    fn endpoints(self, a: &Endpoint, b: &Endpoint) -> Ordering {
        let addresses = match self {
            Self::Ipvsadm => {
                let words = words(a.address).into_iter().zip(words(b.address));
                let differences = words.map(|(a, b)| a.wrapping_sub(b).cast_signed().cmp(&0));
                differences.fold(Ordering::Equal, Ordering::then)
            }
            Self::Numeric | Self::Kernel => a.address.cmp(&b.address),
        };
        addresses.then(a.port.cmp(&b.port))
    }

    fn sort<T>(self, items: Vec<T>, compare: impl Fn(&T, &T) -> Ordering) -> Vec<T> {
        match self {
            Self::Kernel => items,
            Self::Numeric | Self::Ipvsadm => merge_sort(items, &compare),
        }
    }
}

/// The words of an address, of which one of IPv4 has but the first.
fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let word = |shift| u32::try_from((bits >> shift) & u128::from(u32::MAX));
            [96, 64, 32, 0].map(|shift| word(shift).unwrap_or_default())
        }
    }
}

/// Sorts as the C library does. The sign of a difference is not an order (of three addresses each
/// can be before the next), with which the standard library's sort may panic.
fn merge_sort<T>(mut items: Vec<T>, compare: &impl Fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let right = items.split_off(items.len() / 2);
    let mut sorted = Vec::with_capacity(items.len() + right.len());
    let mut left = merge_sort(items, compare).into_iter().peekable();
    let mut right = merge_sort(right, compare).into_iter().peekable();
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        sorted.extend(if compare(a, b).is_le() {
            left.next()
        } else {
            right.next()
        });
    }
    sorted.extend(left.chain(right));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(order: Order, texts: &[&str]) -> Vec<String> {
        let endpoints = texts
            .iter()
            .map(|text| text.parse::<Endpoint>().unwrap())
            .collect();
        let sorted = order.destinations(endpoints, |endpoint| *endpoint);
        sorted.iter().map(Endpoint::to_string).collect()
    }

    #[test]
    fn addresses_are_sorted_as_numbers_or_as_ipvsadm_does() {
        let texts = ["200.0.0.1:80", "10.0.0.10:80", "10.0.0.9:81", "10.0.0.9:80"];
        let tens = ["10.0.0.9:80", "10.0.0.9:81", "10.0.0.10:80"];
        assert_eq!(
            sorted(Order::Numeric, &texts),
            [&tens[..], &["200.0.0.1:80"]].concat()
        );
        assert_eq!(
            sorted(Order::Ipvsadm, &texts),
            [&["200.0.0.1:80"], &tens[..]].concat()
        );
        assert_eq!(sorted(Order::Kernel, &texts), texts);
    }

    #[test]
    fn addresses_of_both_families_are_sorted_together_as_ipvsadm_does() {
        let texts = [
            "32.1.13.185:80",
            "253.0.0.0:80",
            "200.0.0.1:80",
            "[2001:db8::]:80",
            "32.1.13.184:80",
            "10.0.0.1:80",
            "[fd00::7]:80",
            "[2001:db8::1]:80",
        ];
        let recorded = [
            "200.0.0.1:80",
            "253.0.0.0:80",
            "[fd00::7]:80",
            "10.0.0.1:80",
            "[2001:db8::]:80",
            "32.1.13.184:80",
            "[2001:db8::1]:80",
            "32.1.13.185:80",
        ];
        assert_eq!(sorted(Order::Ipvsadm, &texts), recorded);
        assert_eq!(
            sorted(Order::Ipvsadm, &["[2001:db8::1]:80", "[fd00::1]:80"]),
            ["[fd00::1]:80", "[2001:db8::1]:80"]
        );
    }

    #[test]
    fn addresses_that_go_round_in_circles_are_sorted_somehow() {
        let texts: Vec<_> = (0..100)
            .map(|at: u32| format!("{}.0.0.1:80", (at * 85) % 256))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let mut result = sorted(Order::Ipvsadm, &texts);
        result.sort();
        let mut expected = texts;
        expected.sort_unstable();
        assert_eq!(result, expected);
    }
}
