//! What a configuration may ask of the machine it is read on.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
};

/// The machine a configuration is read on: its files, its name, its environment variables.
///
/// Reading a configuration does no IO of its own, so that what it does with a set of files can
/// be tested without any.
pub trait Environment {
    /// Reads a whole file. It must not wait for one that never ends: a daemon reads it too.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read`].
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names in a directory, in any order. Asked only for the wildcards of an `include`.
    ///
    /// # Errors
    ///
    /// As [`std::fs::read_dir`].
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;

    /// The host's name; its first label is the default configuration id (`@id` lines).
    fn host_name(&self) -> String;

    /// An environment variable, for `${_ENV NAME}`.
    fn variable(&self, name: &str) -> Option<String>;

    /// Where `${_RANDOM}` starts, unless the configuration has a `random_seed`.
    fn random_seed(&self) -> u64;
}

/// An [`Environment`] in memory, for tests.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MemoryEnvironment {
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The host's name.
    pub host_name: String,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Where `${_RANDOM}` starts.
    pub random_seed: u64,
}

impl MemoryEnvironment {
    /// A machine with one file.
    #[must_use]
    pub fn with_file(path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        Self::default().and_file(path, text)
    }

    /// Adds a file.
    #[must_use]
    pub fn and_file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }
}

impl Environment for MemoryEnvironment {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.files
            .get(&normal(path))
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let directory = normal(directory);
        let names: BTreeSet<String> = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(&directory).ok()?.components().next())
            .map(|name| name.as_os_str().to_string_lossy().into_owned())
            .collect();
        if names.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(names.into_iter().collect())
    }

    fn host_name(&self) -> String {
        self.host_name.clone()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn random_seed(&self) -> u64 {
        self.random_seed
    }
}

/// A path without `.` and with `..` taken back, by its text alone.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(normal.components().next_back(), Some(Component::Normal(_))) =>
            {
                normal.pop();
            }
            Component::Prefix(_)
            | Component::RootDir
            | Component::ParentDir
            | Component::Normal(_) => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_lists_its_own_names_once() {
        let environment = MemoryEnvironment::with_file("/etc/k/a.conf", "")
            .and_file("/etc/k/d/b.conf", "")
            .and_file("/etc/k/d/c.conf", "");
        assert_eq!(
            environment.list(Path::new("/etc/k")).unwrap(),
            ["a.conf", "d"]
        );
        assert!(environment.list(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn paths_are_compared_without_their_detours() {
        assert_eq!(normal(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(normal(Path::new("../a")), Path::new("../a"));
    }
}
