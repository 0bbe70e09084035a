//! `in-guest` itself, run as a program.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use lab::wait_until;
use tempfile::TempDir;

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn output_and_status_come_out_as_they_are() {
    let scratch = TempDir::new().unwrap();
    let script = "seq 1 200000; seq 1 1000 >&2; printf 'no\\r\\nnew line'; exit 7";

    let output = in_guest(&scratch, ["sh", "-c", script]).output().unwrap();

    let mut expected: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
    expected.push_str("no\r\nnew line");
    assert!(
        output.stdout == expected.as_bytes(),
        "{} bytes",
        output.stdout.len()
    );
    let expected: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(7));
    assert_is_empty(scratch.path());
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn arguments_environment_and_working_directory_are_the_caller_s() {
    let scratch = TempDir::new().unwrap();
    let directory = TempDir::with_prefix("with space").unwrap();
    let script = r#"printf '%s|' "$PWD" "$VARIABLE" "$@" >result"#;

    let output = in_guest(&scratch, ["sh", "-c", script, "sh", "a b", "", "\"c\n"])
        .current_dir(directory.path())
        .env("VARIABLE", "a=b \"c\"\n")
        .output()
        .unwrap();

    assert!(output.status.success(), "{output:?}");
    let result = fs::read_to_string(directory.path().join("result")).unwrap();
    let expected = format!("{}|a=b \"c\"\n|a b||\"c\n|", directory.path().display());
    assert_eq!(result, expected);
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_guest_that_hangs_is_ended_and_its_console_shown() {
    let scratch = TempDir::new().unwrap();
    let hanging = ["--deadline", "3", "sleep", "600"];

    let output = in_guest(&scratch, hanging).output().unwrap();

    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let message =
        "in-guest: sleep still ran in the guest after 3 s and was ended; the guest's console:\n";
    assert!(text(&output.stderr).starts_with(message), "{output:?}");
    assert_is_empty(scratch.path());
    assert_no_process_of(scratch.path());
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_guest_that_dies_is_not_taken_for_success() {
    let scratch = TempDir::new().unwrap();
    let crash = "echo begun; echo c >/proc/sysrq-trigger; sleep 600";

    let output = in_guest(&scratch, ["sh", "-c", crash]).output().unwrap();

    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert_eq!(text(&output.stdout), "begun\n");
    assert!(text(&output.stderr).contains("Kernel panic"), "{output:?}");
    assert_no_process_of(scratch.path());
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn nothing_is_left_when_the_runner_is_killed() {
    let scratch = TempDir::new().unwrap();
    let ready = scratch.path().join("ready");
    let script = format!("touch {}; sleep 600", ready.display());
    let mut runner = in_guest(&scratch, ["sh", "-c", &script])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the guest runs", SOON, || ready.exists());

    runner.kill().unwrap();
    runner.wait().unwrap();

    fs::remove_file(ready).unwrap();
    wait_until("the guard cleans up", SOON, || {
        processes_of(scratch.path()).is_empty() && entries(scratch.path()).is_empty()
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_program_that_is_not_there_or_crashes_is_told_as_a_shell_does() {
    let scratch = TempDir::new().unwrap();
    let run = |arguments: &[&str]| in_guest(&scratch, arguments).output().unwrap();

    let missing = run(&["no-such-program"]);
    let crashed = run(&["sh", "-c", "kill -SEGV $$"]);

    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
    assert!(
        text(&missing.stderr).contains("no-such-program: No such file"),
        "{missing:?}"
    );
    assert_eq!(crashed.status.code(), Some(128 + 11), "{crashed:?}");
    assert!(text(&crashed.stderr).contains("SIGSEGV"), "{crashed:?}");
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_tests_of_a_program_are_shared_out_and_none_is_left_out() {
    let scratch = TempDir::new().unwrap();
    let tests = TempDir::new().unwrap();
    let program = tests.path().join("tests");
    let script = "#!/bin/sh\n\
                  [ \"$1\" = --list ] && printf 'a: test\\nb: test\\nc: test\\nd: benchmark\\n'\n\
                  [ \"$1\" = --exact ] && echo \"$@\" && [ \"$2\" != b ]\n";
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = ["--guests".as_ref(), "2".as_ref(), program.as_os_str()];

    let output = in_guest(&scratch, options).output().unwrap();

    let mut shares: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
    shares.sort();
    assert_eq!(shares, ["--exact a", "--exact b", "--exact c"]);
    assert_eq!(output.status.code(), Some(1), "as the second one ended");
    assert_is_empty(scratch.path());
}

#[test]
fn a_program_of_another_name_is_run_without_a_guest() {
    let output = Command::new(env!("CARGO_BIN_EXE_in-guest"))
        .args(["--only", "guest", "sh", "-c", "echo here; exit 3"])
        .env_remove("PATH")
        .output()
        .unwrap();
    assert_eq!(text(&output.stdout), "here\n");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_machine_without_the_kernel_is_told_what_to_install() {
    let output = Command::new(env!("CARGO_BIN_EXE_in-guest"))
        .arg("true")
        .env("PATH", "/nonexistent")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output.stderr).contains("user-mode-linux"),
        "{output:?}"
    );
}

#[test]
fn a_wrong_command_line_is_answered_with_the_right_one() {
    for arguments in [
        &[][..],
        &["--deadline"],
        &["--deadline", "x", "true"],
        &["--other"],
    ] {
        let output: Output = Command::new(env!("CARGO_BIN_EXE_in-guest"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("usage: in-guest "));
    }
}

/// For what a loaded machine may delay.
const SOON: Duration = Duration::from_secs(60);

/// A run of `in-guest` whose files are in a directory of its own.
fn in_guest(scratch: &TempDir, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_in-guest"));
    command.env("TMPDIR", scratch.path()).args(arguments);
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

fn entries(directory: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(directory).expect("it is there");
    entries.flatten().map(|entry| entry.file_name()).collect()
}

fn assert_is_empty(directory: &Path) {
    assert!(entries(directory).is_empty(), "{:?}", entries(directory));
}

fn assert_no_process_of(scratch: &Path) {
    assert!(
        processes_of(scratch).is_empty(),
        "{:?}",
        processes_of(scratch)
    );
}

/// The command lines of living processes that name the directory: kernel and guard do.
fn processes_of(scratch: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("mounted");
    processes
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(&scratch.display().to_string()))
        .collect()
}
