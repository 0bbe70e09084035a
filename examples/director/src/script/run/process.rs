//! A script as a process group of this machine.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Gid, Pid, Uid};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::process::Child;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tracing::debug;

use super::CannotRun;
use super::members::members;
use super::supervise::Supervised;
use super::tail::Tail;
use crate::script::command::Command;
use crate::script::outcome::Outcome;
use crate::script::security::{Advice, Permit, Policy};
use crate::sys;

/// Variables that change what a shell or the dynamic loader does; keepalived removes them too.
const REMOVED: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// Reads that empty a full pipe of 64 KiB.
const PIPE_READS: usize = 16;

/// How often a group is looked at that is on its way out: doubled from the first to the last.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_millis(100);

/// A run from the wish to start it on.
#[derive(Debug)]
pub(super) struct Job {
    state: State,
    /// The last signal that was to be sent before it was known to have started.
    pending: Option<Signal>,
}

#[derive(Debug)]
enum State {
    /// Looking at files and forking may both hang, so that a thread of its own does it.
    Starting(JoinHandle<Result<Process, CannotRun>>),
    Started(Box<Process>),
    NeverRan(CannotRun),
}

impl Job {
    pub(super) fn start(policy: Policy, command: Command) -> Self {
        Self::starting(spawn_blocking(move || Process::start(&policy, &command)))
    }

    pub(super) fn starting(starting: JoinHandle<Result<Process, CannotRun>>) -> Self {
        Self {
            state: State::Starting(starting),
            pending: None,
        }
    }

    async fn started(&mut self) {
        let State::Starting(starting) = &mut self.state else {
            return;
        };
        self.state = match starting.await {
            Ok(Ok(process)) => {
                if let Some(signal) = self.pending.take() {
                    process.leader.signal(signal);
                }
                State::Started(Box::new(process))
            }
            Ok(Err(reason)) => State::NeverRan(reason),
            Err(error) => State::NeverRan(CannotRun::Spawn {
                program: "the thread that starts it".into(),
                error: error.to_string(),
            }),
        };
    }

    pub(super) fn advice(&self) -> &[Advice] {
        match &self.state {
            State::Started(process) => &process.advice,
            State::Starting(_) | State::NeverRan(_) => &[],
        }
    }

    /// What it has written so far.
    pub(super) fn take_output(&mut self) -> String {
        match &mut self.state {
            State::Started(process) => process.take_output(),
            State::Starting(_) | State::NeverRan(_) => String::new(),
        }
    }

    /// What is left of the group.
    pub(super) async fn processes(&self) -> Vec<i32> {
        match &self.state {
            State::Started(process) => living(process.leader.group).await,
            State::Starting(_) | State::NeverRan(_) => Vec::new(),
        }
    }

    /// Whether nothing is left of a run that was given up.
    pub(super) async fn is_gone(&mut self) -> bool {
        if let State::Starting(starting) = &self.state {
            if !starting.is_finished() {
                return false;
            }
            self.started().await;
        }
        self.processes().await.is_empty()
    }

    /// Reaps the leader, which has exited, and says how.
    pub(super) fn finish(self) -> Outcome {
        match self.state {
            State::Started(process) => process.finish(),
            State::NeverRan(reason) => Outcome::CannotRun { reason },
            State::Starting(_) => Outcome::Unkillable {
                processes: Vec::new(),
            },
        }
    }
}

impl Supervised for Job {
    async fn exited(&mut self) {
        self.started().await;
        if let State::Started(process) = &mut self.state {
            process.exited().await;
        }
    }

    async fn gone(&mut self) {
        self.started().await;
        if let State::Started(process) = &mut self.state {
            process.gone().await;
        }
    }

    fn signal(&mut self, signal: Signal) {
        match &self.state {
            State::Started(process) => process.leader.signal(signal),
            State::Starting(_) => self.pending = Some(signal),
            State::NeverRan(_) => {}
        }
    }
}

