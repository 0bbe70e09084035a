//! The tests of one program, shared out among guests.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    iter,
    num::NonZeroUsize,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::{GuestError, run, run_to};

/// Runs a test program in guests of its own, as [`run`] does, with its tests shared out among them.
///
/// A guest has one processor and runs one test after another, most of which wait more than they
/// compute. The first shares are great, as a boot costs a second, and the last ones single tests, so
/// that all guests end at about the same time. What a share says is copied once it has ended. The
/// status is the first that is not 0.
///
/// # Errors
///
/// When the program does not tell its tests, and as for [`run`].
pub fn run_tests(
    program: &OsStr,
    guests: NonZeroUsize,
    deadline: Duration,
) -> Result<u8, GuestError> {
    let tests = list(program)?;
    let guests = guests.get().min(tests.len());
    if guests < 2 {
        return run(program, &[], deadline);
    }
    let shares = Mutex::new(Shares {
        rest: &tests,
        guests,
        status: Ok(0),
    });
    let next = || locked(&shares).next();
    thread::scope(|scope| {
        for _ in 0..guests {
            scope.spawn(|| {
                while let Some(tests) = next() {
                    let exactly = OsString::from("--exact");
                    let arguments: Vec<_> = iter::once(exactly).chain(tests).collect();
                    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
                    let status = run_to(program, &arguments, deadline, &mut stdout, &mut stderr);
                    locked(&shares).ended(status, &stdout, &stderr);
                }
            });
        }
    });
    shares
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .status
}

/// What of the tests is still to be shared out, and what came of the rest.
#[derive(Debug)]
struct Shares<'a> {
    rest: &'a [OsString],
    guests: usize,
    status: Result<u8, GuestError>,
}

impl Shares<'_> {
    fn next(&mut self) -> Option<Vec<OsString>> {
        let count = self.rest.len().div_ceil(2 * self.guests);
        let (share, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        (!share.is_empty()).then(|| share.to_vec())
    }

    fn ended(&mut self, status: Result<u8, GuestError>, stdout: &[u8], stderr: &[u8]) {
        let copied = io::stdout()
            .write_all(stdout)
            .and_then(|()| io::stderr().write_all(stderr))
            .map_err(GuestError::io("copying the program's output"));
        if matches!(self.status, Ok(0)) {
            self.status = copied.and(status);
        }
    }
}

fn locked<'a, 'b>(shares: &'a Mutex<Shares<'b>>) -> MutexGuard<'a, Shares<'b>> {
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of a program's tests, which it tells without a guest.
fn list(program: &OsStr) -> Result<Vec<OsString>, GuestError> {
    let told = || format!("asking {} for its tests", program.display());
    let output = Command::new(program)
        .args(["--list", "--format", "terse"])
        .output()
        .map_err(GuestError::io(told()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(names.map(OsString::from).collect())
}
