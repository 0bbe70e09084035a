//! The guard: a process that starts the kernel and does not let it outlive the runner.
//!
//! User-Mode Linux is a group of processes, one for each process inside and some helpers. Killing
//! the first leaves others behind, and a runner that is killed can kill nobody. The guard reads
//! from a pipe that the runner holds: when that ends, whatever the reason, it kills them all.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl::set_child_subreaper,
        signal::{Signal, killpg},
        statvfs::{FsFlags, statvfs},
        wait::wait,
    },
    unistd::Pid,
};

use super::scratch::{CONSOLE, INIT, Scratch};

/// Bytes of memory of a guest.
const MEMORY: u64 = 512 << 20;

/// How often the guard looks whether the kernel has ended by itself.
const POLL_MILLISECONDS: u8 = 20;

/// What a program is called in a process list that is a guard, and how it learns that it is one.
pub(super) const NAME: &str = "in-guest-guard";

/// The guard, as the runner sees it. Dropping it ends the guest.
#[derive(Debug)]
pub(super) struct Guard {
    process: Child,
}

impl Guard {
    pub(super) fn start(kernel: &Path, scratch: &Scratch) -> io::Result<Self> {
        let console = File::create(scratch.path().join(CONSOLE))?;
        let process = Command::new(env::current_exe()?)
            .arg0(NAME)
            .args([kernel, scratch.path()])
            // Not what Ctrl-C ends together with the runner: it has to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()?;
        Ok(Self { process })
    }

    /// Whether the guest is gone although nobody ended it.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// The guard's main function, for a program that was started by the name `in-guest-guard`: returns
/// `None` at once if it was not, else when the guest has ended.
#[must_use]
pub fn guard(arguments: &[OsString]) -> Option<io::Result<()>> {
    match arguments {
        [name, kernel, scratch] if name == NAME => {
            Some(watch(Path::new(kernel), Path::new(scratch)))
        }
        _ => None,
    }
}

fn watch(kernel: &Path, scratch: &Path) -> io::Result<()> {
    // Whoever loses its parent comes here, and is waited for below.
    set_child_subreaper(true)?;
    let mut guest = command(kernel, scratch).spawn()?;
    let mut abandoned = false;
    while !abandoned && guest.try_wait()?.is_none() {
        let stdin = io::stdin();
        let mut pipe = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        abandoned = match poll(&mut pipe, PollTimeout::from(POLL_MILLISECONDS)) {
            Ok(0) | Err(Errno::EINTR) => false,
            Ok(_) => true,
            Err(error) => return Err(error.into()),
        };
    }
    let group = Pid::from_raw(i32::try_from(guest.id()).map_err(io::Error::other)?);
    // No such group: all have ended by themselves.
    killpg(group, Signal::SIGKILL).ok();
    while wait().is_ok() {}
    if abandoned {
        // A runner that was killed did not do it.
        fs::remove_dir_all(scratch)?;
    }
    Ok(())
}

/// The kernel's command line.
fn command(kernel: &Path, scratch: &Path) -> Command {
    let with_path = |before: &str, path: &Path, after: &str| {
        let mut argument = OsString::from(before);
        argument.push(path);
        argument.push(after);
        argument
    };
    let mut command = Command::new(kernel);
    command
        .env("TMPDIR", memory_directory(scratch))
        .arg(format!("mem={MEMORY}"))
        .args(["rootfstype=hostfs", "rootflags=/", "rw", "quiet"])
        // The kernel's messages alone go here: what runs inside writes to files.
        .args(["con=null", "con0=null,fd:1"])
        .args(["umid=guest", "noreboot"])
        .arg(with_path("uml_dir=", scratch, ""))
        .arg(with_path("\"init=", &scratch.join(INIT), "\""))
        .stdin(Stdio::null())
        .process_group(0);
    command
}

/// Where the kernel puts its memory, a file that it maps and deletes at once.
fn memory_directory(scratch: &Path) -> &Path {
    let in_memory = "/dev/shm";
    let fits = statvfs(in_memory).is_ok_and(|found| {
        let room = found
            .blocks_available()
            .saturating_mul(found.fragment_size());
        room >= MEMORY && !found.flags().contains(FsFlags::ST_NOEXEC)
    });
    if fits { Path::new(in_memory) } else { scratch }
}
