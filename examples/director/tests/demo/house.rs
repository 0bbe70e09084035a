//! Where the demo is started, and what is looked at from outside of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;

/// A copy of the program that every user may run, and a temporary directory for it. One at a time:
/// the demo measures milliseconds.
pub(crate) struct House {
    pub(crate) program: PathBuf,
    temporary: PathBuf,
    directory: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl House {
    pub(crate) fn new() -> Self {
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

    pub(crate) fn start_as_nobody(&self) -> Demo {
        self.start_as_nobody_with(&[])
    }

    pub(crate) fn start_as_nobody_with(&self, arguments: &[&str]) -> Demo {
        let nobody = nobody();
        chown(
            &self.temporary,
            Some(nobody.uid.as_raw()),
            Some(nobody.gid.as_raw()),
        )
        .unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("demo")
            .args(arguments)
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw());
        self.start(command)
    }

    pub(crate) fn start(&self, mut command: Command) -> Demo {
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

    /// Runs a line of shell and gives what it prints.
    #[track_caller]
    pub(crate) fn run_as_nobody(&self, line: &str) -> String {
        let nobody = nobody();
        let output = Command::new("sh")
            .args(["-c", line])
            .uid(nobody.uid.as_raw())
            .gid(nobody.gid.as_raw())
            .current_dir("/")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{line}: {stdout}{stderr}");
        stdout
    }

    /// Kills the one process with this on its command line.
    #[track_caller]
    pub(crate) fn kill(&self, part: &str) {
        let found = self.processes().into_iter().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(part))
        });
        let pid = found.unwrap_or_else(|| panic!("no process with {part:?}"));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
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
    pub(crate) fn namespaces(&self) -> BTreeSet<PathBuf> {
        let own = namespaces_of(i32::try_from(std::process::id()).unwrap());
        let all = self.processes().into_iter().flat_map(namespaces_of);
        all.filter(|namespace| !own.contains(namespace)).collect()
    }

    /// Waits for what the death of the demo takes with it, which is a matter of milliseconds.
    #[track_caller]
    pub(crate) fn assert_clean(&self, namespaces: &BTreeSet<PathBuf>) {
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

fn nobody() -> User {
    User::from_name("nobody")
        .unwrap()
        .expect("there is a user nobody")
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
pub(crate) struct Demo {
    child: Child,
    pub(crate) stdout: Option<BufReader<std::process::ChildStdout>>,
    pub(crate) read: String,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Demo {
    /// Reads what it prints until this has come.
    #[track_caller]
    pub(crate) fn read_until(&mut self, text: &str) {
        self.read_until_times(1, text);
    }

    #[track_caller]
    pub(crate) fn read_until_times(&mut self, times: usize, text: &str) {
        let stdout = self.stdout.as_mut().unwrap();
        while self.read.matches(text).count() < times {
            let length = stdout.read_line(&mut self.read).unwrap();
            assert!(length > 0, "it ended before {text:?}:\n{}", self.read);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            signal,
        )
        .unwrap();
    }

    /// Waits for its end, which its own deadlines bring.
    pub(crate) fn end(mut self) -> Ended {
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
