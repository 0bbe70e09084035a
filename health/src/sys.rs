//! The only unsafe code of this crate: system calls that have no safe wrapper.
#![expect(
    unsafe_code,
    reason = "socket errors with their cause, process groups and what a child does before exec"
)]

use std::{io, net::UdpSocket, os::fd::AsRawFd};

use tokio::io::unix::AsyncFd;

/// Has the kernel queue the ICMP errors that concern a socket (`IP_RECVERR`, `IPV6_RECVERR`).
pub(crate) fn queue_errors(socket: &impl AsRawFd, v6: bool) -> io::Result<()> {
    let (level, name) = if v6 {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
    } else {
        (libc::IPPROTO_IP, libc::IP_RECVERR)
    };
    switch_on(socket, level, name)
}

/// Has a socket that is bound to an address without a port get its port when it connects
/// (`IP_BIND_ADDRESS_NO_PORT`, for IPv6 too). Otherwise it has the port for itself whatever it
/// connects to, for the minute after its end too, and no more than about 28,000 have one.
pub(crate) fn choose_port_at_connect(socket: &impl AsRawFd) -> io::Result<()> {
    switch_on(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT)
}

fn switch_on(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = length_of(size_of_val(&on));
    // SAFETY: the pointer and the length are those of `on`, which the kernel only reads.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const on).cast(),
            length,
        )
    };
    result(done).map(drop)
}

/// What [`take_error`] fills.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuedError<'a> {
    /// The beginning of the packet that caused the error.
    pub(crate) packet: &'a [u8],
    /// Where it was sent: a `sockaddr`.
    pub(crate) destination: &'a [u8],
    /// Control messages (`cmsg(3)`).
    pub(crate) control: &'a [u8],
}

/// Takes an error from a socket's queue (`MSG_ERRQUEUE`). Does not wait.
///
/// # Errors
/// `WouldBlock` when the queue is empty.
pub(crate) fn take_error<'a>(
    socket: &impl AsRawFd,
    packet: &'a mut [u8],
    destination: &'a mut [u8; 28],
    control: &'a mut [u8],
) -> io::Result<QueuedError<'a>> {
    let mut part = libc::iovec {
        iov_base: packet.as_mut_ptr().cast(),
        iov_len: packet.len(),
    };
    // SAFETY: a `msghdr` is integers and pointers, for which zero is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = destination.as_mut_ptr().cast();
    header.msg_namelen = length_of(destination.len());
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    #[expect(
        clippy::useless_conversion,
        reason = "the type of the field differs between C libraries"
    )]
    {
        header.msg_controllen = control.len().try_into().unwrap_or_default();
    }
    let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
    // SAFETY: every pointer in `header` is to memory that outlives the call and is borrowed by
    // nobody else, with its length beside it.
    let taken = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags) };
    let taken = usize::try_from(taken).map_err(|_| io::Error::last_os_error())?;
    let name = usize::try_from(header.msg_namelen).unwrap_or_default();
    #[expect(
        clippy::useless_conversion,
        reason = "the type of the field differs between C libraries"
    )]
    let filled = usize::try_from(header.msg_controllen).unwrap_or_default();
    Ok(QueuedError {
        packet: packet.get(..taken).unwrap_or_default(),
        destination: destination.get(..name).unwrap_or_default(),
        control: control.get(..filled).unwrap_or_default(),
    })
}

/// Has the runtime watch a socket. Must be called within a tokio runtime.
pub(crate) fn watch(socket: UdpSocket) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: a `UdpSocket` stays open and stays the same descriptor for as long as it lives, and
    // nobody gets it out of the `AsyncFd`.
    let watched = unsafe { AsyncFd::register(socket) };
    Ok(watched?)
}

fn length_of(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or_default()
}

fn result(returned: libc::c_int) -> io::Result<libc::c_int> {
    if returned == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

#[cfg(feature = "script")]
pub(crate) use self::process::{ends_at, prepare, signal_group};

#[cfg(feature = "script")]
mod process {
    use std::{
        io,
        os::{
            fd::{FromRawFd, OwnedFd},
            unix::process::CommandExt,
        },
        process::Command,
    };

    use tokio::io::{Interest, unix::AsyncFd};

    use super::result;

    /// Makes the program that `command` starts run as a user and a group with exactly these
    /// supplementary groups, if there is one to become, and inherit no descriptor but the standard
    /// streams. A failure is the error of `spawn`.
    pub(crate) fn prepare(command: &mut Command, account: Option<(u32, u32, Vec<u32>)>) {
        let before_exec = move || -> io::Result<()> {
            const FIRST: libc::c_uint = 3;
            let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
            // SAFETY: takes three integers and touches no memory; closes nothing before the exec.
            // Without the call (before Linux 5.11) what Rust has opened is close-on-exec already.
            let _older_kernel = unsafe { libc::close_range(FIRST, libc::c_uint::MAX, flags) };
            let Some((uid, gid, groups)) = &account else {
                return Ok(());
            };
            // Groups first: after `setuid` the right to change them is gone.
            // SAFETY: pointer and length are those of the vector, which is only read.
            result(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
            // SAFETY: takes an integer.
            result(unsafe { libc::setgid(*gid) })?;
            // SAFETY: takes an integer.
            result(unsafe { libc::setuid(*uid) })?;
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes system calls alone, all of them
        // async-signal-safe. It allocates nothing and takes no lock: the list of groups was made
        // before the fork, and an `io::Error` of an errno has no heap.
        unsafe { command.pre_exec(before_exec) };
    }

    /// Sends a signal to a process group.
    ///
    /// The caller's child leads it and was not reaped, or the number may be another's by now.
    pub(crate) fn signal_group(leader: u32, signal: libc::c_int) -> io::Result<()> {
        let group = i32::try_from(leader).map_err(io::Error::other)?;
        // SAFETY: takes two integers and touches no memory.
        result(unsafe { libc::kill(-group, signal) }).map(drop)
    }

    /// Something to await that is ready when the process has ended, and does not reap it.
    ///
    /// The caller must own it as a child that it has not reaped. Needs a tokio runtime with IO.
    pub(crate) fn ends_at(pid: u32) -> io::Result<AsyncFd<OwnedFd>> {
        const NO_FLAGS: libc::c_uint = 0;
        // SAFETY: the call takes two integers and touches no memory.
        let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, NO_FLAGS) };
        let fd = i32::try_from(returned).map_err(io::Error::other)?;
        result(fd)?;
        // SAFETY: the kernel has just made this descriptor for us (close-on-exec), nobody else has
        // it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: an `OwnedFd` stays open and stays the same descriptor for as long as it lives,
        // and nobody gets it out of the `AsyncFd`.
        let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
        Ok(watched?)
    }
}
