//! The machine the daemon runs on, as a configuration may ask about it.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    io,
    path::Path,
};

use crate::conf::Environment;

/// The files, the name and the environment variables of this machine.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing of its own")]
pub struct Host;

impl Environment for Host {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
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
