//! A running director and its log.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::log_line::LogLine;
use super::scenario::Node;

/// This program as `director run`.
#[derive(Debug)]
pub(super) struct Director {
    child: Child,
    log: Option<JoinHandle<()>>,
}

impl Director {
    /// Starts it with a file of its own in `directory`, in the network namespace of the calling
    /// thread. `on_line` hears every line of its log and then, once, `None`.
    pub(super) fn start(
        node: Node,
        directory: &Path,
        on_line: impl FnMut(Option<LogLine>) + Send + 'static,
    ) -> io::Result<Self> {
        let path = |kind: &str| directory.join(node.name()).with_extension(kind);
        fs::write(path("conf"), node.configuration())?;
        let mut child = Command::new("/proc/self/exe")
            .arg0("director")
            .arg("run")
            .arg("-f")
            .arg(path("conf"))
            .arg("--control")
            .arg(path("sock"))
            .args(["--log-format", "json"])
            // The roles are read from the log, whatever the user wants to see of another one.
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A terminal's interrupt goes to the demo alone.
            .process_group(0)
            .spawn()?;
        let log = child.stderr.take().map(|log| {
            let thread = thread::Builder::new().name(format!("{node}'s log"));
            thread.spawn(move || read(log, on_line))
        });
        Ok(Self {
            child,
            log: log.transpose()?,
        })
    }

    /// Asks it to stop.
    pub(super) fn stop(&self) -> io::Result<()> {
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        // The number is still its own: it is not waited for before it has ended.
        Ok(kill(Pid::from_raw(pid), Signal::SIGTERM)?)
    }

    /// Kills it.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits for its end: with success, or how. Every line of its log has been heard then.
    pub(super) fn wait(&mut self) -> Result<(), String> {
        let end = self.child.wait();
        if let Some(log) = self.log.take() {
            // A panic is told by its hook, on standard error.
            log.join().ok();
        }
        match end {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(describe(status)),
            Err(error) => Err(format!("cannot be waited for: {error}")),
        }
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => String::from("ended"),
    }
}

fn read(log: ChildStderr, mut on_line: impl FnMut(Option<LogLine>)) {
    for line in BufReader::new(log).split(b'\n') {
        let Ok(line) = line else { break };
        on_line(Some(LogLine::read(&String::from_utf8_lossy(&line))));
    }
    on_line(None);
}
