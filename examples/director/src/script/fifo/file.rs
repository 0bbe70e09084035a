//! A FIFO in the file system.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, fchown},
    path::Path,
};

use nix::{errno::Errno, sys::stat::Mode, unistd::mkfifo};

use super::FifoConfig;
use crate::script::security::{Account, Machine, Refusal};

/// Why a FIFO cannot be written to.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    #[error("it cannot be made: does its directory exist?")]
    Make(#[source] io::Error),
    #[error("it cannot be opened")]
    Open(#[source] io::Error),
    #[error("something else is there: remove it, or name another path")]
    NotAFifo,
    #[error("it cannot be given to its user")]
    Own(#[source] io::Error),
    #[error("its user is not known")]
    Owner(#[from] Refusal),
}

/// A FIFO that is open for reading too, so that it stays open while nobody else reads it.
#[derive(Debug)]
pub(super) struct OpenFifo {
    pub(super) file: File,
    /// Whether it was not there before.
    pub(super) is_ours: bool,
}

/// Opens a FIFO, and makes it if it is not there. Blocks on the file system.
pub(super) fn open(config: &FifoConfig) -> Result<OpenFifo, OpenError> {
    let path = Path::new(&config.path);
    let is_ours = match mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(()) => true,
        Err(Errno::EEXIST) => false,
        Err(errno) => return Err(OpenError::Make(errno.into())),
    };
    let opened = open_made(path).and_then(|file| {
        if is_ours {
            give(&file, config)?;
        }
        Ok(OpenFifo { file, is_ours })
    });
    if is_ours && opened.is_err() {
        // It is of no use to anybody.
        drop(fs::remove_file(path));
    }
    opened
}

fn open_made(path: &Path) -> Result<File, OpenError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(OpenError::Open)?;
    let metadata = file.metadata().map_err(OpenError::Open)?;
    match metadata.file_type().is_fifo() {
        true => Ok(file),
        false => Err(OpenError::NotAFifo),
    }
}

fn give(file: &File, config: &FifoConfig) -> Result<(), OpenError> {
    let account = match &config.owner {
        Some(owner) => Account::named(&Machine, owner)?,
        None => Account::default_for(&Machine, false)?,
    };
    if !account.switches {
        return Ok(());
    }
    fchown(file, Some(account.uid), Some(account.gid)).map_err(OpenError::Own)
}

/// Removes a FIFO if it was not there before, and is there still. Blocks on the file system.
pub(super) fn remove(path: &str, fifo: &OpenFifo) -> io::Result<()> {
    if !fifo.is_ours {
        return Ok(());
    }
    let own = fifo.file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => fs::remove_file(path),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
