//! The system calls that no library makes for this crate.

#![expect(unsafe_code, reason = "system calls; every block says why it is sound")]

#[cfg(feature = "userspace")]
pub(crate) mod datagrams;
#[cfg(feature = "netlink")]
pub(crate) mod netlink;
#[cfg(feature = "userspace")]
pub(crate) mod splice;

use std::io;

use libc::c_int;

fn result(status: c_int) -> io::Result<()> {
    match status {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
