//! `director demo` as its users start it: what it shows, how it ends, and that nothing stays.

#![expect(
    clippy::unwrap_used,
    reason = "the helpers of tests may do what tests may"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn an_unprivileged_user_sees_the_address_fail_over() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();
    assert!(namespaces.len() >= 2, "its own: {namespaces:?}");

    let ended = demo.end();

    assert_all_worked(&ended);
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn root_needs_no_user_namespaces() {
    let house = House::new();
    // A root without the right to have user namespaces: that of one which may have no more.
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$0\" demo";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(&house.program);
    let mut demo = house.start(command);
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();

    let ended = demo.end();

    assert_all_worked(&ended);
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn where_user_namespaces_are_switched_off_it_names_the_switch() {
    let house = House::new();
    let script = "echo 0 >/proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all \"$0\" demo";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "sh", "-c", script])
        .arg(&house.program);

    let ended = house.start(command).end();

    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert!(
        ended
            .stderr
            .contains("sudo sysctl -w user.max_user_namespaces=10000"),
        "{}",
        ended.stderr
    );
    house.assert_clean(&BTreeSet::new());
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn killed_in_the_middle_it_leaves_nothing_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let house = House::new();
        let mut demo = house.start_as_nobody();
        demo.read_until("\n2. ");
        let namespaces = house.namespaces();

        demo.signal(signal);
        let ended = demo.end();

        assert_eq!(ended.status.signal(), Some(signal as i32), "{ended:?}");
        house.assert_clean(&namespaces);
    }
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn a_director_that_dies_unasked_fails_the_demo_and_its_log_is_shown() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n2. ");
    let namespaces = house.namespaces();
    let beta = house.processes().into_iter().find(|&pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("beta.conf"))
    });
    kill(
        Pid::from_raw(beta.expect("beta's director runs")),
        Signal::SIGKILL,
    )
    .unwrap();

    let ended = demo.end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let failure = "FAILED beta's director was killed by signal 9";
    assert!(ended.stdout.contains(failure), "{}", ended.stdout);
    assert!(
        ended
            .stderr
            .contains("beta    INFO (VI_1) Entering BACKUP STATE"),
        "{}",
        ended.stderr
    );
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn it_ends_quietly_when_nobody_reads_on() {
    let house = House::new();
    let mut demo = house.start_as_nobody();
    demo.read_until("\n1. ");
    let namespaces = house.namespaces();

    demo.stdout = None;
    let ended = demo.end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stderr, "");
    house.assert_clean(&namespaces);
}

#[test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
fn its_inner_half_refuses_to_work_outside_of_the_sandbox() {
    let house = House::new();
    let mut command = Command::new(&house.program);
    command.args(["demo", "--inside"]);

    let ended = house.start(command).end();

    assert_eq!(ended.status.code(), Some(3), "{ended:?}");
    assert!(
        ended.stderr.contains("run director demo"),
        "{}",
        ended.stderr
    );
}

#[track_caller]
fn assert_all_worked(ended: &Ended) {
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let text = &ended.stdout;
    for expected in [
        "(VI_1) Entering MASTER STATE",
        "192.0.2.100 answers, it is alpha",
        "192.0.2.100 answers, it is beta",
        "power loss of the master  at beta",
        "its return                at alpha",
        "graceful stop             at beta",
        "Everything shown worked",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    assert!(
        !text.contains('\x1b'),
        "plain lines where there is no terminal:\n{text}"
    );
}

/// A copy of the program that every user may run, and a temporary directory for it. One at a time:
/// the demo measures milliseconds.
struct House {
    program: PathBuf,
    temporary: PathBuf,
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl House {
    fn new() -> Self {
        static TURN: Mutex<()> = Mutex::new(());

        assert!(geteuid().is_root(), "the tests of the lab need root");
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .unwrap();
        let program = directory.path().join("director");
        fs::copy(env!("CARGO_BIN_EXE_director"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let temporary = directory.path().join("tmp");
        fs::create_dir(&temporary).unwrap();
        Self {
            program,
            temporary,
            directory,
            _turn: turn,
        }
    }

    fn start_as_nobody(&self) -> Demo {
        let nobody = User::from_name("nobody")
            .unwrap()
            .expect("there is a user nobody");
        chown(
            &self.temporary,
            Some(nobody.uid.as_raw()),
            Some(nobody.gid.as_raw()),
        )
        .unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("demo")
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw());
        self.start(command)
    }

    fn start(&self, mut command: Command) -> Demo {
        let mut child = command
            .env("TMPDIR", &self.temporary)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Demo {
            stdout: child.stdout.take().map(BufReader::new),
            child,
            read: String::new(),
        }
    }

    /// The processes that run the copy of the program.
    fn processes(&self) -> Vec<i32> {
        let is_ours = |pid: &i32| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == self.program)
        };
        all_processes().into_iter().filter(is_ours).collect()
    }

    /// The user and PID namespaces of these processes that the test is not in.
    ///
    /// Every other namespace of the demo belongs to one of them.
    fn namespaces(&self) -> BTreeSet<PathBuf> {
        let own = namespaces_of(i32::try_from(std::process::id()).unwrap());
        let all = self.processes().into_iter().flat_map(namespaces_of);
        all.filter(|namespace| !own.contains(namespace)).collect()
    }

    /// Waits for what the death of the demo takes with it, which is a matter of milliseconds.
    #[track_caller]
    fn assert_clean(&self, namespaces: &BTreeSet<PathBuf>) {
        let left = || {
            let held = all_processes().into_iter().flat_map(namespaces_of);
            let held: BTreeSet<_> = held.filter(|held| namespaces.contains(held)).collect();
            (self.processes(), held)
        };
        let nothing = (Vec::new(), BTreeSet::new());
        let mut found = left();
        for _ in 0..500 {
            if found == nothing {
                break;
            }
            thread::sleep(Duration::from_millis(10));
            found = left();
        }
        assert_eq!(found, nothing, "processes and namespaces");
        assert_eq!(fs::read_dir(&self.temporary).unwrap().count(), 0, "files");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let directory = self.directory.path().to_str().unwrap();
        assert!(!mounts.contains(directory), "mounts:\n{mounts}");
    }
}

fn all_processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn namespaces_of(pid: i32) -> BTreeSet<PathBuf> {
    let link = |kind| {
        fs::read_link(
            Path::new("/proc")
                .join(pid.to_string())
                .join("ns")
                .join(kind),
        )
    };
    ["user", "pid", "pid_for_children"]
        .into_iter()
        .filter_map(|kind| link(kind).ok())
        .collect()
}

/// A demo that runs. Dropped, it is killed.
struct Demo {
    child: Child,
    stdout: Option<BufReader<std::process::ChildStdout>>,
    read: String,
}

#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Demo {
    /// Reads what it prints until this has come.
    #[track_caller]
    fn read_until(&mut self, text: &str) {
        let stdout = self.stdout.as_mut().unwrap();
        while !self.read.contains(text) {
            let length = stdout.read_line(&mut self.read).unwrap();
            assert!(length > 0, "it ended before {text:?}:\n{}", self.read);
        }
    }

    fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits for its end, which its own deadlines bring.
    fn end(mut self) -> Ended {
        if let Some(mut stdout) = self.stdout.take() {
            stdout.read_to_string(&mut self.read).unwrap();
        }
        let mut stderr = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut stderr)
            .unwrap();
        Ended {
            status: self.child.wait().unwrap(),
            stdout: std::mem::take(&mut self.read),
            stderr,
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
