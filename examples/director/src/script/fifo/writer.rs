//! One FIFO while it is open.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    net::unix::pipe::Sender,
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};
use tracing::{error, warn};

use super::{
    FifoConfig,
    backlog::{Backlog, MOST_WAITING},
    file::{self, OpenError, OpenFifo},
    reader::Reader,
};
use crate::{log::chain, script::run::Runner};

/// How long the file system may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the last lines may take to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Writes lines to a FIFO, in a task of its own.
#[derive(Debug)]
pub(super) struct Writer {
    lines: mpsc::UnboundedSender<String>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Opens a FIFO once the one `before` it is closed.
    pub(super) fn start(
        config: FifoConfig,
        runner: Arc<dyn Runner>,
        before: Option<JoinHandle<()>>,
    ) -> Self {
        let (lines, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // Whatever became of it, it is over.
                drop(before.await);
            }
            write(config, runner, inbox).await;
        });
        Self { lines, task }
    }

    pub(super) fn write(&self, line: String) {
        // An error means that the task is lost, which is a defect that was told.
        drop(self.lines.send(line));
    }

    /// No more lines: what waits for the task waits until the FIFO is closed and its script has
    /// ended.
    pub(super) fn close(self) -> JoinHandle<()> {
        self.task
    }
}

async fn write(
    config: FifoConfig,
    runner: Arc<dyn Runner>,
    mut inbox: mpsc::UnboundedReceiver<String>,
) {
    let path = config.path.clone();
    let (fifo, pipe) = match open(&config).await {
        Ok(opened) => opened,
        Err(error) => {
            error!(
                path,
                "nothing is told through FIFO {path}: {}",
                chain(&error)
            );
            while inbox.recv().await.is_some() {}
            return;
        }
    };
    let script = config.script.clone();
    let reader = script.map(|script| Reader::start(script.with_args([&path]), runner));
    let mut backlog = Backlog::default();
    loop {
        tokio::select! {
            line = inbox.recv() => match line {
                Some(line) => push(&mut backlog, line, &path),
                None => break,
            },
            _ = pipe.writable(), if backlog.next().is_some() => {
                pass_on(&mut backlog, &pipe, &path);
            }
        }
    }
    let last = async {
        while backlog.next().is_some() && pipe.writable().await.is_ok() {
            pass_on(&mut backlog, &pipe, &path);
        }
    };
    if timeout(LAST_LINES, last).await.is_err() {
        let lost = backlog.given_up();
        warn!(
            path,
            lost, "nobody reads FIFO {path}: {lost} lines are lost"
        );
    }
    let ended = async {
        if let Some(reader) = reader {
            reader.end().await;
        }
    };
    // In this order, so that a script that ends with its FIFO is not started again.
    tokio::join!(ended, close(path, fifo, pipe));
}

async fn open(config: &FifoConfig) -> Result<(OpenFifo, Sender), OpenError> {
    let config = config.clone();
    let opening = spawn_blocking(move || file::open(&config));
    let late =
        |error: &'static str| OpenError::Open(io::Error::new(io::ErrorKind::TimedOut, error));
    let opened = match timeout(PATIENCE, opening).await {
        Ok(Ok(opened)) => opened?,
        Ok(Err(_)) => return Err(late("the thread that opens it was lost")),
        Err(_) => return Err(late("the file system does not answer")),
    };
    let file = opened.file.try_clone().map_err(OpenError::Open)?;
    let pipe = Sender::from_file_unchecked(file).map_err(OpenError::Open)?;
    Ok((opened, pipe))
}

fn push(backlog: &mut Backlog, line: String, path: &str) {
    if backlog.push(line) {
        warn!(
            path,
            "nobody reads FIFO {path}: {MOST_WAITING} lines wait, the oldest are lost from now on"
        );
    }
}

/// Writes what the pipe takes now.
fn pass_on(backlog: &mut Backlog, pipe: &Sender, path: &str) {
    while let Some(next) = backlog.next() {
        match pipe.try_write(next) {
            Ok(written) => backlog.wrote(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                let length = next.len();
                error!(path, "a line is lost to FIFO {path}: {}", chain(&error));
                backlog.wrote(length);
            }
        }
    }
    if let Some(lost) = backlog.lost() {
        warn!(
            path,
            lost, "FIFO {path} is read again: {lost} lines were lost"
        );
    }
}

/// First it is removed: a script that opens it again after its end finds that it is no more.
async fn close(path: String, fifo: OpenFifo, pipe: Sender) {
    let closing = spawn_blocking(move || {
        if let Err(error) = file::remove(&path, &fifo) {
            error!(path, "FIFO {path} cannot be removed: {}", chain(&error));
        }
        drop((fifo, pipe));
    });
    if timeout(PATIENCE, closing).await.is_err() {
        error!("a FIFO is not closed within {PATIENCE:?}");
    }
}
