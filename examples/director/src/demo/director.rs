//! A director: this program as `director run`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::configuration;
use super::log_line::LogLine;
use super::plane::Plane;
use super::process::{self, Process};
use super::scenario::Node;

/// Where its control socket is, in `directory`.
pub(super) fn control_socket(node: Node, directory: &Path) -> PathBuf {
    directory.join(node.name()).with_extension("sock")
}

/// Starts it with a file of its own in `directory`, in the network namespace of the calling thread.
/// `on_line` hears every line of its log and then, once, `None`.
pub(super) fn start(
    node: Node,
    plane: &Plane,
    directory: &Path,
    mut on_line: impl FnMut(Option<LogLine>) + Send + 'static,
) -> io::Result<Process> {
    let file = directory.join(node.name()).with_extension("conf");
    fs::write(&file, configuration::of(node))?;
    // A machine that was off has an empty /run: its director knows nothing of before.
    let state = directory.join(node.name()).with_extension("state");
    match fs::remove_file(&state) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut command = process::command(["run", "--log-format", "json"]);
    command
        .arg("-f")
        .arg(file)
        .arg("--control")
        .arg(control_socket(node, directory))
        .arg("--state")
        .arg(state)
        .args(["--backend", plane.backend()]);
    Process::start(command, node.name(), move |line| {
        on_line(line.map(|line| LogLine::read(&line)));
    })
}
