//! Process 1 of the guest: makes the kernel usable and runs one program.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        reboot::{RebootMode, reboot},
        wait::{WaitStatus, wait},
    },
    unistd::{Pid, sync},
};

use super::scratch::{INIT, Job, write_status};

/// Where programs are that administer a kernel: not always on a user's `PATH`.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/// The root below which modprobe finds `lib/modules`.
const MODULES_ROOT: &str = "/run/guest";
const MODPROBE: &str = "/run/guest/modprobe";
const TEMPORARY: &str = "/run/tmp";

/// Init's main function, for a program that is process 1 of a guest: `false` at once if it is not;
/// else it does not return but powers the guest off.
///
/// What fails is said on standard error, the console, whose text the runner shows.
#[must_use]
pub fn init(arguments: &[OsString]) -> bool {
    let scratch = match arguments {
        [name, ..] if std::process::id() == 1 => match Path::new(name) {
            path if path.file_name() == Some(OsStr::new(INIT)) => path.parent(),
            _ => None,
        },
        _ => None,
    };
    let Some(scratch) = scratch else {
        return false;
    };
    // From here on `.` is the scratch directory, even if what is mounted next hides its path.
    let entered = env::set_current_dir(scratch).map_err(at("entering the scratch directory"));
    if let Err(error) = entered.and_then(|()| prepare()).and_then(|()| run()) {
        drop(writeln!(io::stderr(), "in-guest: {error}"));
    }
    // It returns only if it failed; then the kernel stops because its init ends.
    reboot(RebootMode::RB_POWER_OFF).ok();
    true
}

fn prepare() -> io::Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")] {
        mount_at(kind, target)?;
    }
    fs::create_dir_all("/dev/shm").map_err(at("making /dev/shm"))?;
    mount_at("tmpfs", "/dev/shm")?;
    fs::create_dir(TEMPORARY).map_err(at(TEMPORARY))?;
    fs::set_permissions(TEMPORARY, fs::Permissions::from_mode(0o1777)).map_err(at(TEMPORARY))?;
    load_modules_on_demand()?;
    succeed(Command::new(MODPROBE).arg("ip_vs"))?;
    succeed(Command::new("ip").args(["link", "set", "lo", "up"]))
}

fn mount_at(kind: &str, target: &str) -> io::Result<()> {
    mount(
        Some(kind),
        target,
        Some(kind),
        MsFlags::empty(),
        None::<&str>,
    )
    .map_err(|error| at(&format!("mounting {kind} at {target}"))(error.into()))
}

/// Tells the kernel how to get its modules, which are not in `/lib/modules`.
fn load_modules_on_demand() -> io::Result<()> {
    let lib = Path::new(MODULES_ROOT).join("lib");
    fs::create_dir_all(&lib).map_err(at("making /run/guest/lib"))?;
    symlink("/usr/lib/uml/modules", lib.join("modules")).map_err(at("linking the modules"))?;
    let script = format!("#!/bin/sh\nexec /sbin/modprobe -d {MODULES_ROOT} \"$@\"\n");
    fs::write(MODPROBE, script).map_err(at(MODPROBE))?;
    fs::set_permissions(MODPROBE, fs::Permissions::from_mode(0o755)).map_err(at(MODPROBE))?;
    let setting = "/proc/sys/kernel/modprobe";
    fs::write(setting, MODPROBE).map_err(at(setting))
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let name = format!("{command:?}");
    let status = command
        .env("PATH", SYSTEM_PATH)
        .status()
        .map_err(at(&name))?;
    if status.success() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{name}: {status}")))
    }
}

/// Runs the program, waits for it and for every orphan that ends meanwhile, and notes its status.
fn run() -> io::Result<()> {
    let scratch = Path::new(".");
    let job = Job::read(scratch).map_err(at("reading what to run"))?;
    let mut stderr = job.stderr.try_clone()?;
    let name = job.program.display().to_string();
    let status = match start(job) {
        Ok(pid) => loop {
            let ended = wait()?;
            if let WaitStatus::Exited(child, code) = ended
                && child == pid
            {
                break code;
            }
            if let WaitStatus::Signaled(child, signal, _) = ended
                && child == pid
            {
                writeln!(stderr, "in-guest: {name} was ended by {signal}")?;
                break 128 + signal as i32;
            }
        },
        Err(error) => {
            writeln!(stderr, "in-guest: starting {name}: {error}")?;
            127
        }
    };
    sync();
    let status = u8::try_from(status).map_err(io::Error::other)?;
    write_status(scratch, status).map_err(at("writing the status"))
}

fn start(job: Job) -> io::Result<Pid> {
    let child = Command::new(job.program)
        .args(job.arguments)
        .current_dir(job.directory)
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .envs(job.variables.into_iter().map(|(name, value)| {
            if name == "PATH" {
                let path =
                    env::join_paths(env::split_paths(&value).chain(env::split_paths(SYSTEM_PATH)));
                (name, path.unwrap_or(value))
            } else {
                (name, value)
            }
        }))
        .env("TMPDIR", TEMPORARY)
        // There is one processor.
        .env("RUST_TEST_THREADS", "1")
        // Where modprobe looks if the program loads a module itself.
        .env("MODPROBE_OPTIONS", format!("-d {MODULES_ROOT}"))
        .stdin(Stdio::null())
        .stdout(job.stdout)
        .stderr(job.stderr)
        .spawn()?;
    Ok(Pid::from_raw(
        i32::try_from(child.id()).map_err(io::Error::other)?,
    ))
}

/// Says at which step an error happened.
fn at(step: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{step}: {error}"))
}
