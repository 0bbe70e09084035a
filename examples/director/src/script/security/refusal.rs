//! Why a script may not run, and what to do about it.

use std::path::PathBuf;

use nix::errno::Errno;

/// Why a script may not run. The text names the component at fault and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The program has a slash but does not begin with one.
    #[error("`{program}` is a relative path: write it from the root directory")]
    Relative {
        /// The program as configured.
        program: String,
    },
    /// No directory of `PATH` has a program of this name that the user may execute.
    #[error(
        "no executable `{name}` in PATH ({searched}){}: write its full path",
        .not_executable.as_ref().map_or_else(String::new, |path| {
            format!("; {} is not executable for user {user}", path.display())
        })
    )]
    NotInPath {
        /// The name as configured.
        name: String,
        /// The directories searched.
        searched: String,
        /// The user it was searched for.
        user: String,
        /// A file of that name that the user may not execute.
        not_executable: Option<PathBuf>,
    },
    /// A component of the path does not exist.
    #[error("{} does not exist{}", .component.display(), part_of(.component, .path))]
    Missing {
        /// What is missing.
        component: PathBuf,
        /// The path it is part of.
        path: PathBuf,
    },
    /// A component could not be looked at.
    #[error("{} cannot be looked at: {}", .component.display(), .errno.desc())]
    Unreadable {
        /// The component.
        component: PathBuf,
        /// The error of the system call.
        errno: Errno,
    },
    /// A component other than the last is not a directory.
    #[error("{} is not a directory{}", .component.display(), part_of(.component, .path))]
    NotADirectory {
        /// The component.
        component: PathBuf,
        /// The path it is part of.
        path: PathBuf,
    },
    /// More symbolic links than Linux follows: most likely a loop.
    #[error("{} leads through more than {most} symbolic links: do they form a loop?", .path.display())]
    TooManyLinks {
        /// The path.
        path: PathBuf,
        /// How many are followed.
        most: usize,
    },
    /// The path ends at something that is no program.
    #[error("{} is not a regular file", .path.display())]
    NotAFile {
        /// Where the path leads.
        path: PathBuf,
    },
    /// The user has no execute permission.
    #[error(
        "{} is not executable for user {user} (owner {uid}:{gid}, mode {mode:04o}): chmod a+x {0}",
        .path.display()
    )]
    NotExecutable {
        /// Where the path leads.
        path: PathBuf,
        /// The user the script runs as.
        user: String,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// Somebody who is not root owns a component of a script with root's rights.
    #[error(
        "{} belongs to user id {owner}, but the script runs with root's rights: chown root {0}, \
         or run it as another user (`user`, `script_user`)",
        .component.display()
    )]
    NotOwnedByRoot {
        /// The component.
        component: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A group that is not root's may change a component of a script with root's rights.
    #[error(
        "{} can be changed by group id {group} (mode {mode:04o}), but the script runs with root's \
         rights: chmod g-w {0}, or run it as another user (`user`, `script_user`)",
        .component.display()
    )]
    WritableByGroup {
        /// The component.
        component: PathBuf,
        /// The group.
        group: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Anybody may change a component of a script with root's rights.
    #[error(
        "{} can be changed by anybody (mode {mode:04o}), but the script runs with root's rights: \
         chmod o-w {0}, or run it as another user (`user`, `script_user`)",
        .component.display()
    )]
    WritableByAll {
        /// The component.
        component: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The user is not known to this machine.
    #[error("there is no user `{user}` on this machine: create it or name another")]
    UnknownUser {
        /// The name as configured.
        user: String,
    },
    /// The group is not known to this machine.
    #[error("there is no group `{group}` on this machine: create it or name another")]
    UnknownGroup {
        /// The name as configured.
        group: String,
    },
    /// With `enable_script_security`, nothing says who runs scripts, and root must be said.
    #[error(
        "enable_script_security is set, but there is neither a script_user nor a user \
         `{}` on this machine: set script_user or create the user",
        super::DEFAULT_USER
    )]
    NoScriptUser,
    /// The accounts of the machine could not be read.
    #[error("cannot look up {what}: {}", .errno.desc())]
    Accounts {
        /// What was looked up.
        what: String,
        /// The error of the C library.
        errno: Errno,
    },
}

fn part_of(component: &PathBuf, path: &PathBuf) -> String {
    if component == path {
        String::new()
    } else {
        format!(" (on the way to {})", path.display())
    }
}

/// What does not stop a script but should be known; said once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Advice {
    /// The program was found in `PATH`, which another start of the daemon may have otherwise.
    #[error("`{name}` was found in PATH as {}: write the full path", .path.display())]
    FoundInPath {
        /// The name as configured.
        name: String,
        /// What runs.
        path: PathBuf,
    },
    /// `enable_script_security` would refuse it.
    #[error("{0} (it runs all the same, as enable_script_security is not set)")]
    Insecure(Refusal),
}
