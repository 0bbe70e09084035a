//! The script that reads a FIFO.

use std::{sync::Arc, time::Duration};

use tokio::{pin, sync::oneshot, task::JoinHandle, time::sleep};
use tracing::{error, warn};

use crate::{
    log::chain,
    script::{
        clock::now,
        command::Command,
        run::{Runner, stop},
    },
};

/// How long a script may go on once its FIFO is closed.
const GRACE: Duration = Duration::from_secs(2);

/// How long after its end a script is started again, at first and at most. One that has run for
/// longer than the most begins anew.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A script that reads a FIFO, in a task of its own.
#[derive(Debug)]
pub(super) struct Reader {
    closed: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(script: Command, runner: Arc<dyn Runner>) -> Self {
        let (closed, closing) = oneshot::channel();
        let task = tokio::spawn(go_on(script, runner, closing));
        Self { closed, task }
    }

    /// Its FIFO is closed now: waits until it has ended.
    pub(super) async fn end(self) {
        // An error means that it has ended.
        self.closed.send(()).unwrap_or(());
        if let Err(error) = self.task.await {
            error!("the script of a FIFO is lost: {}", chain(&error));
        }
    }
}

async fn go_on(script: Command, runner: Arc<dyn Runner>, mut closed: oneshot::Receiver<()>) {
    let (mut pause, longest) = PAUSES;
    loop {
        let started = now();
        let (stopper, stop) = stop();
        let run = runner.run(&script, stop);
        pin!(run);
        tokio::select! {
            biased;
            _ = &mut closed => {
                tokio::select! {
                    _ = &mut run => {}
                    () = sleep(GRACE) => {
                        stopper.stop();
                        run.await;
                    }
                }
                return;
            }
            report = &mut run => {
                let (outcome, output) = (report.outcome, report.output);
                if now().duration_since(started) > longest {
                    pause = PAUSES.0;
                }
                warn!(
                    command = %script, output,
                    "FIFO script {script} {outcome}: starting it again in {pause:?}"
                );
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = &mut closed => return,
        }
        pause = longest.min(pause * 2);
    }
}
