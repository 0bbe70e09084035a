//! The numbers in the files that instances track.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use health::{AskedWeight, FileProbe, HealthProbe as _, Target};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tracing::{info, warn};

use crate::{conf::model::TrackFile, log::chain};

/// keepalived has the kernel tell it of changes; looks find those of file systems that tell nothing
/// as well, and of directories that come later.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long a file system may take before that is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a file that is tracked says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct Reading {
    /// [`TrackFile::condition`].
    pub(in crate::run) condition: Arc<str>,
    pub(in crate::run) number: i32,
}

/// Looks at files, each in a task of its own, so that a file system that hangs holds up no other.
#[derive(Debug)]
pub(in crate::run) struct Watch {
    readings: mpsc::UnboundedSender<Reading>,
    /// By their conditions and paths.
    tasks: BTreeMap<(Arc<str>, String), AbortHandle>,
}

impl Watch {
    /// Looks at nothing yet. What is read is told through `readings`.
    pub(in crate::run) const fn new(readings: mpsc::UnboundedSender<Reading>) -> Self {
        Self {
            readings,
            tasks: BTreeMap::new(),
        }
    }

    /// Looks at these files from now on, and at no others. One that was looked at goes on as it is.
    pub(in crate::run) fn follow<'f>(&mut self, files: impl IntoIterator<Item = &'f TrackFile>) {
        let mut before = std::mem::take(&mut self.tasks);
        for file in files {
            let key = (file.condition(), file.path.clone());
            let task = before.remove(&key).unwrap_or_else(|| {
                let (condition, path) = key.clone();
                tokio::spawn(watch(condition, path, self.readings.clone())).abort_handle()
            });
            self.tasks.insert(key, task);
        }
        before.values().for_each(AbortHandle::abort);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

async fn watch(condition: Arc<str>, path: String, readings: mpsc::UnboundedSender<Reading>) {
    // A file that is missing counts as one with 0 in it.
    let probe = FileProbe::new(&path).with_number(1).or_missing();
    // The address is nothing that the file is asked for.
    let target = Target::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let mut known = None;
    let mut told = None;
    loop {
        let wrong = match timeout(PATIENCE, probe.probe(&target)).await {
            Ok(Ok(success)) => {
                let number = match success.weight {
                    Some(AskedWeight::Change(number)) => number,
                    _ => 0,
                };
                if known != Some(number) {
                    info!(number, "{condition}: {path} says {number}");
                    known = Some(number);
                    let condition = Arc::clone(&condition);
                    if readings.send(Reading { condition, number }).is_err() {
                        return;
                    }
                }
                None
            }
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some(format!(
                "the file system does not answer within {PATIENCE:?}"
            )),
        };
        if wrong.is_some() && wrong != told {
            let number = known.unwrap_or(0);
            let why = wrong.as_deref().unwrap_or_default();
            warn!(
                number,
                "{condition}: {path} counts as {number} still: {why}"
            );
        }
        if wrong.is_some() && known.is_none() {
            known = Some(0);
            let condition = Arc::clone(&condition);
            drop(readings.send(Reading {
                condition,
                number: 0,
            }));
        }
        told = wrong;
        sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::conf::{MemoryEnvironment, Options, load};

    fn track_files(path: &str) -> Vec<TrackFile> {
        let text = format!(
            "track_file n {{\nfile {path}\n}}\nvrrp_instance V {{\ninterface eth0\n\
             virtual_router_id 1\ntrack_file {{\nn\n}}\nvirtual_ipaddress {{ 192.0.2.1 }}\n}}\n"
        );
        let machine = MemoryEnvironment::with_file("a", text);
        let loaded = load("a", &machine, &Options::default()).unwrap();
        loaded.config.unwrap().track_files
    }

    #[tokio::test(start_paused = true)]
    async fn each_number_is_told_and_what_is_none_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n");
        let (readings, mut told) = mpsc::unbounded_channel();
        let mut watch = Watch::new(readings);
        let files = track_files(path.to_str().unwrap());
        watch.follow(&files);
        let reading = |number| Reading {
            condition: "track_file n".into(),
            number,
        };
        assert_eq!(told.recv().await, Some(reading(0)), "it is missing");
        fs::write(&path, "-7\n").unwrap();
        assert_eq!(told.recv().await, Some(reading(-7)));
        watch.follow(&files);
        fs::write(&path, "none").unwrap();
        sleep(INTERVAL * 8).await;
        fs::write(&path, "12").unwrap();
        assert_eq!(told.recv().await, Some(reading(12)));
        watch.follow([]);
        fs::write(&path, "13").unwrap();
        sleep(INTERVAL * 8).await;
        assert!(told.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_never_held_a_number_counts_as_0() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("n");
        fs::write(&path, "none").unwrap();
        let (readings, mut told) = mpsc::unbounded_channel();
        let mut watch = Watch::new(readings);
        watch.follow(&track_files(path.to_str().unwrap()));
        assert_eq!(told.recv().await.unwrap().number, 0);
    }
}
