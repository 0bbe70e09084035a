//! `MISC_CHECK`: a program says how a server is.

use std::sync::Arc;

use async_trait::async_trait;
use health::{AskedWeight, HealthProbe, ProbeError, Success, Target};

use crate::{
    conf::model::MiscCheck,
    script::{
        command::{Command, ScriptUser},
        outcome::Outcome,
        run::{Runner, stop},
    },
};

/// Runs a program by the same rules as every script of the configuration.
pub(super) struct MiscProbe {
    command: Command,
    dynamic: bool,
    runner: Arc<dyn Runner>,
}

/// A program that said no, or could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("{command} {outcome}{}", match .output.trim() { "" => String::new(), output => format!(": {output}") })]
struct SaidNo {
    command: Command,
    outcome: Outcome,
    output: String,
}

impl MiscProbe {
    pub(super) fn new(check: &MiscCheck, runner: Arc<dyn Runner>) -> Self {
        let mut words = check.argv.iter().cloned();
        let command = Command::new(words.next().unwrap_or_default()).with_args(words);
        let user = check.user.clone();
        let command = match user {
            Some((user, group)) => command.with_user(ScriptUser { user, group }),
            None => command,
        };
        Self {
            command,
            dynamic: check.dynamic,
            runner,
        }
    }
}

#[async_trait]
impl HealthProbe for MiscProbe {
    async fn probe(&self, _: &Target) -> Result<Success, ProbeError> {
        // Whoever drops the probe at its deadline ends the program.
        let (_never, stop) = stop();
        let report = self.runner.run(&self.command, stop).await;
        match report.outcome.exit_status() {
            Some(0) => Ok(Success::default()),
            Some(code @ 2..=255) if self.dynamic => {
                let mut success = Success::default();
                success.weight = Some(AskedWeight::Exactly(code.abs_diff(2)));
                Ok(success)
            }
            Some(_) | None => Err(ProbeError::other(SaidNo {
                command: self.command.clone(),
                outcome: report.outcome,
                output: report.output,
            })),
        }
    }
}
