//! Namespaces that end with this process, and nothing outside of them.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid, getpid};

use super::forbidden::{self, Hints};

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// This machine does not let this user have it.
    #[error("cannot {what}: {cause}{hints}")]
    Forbidden {
        what: String,
        // In the message, not as the source of the error: the hints come after it.
        cause: io::Error,
        hints: Hints,
    },
    #[error("cannot start the program itself again (/proc/self/exe)")]
    Start(#[source] io::Error),
    #[error("--inside is for the demo's own use: run director demo")]
    NotInside,
    #[error("the process that has started the demo is gone")]
    Orphaned,
    #[error("the demo was killed by signal {0}")]
    Killed(i32),
}

/// The user namespace that the sandbox is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Users {
    /// One of its own.
    Own,
    /// The one it was started in.
    OfTheMachine,
}

impl Users {
    /// On the command line.
    const fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::OfTheMachine => "of-the-machine",
        }
    }
}

/// Makes the sandbox, runs this program in it and hands its exit code on.
pub(super) fn run_inside(keep: bool) -> Result<ExitCode, Error> {
    let users = isolate()?;
    let mut child = Command::new("/proc/self/exe")
        .args(["demo", "--inside", users.word()])
        .args(keep.then_some("--keep"))
        .stdin(Stdio::piped())
        .spawn()
        .map_err(Error::Start)?;
    // It stays open for as long as this process lives: see `confirm`.
    let lifeline = child.stdin.take();
    let status = child.wait().map_err(Error::Start)?;
    drop(lifeline);
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)),
        (None, signal) => Err(Error::Killed(signal.unwrap_or_default())),
    }
}

/// Makes sure that this process is the one that [`run_inside`] has started, and that it dies with
/// its parent.
pub(super) fn confirm() -> Result<(), Error> {
    if getpid().as_raw() != 1 {
        return Err(Error::NotInside);
    }
    set_pdeathsig(Signal::SIGKILL).map_err(|errno| Error::Start(errno.into()))?;
    // A parent that died before that was set is known by the closed end of its pipe.
    let stdin = io::stdin();
    let mut lifeline = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut lifeline, PollTimeout::ZERO) {
        Ok(0) => Ok(()),
        _ => Err(Error::Orphaned),
    }
}

/// A directory that nobody else sees, and that is gone with the sandbox.
pub(super) fn directory() -> PathBuf {
    std::env::temp_dir()
}

/// Moves this process into namespaces of its own, its children into a PID namespace, and makes
/// [`directory`] an empty one.
fn isolate() -> Result<Users, Error> {
    let (uid, gid) = (geteuid(), getegid());
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    // Root's IPVS is only to be had outside of user namespaces: the kernel wants its CAP_NET_ADMIN
    // in the first one.
    let users = if uid.is_root() && unshare(own).is_ok() {
        Users::OfTheMachine
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | own).map_err(|errno| {
            forbidden("make user, network, mount and PID namespaces", errno.into())
        })?;
        let map = |file: &str, text: &str| {
            fs::write(Path::new("/proc/self").join(file), text)
                .map_err(|error| forbidden("become root in a user namespace", error))
        };
        // Without it the kernel lets nobody but root write the map of groups.
        map("setgroups", "deny")?;
        map("gid_map", &format!("0 {gid} 1"))?;
        map("uid_map", &format!("0 {uid} 1"))?;
        Users::Own
    };
    mount_private_directory().map_err(|errno| {
        let what = format!("mount a tmpfs on {} (or TMPDIR)", directory().display());
        forbidden(what, errno.into())
    })?;
    Ok(users)
}

fn mount_private_directory() -> nix::Result<()> {
    const NONE: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("demo"),
        &directory(),
        Some("tmpfs"),
        flags,
        Some("mode=700,size=16m"),
    )
}

fn forbidden(what: impl Into<String>, cause: io::Error) -> Error {
    Error::Forbidden {
        what: what.into(),
        hints: forbidden::hints(&cause, |path| fs::read_to_string(path).ok()),
        cause,
    }
}
