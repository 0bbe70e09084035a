//! Scripts of a test: they take virtual time and leave a journal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::script::command::Command;
use crate::script::outcome::Outcome;
use crate::script::run::{Report, Runner, Stop};

/// What a script does: how long it takes and how it ends.
type Script = dyn Fn(&Command) -> (Duration, Outcome) + Send + Sync;

/// A runner without processes. A script that is told to stop takes another 100 ms.
pub(crate) struct FakeRunner {
    script: Box<Script>,
    start: Instant,
    pub(super) journal: Mutex<Vec<(u128, String)>>,
}

/// Longer than any test.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(1 << 30);

impl FakeRunner {
    #[expect(clippy::disallowed_methods, reason = "tokio's paused clock")]
    pub(crate) fn new(
        script: impl Fn(&Command) -> (Duration, Outcome) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (script, journal) = (Box::new(script), Mutex::default());
        Arc::new(Self {
            script,
            start: Instant::now(),
            journal,
        })
    }

    /// Milliseconds since the start, and what happened then: `+ command`, `- command` or, of one
    /// that was dropped while it ran, `x command`.
    pub(crate) fn journal(&self) -> Vec<(u128, String)> {
        std::mem::take(&mut self.journal.lock().unwrap())
    }

    /// The commands that were started, in order.
    pub(crate) fn started(&self) -> Vec<String> {
        let started = |(_, line): (_, String)| line.strip_prefix("+ ").map(str::to_owned);
        self.journal().into_iter().filter_map(started).collect()
    }

    fn note(&self, what: char, command: &Command) {
        let line = format!("{what} {command}");
        self.journal
            .lock()
            .unwrap()
            .push((self.start.elapsed().as_millis(), line));
    }
}

#[async_trait]
impl Runner for FakeRunner {
    async fn run(&self, command: &Command, stop: Stop) -> Report {
        self.note('+', command);
        let mut running = Running {
            runner: self,
            command,
            ended: false,
        };
        let (takes, outcome) = (self.script)(command);
        let outcome = tokio::select! {
            biased;
            () = sleep(takes) => outcome,
            () = stop.requested() => {
                sleep(Duration::from_millis(100)).await;
                Outcome::TimedOut
            }
        };
        running.ended = true;
        Report {
            outcome,
            output: format!("output of {command}"),
        }
    }
}

struct Running<'a> {
    runner: &'a FakeRunner,
    command: &'a Command,
    ended: bool,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.runner
            .note(if self.ended { '-' } else { 'x' }, self.command);
    }
}
