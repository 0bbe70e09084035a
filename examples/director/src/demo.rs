//! `director demo`: the failover of an address, live, on this machine and without root.
//!
//! Two directors and a client, each a machine of its own, on one switch: network namespaces joined
//! by veth pairs and a bridge. The directors are this program as `director run -f FILE`, with real
//! advertisements and real address moves. The client probes the address all the time; the demo
//! takes the master away, brings it back and stops it, and measures for how long nobody answered.
//!
//! | module | subject |
//! |---|---|
//! | `scenario` | who takes part, their configuration, the steps and what VRRP promises for each |
//! | `story` | the course of the steps, as a value: answers and roles in, actions and results out |
//! | `reachability` | who answers, and the longest time without an answer, as a value |
//! | `echo` | echo requests and replies, as bytes |
//! | `log_line` | a line of a director's log |
//! | `sandbox` | namespaces that end with this process, and nothing outside of them |
//! | `forbidden` | what stands in the way where a machine does not allow that |
//! | `network` | the switch, the machines and the cables |
//! | `prober` | the client's probes |
//! | `director` | a running director and its log |
//! | `screen` | what is shown |
//! | `stage` | the driver: it has the clock and does what the story asks for |
//!
//! # Nothing is left behind
//! [`run`] makes user, network, mount and PID namespaces and starts the demo in them as process 1,
//! which the kernel kills when its parent dies of whatever. With process 1 dies every process of
//! its PID namespace, with the last process the namespaces, and with those the interfaces and the
//! `tmpfs` that holds all the files. So an interrupt needs no handler, and SIGKILL is as clean.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use crate::log::chain;

mod director;
mod echo;
mod forbidden;
mod log_line;
mod network;
mod prober;
mod reachability;
mod sandbox;
mod scenario;
mod screen;
mod stage;
mod story;

/// The side of the sandbox's wall that a process is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a wall has two sides")]
pub enum Side {
    /// The process the user has started: it builds the sandbox and starts itself inside.
    Outside,
    /// The process in the sandbox.
    Inside,
}

/// Shows the failover of an address. Blocks for about six seconds.
///
/// The exit code is 0 if all that was shown worked, 1 if not, 3 if the machine does not allow it
/// (the error says what forbids it). From [`Side::Outside`] it must be called by the main thread
/// of a process without other threads: namespaces are per thread, and users' allow no other. It
/// starts the running program as `demo --inside`, which has to lead to [`Side::Inside`].
#[must_use]
pub fn run(side: Side) -> ExitCode {
    let result = match side {
        Side::Outside => sandbox::run_inside().map_err(Failure::Sandbox),
        Side::Inside => sandbox::confirm()
            .map_err(Failure::Sandbox)
            .and_then(|()| stage::play().map_err(Failure::Stage)),
    };
    match result {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(Failure::Stage(stage::Error::Output(error)))
            if error.kind() == io::ErrorKind::BrokenPipe =>
        {
            ExitCode::FAILURE
        }
        Err(failure) => {
            let text = format!("director demo: {}\n", chain(&failure));
            // Nothing is left to do if that cannot be said either.
            io::stderr().write_all(text.as_bytes()).unwrap_or(());
            ExitCode::from(3)
        }
    }
}

/// Why there was nothing to see.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Sandbox(sandbox::Error),
    #[error(transparent)]
    Stage(stage::Error),
}

#[expect(
    clippy::disallowed_methods,
    reason = "the demo is a driver: its values get the time from here"
)]
fn now() -> Instant {
    Instant::now()
}
