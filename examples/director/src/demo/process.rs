//! A process of this program, and what it says on its standard error.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// This program, doing something else.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    log: Option<JoinHandle<()>>,
}

/// The command that starts this program once more, with these arguments.
pub(super) fn command<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("director")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

impl Process {
    /// Starts it in the network namespace of the calling thread. `on_line` hears every line of its
    /// standard error and then, once, `None`.
    pub(super) fn start(
        mut command: Command,
        name: &str,
        on_line: impl FnMut(Option<String>) + Send + 'static,
    ) -> io::Result<Self> {
        let mut child = command
            // Roles are read from the log, whatever the user wants to see of another one.
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A terminal's interrupt goes to the demo alone.
            .process_group(0)
            .spawn()?;
        let log = child.stderr.take().map(|log| {
            let thread = thread::Builder::new().name(format!("{name}'s log"));
            thread.spawn(move || read(log, on_line))
        });
        Ok(Self {
            child,
            log: log.transpose()?,
        })
    }

    /// Its number in the sandbox.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
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

fn read(log: ChildStderr, mut on_line: impl FnMut(Option<String>)) {
    for line in BufReader::new(log).split(b'\n') {
        let Ok(line) = line else { break };
        on_line(Some(String::from_utf8_lossy(&line).into_owned()));
    }
    on_line(None);
}
