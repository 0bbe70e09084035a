//! Runs a program under a kernel that has IPVS, see [`lab::guest`]; made to be cargo's runner.

#![expect(clippy::print_stderr, reason = "a program's complaints")]

use std::{
    env,
    error::Error,
    ffi::{OsStr, OsString},
    io,
    iter::successors,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use lab::guest;

const USAGE: &str = "\
usage: in-guest [--only PREFIX] [--deadline SECONDS] PROGRAM [ARGUMENT...]

Runs PROGRAM in a guest with IPVS, with this working directory and environment, and ends with its
status; 125 if the guest fails.

  --only PREFIX       a PROGRAM whose file name begins otherwise is run without a guest
  --deadline SECONDS  ends a guest that still runs after this time (default: 300)";

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
        guest::run(&request.program, &request.arguments, request.deadline)
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
    deadline: Duration,
    program: OsString,
    arguments: Vec<OsString>,
}

impl Request {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut only = None;
        let mut deadline = Duration::from_secs(300);
        loop {
            let argument = arguments.next()?;
            match argument.to_str() {
                Some("--only") => only = Some(arguments.next()?),
                Some("--deadline") => {
                    deadline = Duration::from_secs(arguments.next()?.to_str()?.parse().ok()?);
                }
                Some(option) if option.starts_with('-') => return None,
                _ => {
                    return Some(Self {
                        only,
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
