//! The few things about a netlink socket that neli lacks.

use std::{
    io,
    os::fd::{AsRawFd as _, RawFd},
    time::Duration,
};

use libc::{c_int, c_void, socklen_t};
use neli::socket::NlSocket;

use super::result;

/// Has the socket take messages from the kernel alone: nobody else can then pretend to be it.
pub(crate) fn connect_to_kernel(socket: &NlSocket) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "it is 16")]
    const FAMILY: libc::sa_family_t = libc::AF_NETLINK as libc::sa_family_t;
    // SAFETY: `sockaddr_nl` is of integers alone, for which zeroes are a value.
    let mut kernel: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    kernel.nl_family = FAMILY;
    // SAFETY: the pointer and the length are those of `kernel`, which lives through the call and
    // is only read.
    let status = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            (&raw const kernel).cast::<libc::sockaddr>(),
            length_of::<libc::sockaddr_nl>(),
        )
    };
    result(status)
}

/// Has errors come without the request that they are about, which the receive buffer has no room
/// for.
pub(crate) fn leave_requests_out_of_errors(socket: &NlSocket) -> io::Result<()> {
    set(socket, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, &1)
}

/// Sets for how long receiving waits, in whole seconds.
pub(crate) fn set_receive_timeout(socket: &NlSocket, timeout: Duration) -> io::Result<()> {
    let seconds = timeout.as_secs().try_into();
    let timeout = libc::timeval {
        tv_sec: seconds.map_err(io::Error::other)?,
        tv_usec: 0,
    };
    set(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeout)
}

/// Sets an option whose value is all of `value`'s bytes.
fn set<T: OptionValue>(socket: &NlSocket, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let socket: RawFd = socket.as_raw_fd();
    // SAFETY: the pointer and the length are those of `value`, which lives through the call and
    // is only read.
    let status = unsafe {
        libc::setsockopt(
            socket,
            level,
            name,
            std::ptr::from_ref(value).cast::<c_void>(),
            length_of::<T>(),
        )
    };
    result(status)
}

/// What an option can be set to.
trait OptionValue {}
impl OptionValue for c_int {}
impl OptionValue for libc::timeval {}

#[expect(clippy::cast_possible_truncation, reason = "of types of a few bytes")]
const fn length_of<T>() -> socklen_t {
    size_of::<T>() as socklen_t
}
