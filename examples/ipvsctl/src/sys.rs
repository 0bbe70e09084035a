//! The only unsafe code of the program: the C library's names of addresses.
#![expect(unsafe_code, reason = "getnameinfo has no safe wrapper")]

use std::{
    ffi::CStr,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Longest name that is told (`NI_MAXHOST`).
const LONGEST: usize = 1025;

/// The name of an address, if it has one. Blocks for as long as the machine's resolver does.
pub(crate) fn name_of(address: IpAddr) -> Option<String> {
    match address {
        IpAddr::V4(address) => of_v4(address),
        IpAddr::V6(address) => of_v6(address),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<String> {
    let socket = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).ok()?,
        sin_port: 0,
        sin_addr: libc::in_addr {
            s_addr: address.to_bits().to_be(),
        },
        sin_zero: [0; 8],
    };
    of_socket(&socket)
}

fn of_v6(address: Ipv6Addr) -> Option<String> {
    let socket = libc::sockaddr_in6 {
        sin6_family: libc::sa_family_t::try_from(libc::AF_INET6).ok()?,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr {
            s6_addr: address.octets(),
        },
        sin6_scope_id: 0,
    };
    of_socket(&socket)
}

/// The name of a socket address, which is a `sockaddr_in` or a `sockaddr_in6`.
fn of_socket<T>(socket: &T) -> Option<String> {
    let mut name = [0; LONGEST];
    let socket_length = libc::socklen_t::try_from(size_of::<T>()).ok()?;
    let name_length = libc::socklen_t::try_from(name.len()).ok()?;
    // SAFETY: the first two are an address of that many bytes, whose family says what it is; the
    // next two a buffer of that many bytes. Both live until the call returns. No service is asked
    // for, so that its buffer may be null.
    let result = unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(socket).cast(),
            socket_length,
            name.as_mut_ptr(),
            name_length,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if result != 0 {
        return None;
    }
    let bytes: Vec<u8> = name.iter().map(|byte| byte.cast_unsigned()).collect();
    let name = CStr::from_bytes_until_nul(&bytes).ok()?;
    name.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_a_name() {
        assert_eq!(
            name_of(IpAddr::V4(Ipv4Addr::LOCALHOST)).as_deref(),
            Some("localhost")
        );
    }
}
