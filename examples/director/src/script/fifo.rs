//! `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo`: events as lines, for a program that reads
//! them one after the other instead of being started for each.
//!
//! * A line is written in the order of the events, and never in the way of them: what its reader
//!   does not take waits here. Of more than 1,024 lines that wait the oldest are lost, which the
//!   log tells. (keepalived loses what does not fit into the pipe, and tells nobody.)
//! * A FIFO that is not there is made, with mode 0600 and for its user, and is removed at the end.
//!   One that a reload leaves as it is stays open. (keepalived makes all of them anew.)
//! * The script of a FIFO gets its path as the last word. One that ends is started again after a
//!   second, then after two, and so on up to a minute. (keepalived leaves it ended, and nobody
//!   reads any more.) At the end the FIFO is closed, on which a script should end; one that goes on
//!   is ended two seconds later.

mod backlog;
mod file;
mod reader;
mod writer;

use std::sync::Arc;

use tokio::task::JoinSet;

use self::writer::Writer;
use crate::script::command::{Command, ScriptUser};
use crate::script::run::Runner;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the two kinds that keepalived tells apart"
)]
pub enum About {
    /// An instance of VRRP or a sync group.
    Roles,
    /// A virtual server or a real server.
    Services,
}

/// A FIFO.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "one field for each word")]
pub struct FifoConfig {
    /// What it is told of; `None`: of everything.
    pub about: Option<About>,
    /// Its path.
    pub path: String,
    /// Whose it is, if it is not there yet; `None`: the user that scripts run as by default.
    pub owner: Option<ScriptUser>,
    /// What reads it.
    pub script: Option<Command>,
}

/// The FIFOs that are open.
pub(super) struct Fifos {
    runner: Arc<dyn Runner>,
    open: Vec<(FifoConfig, Writer)>,
    /// Those that write their last lines.
    closing: JoinSet<()>,
}

impl Fifos {
    pub(super) fn new(runner: Arc<dyn Runner>) -> Self {
        Self {
            runner,
            open: Vec::new(),
            closing: JoinSet::new(),
        }
    }

    /// Opens those whose path is not open yet.
    pub(super) fn open(&mut self, wanted: Vec<FifoConfig>) {
        for config in wanted {
            if self.open.iter().all(|(open, _)| open.path != config.path) {
                let writer = Writer::start(config.clone(), Arc::clone(&self.runner), None);
                self.open.push((config, writer));
            }
        }
    }

    /// Closes those that are not wanted; one that is wanted otherwise is opened anew.
    pub(super) fn keep(&mut self, wanted: Vec<FifoConfig>) {
        for (config, writer) in std::mem::take(&mut self.open) {
            if wanted.contains(&config) {
                self.open.push((config, writer));
                continue;
            }
            let closed = writer.close();
            match wanted.iter().find(|wanted| wanted.path == config.path) {
                Some(other) => {
                    let runner = Arc::clone(&self.runner);
                    let writer = Writer::start(other.clone(), runner, Some(closed));
                    self.open.push((other.clone(), writer));
                }
                // A panic in it is nothing that the others depend on.
                None => drop(self.closing.spawn(async move { drop(closed.await) })),
            }
        }
        while self.closing.try_join_next().is_some() {}
        self.open(wanted);
    }

    /// Writes a line, with its end, to those that are told of such.
    pub(super) fn write(&self, about: About, line: &str) {
        for (config, writer) in &self.open {
            if config.about.is_none_or(|only| only == about) {
                writer.write(line.to_owned());
            }
        }
    }

    /// Closes all, and waits until their scripts have ended.
    pub(super) fn close(&mut self) -> impl Future<Output = ()> + use<> {
        self.keep(Vec::new());
        let mut closing = std::mem::take(&mut self.closing);
        async move { while closing.join_next().await.is_some() {} }
    }
}

#[cfg(test)]
mod tests;
