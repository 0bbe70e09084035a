//! The guide (`docs/guide`) as a test: whatever a chapter tells its reader to type is typed.
//!
//! A chapter is Markdown. These parts of it are carried out, in their order; everything else is for
//! the reader alone.
//!
//! * **A table of machines** builds a network. It begins a new one each time, so that a chapter can
//!   show two. Several addresses of a card are separated by commas, an empty first cell means the
//!   machine above, and the last column may be left out.
//!
//!   ```markdown
//!   | machine  | card | network | address          | gateway      |
//!   | -------- | ---- | ------- | ---------------- | ------------ |
//!   | director | eth0 | front   | 192.0.2.1/24     |              |
//!   |          | eth1 | back    | 198.51.100.1/24  |              |
//!   | rs1      | eth0 | back    | 198.51.100.21/24 | 198.51.100.1 |
//!   ```
//!
//! * **A file**: a fenced block whose info string has a second word, `MACHINE:PATH` or
//!   `MACHINE,MACHINE:PATH`, as in `conf director:/etc/keepalived/keepalived.conf`. The paragraph
//!   before it names the path, or its reader would not know it.
//!
//! * **Commands**: a fenced block `console`. A line `MACHINE# COMMAND` is typed at that machine, in
//!   bash as root; lines after it that begin with `> ` belong to the command; all others are what it
//!   prints, on standard output and standard error. `...` stands for anything: within a line, or
//!   for any number of lines when it is alone in one. A command without such lines prints nothing.
//!   It succeeds (status 0), in a block `console fails` it does not, and a block `console until`
//!   has each of its commands repeated until it succeeds and prints what is written.
//!
//! * A fenced block `text` is a picture. No other blocks exist: one that nobody would run is a
//!   mistake of the chapter.
//!
//! Each machine is a [`Node`](crate::Node) with one shell from its first command to the chapter's
//! end, so that directories, variables and background jobs are kept. It has a host name, and `/etc`
//! and `/run`, of its own; its home directory is empty. The programs of this workspace come first in
//! its `PATH`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use self::{
    chapter::{Command, Outcome, Step},
    shell::Printed,
    stage::Stage,
};
use crate::wait::now;

pub use self::chapter::{Chapter, Mistake, Scene};

mod chapter;
mod expect;
mod shell;
mod stage;

/// How long a command may run, and how long it is repeated until it prints what is written.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to leave a command alone before it is repeated.
const REPEAT_INTERVAL: Duration = Duration::from_millis(250);

/// The guide's directory.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide")
}

/// Does what a chapter of the guide says, named by its file below `docs/guide` (`nat.md`).
///
/// # Panics
///
/// With each place where something else was printed than is written: file, line, command, both
/// texts. With all mistakes of its form, before anything is done.
#[track_caller]
pub fn follow(file: &str) {
    let chapter = read(file);
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.trim_end_matches(".md");
    let mut differences = String::new();
    for scene in chapter.scenes() {
        let mut stage = Stage::build(name, scene);
        for step in scene.steps() {
            let (line, difference) = match step {
                Step::File(it) => (it.line, stage.write(it).err()),
                Step::Command(it) => (it.line, carry_out(&mut stage, it).err()),
            };
            if let Some(difference) = difference {
                write!(differences, "\ndocs/guide/{file}:{line}: {difference}")
                    .expect("a string takes all");
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Reads a chapter of the guide.
///
/// # Panics
///
/// When it cannot be read, and with all mistakes of its form.
#[must_use]
#[track_caller]
pub fn read(file: &str) -> Chapter {
    let path = directory().join(file);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Chapter::parse(&text).unwrap_or_else(|mistakes| {
        let lines = mistakes
            .iter()
            .map(|mistake| format!("\ndocs/guide/{file}:{mistake}"));
        panic!("{}", lines.collect::<String>())
    })
}

/// Types a command, and says what came instead if it is not what is written.
fn carry_out(stage: &mut Stage, command: &Command) -> Result<(), String> {
    let deadline = now() + PATIENCE;
    loop {
        let printed = stage.run(command)?;
        if is_as_written(command, &printed) {
            return Ok(());
        }
        if command.outcome != Outcome::Until || now() >= deadline {
            return Err(difference(command, &printed));
        }
        thread::sleep(REPEAT_INTERVAL);
    }
}

fn is_as_written(command: &Command, printed: &Printed) -> bool {
    let succeeds = command.outcome != Outcome::Fails;
    (printed.status == 0) == succeeds && expect::matches(&command.prints, &printed.text)
}

fn difference(command: &Command, printed: &Printed) -> String {
    let indented = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect();
    let written: String = indented(&command.prints.join("\n"));
    let came: String = indented(&printed.text);
    let meant = match command.outcome {
        Outcome::Succeeds => "it succeeds and prints",
        Outcome::Fails => "it fails and prints",
        Outcome::Until => "it comes to succeed and to print",
    };
    format!(
        "{}# {}\n  written: {meant}\n{written}  came: status {} and\n{came}",
        command.machine, command.text, printed.status
    )
}
