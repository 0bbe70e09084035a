//! `track_file`: files that are written before they are read for the first time (`init_file`), and
//! those that instances follow.

use std::{
    collections::BTreeSet,
    fs::OpenOptions,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    time::Duration,
};

use tokio::time::timeout;
use tracing::{error, info};

use crate::{
    conf::model::{InitFile, TrackFile},
    log::chain,
};

mod watch;

pub(super) use watch::{Reading, Watch};

/// How long the file system may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was written is not written again, so that a reload overwrites nothing.
#[derive(Debug, Default)]
pub(super) struct TrackFiles {
    written: BTreeSet<String>,
}

impl TrackFiles {
    /// Writes the files that are to be. What cannot be written is told and is no reason to refuse a
    /// configuration: a file that is missing counts as one with 0 in it.
    pub(super) async fn init(&mut self, files: &[TrackFile]) {
        let wanted = files.iter().filter_map(|file| {
            let init = file.init.filter(|_| !self.written.contains(&file.path))?;
            Some((file.path.clone(), init))
        });
        let wanted: Vec<_> = wanted.collect();
        if wanted.is_empty() {
            return;
        }
        self.written
            .extend(wanted.iter().map(|(path, _)| path.clone()));
        let writing = tokio::task::spawn_blocking(move || {
            for (path, init) in wanted {
                match write(&path, init) {
                    Ok(true) => info!("{path} is written: {}", init.value),
                    Ok(false) => {}
                    Err(error) => error!("cannot write {path}: {}", chain(&error)),
                }
            }
        });
        if timeout(PATIENCE, writing).await.is_err() {
            error!("files of track_file are not written within {PATIENCE:?}");
        }
    }
}

/// Whether it was written, as it was not there or is to be overwritten. A link is not followed:
/// whoever can place one in the directory does not choose what is overwritten.
fn write(path: &str, init: InitFile) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .mode(0o644)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK);
    if init.overwrite {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    match options.open(path) {
        Ok(mut file) => writeln!(file, "{}", init.value).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !init.overwrite => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::conf::{MemoryEnvironment, Options, load};

    #[test]
    fn what_is_there_stays_unless_it_is_to_be_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n");
        let path = path.to_str().unwrap();
        let mut init = InitFile::default();
        assert!(write(path, init).unwrap());
        assert_eq!(fs::read_to_string(path).unwrap(), "0\n");
        init.value = 5;
        assert!(!write(path, init).unwrap());
        assert_eq!(fs::read_to_string(path).unwrap(), "0\n");
        init.overwrite = true;
        assert!(write(path, init).unwrap());
        assert_eq!(fs::read_to_string(path).unwrap(), "5\n");
    }

    #[tokio::test]
    async fn a_reload_overwrites_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n");
        let text = format!(
            "track_file n {{\nfile {}\ninit_file 7 overwrite\n}}\n",
            path.display()
        );
        let machine = MemoryEnvironment::with_file("a", text);
        let loaded = load("a", &machine, &Options::default()).unwrap();
        let wanted = loaded.config.unwrap().track_files;
        let mut files = TrackFiles::default();
        fs::write(&path, "1").unwrap();
        files.init(&wanted).await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "7\n");
        fs::write(&path, "2").unwrap();
        files.init(&wanted).await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (victim, link) = (directory.path().join("victim"), directory.path().join("n"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        let init = InitFile {
            overwrite: true,
            ..InitFile::default()
        };
        write(link.to_str().unwrap(), init).unwrap_err();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }
}
