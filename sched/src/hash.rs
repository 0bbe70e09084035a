//! The hash functions of the kernel's schedulers.

use std::{
    hash::Hasher,
    net::{IpAddr, SocketAddr},
};

use siphasher::sip::SipHasher13;

/// Folds an address to 32 bits: an IPv4 address is the number it is, an IPv6 address the
/// exclusive or of its four words, both in host order.
pub(crate) fn fold(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h] = address.segments().map(u32::from);
            ((a ^ c ^ e ^ g) << 16) | (b ^ d ^ f ^ h)
        }
    }
}

/// The kernel's `hash_32`: multiplication by the golden ratio, of which the `bits` (1 to 32)
/// highest bits are kept.
pub(crate) const fn hash_32(value: u32, bits: u32) -> u32 {
    value.wrapping_mul(0x61C8_8647) >> (32 - bits)
}

/// A 64-bit SipHash-1-3 with one number for both halves of the key.
pub(crate) fn sip_13(key: u64, bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, key);
    hasher.write(bytes);
    hasher.finish()
}

/// The hash of `mh`: of an address and a port, displaced by `offset`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the kernel keeps the low 32 bits"
)]
pub(crate) fn maglev(key: u64, address: IpAddr, port: u16, offset: u32) -> u32 {
    let value = offset
        .wrapping_add(u32::from(port))
        .wrapping_add(fold(address));
    sip_13(key, &value.to_le_bytes()) as u32
}

/// A 64-bit hash of an address without its port, for hash rings.
pub(crate) fn ring_point(key: u64, address: SocketAddr, replica: u32) -> u64 {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let mut bytes = [0; 22];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(&ip);
    let (port, counter) = tail.split_at_mut(2);
    port.copy_from_slice(&address.port().to_be_bytes());
    counter.copy_from_slice(&replica.to_be_bytes());
    sip_13(key, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn hash_32_gives_the_buckets_that_the_kernel_uses() {
        for (address, bucket) in [
            ("10.0.0.1", 39),
            ("192.168.0.1", 192),
            ("192.168.0.2", 34),
            ("192.168.0.3", 131),
            ("192.168.0.4", 229),
        ] {
            assert_eq!(hash_32(fold(ip(address)), 8), bucket, "{address}");
        }
        assert_eq!(hash_32(fold(ip("10.0.0.1")), 10), 159);
    }

    #[test]
    fn an_ipv6_address_folds_to_the_xor_of_its_words() {
        assert_eq!(fold(ip("2001:db8::1")), 0x2001_0db8 ^ 1);
        assert_eq!(
            fold(ip("1:2:3:4:5:6:7:8")),
            0x0001_0002 ^ 0x0003_0004 ^ 0x0005_0006 ^ 0x0007_0008
        );
    }
}
