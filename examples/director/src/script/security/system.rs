//! What the rules need to know of the machine: files and accounts.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{Gid, Group, User, getegid, geteuid, getgrouplist, getgroups};

/// Files and accounts. Every method may block (a network file system, a directory service).
pub trait System: Send + Sync {
    /// What is at this path; a symbolic link is not followed.
    ///
    /// # Errors
    /// As `lstat`.
    fn inode(&self, path: &Path) -> io::Result<Inode>;
    /// Where a symbolic link points.
    ///
    /// # Errors
    /// As `readlink`.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// User id and primary group id of a user.
    ///
    /// # Errors
    /// When the accounts cannot be read; an unknown name is `None`.
    fn user(&self, name: &str) -> io::Result<Option<(u32, u32)>>;
    /// Id of a group.
    ///
    /// # Errors
    /// When the accounts cannot be read; an unknown name is `None`.
    fn group(&self, name: &str) -> io::Result<Option<u32>>;
    /// All groups of a user that has `gid` as its first.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    fn groups_of(&self, user: &str, gid: u32) -> io::Result<Vec<u32>>;
    /// Whose rights this process has.
    fn own(&self) -> Own;
}

/// The identity of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an implementation of System must make one"
)]
pub struct Own {
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The kind of a file, as far as the rules care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the rules know no further kind")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a socket, a FIFO.
    Other,
}

/// What the rules look at in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an implementation of System must make one"
)]
pub struct Inode {
    /// Its kind.
    pub kind: Kind,
    /// Permission, sticky and set-id bits: the low 12 bits of `st_mode`.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The machine itself.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Machine;

impl System for Machine {
    fn inode(&self, path: &Path) -> io::Result<Inode> {
        let metadata = fs::symlink_metadata(path)?;
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => Kind::Directory,
            kind if kind.is_file() => Kind::File,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let mode = metadata.mode() & 0o7777;
        Ok(Inode {
            kind,
            mode,
            uid: metadata.uid(),
            gid: metadata.gid(),
        })
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn user(&self, name: &str) -> io::Result<Option<(u32, u32)>> {
        let found = none_if_absent(User::from_name(name))?;
        Ok(found.map(|user| (user.uid.as_raw(), user.gid.as_raw())))
    }

    fn group(&self, name: &str) -> io::Result<Option<u32>> {
        Ok(none_if_absent(Group::from_name(name))?.map(|group| group.gid.as_raw()))
    }

    fn groups_of(&self, user: &str, gid: u32) -> io::Result<Vec<u32>> {
        let name = CString::new(user)?;
        let groups = getgrouplist(&name, Gid::from_raw(gid))?;
        Ok(groups.into_iter().map(Gid::as_raw).collect())
    }

    fn own(&self) -> Own {
        // Only a list that grows between two calls makes this fail: then the kernel decides alone.
        let groups = getgroups().unwrap_or_default();
        Own {
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            groups: groups.into_iter().map(Gid::as_raw).collect(),
        }
    }
}

/// Some C libraries and directory services answer "no such name" with an error (getpwnam(3)).
fn none_if_absent<T>(answer: nix::Result<Option<T>>) -> io::Result<Option<T>> {
    match answer {
        Ok(found) => Ok(found),
        Err(Errno::ENOENT | Errno::ESRCH | Errno::EBADF | Errno::EPERM) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