/// A process group whose leader is our child. The leader is not reaped before the last signal was
/// sent, so that the number of the group cannot belong to anybody else by then.
#[derive(Debug)]
pub(super) struct Process {
    leader: Leader,
    exit: AsyncFd<OwnedFd>,
    /// `None` at its end.
    output: Option<pipe::Receiver>,
    tail: Tail,
    advice: Vec<Advice>,
}

impl Process {
    /// Blocks: on the file system, and until the program is executed.
    fn start(policy: &Policy, command: &Command) -> Result<Self, CannotRun> {
        let permit = policy.permit(command)?;
        let direct = execute(process::Command::new(&permit.program), command, &permit);
        let started = match direct {
            Err(error) if error.raw_os_error() == Some(Errno::ENOEXEC as i32) => {
                let mut shell = process::Command::new("/bin/sh");
                shell.arg(&permit.program);
                execute(shell, command, &permit)
            }
            started => started,
        };
        started.map_err(|error| explain(policy, &permit, &error))
    }

    async fn exited(&mut self) {
        loop {
            tokio::select! {
                biased;
                exit = self.exit.readable() => match exit {
                    Ok(_) => return,
                    // The runtime is going down, and this future with it.
                    Err(_) => std::future::pending().await,
                },
                () = read(&mut self.output, &mut self.tail) => {}
            }
        }
    }

    async fn gone(&mut self) {
        self.exited().await;
        let mut pause = LOOK_FIRST;
        while !living(self.leader.group).await.is_empty() {
            let pausing = sleep(pause);
            tokio::pin!(pausing);
            loop {
                tokio::select! {
                    () = &mut pausing => break,
                    () = read(&mut self.output, &mut self.tail) => {}
                }
            }
            pause = (2 * pause).min(LOOK_LAST);
        }
    }

    fn take_output(&mut self) -> String {
        // As much as a pipe holds: a process in the background may go on writing for ever.
        for _ in 0..PIPE_READS {
            let Some(output) = &self.output else {
                break;
            };
            // Past tokio, which reads only what it has been told of: the end of the process may be
            // known before its last words.
            let mut buffer = [0; 4096];
            match nix::unistd::read(output, &mut buffer) {
                Ok(length @ 1..) => self.tail.push(buffer.get(..length).unwrap_or_default()),
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => break,
            }
        }
        self.tail.take()
    }

    /// Takes the exit status of a leader that has exited.
    fn finish(mut self) -> Outcome {
        if let Some(output) = self.output.take() {
            tokio::spawn(discard(output));
        }
        match self.leader.reap() {
            Ok(Some(status)) => outcome_of(status),
            Ok(None) => Outcome::Unkillable {
                processes: vec![self.leader.group.as_raw()],
            },
            Err(error) => Outcome::CannotRun {
                reason: CannotRun::Spawn {
                    program: "waitpid".into(),
                    error: error.to_string(),
                },
            },
        }
    }
}

/// Starts `program` with the words of `command` behind those it has.
fn execute(
    mut program: process::Command,
    command: &Command,
    permit: &Permit,
) -> io::Result<Process> {
    let (reader, writer) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    program.args(&command.args).process_group(0);
    program
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    for variable in REMOVED {
        program.env_remove(variable);
    }
    let account = &permit.account;
    if account.switches {
        let groups = account.groups.iter().copied().map(Gid::from_raw).collect();
        sys::run_as(
            &mut program,
            Uid::from_raw(account.uid),
            Gid::from_raw(account.gid),
            groups,
        );
    }
    sys::close_on_exec_above_stderr()?;
    let leader = Leader::new(tokio::process::Command::from(program).spawn()?)?;
    let exit = sys::exit_of(leader.group)?;
    let advice = permit.advice.clone();
    Ok(Process {
        leader,
        exit,
        output: Some(output),
        tail: Tail::default(),
        advice,
    })
}

/// The child that leads the group. Dropping it kills the whole group, unless it was reaped.
#[derive(Debug)]
struct Leader {
    child: Child,
    group: Pid,
    reaped: bool,
}

