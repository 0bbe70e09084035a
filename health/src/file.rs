//! A file as a check: whether it is there, how old it is, the number in it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::probe::{AskedWeight, HealthProbe, ProbeError, Success, Target};

/// A number takes less than this; what is longer is not read.
const MOST: u64 = 64;
/// Looks at a file on this machine, as keepalived's `FILE_CHECK`.
///
/// It passes if the file is there, is young enough ([`Self::with_age_limit`]) and holds a number
/// that is good ([`Self::with_number`]). A file system that does not answer holds up one thread of
/// tokio's blocking pool, no more: further probes by the same value wait for it, until they are
/// given up.
#[derive(Debug)]
pub struct FileProbe {
    wanted: Wanted,
    /// Held by a look, even after the probe that began it was given up.
    looking: Arc<Mutex<()>>,
}

#[derive(Debug, Clone)]
struct Wanted {
    path: PathBuf,
    age_limit: Option<Duration>,
    /// What the number in the file is multiplied with.
    weight: Option<i32>,
    reversed: bool,
    may_be_missing: bool,
}

/// Why a file is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It is not there, or this process may not read it.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It is a directory, a device, a pipe or a socket.
    #[error("{} is no regular file", .path.display())]
    NotAFile {
        /// What it is called.
        path: PathBuf,
    },
    /// It was not written for too long.
    #[error("{} was last written {age:?} ago, allowed are {limit:?}", .path.display())]
    Old {
        /// The file.
        path: PathBuf,
        /// How long ago it was written.
        age: Duration,
        /// How long ago it may have been.
        limit: Duration,
    },
    /// It holds no number.
    #[error("{} does not hold a whole number", .path.display())]
    NotANumber {
        /// The file.
        path: PathBuf,
    },
    /// Its number means failure.
    #[error("the number in {} is {number}", .path.display())]
    Number {
        /// The file.
        path: PathBuf,
        /// The number.
        number: i32,
    },
}

impl FileProbe {
    /// A check that this file is there and can be read.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            wanted: Wanted {
                path: path.as_ref().to_owned(),
                age_limit: None,
                weight: None,
                reversed: false,
                may_be_missing: false,
            },
            looking: Arc::default(),
        }
    }

    /// The same, failing if the file was last written longer ago than this. A time in the future
    /// counts as now.
    #[must_use]
    pub const fn with_age_limit(mut self, limit: Duration) -> Self {
        self.wanted.age_limit = Some(limit);
        self
    }

    /// The same for a file that holds a number, in the way of keepalived's `FILE_CHECK`: with
    /// weight 0 any number but 0 fails; with another the product of the two is added to the
    /// server's weight, at most 2³¹ − 1, and −2³¹ and below fail.
    ///
    /// Something else than a number fails, where keepalived keeps the number before.
    #[must_use]
    pub const fn with_number(mut self, weight: i32) -> Self {
        self.wanted.weight = Some(weight);
        self
    }

    /// The same with the sense of the number turned round (`reverse`): with weight 0 the number 0
    /// fails and no other; with another the product is taken from the server's weight.
    #[must_use]
    pub const fn reversed(mut self) -> Self {
        self.wanted.reversed = true;
        self
    }

    /// The same, where a file that is missing is not a failure by itself, as with keepalived, to
    /// which its number is 0.
    #[must_use]
    pub const fn or_missing(mut self) -> Self {
        self.wanted.may_be_missing = true;
        self
    }
}

impl Wanted {
    /// Blocks on the file system.
    fn look(&self) -> Result<Success, FileError> {
        let file = match self.open() {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.may_be_missing => {
                return match self.weight {
                    None => Ok(Success::default()),
                    Some(weight) => self.judge(0, weight).ok_or_else(|| self.unreadable(error)),
                };
            }
            Err(source) => return Err(self.unreadable(source)),
        };
        let metadata = file.metadata().map_err(|source| self.unreadable(source))?;
        if !metadata.is_file() {
            let path = self.path.clone();
            return Err(FileError::NotAFile { path });
        }
        if let Some(limit) = self.age_limit {
            let written = metadata
                .modified()
                .map_err(|source| self.unreadable(source))?;
            let age = written.elapsed().unwrap_or_default();
            if age > limit {
                let path = self.path.clone();
                return Err(FileError::Old { path, age, limit });
            }
        }
        match self.weight {
            Some(weight) => {
                let number = self.number(file)?;
                let path = self.path.clone();
                self.judge(number, weight)
                    .ok_or(FileError::Number { path, number })
            }
            None => Ok(Success::default()),
        }
    }

    /// Opens without waiting for anybody at the other end of what may be a pipe.
    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&self.path)
    }

    fn number(&self, file: File) -> Result<i32, FileError> {
        let mut text = Vec::new();
        file.take(MOST)
            .read_to_end(&mut text)
            .map_err(|source| self.unreadable(source))?;
        let number: Option<i32> = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| FileError::NotANumber {
            path: self.path.clone(),
        })
    }

    /// What a number means; `None`: failure.
    fn judge(&self, number: i32, weight: i32) -> Option<Success> {
        if weight == 0 {
            return ((number != 0) == self.reversed).then(Success::default);
        }
        let product = i64::from(number) * i64::from(weight);
        let change = if self.reversed { -product } else { product };
        (change > i32::MIN.into()).then(|| Success {
            weight: Some(AskedWeight::Change(
                i32::try_from(change).unwrap_or(i32::MAX),
            )),
            ..Success::default()
        })
    }

    fn unreadable(&self, source: io::Error) -> FileError {
        let path = self.path.clone();
        FileError::Unreadable { path, source }
    }
}

