//! A process on a node, with its log, that does not outlive the test.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{namespace::Namespace, wait::becomes_true};

/// A running program in a namespace, leader of a process group of its own.
///
/// Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` in `namespace`; what it writes to standard output and error goes to `log`.
    #[track_caller]
    pub(crate) fn spawn(
        namespace: &Namespace,
        name: &str,
        mut command: Command,
        log: PathBuf,
    ) -> Self {
        let open = || -> io::Result<(File, File)> {
            let file = File::create(&log)?;
            Ok((file.try_clone()?, file))
        };
        let (stdout, stderr) =
            open().unwrap_or_else(|error| panic!("log {}: {error}", log.display()));
        command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        let child = namespace
            .enter(|| command.spawn())
            .unwrap_or_else(|error| panic!("starting {:?}: {error}", command.get_program()));
        Self {
            name: name.to_owned(),
            child,
            log,
        }
    }

    /// Everything it has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("{}: {error}", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Its id, which is that of its process group.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process and its group.
    ///
    /// # Panics
    ///
    /// When the group is gone.
    #[track_caller]
    pub fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Sends a signal to the process alone.
    ///
    /// # Panics
    ///
    /// When the process is gone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.name));
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it still runs after `within`.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        let mut status = None;
        becomes_true(within, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("{} still runs after {within:?}", self.name))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid fits"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What is left of the group may be there although its leader has ended.
        killpg(self.pid(), Signal::SIGKILL).ok();
        drop(self.child.wait());
    }
}
