//! One run of a program: a process group that does not outlive the future that runs it.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    io::AsyncReadExt, net::unix::pipe, process::Child, task::spawn_blocking, time::timeout,
};

use super::{ScriptError, ScriptProbe};
use crate::{
    probe::{ProbeError, Target},
    sys,
};

/// What is kept of the end of a program's output.
const TAIL: usize = 2048;
/// Reads that empty a full pipe of 64 KiB.
const PIPE_READS: usize = 16;
/// Variables that change what a shell or the dynamic loader does; keepalived removes them too.
const REMOVED: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exit(i32),
    Killed(i32),
    TooLong(Duration),
}

/// Runs the program once. Cancel safe: its process group is killed at once.
pub(super) async fn run(
    probe: &ScriptProbe,
    target: &Target,
) -> Result<(Ended, String), ProbeError> {
    let starting = probe.clone();
    let target = *target;
    // Executing a program blocks, for ever on a file system that does not answer. What is started
    // after this future is gone is killed as the result is thrown away.
    let started = spawn_blocking(move || start(&starting, &target)).await;
    let mut group = started.map_err(|error| ProbeError::Local {
        action: format!("start {}", probe.program.display()),
        advice: None,
        source: io::Error::other(error),
    })??;
    let ended = match probe.deadline {
        None => group.exited().await,
        Some(deadline) => match timeout(deadline, group.exited()).await {
            Ok(status) => status,
            Err(_elapsed) => {
                group.end(probe.grace).await;
                return Ok((Ended::TooLong(deadline), group.output().await));
            }
        },
    };
    let status = ended.map_err(|source| ProbeError::Local {
        action: format!("wait for {}", probe.program.display()),
        advice: None,
        source,
    })?;
    let output = group.output().await;
    let ended = match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Exit(code),
        (None, signal) => Ended::Killed(signal.unwrap_or_default()),
    };
    Ok((ended, output))
}

fn start(probe: &ScriptProbe, target: &Target) -> Result<Group, ScriptError> {
    spawn(probe, target).map_err(|source| {
        let program = probe.program.clone();
        match &probe.account {
            Some(account) if source.kind() == io::ErrorKind::PermissionDenied => {
                let user = account.user;
                ScriptError::StartAs {
                    program,
                    user,
                    source,
                }
            }
            Some(_) | None => ScriptError::Start { program, source },
        }
    })
}

fn spawn(probe: &ScriptProbe, target: &Target) -> io::Result<Group> {
    match execute(Command::new(&probe.program), probe, target) {
        Err(error) if error.raw_os_error() == Some(libc::ENOEXEC) => {
            let mut shell = Command::new("/bin/sh");
            shell.arg(&probe.program);
            execute(shell, probe, target)
        }
        started => started,
    }
}

fn execute(mut command: Command, probe: &ScriptProbe, target: &Target) -> io::Result<Group> {
    use std::os::unix::process::CommandExt as _;

    let (reader, writer) = io::pipe()?;
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    command
        .args(&probe.arguments)
        .env("TAKEOVER_ADDRESS", target.address.ip().to_string())
        .env("TAKEOVER_PORT", target.address.port().to_string());
    for variable in REMOVED {
        command.env_remove(variable);
    }
    command
        .envs(probe.environment.iter().map(|(name, value)| (name, value)))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let account = probe.account.clone();
    sys::prepare(
        &mut command,
        account.map(|account| (account.user, account.group, account.groups)),
    );
    let child = tokio::process::Command::from(command).spawn()?;
    let leader = child
        .id()
        .ok_or_else(|| io::Error::other("the child has no process number"))?;
    Ok(Group {
        child,
        leader,
        reaped: false,
        output: Some(output),
        tail: Vec::new(),
    })
}

/// A process group whose leader is our child. Dropping it kills the whole group.
///
/// The leader is not reaped before the last signal was sent, so that the number of the group cannot
/// be anybody else's by then.
#[derive(Debug)]
struct Group {
    child: Child,
    leader: u32,
    reaped: bool,
    /// `None` at its end.
    output: Option<pipe::Receiver>,
    tail: Vec<u8>,
}

impl Group {
    /// Waits for the leader alone, kills what is left of its group, and takes its status. Cancel
    /// safe.
    async fn exited(&mut self) -> io::Result<ExitStatus> {
        let end = sys::ends_at(self.leader)?;
        loop {
            tokio::select! {
                biased;
                ended = end.readable() => {
                    drop(ended?);
                    break;
                }
                () = read(&mut self.output, &mut self.tail) => {}
            }
        }
        self.signal(libc::SIGKILL);
        let status = self.child.wait().await?;
        self.reaped = true;
        Ok(status)
    }

    /// Ends a group that has had its time.
    async fn end(&mut self, grace: Duration) {
        self.signal(libc::SIGTERM);
        // The leader may leave others behind; `exited` then kills them.
        if timeout(grace, self.exited()).await.is_err() {
            self.signal(libc::SIGKILL);
        }
    }

    fn signal(&self, signal: libc::c_int) {
        if self.reaped {
            return;
        }
        if let Err(error) = sys::signal_group(self.leader, signal) {
            tracing::debug!(group = self.leader, signal, %error, "Cannot signal a script");
        }
    }

    /// The end of what was written so far, without blanks around it. Does not wait for more: a
    /// process outside of the group may hold the pipe open for ever.
    async fn output(&mut self) -> String {
        for _ in 0..PIPE_READS {
            let reading = read(&mut self.output, &mut self.tail);
            tokio::select! {
                biased;
                () = reading => {}
                () = std::future::ready(()) => break,
            }
            if self.output.is_none() {
                break;
            }
        }
        let text = String::from_utf8_lossy(&self.tail);
        text.trim().to_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // tokio reaps a child that is dropped once it has ended.
        self.signal(libc::SIGKILL);
    }
}

/// Reads once. Pending for ever at the end of the stream. Cancel safe.
async fn read(output: &mut Option<pipe::Receiver>, tail: &mut Vec<u8>) {
    let Some(receiver) = output else {
        return std::future::pending().await;
    };
    let mut buffer = [0; 4096];
    match receiver.read(&mut buffer).await {
        Ok(0) | Err(_) => *output = None,
        Ok(length) => {
            tail.extend_from_slice(buffer.get(..length).unwrap_or_default());
            let excess = tail.len().saturating_sub(TAIL);
            tail.drain(..excess);
        }
    }
}
