//! Where a state is kept. All of it blocks the calling thread.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};

/// More than any state has, in bytes: 37,205 real servers with a check each take 8 MB.
const LONGEST: u64 = 64 << 20;

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system says no.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is a directory, a device, a pipe.
    #[error("it is no regular file")]
    NotAFile,
    /// Somebody else may have written it.
    #[error("it belongs to user {owner}, and this daemon runs as user {user}")]
    Foreign {
        /// Whose it is.
        owner: u32,
        /// Who runs.
        user: u32,
    },
    /// Somebody else may have written it.
    #[error("others than its owner may write it (mode {mode:o}, expected 600)")]
    WritableByOthers {
        /// Its permissions.
        mode: u32,
    },
    /// The daemon does not write so much.
    #[error("it is longer than {} bytes", LONGEST)]
    TooLong,
}

/// What stands in the file; `None` if there is none. A symbolic link is not followed.
///
/// # Errors
/// It cannot be read, or somebody else may have written it.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    let mut options = OpenOptions::new();
    // A pipe must not make it wait.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    options.read(true).custom_flags(flags.bits());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    trusted(&file)?;
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    match u64::try_from(text.len()) {
        Ok(length) if length <= LONGEST => Ok(Some(text)),
        _ => Err(ReadError::TooLong),
    }
}

fn trusted(file: &File) -> Result<(), ReadError> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    let (owner, user) = (metadata.uid(), geteuid().as_raw());
    if owner != user {
        return Err(ReadError::Foreign { owner, user });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(ReadError::WritableByOthers { mode });
    }
    Ok(())
}

/// Puts the file in place of the one before, in one step: whoever reads sees one of both whole.
///
/// It is not forced to the disk: a machine that loses its power starts without it or, if the file is
/// broken by that, as without it.
///
/// # Errors
/// It cannot be written; the one before is there still.
pub fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    // A daemon that was killed while it wrote left it behind.
    remove(&new)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut file = options.open(&new)?;
    let written = file.write_all(text);
    let written = written.and_then(|()| std::fs::rename(&new, path));
    if written.is_err() {
        // The first error says more.
        remove(&new).ok();
    }
    written
}

/// Removes the file. Idempotent.
///
/// # Errors
/// It is there still.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A file of the same directory, whose name is longer.
#[must_use]
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