impl Leader {
    fn new(child: Child) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.ok_or_else(|| io::Error::other("the child has no process number"))?;
        Ok(Self {
            child,
            group: Pid::from_raw(id),
            reaped: false,
        })
    }

    fn signal(&self, signal: Signal) {
        if self.reaped {
            return;
        }
        if let Err(errno) = killpg(self.group, signal) {
            debug!(group = self.group.as_raw(), %signal, %errno, "cannot signal a script");
        }
    }

    fn reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        self.reaped |= status.is_some();
        Ok(status)
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // tokio reaps a child that is dropped once it has exited.
        self.signal(Signal::SIGKILL);
    }
}

async fn living(group: Pid) -> Vec<i32> {
    spawn_blocking(move || members(group))
        .await
        .unwrap_or_default()
}

/// Reads once. Pending for ever at the end of the stream. Cancel safe.
async fn read(output: &mut Option<pipe::Receiver>, tail: &mut Tail) {
    let Some(receiver) = output else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 4096];
    let received = match receiver.readable().await {
        Ok(()) => receiver.try_read(&mut buffer),
        Err(error) => Err(error),
    };
    match received {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Ok(0) | Err(_) => *output = None,
        Ok(length) => tail.push(buffer.get(..length).unwrap_or_default()),
    }
}

/// Reads and throws away what processes in the background still write, so that they do not block
/// or die on it.
async fn discard(output: pipe::Receiver) {
    let (mut output, mut tail) = (Some(output), Tail::default());
    while output.is_some() {
        read(&mut output, &mut tail).await;
    }
}

fn outcome_of(status: ExitStatus) -> Outcome {
    match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Success,
        (Some(code), _) => Outcome::Failure { code },
        (None, signal) => Outcome::Signalled {
            signal: signal.unwrap_or_default(),
        },
    }
}

/// Says what an error of fork, setuid or exec means.
fn explain(policy: &Policy, permit: &Permit, error: &io::Error) -> CannotRun {
    let (account, program) = (&permit.account, permit.program.clone());
    let known = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EINVAL) if account.switches => Some(CannotRun::CannotBecome {
            user: account.name.clone(),
            error: error.to_string(),
        }),
        Some(Errno::EACCES) => policy
            .impassable(permit)
            .map(|directory| CannotRun::Impassable {
                directory,
                user: account.name.clone(),
            }),
        Some(Errno::ENOENT) => {
            interpreter_of(&permit.program).map(|interpreter| CannotRun::NoInterpreter {
                script: program.clone(),
                interpreter,
            })
        }
        _ => None,
    };
    known.unwrap_or_else(|| CannotRun::Spawn {
        program,
        error: error.to_string(),
    })
}

/// The program in the `#!` line.
fn interpreter_of(script: &Path) -> Option<String> {
    const LONGEST: u64 = 256;
    let mut line = Vec::new();
    let file = std::fs::File::open(script).ok()?;
    BufReader::new(file.take(LONGEST))
        .read_until(b'\n', &mut line)
        .ok()?;
    let words = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    words.split_ascii_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::command::ScriptUser;

    #[test]
    fn an_error_of_the_change_of_user_is_told_from_one_of_the_program() {
        let policy = Policy::new(false, None, "/bin".into());
        let root = Command::new("/bin/sh").with_user(ScriptUser::new("root"));
        let mut permit = policy.permit(&root).unwrap();
        let told = |permit: &Permit, errno: Errno| explain(&policy, permit, &errno.into());

        permit.account.switches = true;
        let text = told(&permit, Errno::EPERM).to_string();
        assert!(
            text.starts_with("this daemon cannot become user root"),
            "{text}"
        );
        assert!(text.contains("CAP_SETUID"), "{text}");
        permit.account.switches = false;
        let text = told(&permit, Errno::EPERM).to_string();
        assert!(
            text.starts_with("/bin/sh cannot be started: Operation not permitted"),
            "{text}"
        );
    }
}
