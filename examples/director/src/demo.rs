//! `director demo`: failover and load balancing, live, on this machine and without root.
//!
//! Two directors, two real servers and a client, each a machine of its own, on one switch: network
//! namespaces joined by veth pairs and a bridge. The directors are this program as `director run -f
//! FILE`, with real advertisements, real address moves, real checks and real requests that go
//! through the master: by the kernel's IPVS or, where that is not to be had, by the director's own
//! data plane. The client probes the address and sends requests all the time; the demo kills a real
//! server, then the master, brings both back and stops the master, and measures for how long nobody
//! answered and what became of every request.
//!
//! | module | subject |
//! |---|---|
//! | `scenario` | who takes part, the steps and what the protocols promise for each |
//! | `configuration` | the keepalived.conf of a director |
//! | `step` | what happens in a step, what should come of it, and what has |
//! | `story` | the course of the steps, as a value: answers and news in, actions and results out |
//! | `directors` | what the directors say of themselves, as a value |
//! | `reachability` | who answers probes, and the longest time without an answer, as a value |
//! | `service` | what the requests say, as a value |
//! | `requests` | when a request starts and how it ends, as a value |
//! | `echo`, `http` | what goes over the wire, as bytes |
//! | `log_line` | a line of a director's log |
//! | `sandbox` | namespaces that end with this process, and nothing outside of them |
//! | `forbidden` | what stands in the way where a machine does not allow that |
//! | `network` | the switch, the machines and the cables |
//! | `plane` | what carries the requests |
//! | `prober`, `requester` | the client's probes and requests |
//! | `process` | a process of this program |
//! | `director`, `real_server` | what runs on the machines |
//! | `machines` | all of them, and what is done to them |
//! | `screen` | what is shown |
//! | `stage` | the driver: it has the clock and does what the story asks for |
//! | `keep` | how to look around from outside |
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

mod configuration;
mod director;
mod directors;
mod echo;
mod forbidden;
mod http;
mod keep;
mod log_line;
mod machines;
mod network;
mod plane;
mod prober;
mod process;
mod reachability;
mod real_server;
mod requester;
mod requests;
mod sandbox;
mod scenario;
mod screen;
mod service;
mod stage;
mod step;
mod story;

pub use sandbox::Users;

/// What a process is in the demo.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are no others")]
pub enum Part {
    /// The process the user has started: it builds the sandbox and starts the stage in it.
    Outside,
    /// The process in the sandbox that starts all others.
    Stage {
        /// The user namespace of the sandbox.
        users: Users,
    },
    /// The real server of this name.
    RealServer(String),
}

/// Shows failover and load balancing. Blocks for about twelve seconds, or with `keep` until it is
/// killed, if all that was shown worked.
///
/// The exit code is 0 if all that was shown worked, 1 if not, 3 if the machine does not allow it
/// (the error says what forbids it). As [`Part::Outside`] it must be called by the main thread
/// of a process without other threads: namespaces are per thread, and users' allow no other. It
/// starts the running program as `demo --inside USERS` (and `--keep`), which has to lead to
/// [`Part::Stage`], and that `demo --real-server NAME`, which has to lead to [`Part::RealServer`].
#[must_use]
pub fn run(part: &Part, keep: bool) -> ExitCode {
    let result = match part {
        Part::Outside => sandbox::run_inside(keep).map_err(Failure::Sandbox),
        Part::Stage { users } => sandbox::confirm()
            .map_err(Failure::Sandbox)
            .and_then(|()| stage::play(keep.then_some(*users)).map_err(Failure::Stage)),
        Part::RealServer(name) => real_server::serve(name)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Failure::RealServer),
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
    #[error(transparent)]
    RealServer(real_server::Error),
}

#[expect(
    clippy::disallowed_methods,
    reason = "the demo is a driver: its values get the time from here"
)]
fn now() -> Instant {
    Instant::now()
}
