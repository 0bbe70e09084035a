//! Runs a program as a check.

mod run;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;

use self::run::{Ended, run};
use crate::probe::{AskedWeight, HealthProbe, ProbeError, Success, Target};

/// How long a program may go on after `SIGTERM` unless the probe says otherwise.
const USUAL_GRACE: Duration = Duration::from_secs(1);

/// Runs a program, whose exit code is the result, as keepalived's `MISC_CHECK`.
///
/// Exit code 0 passes, any other fails; with [`Self::with_dynamic_weight`] the codes from 2 on pass
/// and ask for the weight *code − 2*. A program killed by a signal has failed.
///
/// The program leads a process group of its own, has `/dev/null` as input and inherits no
/// descriptor. Its end is that of the program itself, even if a process that it left behind holds
/// its output open; what it left in its process group is then killed, so that runs do not pile up
/// (keepalived leaves it alone). Something that is to stay has to leave the group (`setsid`).
///
/// A probe that is given up kills the whole group at once with `SIGKILL`. One with a deadline of
/// its own ([`Self::with_deadline`]) sends `SIGTERM` first.
///
/// The environment is that of this process with `TAKEOVER_ADDRESS` and `TAKEOVER_PORT`, the
/// target's, added, and without `IFS`, `LD_PRELOAD` and `LD_LIBRARY_PATH`, which change what shells
/// and the dynamic loader do. A program without `#!` is run by `/bin/sh`.
///
/// Needs Linux 5.3 (`pidfd_open`).
#[derive(Debug, Clone)]
pub struct ScriptProbe {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    account: Option<Account>,
    dynamic_weight: bool,
    deadline: Option<Duration>,
    grace: Duration,
}

/// Whose rights a program has.
///
/// Numbers, as looking up names may block for long: that is for who reads the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_structs,
    reason = "what setuid(2), setgid(2), setgroups(2) take"
)]
pub struct Account {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The supplementary groups: these and no others.
    pub groups: Vec<u32>,
}

/// Why a program that was run as a check did not pass it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// It could not be started: it is not there, or may not be executed.
    #[error("cannot start {}", .program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// This process has not the right to take the user and the groups that were asked for, or the
    /// program is closed to them.
    #[error(
        "cannot start {} as user {user}: this process needs root or CAP_SETUID and CAP_SETGID, and \
         that user the right to execute it", .program.display()
    )]
    StartAs {
        /// The program.
        program: PathBuf,
        /// The user.
        user: u32,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It exited with a code that means failure.
    #[error("exit code {code}{}", said(.output))]
    Exit {
        /// The code.
        code: i32,
        /// The end of what it wrote.
        output: String,
    },
    /// A signal that this probe did not send has killed it.
    #[error("killed by signal {signal}{}", said(.output))]
    Killed {
        /// The number of the signal.
        signal: i32,
        /// The end of what it wrote.
        output: String,
    },
    /// It was still running at its deadline, and was ended.
    #[error("still running after {deadline:?}{}", said(.output))]
    TooLong {
        /// How long it might have run.
        deadline: Duration,
        /// The end of what it wrote.
        output: String,
    },
}

fn said(output: &str) -> String {
    match output.trim() {
        "" => String::new(),
        output => format!(": {output}"),
    }
}

impl ScriptProbe {
    /// A check by this program, without arguments, as the user of this process.
    ///
    /// A name without a slash is searched in `PATH`.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            account: None,
            dynamic_weight: false,
            deadline: None,
            grace: USUAL_GRACE,
        }
    }

    /// The same with these arguments after those it has. No shell looks at them.
    #[must_use]
    pub fn with_arguments(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The same with a variable in the program's environment.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The same, run with the rights of a user.
    #[must_use]
    pub fn with_account(mut self, account: Account) -> Self {
        self.account = Some(account);
        self
    }

    /// The same, where the exit codes from 2 to 255 pass and ask for a weight of 0 to 253
    /// (keepalived's `misc_dynamic`).
    #[must_use]
    pub const fn with_dynamic_weight(mut self) -> Self {
        self.dynamic_weight = true;
        self
    }

    /// The same with a deadline of its own (`misc_timeout`): then the process group gets
    /// `SIGTERM`, and what is left of it after `grace` gets `SIGKILL`.
    ///
    /// It has to be shorter, with the grace, than the caller's patience, else the program is
    /// killed at once when that ends.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration, grace: Duration) -> Self {
        self.deadline = Some(deadline);
        self.grace = grace;
        self
    }

    fn judge(&self, ended: Ended, output: String) -> Result<Success, ScriptError> {
        match ended {
            Ended::Exit(0) => Ok(Success::default()),
            Ended::Exit(code) => {
                let weight = u32::try_from(code)
                    .ok()
                    .and_then(|code| code.checked_sub(2));
                if self.dynamic_weight && weight.is_some() {
                    Ok(Success {
                        weight: weight.map(AskedWeight::Exactly),
                        ..Success::default()
                    })
                } else {
                    Err(ScriptError::Exit { code, output })
                }
            }
            Ended::Killed(signal) => Err(ScriptError::Killed { signal, output }),
            Ended::TooLong(deadline) => Err(ScriptError::TooLong { deadline, output }),
        }
    }
}

#[async_trait]
impl HealthProbe for ScriptProbe {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let (ended, output) = run(self, target).await?;
        Ok(self.judge(ended, output)?)
    }
}

#[cfg(test)]
#[path = "script/tests.rs"]
mod tests;
