//! Network namespaces: named ones for nodes, nameless ones for a test's own thread.

use std::{
    fs::{self, File},
    io::{self, Write},
    panic::resume_unwind,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

use crate::wait::becomes_true;

/// Where `ip netns` keeps its names.
const NAMES: &str = "/run/netns";

/// A named network namespace (`ip netns`), with its loopback up.
///
/// Its name is unique on the machine. Dropping it kills every process that runs in it and removes
/// it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(crate) fn new(label: &str) -> Self {
        static SWEEP: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);

        assert!(
            geteuid().is_root(),
            "the laboratory needs root: run the tests as root"
        );
        SWEEP.call_once(sweep);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self {
            name: format!("lab-{}-{number}-{label}", process::id()),
        };
        on_a_thread(|| {
            unshare_network();
            give_a_name(&namespace.path());
            // Interfaces have only the addresses that a test gives them.
            write_sysctl("net/ipv6/conf/default/addr_gen_mode", "1");
            run(Command::new("ip").args(["link", "set", "lo", "up"]), "");
        });
        namespace
    }

    /// The name `ip netns` knows it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does `work` inside the namespace, on a thread of its own, and returns its result.
    ///
    /// Sockets opened by `work` stay in the namespace; a process that it spawns starts in it.
    ///
    /// # Panics
    ///
    /// When the namespace cannot be entered, and with the panic of `work`.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = self.path();
        on_a_thread(move || {
            enter_thread(&path);
            work()
        })
    }

    /// Runs lines of `ip` commands (`link set eth0 up`) in the namespace.
    ///
    /// # Panics
    ///
    /// When one of them fails.
    #[track_caller]
    pub fn ip(&self, lines: &str) {
        run(
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]),
            lines,
        );
    }

    /// Sets a parameter of the namespace's network stack, named by its path below `/proc/sys`.
    ///
    /// # Panics
    ///
    /// When the kernel refuses it.
    pub fn set_sysctl(&self, path: &str, value: &str) {
        self.enter(|| write_sysctl(path, value));
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new(NAMES).join(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.path());
    }
}

/// Does `work` in a new network namespace without a name, on a thread of its own: for tests that
/// open their own sockets. Only the loopback is there, and it is up.
///
/// The namespace dies with the thread. A socket belongs to the namespace of the thread that opened
/// it, so an asynchronous test builds a *current-thread* runtime inside `work`.
///
/// # Panics
///
/// Without root, and with the panic of `work`.
pub fn in_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        unshare_network();
        run(Command::new("ip").args(["link", "set", "lo", "up"]), "");
        work()
    })
}

/// Moves the calling thread into a new network namespace, for good.
fn unshare_network() {
    unshare(CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("a new network namespace (needs root): {error}"));
}

/// Gives the calling thread's network namespace a name as `ip netns add` does, which costs a process
/// for each of the many namespaces of a test.
fn give_a_name(path: &Path) {
    let named = || -> io::Result<()> {
        fs::create_dir_all(NAMES)?;
        File::create_new(path)?;
        let own = Path::new("/proc/thread-self/ns/net");
        Ok(mount(
            Some(own),
            path,
            None::<&Path>,
            MsFlags::MS_BIND,
            None::<&Path>,
        )?)
    };
    named().unwrap_or_else(|error| panic!("naming a namespace {}: {error}", path.display()));
}

fn write_sysctl(path: &str, value: &str) {
    let file = Path::new("/proc/sys").join(path);
    fs::write(&file, value)
        .unwrap_or_else(|error| panic!("setting {} to {value}: {error}", file.display()));
}

/// Moves the calling thread into the namespace at `path`, for good.
pub(crate) fn enter_thread(path: &Path) {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    setns(file, CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|error| panic!("entering {}: {error}", path.display()));
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => resume_unwind(panic),
    })
}

/// Runs a command to its end with `input` on its standard input and returns its standard output.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &str) -> String {
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // A command that ends without reading says why by its status.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(
        output.status.success(),
        "{name} failed ({}): {}\n{input}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim(),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Removes the namespaces of test processes that are gone: killed ones could not clean up.
fn sweep() {
    let Ok(names) = fs::read_dir(NAMES) else {
        return;
    };
    for path in names.flatten().map(|entry| entry.path()) {
        let owner = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_prefix("lab-")?.split('-').next())
            .and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            remove(&path);
        }
    }
}

/// Kills what runs in a namespace and takes its name away. Never panics: it runs while one unwinds.
fn remove(path: &Path) {
    becomes_true(Duration::from_secs(5), || {
        let pids = pids_in(path);
        for pid in &pids {
            kill(*pid, Signal::SIGKILL).ok();
        }
        pids.is_empty()
    });
    // The namespace ends with its last name, thread and socket.
    umount2(path, MntFlags::MNT_DETACH).ok();
    fs::remove_file(path).ok();
}

/// The living processes whose network namespace is the one at `path`.
fn pids_in(path: &Path) -> Vec<Pid> {
    use std::os::unix::fs::MetadataExt as _;

    let Ok(wanted) = fs::metadata(path).map(|found| (found.dev(), found.ino())) else {
        return Vec::new();
    };
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::metadata(format!("/proc/{pid}/ns/net"))
                .is_ok_and(|found| (found.dev(), found.ino()) == wanted)
        })
        .map(Pid::from_raw)
        .collect()
}
