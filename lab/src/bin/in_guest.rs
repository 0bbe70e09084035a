//! Runs a program under a kernel that has IPVS, see [`lab::guest`]; made to be cargo's runner.

#![expect(clippy::print_stderr, reason = "a program's complaints")]

use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    io,
    iter::successors,
    num::NonZeroUsize,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use lab::guest::{self, GuestError};

const USAGE: &str = "\
usage: in-guest [--only PREFIX] [--guests NUMBER] [--deadline SECONDS] PROGRAM [ARGUMENT...]

Runs PROGRAM in a guest with IPVS, with this working directory and environment, and ends with its
status; 125 if the guest fails.

  --only PREFIX       a PROGRAM whose file name begins otherwise is run without a guest
  --guests NUMBER     PROGRAM, if it has no ARGUMENT, is a test program: its tests are shared out
                      among so many guests, side by side (default: 1)
  --deadline SECONDS  ends a guest that still runs after this time (default: 600)";

/// The status for a failure that is not the program's, as in `docker run` and `timeout`.
const GUEST_FAILED: u8 = 125;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().collect();
    if guest::init(&arguments) {
        return ExitCode::FAILURE;
    }
    if let Some(result) = guest::guard(&arguments) {
        return result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS);
    }
    let Some(request) = Request::parse(arguments.into_iter().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if request.is_for_guest() {
        request
            .run_in_guests()
            .map_or_else(|error| fail(&error), ExitCode::from)
    } else {
        fail(&request.run_here())
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    let mut message = error.to_string();
    for cause in successors(error.source(), |cause| (*cause).source()) {
        message.push_str(&format!(": {cause}"));
    }
    eprintln!("in-guest: {message}");
    ExitCode::from(GUEST_FAILED)
}

#[derive(Debug)]
struct Request {
    only: Option<OsString>,
    guests: NonZeroUsize,
    deadline: Duration,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Request {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut only = None;
        let mut guests = NonZeroUsize::MIN;
        let mut deadline = Duration::from_secs(600);
        loop {
            let argument = arguments.next()?;
            match argument.to_str() {
                Some("--only") => only = Some(arguments.next()?),
                Some("--guests") => guests = arguments.next()?.to_str()?.parse().ok()?,
                Some("--deadline") => {
                    deadline = Duration::from_secs(arguments.next()?.to_str()?.parse().ok()?);
                }
                Some(option) if option.starts_with('-') => return None,
                _ => {
                    return Some(Self {
                        only,
                        guests,
                        deadline,
                        program: argument,
                        arguments: arguments.collect(),
                    });
                }
            }
        }
    }

    fn is_for_guest(&self) -> bool {
        self.only.as_deref().is_none_or(|prefix| {
            let name = Path::new(&self.program).file_name().unwrap_or_default();
            name.as_encoded_bytes()
                .starts_with(prefix.as_encoded_bytes())
        })
    }

    fn run_in_guests(&self) -> Result<u8, GuestError> {
        if self.guests.get() > 1 && self.arguments.is_empty() {
            guest::run_tests(&self.program, self.guests, self.deadline)
        } else {
            guest::run(&self.program, &self.arguments, self.deadline)
        }
    }

    /// Becomes the program; returns only if that fails.
    fn run_here(&self) -> io::Error {
        let error = Command::new(&self.program).args(&self.arguments).exec();
        let name: &OsStr = &self.program;
        io::Error::new(
            error.kind(),
            format!("starting {}: {error}", name.display()),
        )
    }
}
