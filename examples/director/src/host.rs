//! The machine the daemon runs on, as a configuration may ask about it.

use std::{
    fs::{self, OpenOptions},
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use nix::fcntl::OFlag;

use crate::conf::Environment;

/// More than any configuration has, in bytes: 37,205 real servers with a check each take 10 MB.
const LONGEST: u64 = 256 << 20;

/// The files, the name and the environment variables of this machine.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing of its own")]
pub struct Host;

impl Environment for Host {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut options = OpenOptions::new();
        // A pipe must not make it wait.
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        // What can be said of a directory the system says.
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(io::Error::other(
                "it is a pipe or a device, which may never end; expected a regular file",
            ));
        }
        let mut text = Vec::new();
        file.take(LONGEST + 1).read_to_end(&mut text)?;
        match u64::try_from(text.len()) {
            Ok(length) if length <= LONGEST => Ok(text),
            _ => Err(io::Error::other(format!(
                "it is longer than {LONGEST} bytes"
            ))),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directory = if directory.as_os_str().is_empty() {
            Path::new(".")
        } else {
            directory
        };
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn host_name(&self) -> String {
        nix::sys::utsname::uname().map_or_else(
            |_| String::new(),
            |name| name.nodename().to_string_lossy().into_owned(),
        )
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn random_seed(&self) -> u64 {
        // The standard library's hasher is seeded by the system.
        RandomState::new().hash_one(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_never_end_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [&*pipe, Path::new("/dev/zero")] {
            let error = Host.read(path).unwrap_err().to_string();
            assert!(error.contains("expected a regular file"), "{error}");
        }
        let error = Host.read(directory.path()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_file_is_read_through_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, "! nothing").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(Host.read(&link).unwrap(), b"! nothing");
    }
}
