//! A kernel with IPVS on any machine: programs are run in User-Mode Linux.
//!
//! Most machines that run tests have a kernel without `ip_vs`. Debian's package `user-mode-linux`
//! is a kernel (6.1) that is an ordinary program: no KVM, no root. It has `ip_vs` with all its
//! schedulers but `twos`, connection tracking, ipip, gre, fou, veth, bridge, iptables' tables
//! (`iptables-legacy`; its nf_tables knows the bridge family alone), and loads such modules when
//! somebody needs them, as any kernel does.
//!
//! # What a program finds inside
//!
//! * the machine's own files, read and written at once (hostfs), its own working directory and
//!   environment; programs built outside run unchanged;
//! * a `/run` of its own in memory, with the temporary directory (`TMPDIR`) in it, and `/proc`,
//!   `/sys`, `/dev` of its own kernel;
//! * root's rights over that kernel; over files those of the user who started it;
//! * the loopback, up, and `ip_vs` loaded: no other network, nothing reaches outside;
//! * one processor and 512 MiB. A guest boots in two to three seconds; several run side by side.
//!
//! Its standard output, standard error and exit status come out as they are: they go through files,
//! because a console adds carriage returns, mixes in what the kernel says and loses what it is not
//! fast enough for. Standard input is empty.
//!
//! # What it needs
//!
//! `linux.uml` and the modules in `/usr/lib/uml/modules`, `modprobe`, `ip`, and leave to trace
//! one's own processes with ptrace: that is how User-Mode Linux catches the system calls of what
//! runs in it. A container needs a seccomp profile that allows it (Docker's does since kernel 4.8).
//! The memory is a deleted file in `/dev/shm`, or in the temporary directory if there is no room or
//! no leave to execute (a container's `/dev/shm` has 64 MiB).
//!
//! # How a test runs in it
//!
//! It carries `#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]` and
//! belongs to a test target whose name begins with `guest` (`tests/guest.rs`), in a crate with an
//! empty feature `guest`. `in-guest`, as cargo's runner, boots one guest for each such target and
//! runs every other program as it is:
//!
//! ```sh
//! cargo build -p takeover-lab --bin in-guest
//! cargo test -p takeover-ipvs --features guest --test guest \
//!     --config "target.'cfg(all())'.runner=['target/debug/in-guest', '--only', 'guest']"
//! ```
//!
//! The tests of a target share the guest and run one after another, unless `--test-threads` says
//! otherwise. Every network namespace has an IPVS table of its own, so each test makes one:
//! [`in_namespace`](crate::in_namespace) for its own thread, or a [`Lab`](crate::Lab) with nodes.
//! On a machine whose kernel has IPVS the same tests run as root without a runner.
//!
//! ```no_run
//! # use std::process::Command;
//! lab::in_namespace(|| {
//!     let add = ["-A", "-t", "192.0.2.1:80", "-s", "rr"];
//!     assert!(Command::new("ipvsadm").args(add).status().expect("installed").success());
//! });
//! ```
//!
//! # Who is who
//!
//! One program, `in-guest`, has three parts. The *runner* writes down what to run in a directory of
//! its own, copies output as it comes and ends with the program's status. The *guard* starts the
//! kernel, which is a group of processes, and ends all of it with the runner, however that ends.
//! *Init* is process 1 inside: it mounts, loads modules, runs the program and writes its status.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::PathBuf,
    thread,
    time::Duration,
};

use thiserror::Error;

use self::{
    guard::Guard,
    scratch::{Scratch, Tail},
};
use crate::wait::now;

mod guard;
mod init;
mod scratch;
mod shares;

pub use self::{guard::guard, init::init, shares::run_tests};

/// How often the runner looks for output and the end.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Why a program did not come to its end in the guest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GuestError {
    /// The kernel is not installed.
    #[error("linux.uml is not on PATH: install Debian's package user-mode-linux")]
    NoKernel,
    /// A step outside of the guest failed.
    #[error("{step}")]
    Io {
        /// What was tried.
        step: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The guest ended by itself before the program did.
    #[error("the guest ended before {} did; its console:\n{console}", program.display())]
    Died {
        /// What ran in it.
        program: PathBuf,
        /// What the kernel and init said last.
        console: String,
    },
    /// The program took too long, and was ended together with its guest.
    #[error(
        "{} still ran in the guest after {} s and was ended; the guest's console:\n{console}",
        program.display(),
        deadline.as_secs()
    )]
    Deadline {
        /// What ran in it.
        program: PathBuf,
        /// The time it was given, boot included.
        deadline: Duration,
        /// What the kernel and init said last.
        console: String,
    },
}

impl GuestError {
    fn io(step: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let step = step.into();
        |source| Self::Io { step, source }
    }
}

/// Runs a program in a guest of its own, copies what it writes to this process' standard output and
/// error while it runs, and returns its exit status (128 and the signal's number if one ended it).
///
/// Working directory and environment are the caller's. Nothing is left behind: no process, no file.
///
/// # Errors
///
/// When there is no guest to be had, when it dies, and when it still runs after `deadline` (boot
/// included).
pub fn run(program: &OsStr, arguments: &[OsString], deadline: Duration) -> Result<u8, GuestError> {
    run_to(program, arguments, deadline, io::stdout(), io::stderr())
}

fn run_to(
    program: &OsStr,
    arguments: &[OsString],
    deadline: Duration,
    stdout: impl Write,
    stderr: impl Write,
) -> Result<u8, GuestError> {
    let kernel = find_kernel()?;
    let scratch = Scratch::new(program, arguments).map_err(GuestError::io(
        "writing down what to run, in the temporary directory",
    ))?;
    let mut guard =
        Guard::start(&kernel, &scratch).map_err(GuestError::io("starting the guest"))?;
    let mut stdout = Tail::new(scratch.stdout(), stdout);
    let mut stderr = Tail::new(scratch.stderr(), stderr);
    let end = now() + deadline;
    loop {
        // In this order nothing is missed: output comes before the status, and that before the end.
        let died = guard.has_ended();
        let status = scratch
            .status()
            .map_err(GuestError::io("reading the program's status"))?;
        let copied = stdout.copy().and_then(|()| stderr.copy());
        copied.map_err(GuestError::io("copying the program's output"))?;
        if let Some(status) = status {
            return Ok(status);
        }
        if died {
            return Err(GuestError::Died {
                program: program.into(),
                console: scratch.console(),
            });
        }
        if now() >= end {
            return Err(GuestError::Deadline {
                program: program.into(),
                deadline,
                console: scratch.console(),
            });
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn find_kernel() -> Result<PathBuf, GuestError> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|directory| directory.join("linux.uml"))
        .find(|candidate| candidate.is_file())
        .ok_or(GuestError::NoKernel)
}
