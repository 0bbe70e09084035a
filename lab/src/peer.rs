//! Daemons that read a keepalived.conf: keepalived itself and our own `director`.

use std::{
    env, fmt,
    path::PathBuf,
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{Node, Process};

/// The control socket of our own daemon, on its node.
const SOCKET: &str = "director.sock";

/// Which daemon a [`Peer`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a test names every one it runs with"
)]
pub enum Software {
    /// The `director` binary of this workspace, built beside the test.
    Director,
    /// Debian's keepalived.
    Keepalived,
}

impl fmt::Display for Software {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Software {
    const fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::Keepalived => "keepalived",
        }
    }

    fn command(self, node: &Node, configuration: &PathBuf) -> Command {
        match self {
            Self::Director => {
                let mut command = Command::new(director());
                command
                    .args(["run", "--log-format", "text", "--control"])
                    .arg(node.path(SOCKET))
                    .arg("-f")
                    .arg(configuration)
                    .env("RUST_LOG", "debug");
                command
            }
            Self::Keepalived => {
                let mut command = Command::new("keepalived");
                command.args(["--dont-fork", "--log-console", "--log-detail"]);
                command.arg("-f").arg(configuration);
                // By default all keepalived processes of a machine share these files.
                for (option, file) in [
                    ("-p", "pid"),
                    ("-r", "vrrp"),
                    ("-c", "check"),
                    ("-b", "bfd"),
                ] {
                    command
                        .arg(option)
                        .arg(node.path(&format!("keepalived.{file}.pid")));
                }
                command
            }
        }
    }
}

/// A daemon on a node, reading `NODE/SOFTWARE.conf`.
///
/// Dropping it kills it without ceremony.
#[derive(Debug)]
pub struct Peer {
    software: Software,
    node: Node,
    process: Process,
}

impl Peer {
    /// Writes the configuration and starts the daemon; it may not have read it yet on return.
    ///
    /// # Panics
    ///
    /// When the program cannot be started; for `director` the message says how to build it.
    #[track_caller]
    pub fn start(software: Software, node: &Node, configuration: &str) -> Self {
        Self::start_with(software, node, configuration, &[])
    }

    /// As [`start`](Self::start), with more arguments of the program.
    #[track_caller]
    pub fn start_with(
        software: Software,
        node: &Node,
        configuration: &str,
        arguments: &[&str],
    ) -> Self {
        let file = node.write(&format!("{software}.conf"), configuration);
        let mut command = software.command(node, &file);
        command.args(arguments);
        let process = node.spawn(software.name(), command);
        Self {
            software,
            node: node.clone(),
            process,
        }
    }

    /// Writes another configuration and has it read (SIGHUP).
    #[track_caller]
    pub fn reload(&self, configuration: &str) {
        self.node
            .write(&format!("{}.conf", self.software), configuration);
        self.process.signal(Signal::SIGHUP);
    }

    /// Asks our own daemon something as an operator does, such as `drain 198.51.100.21`, and returns
    /// what the command prints.
    ///
    /// # Panics
    ///
    /// When the command fails, as it does for a daemon that is not ours.
    #[track_caller]
    #[must_use]
    pub fn ask(&self, words: &[&str]) -> String {
        let (program, socket) = (director(), self.node.path(SOCKET));
        let (program, socket) = (program.display().to_string(), socket.display().to_string());
        let words = [words, &["--control", &socket]].concat();
        self.node.run(&program, &words)
    }

    /// Stops it gracefully (SIGTERM) and waits until it has ended.
    ///
    /// # Panics
    ///
    /// When it still runs after `within`.
    #[track_caller]
    pub fn stop(&mut self, within: Duration) -> ExitStatus {
        self.begin_stop();
        self.wait(within)
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When it still runs after `within`.
    #[track_caller]
    pub fn wait(&mut self, within: Duration) -> ExitStatus {
        self.process.wait(within)
    }

    /// Asks it to stop gracefully (SIGTERM), without waiting.
    #[track_caller]
    pub fn begin_stop(&self) {
        self.process.signal(Signal::SIGTERM);
    }

    /// Kills it and its process group at once (SIGKILL), as a loss of power would. What it had set
    /// up on the node stays there.
    #[track_caller]
    pub fn crash(&mut self) {
        self.process.signal_group(Signal::SIGKILL);
        self.process.wait(Duration::from_secs(5));
    }

    /// Stops its process group from running (SIGSTOP) until [`thaw`](Self::thaw).
    #[track_caller]
    pub fn freeze(&self) {
        self.process.signal_group(Signal::SIGSTOP);
    }

    /// Lets it run again after [`freeze`](Self::freeze) (SIGCONT).
    #[track_caller]
    pub fn thaw(&self) {
        self.process.signal_group(Signal::SIGCONT);
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }
}

/// The path of our own daemon, see [`program`].
///
/// # Panics
///
/// When it has not been built; the message says how to.
#[must_use]
pub fn director() -> PathBuf {
    program("director")
}

/// The path of a program of this workspace: beside the test executable, as cargo lays a target
/// directory out.
///
/// # Panics
///
/// When it has not been built; the message says how to.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let test = env::current_exe().unwrap_or_else(|error| panic!("this executable: {error}"));
    let binary = test
        .ancestors()
        .skip(1)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    binary.unwrap_or_else(|| {
        panic!(
            "no {name} binary beside {}: build it first, `cargo build --bin {name}` (with \
             --release when the tests are)",
            test.display()
        )
    })
}

/// A script that a configuration names for `notify` and that writes its arguments down, a line for
/// each run, and with it the words a daemon appends: `INSTANCE VI_1 MASTER 100`.
#[derive(Debug)]
pub struct Notifications {
    node: Node,
    script: PathBuf,
}

impl Notifications {
    const FILE: &'static str = "notifications";

    /// Writes the script.
    #[must_use]
    pub fn new(node: &Node) -> Self {
        let script = node.write_script(
            "notify.sh",
            &format!(
                "#!/bin/sh\necho \"$*\" >>{}\n",
                node.path(Self::FILE).display()
            ),
        );
        Self {
            node: node.clone(),
            script,
        }
    }

    /// What to write behind `notify`.
    #[must_use]
    pub fn script(&self) -> String {
        self.script.display().to_string()
    }

    /// The lines so far.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.node.lines(Self::FILE)
    }

    /// The states reported so far for an instance or a sync group, in their order.
    #[must_use]
    pub fn states_of(&self, name: &str) -> Vec<String> {
        let lines = self.lines();
        let words = lines.iter().map(|line| line.split(' ').collect::<Vec<_>>());
        words
            .filter_map(|words| match words[..] {
                [_, found, state, _] if found == name => Some(state.to_owned()),
                _ => None,
            })
            .collect()
    }
}
