//! The only unsafe code of the daemon: what starts and watches its scripts, and how the C library
//! allots memory.
#![expect(
    unsafe_code,
    reason = "fork-time calls, descriptors by number and mallopt have no safe wrapper"
)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{Gid, Pid, Uid, setgid, setgroups, setuid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Marks every descriptor of this process but the standard streams close-on-exec, so that no
/// program started from here inherits what *our* parent left open. Idempotent.
///
/// # Errors
/// When neither `close_range` (Linux 5.11) nor `/proc/self/fd` is to be had.
pub(crate) fn close_on_exec_above_stderr() -> io::Result<()> {
    const FIRST: libc::c_uint = 3;
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: the call takes three integers and touches no memory. With CLOEXEC it closes nothing
    // here; a descriptor that its owner passes on is passed on by `dup2` after the fork.
    let done = unsafe { libc::close_range(FIRST, libc::c_uint::MAX, flags) };
    match Errno::result(done) {
        Ok(_) => Ok(()),
        Err(Errno::ENOSYS | Errno::EINVAL) => close_on_exec_one_by_one(),
        Err(errno) => Err(errno.into()),
    }
}

/// Has one heap for all threads, that keeps what is left free in it for its next use: what the
/// reading of a great file needed once is there for the reload, and the kernel does not have to give
/// it page by page again. By default each thread has a heap of its own, where what another left free
/// is of no use, and great blocks go back to the kernel at once.
///
/// To be called before there are other threads. Idempotent.
pub fn share_one_heap() {
    #[cfg(target_env = "gnu")]
    {
        /// The most that may be asked for: half of the greatest heap.
        const GREATEST_BLOCK_BYTES: libc::c_int = 32 << 20;
        const BYTES_KEPT_FREE: libc::c_int = 32 << 20;
        for (option, value) in [
            (libc::M_ARENA_MAX, 1),
            (libc::M_MMAP_THRESHOLD, GREATEST_BLOCK_BYTES),
            (libc::M_TRIM_THRESHOLD, BYTES_KEPT_FREE),
        ] {
            // SAFETY: takes two integers and sets a number within the allocator, under its own
            // lock. It says only whether the option is known, and nothing depends on that.
            let _is_known = unsafe { libc::mallopt(option, value) };
        }
    }
}

fn close_on_exec_one_by_one() -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let Some(fd) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if fd > libc::STDERR_FILENO {
            // SAFETY: takes integers only; on a number that is no longer open it fails with EBADF.
            // The flag changes what an exec inherits and nothing for the descriptor's owner.
            let _ignored = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
    Ok(())
}

/// Makes the program that `command` starts run as this user, with this group and exactly these
/// supplementary groups. A failure is the error of `spawn`.
pub(crate) fn run_as(command: &mut Command, uid: Uid, gid: Gid, groups: Vec<Gid>) {
    let become_user = move || -> io::Result<()> {
        // Groups first: after `setuid` the right to change them is gone.
        setgroups(&groups)?;
        setgid(gid)?;
        setuid(uid)?;
        Ok(())
    };
    // SAFETY: between fork and exec the closure only makes three system calls that are
    // async-signal-safe. It allocates nothing and takes no lock: the list of groups was made
    // before the fork, and an `Errno` becomes an `io::Error` without the heap.
    unsafe { command.pre_exec(become_user) };
}

/// Something to await that is ready when the process has exited, and does not reap it.
///
/// The caller must own `pid` as a child that it has not reaped, or the number may belong to
/// another process by now. Needs a tokio runtime with IO around it.
///
/// # Errors
/// `ESRCH` when there is no such process, `EMFILE` without a free descriptor, `ENOSYS` before
/// Linux 5.3.
pub(crate) fn exit_of(pid: Pid) -> io::Result<AsyncFd<OwnedFd>> {
    const NO_FLAGS: libc::c_uint = 0;
    // SAFETY: the call takes two integers and touches no memory.
    let returned = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), NO_FLAGS) };
    let fd = i32::try_from(Errno::result(returned)?)
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec), nobody else has it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: an `OwnedFd` stays open and stays the same descriptor for as long as it lives, and
    // nobody gets it out of the `AsyncFd`.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watched?)
}
