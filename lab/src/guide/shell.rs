//! A machine's shell: where its reader would sit.

use std::{
    env,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::{fs::symlink, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{Node, peer::program, wait::becomes_true};

/// What programs look up in `/etc` and nobody writes.
const LOOKED_UP: [&str; 10] = [
    "alternatives",
    "group",
    "hosts",
    "iproute2",
    "ld.so.cache",
    "localtime",
    "nsswitch.conf",
    "passwd",
    "protocols",
    "services",
];
/// Where nginx writes, whatever its configuration says.
const OF_NGINX: [&str; 2] = ["/var/lib/nginx", "/var/log/nginx"];
/// What a guest's kernel gets its modules by; on other machines it is not there.
const MODULES: &str = "/run/guest";
const HOME: &str = "/run/home";

/// What a command did.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) status: i32,
    /// Standard output and standard error.
    pub(super) text: String,
}

/// A bash on a node that has `/etc`, `/run` and a host name of its own.
#[derive(Debug)]
pub(super) struct Shell {
    child: Child,
    stdin: ChildStdin,
    output: PathBuf,
    /// Bytes of the output that belong to commands that have ended.
    taken: usize,
}

impl Shell {
    pub(super) fn start(node: &Node) -> io::Result<Self> {
        let output = node.path("output");
        let file = File::create(&output)?;
        let programs = program("ipvsctl");
        let programs = programs.parent().unwrap_or_else(|| Path::new("/"));
        let mut path = programs.as_os_str().to_owned();
        path.push(":/usr/sbin:/sbin:/usr/bin:/bin");
        let mut command = Command::new("bash");
        command
            .arg("--norc")
            .env_clear()
            .envs(env::var_os("MODPROBE_OPTIONS").map(|options| ("MODPROBE_OPTIONS", options)))
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .env("HOME", HOME)
            .current_dir(HOME)
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0);
        let mut child = node.namespace().enter(|| {
            settle(node)?;
            command.spawn()
        })?;
        let stdin = child.stdin.take();
        Ok(Self {
            child,
            stdin: stdin.ok_or(io::ErrorKind::BrokenPipe)?,
            output,
            taken: 0,
        })
    }

    /// Types a command and waits for its end.
    pub(super) fn run(&mut self, command: &str, within: Duration) -> Result<Printed, String> {
        // A zero byte is what no command prints.
        let line = format!("{{ {command}\n}} </dev/null\nprintf '\\0%d\\0' $?\n");
        let typed = self.stdin.write_all(line.as_bytes());
        typed.map_err(|error| format!("{command}: the shell does not take it: {error}"))?;
        let mut printed = None;
        becomes_true(within, || {
            let all = fs::read(&self.output).unwrap_or_default();
            let new = all.get(self.taken..).unwrap_or_default();
            printed = split(new);
            if printed.is_some() {
                self.taken = all.len();
            }
            printed.is_some() || !matches!(self.child.try_wait(), Ok(None))
        });
        printed.ok_or_else(|| {
            let all = fs::read(&self.output).unwrap_or_default();
            let new = all.get(self.taken..).unwrap_or_default();
            format!(
                "{command}: not ended within {within:?}, or the shell has; so far it printed\n{}",
                String::from_utf8_lossy(new)
            )
        })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            killpg(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
        drop(self.child.wait());
    }
}

/// What a command printed, and its status, which stands between two zero bytes.
fn split(bytes: &[u8]) -> Option<Printed> {
    let mut parts = bytes.split(|byte| *byte == 0);
    let (text, status, _) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Printed {
        status: String::from_utf8_lossy(status).parse().ok()?,
        text: String::from_utf8_lossy(text).into_owned(),
    })
}

/// Gives the calling thread, and what it starts, a host name and system directories of its own.
fn settle(node: &Node) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
    fs::write("/proc/sys/kernel/hostname", node.name())?;
    // What is mounted from here on nobody else sees.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&Path>, "/", None::<&Path>, private, None::<&Path>)?;

    let [etc, run] = ["etc", "run"].map(|name| node.path(name));
    let [found, modules, home] = ["etc", "guest", "home"].map(|name| run.join(name));
    for directory in [&etc, &run, &found, &modules, &home] {
        fs::create_dir(directory)?;
    }
    bind(Path::new("/etc"), &found)?;
    for name in LOOKED_UP {
        symlink(Path::new("/run/etc").join(name), etc.join(name))?;
    }
    bind(&etc, Path::new("/etc"))?;
    for (number, target) in OF_NGINX.iter().map(Path::new).enumerate() {
        if target.is_dir() {
            let own = node.path(&format!("nginx{number}"));
            fs::create_dir(&own)?;
            bind(&own, target)?;
        }
    }
    if Path::new(MODULES).is_dir() {
        bind(Path::new(MODULES), &modules)?;
    }
    // The last one: it may hide the node's own directory.
    bind(&run, Path::new("/run"))
}

/// Shows a directory, with what is mounted in it, at another place.
fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), target, None::<&Path>, flags, None::<&Path>).map_err(|error| {
        io::Error::other(format!(
            "{} at {}: {error}",
            source.display(),
            target.display()
        ))
    })
}