#[async_trait]
impl HealthProbe for FileProbe {
    async fn probe(&self, _target: &Target) -> Result<Success, ProbeError> {
        let turn = Arc::clone(&self.looking).lock_owned().await;
        let wanted = self.wanted.clone();
        let looking = tokio::task::spawn_blocking(move || {
            let result = wanted.look();
            drop(turn);
            result
        });
        let result = looking.await.map_err(|error| ProbeError::Local {
            action: format!("look at {}", self.wanted.path.display()),
            advice: None,
            source: io::Error::other(error),
        })?;
        Ok(result?)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, net::SocketAddr, time::SystemTime};

    use tempfile::TempDir;

    use super::*;

    async fn look(probe: &FileProbe) -> Result<Success, FileError> {
        let target = Target::new(SocketAddr::from(([192, 0, 2, 1], 80)));
        probe.probe(&target).await.map_err(|error| {
            let ProbeError::File(error) = error else {
                panic!("{error}");
            };
            error
        })
    }

    fn file(directory: &TempDir, text: &[u8]) -> PathBuf {
        let path = directory.path().join("state");
        fs::write(&path, text).unwrap();
        path
    }

    #[tokio::test]
    async fn a_file_must_be_there_unless_it_may_be_missing() {
        let directory = TempDir::new().unwrap();
        let missing = directory.path().join("state");
        let error = look(&FileProbe::new(&missing)).await.unwrap_err();
        assert!(matches!(error, FileError::Unreadable { .. }), "{error}");
        look(&FileProbe::new(&missing).or_missing()).await.unwrap();
        let path = file(&directory, b"");
        look(&FileProbe::new(path)).await.unwrap();
    }

    #[tokio::test]
    async fn the_number_times_the_weight_is_added() {
        let directory = TempDir::new().unwrap();
        for (text, weight, change) in [
            (" 20 \n", 2, Some(40)),
            ("-20", 2, Some(-40)),
            ("20", -2, Some(-40)),
            ("2147483647", 2, Some(i32::MAX)),
            ("-2147483647", 1, Some(-i32::MAX)),
            ("-2147483648", 1, None),
            ("2147483647", i32::MIN, None),
        ] {
            let path = file(&directory, text.as_bytes());
            let result = look(&FileProbe::new(path).with_number(weight)).await;
            let got = result.as_ref().ok().map(|success| success.weight);
            assert_eq!(
                got,
                change.map(|change| Some(AskedWeight::Change(change))),
                "{text} times {weight}: {result:?}"
            );
        }
        let path = file(&directory, b"20");
        let success = look(&FileProbe::new(path).with_number(2).reversed()).await;
        let weight = success.unwrap().weight;
        assert_eq!(weight, Some(AskedWeight::Change(-40)));
    }

    #[tokio::test]
    async fn without_a_weight_any_number_but_0_fails_and_a_missing_file_is_0() {
        let directory = TempDir::new().unwrap();
        let missing = directory.path().join("missing");
        for (path, zero) in [
            (file(&directory, b"0\n"), true),
            (missing, true),
            (file(&directory, b"0\n").with_file_name("one"), false),
        ] {
            if !zero {
                fs::write(&path, "-1").unwrap();
            }
            let probe = || FileProbe::new(&path).or_missing().with_number(0);
            let result = look(&probe()).await;
            assert_eq!(result.is_ok(), zero, "{result:?}");
            let result = look(&probe().reversed()).await;
            assert_eq!(result.is_ok(), !zero, "{result:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_number_fails() {
        let directory = TempDir::new().unwrap();
        for text in [
            &b""[..],
            b"up",
            b"1 2",
            b"\xff",
            b"99999999999",
            &[b'1'; 100],
        ] {
            let path = file(&directory, text);
            let error = look(&FileProbe::new(path).with_number(1))
                .await
                .unwrap_err();
            assert!(matches!(error, FileError::NotANumber { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn an_old_file_fails_and_one_from_the_future_does_not() {
        let directory = TempDir::new().unwrap();
        let path = file(&directory, b"");
        let hour = Duration::from_secs(3600);
        let probe = FileProbe::new(&path).with_age_limit(hour);
        look(&probe).await.unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let error = look(&probe).await.unwrap_err();
        assert!(matches!(error, FileError::Old { .. }), "{error}");
        // Beyond any clock that this test may run under.
        file.set_modified(SystemTime::UNIX_EPOCH + 10_000_000 * hour / 10)
            .unwrap();
        look(&probe).await.unwrap();
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_writes_to_is_told_and_does_not_hold_up() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        for odd in [path.as_path(), directory.path()] {
            let error = look(&FileProbe::new(odd)).await.unwrap_err();
            assert!(matches!(error, FileError::NotAFile { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_look_that_has_not_come_back_is_not_joined_by_another() {
        let directory = TempDir::new().unwrap();
        let probe = FileProbe::new(file(&directory, b""));
        let hanging = Arc::clone(&probe.looking).lock_owned().await;
        tokio::select! {
            biased;
            result = look(&probe) => panic!("{result:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(hanging);
        look(&probe).await.unwrap();
    }
}
