//! The tests of one program, shared out among guests.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    num::NonZeroUsize,
    process::Command,
    thread,
    time::Duration,
};

use super::{GuestError, run, run_to};

/// Runs a test program in guests of its own, as [`run`] does, with its tests shared out among them.
///
/// A guest has one processor and runs one test after another, so as many guests as the machine has
/// processors take the least time. What the first one says is copied while it runs, what the others
/// say follows. The status is the first that is not 0.
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
    let share = |guest| {
        let tests = tests.iter().skip(guest).step_by(guests).cloned();
        let exactly = OsString::from("--exact");
        std::iter::once(exactly).chain(tests).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..guests)
            .map(|guest| {
                let arguments = share(guest);
                scope.spawn(move || {
                    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
                    let status = run_to(program, &arguments, deadline, &mut stdout, &mut stderr);
                    (stdout, stderr, status)
                })
            })
            .collect();
        let mut status = run(program, &share(0), deadline);
        for other in others {
            // A thread that panicked has told it itself.
            let Ok((stdout, stderr, of_other)) = other.join() else {
                return Ok(u8::MAX);
            };
            let copied = io::stdout()
                .write_all(&stdout)
                .and_then(|()| io::stderr().write_all(&stderr));
            copied.map_err(GuestError::io("copying the program's output"))?;
            if matches!(status, Ok(0)) {
                status = of_other;
            }
        }
        status
    })
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
