//! Bytes that go from socket to socket through a pipe without being copied, and what limits them.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
    ptr,
};

use libc::c_int;

use super::result;

/// Moves up to `most` bytes from one descriptor to the other, of which one is a pipe. Never waits
/// for the pipe. 0: `from` has ended.
pub(crate) fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let flags = libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    // SAFETY: both descriptors are borrowed for the call, and the offsets are null, which is what
    // sockets and pipes take.
    let moved = unsafe {
        libc::splice(
            from.as_raw_fd(),
            ptr::null_mut(),
            to.as_raw_fd(),
            ptr::null_mut(),
            most,
            flags,
        )
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Sets how many bytes a pipe holds. Tells how many that are: the kernel rounds up.
pub(crate) fn set_pipe_size(pipe: impl AsFd, bytes: c_int) -> io::Result<usize> {
    let pipe = pipe.as_fd();
    // SAFETY: the descriptor is borrowed for the call; the argument is a number.
    let size = unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
    usize::try_from(size).map_err(|_| io::Error::last_os_error())
}

/// How many descriptors this process may have open (the soft `RLIMIT_NOFILE`).
pub(crate) fn most_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to `limit`, which lives through the call and is written alone.
    result(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok(limit.rlim_cur)
}
