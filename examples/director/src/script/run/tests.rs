//! Real processes. They are synchronised by what they write, by their exit and by pipes; the one
//! sleep is that of the two seconds of grace, which are shortened.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Pid, geteuid};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::members::members;
use super::*;
use crate::script::command::ScriptUser;

/// Far beyond anything that happens: the test has failed when it is reached.
const PATIENCE: Duration = Duration::from_secs(60);

fn sh(script: &str) -> Command {
    Command::new("/bin/sh").with_args(["-c", script])
}

fn runner() -> ProcessRunner {
    let limits = Limits {
        grace: Duration::from_millis(300),
        give_up: Duration::from_secs(20),
    };
    ProcessRunner {
        limits,
        ..ProcessRunner::new(Policy::new(false, None, "/bin:/usr/bin".into()))
    }
}

/// Runs to the end, without a deadline.
async fn run(command: &Command) -> Report {
    let (_never, stop) = stop();
    timeout(PATIENCE, runner().run(command, stop))
        .await
        .expect("the run ends")
}

async fn cannot_run(command: &Command) -> String {
    let outcome = run(command).await.outcome;
    let Outcome::CannotRun { reason } = outcome else {
        panic!("{command} started: {outcome}")
    };
    reason.to_string()
}

/// A run that writes to a FIFO what the test waits for.
struct Signalling {
    directory: Directory,
    stopper: Option<Stopper>,
    run: JoinHandle<Report>,
}

impl Signalling {
    /// Runs `script` with a FIFO as `$1`, to which it is to write lines.
    fn start(script: &str) -> Self {
        let directory = Directory::new();
        let fifo = directory.path("fifo");
        nix::unistd::mkfifo(Path::new(&fifo), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let command = Command::new("/bin/sh").with_args(["-c", script, "sh", &fifo]);
        let (stopper, stop) = stop();
        let run = tokio::spawn(async move { runner().run(&command, stop).await });
        Self {
            directory,
            stopper: Some(stopper),
            run,
        }
    }

    /// What it wrote, once everybody has closed the FIFO: for `$$` of its processes.
    async fn read(&self) -> String {
        let fifo = self.directory.path("fifo");
        let read = spawn_blocking(move || fs::read_to_string(fifo).unwrap());
        timeout(PATIENCE, read)
            .await
            .expect("the script writes")
            .unwrap()
    }

    async fn pid(&self) -> Pid {
        Pid::from_raw(self.read().await.trim().parse().unwrap())
    }

    fn stop(&mut self) {
        self.stopper.take().unwrap().stop();
    }

    async fn report(self) -> Report {
        timeout(PATIENCE, self.run)
            .await
            .expect("the run ends")
            .unwrap()
    }
}

/// A directory of its own for a test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "director-run-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Makes a script. A file that is open for writing cannot be executed, and another test may
    /// fork while we have it open: so it is another process that writes it.
    fn script(&self, name: &str, text: &str, mode: u32) -> Command {
        let path = self.path(name);
        let written = std::process::Command::new("/bin/sh")
            .args(["-c", "printf %s \"$1\" > \"$2\"", "sh", text, &path])
            .status();
        assert!(written.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Command::new(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn an_exit_status_is_success_or_failure() {
    assert_eq!(run(&sh("exit 0")).await.outcome, Outcome::Success);
    assert_eq!(
        run(&sh("exit 1")).await.outcome,
        Outcome::Failure { code: 1 }
    );
    assert_eq!(
        run(&sh("exit 255")).await.outcome,
        Outcome::Failure { code: 255 }
    );
}

#[tokio::test]
async fn a_signal_of_somebody_else_is_told_apart() {
    assert_eq!(
        run(&sh("kill -9 $$")).await.outcome,
        Outcome::Signalled { signal: 9 }
    );
}

#[tokio::test]
async fn the_words_arrive_as_they_are() {
    let command = Command::new("/bin/sh").with_args(["-c", "printf '<%s>' \"$@\"", "sh", "a b"]);
    let command = command.with_args(["", "$HOME", "*"]);
    assert_eq!(run(&command).await.output, "<a b><><$HOME><*>");
}

#[tokio::test]
async fn both_streams_are_read_in_order_and_the_end_is_kept() {
    let report = run(&sh("echo one; echo two >&2; echo three")).await;
    assert_eq!(report.output, "one\ntwo\nthree");
    let report = run(&sh("yes | head -c 1000000; echo end")).await;
    assert_eq!(report.outcome, Outcome::Success);
    assert!(report.output.starts_with('…') && report.output.ends_with("y\nend"));
}

#[tokio::test]
async fn a_script_has_no_input_and_a_group_of_its_own() {
    let report = run(&sh("cat; cut -d' ' -f5 /proc/$$/stat; echo $$")).await;
    let lines: Vec<_> = report.output.lines().collect();
    assert_eq!(lines[0], lines[1], "the group is that of the script");
    assert_ne!(lines[0], nix::unistd::getpgrp().to_string());
}

#[tokio::test]
async fn no_descriptor_but_the_standard_streams_is_inherited() {
    // One that would be inherited, as if our parent had left it open.
    let open = fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(
        &open,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    let report = run(&sh("ls /proc/$$/fd; true")).await;
    assert_eq!(report.output, "0\n1\n2");
}

#[tokio::test]
async fn variables_that_change_a_shell_or_the_loader_are_removed() {
    // Setting variables of this process would race with other tests: a process in between does.
    let inner = "an_inner_run_prints_its_environment";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{}::{inner}", module_path!().split_once("::").unwrap().1),
        ])
        .args(["--nocapture", "--include-ignored"])
        .envs([
            ("IFS", "x"),
            ("LD_LIBRARY_PATH", "/nowhere"),
            ("KEPT", "kept"),
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("KEPT=kept"), "{text}");
    for name in REMOVED_IN_TEST {
        assert!(!text.contains(name), "{name} was inherited: {text}");
    }
}

const REMOVED_IN_TEST: [&str; 2] = ["IFS=x", "LD_LIBRARY_PATH"];

#[tokio::test]
#[ignore = "started by another test, with variables set"]
async fn an_inner_run_prints_its_environment() {
    let report = run(&Command::new("/usr/bin/env")).await;
    for line in report
        .output
        .lines()
        .filter(|l| l.starts_with(['I', 'K', 'L']))
    {
        let mut stdout = std::io::stdout().lock();
        std::io::Write::write_all(&mut stdout, format!("{line}\n").as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_executed_has_failed_and_says_why() {
    let directory = Directory::new();
    let missing = directory.path("missing.sh");
    assert_eq!(
        cannot_run(&Command::new(&missing)).await,
        format!("{missing} does not exist")
    );

    let plain = directory.script("plain.sh", "#!/bin/sh\n", 0o644);
    assert!(
        cannot_run(&plain).await.contains("chmod a+x"),
        "not executable"
    );

    let broken = directory.script("broken.sh", "#!/no/such/interpreter -x\n", 0o755);
    let reason = cannot_run(&broken).await;
    assert!(reason.contains("needs `/no/such/interpreter`"), "{reason}");

    let nobody = sh("exit 0").with_user(ScriptUser::new("no-such-user"));
    assert!(cannot_run(&nobody).await.contains("no user `no-such-user`"));

    assert!(
        cannot_run(&sh("exit 0").with_args(["a\0b"]))
            .await
            .contains("nul byte")
    );
    assert!(
        cannot_run(&Command::new("/"))
            .await
            .contains("not a regular file")
    );
}

#[tokio::test]
async fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let directory = Directory::new();
    let command = directory
        .script("plain", "echo \"$0 $1\"; exit 3\n", 0o755)
        .with_args(["a"]);
    let report = run(&command).await;
    assert_eq!(report.outcome, Outcome::Failure { code: 3 });
    assert_eq!(report.output, format!("{} a", command.program));
}

#[tokio::test]
async fn a_script_that_was_started_by_a_link_is_told_the_link() {
    let directory = Directory::new();
    directory.script("real", "#!/bin/sh\necho \"$0\"\n", 0o755);
    let link = directory.path("link");
    std::os::unix::fs::symlink("real", &link).unwrap();
    assert_eq!(run(&Command::new(&link)).await.output, link);
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_ended() {
    let mut signalling = Signalling::start("sleep 1000 & sleep 1000 & echo $$ > $1; wait");
    let group = signalling.pid().await;
    assert_eq!(members(group).len(), 3);
    signalling.stop();
    assert_eq!(signalling.report().await.outcome, Outcome::TimedOut);
    assert!(members(group).is_empty(), "{:?}", members(group));
}

#[tokio::test]
async fn who_heeds_sigterm_may_end_in_order() {
    let mut signalling = Signalling::start(
        "trap 'echo tidied up; exit 0' TERM; echo $$ > $1; while :; do sleep 1000 & wait; done",
    );
    let group = signalling.pid().await;
    signalling.stop();
    let report = signalling.report().await;
    // The exit status at the deadline does not matter: it came too late.
    assert_eq!(
        report,
        Report {
            outcome: Outcome::TimedOut,
            output: "tidied up".into()
        }
    );
    assert!(members(group).is_empty(), "{:?}", members(group));
}

#[tokio::test]
async fn who_ignores_sigterm_is_killed_with_its_children() {
    let mut signalling = Signalling::start(
        "trap '' TERM; (while :; do sleep 1000; done) & echo $$ > $1; while :; do sleep 1000; done",
    );
    let group = signalling.pid().await;
    signalling.stop();
    assert_eq!(signalling.report().await.outcome, Outcome::TimedOut);
    assert!(members(group).is_empty(), "{:?}", members(group));
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_though_its_parent_has_left() {
    let mut signalling = Signalling::start(
        "(trap '' TERM; echo $$ > $1; while :; do sleep 1000; done) & trap 'exit 0' TERM; wait",
    );
    let group = signalling.pid().await;
    signalling.stop();
    assert_eq!(signalling.report().await.outcome, Outcome::TimedOut);
    assert!(members(group).is_empty(), "{:?}", members(group));
}

#[tokio::test]
async fn dropping_the_run_kills_the_group_and_leaves_no_zombie() {
    // The kernel closes the FIFO when the last process of the group is gone.
    let signalling = Signalling::start(
        "exec 3> $1; trap '' TERM; sleep 1000 & echo $$ >&3; while :; do sleep 1000; done",
    );
    let fifo = signalling.directory.path("fifo");
    let (started, closed) = (oneshot::channel(), oneshot::channel());
    let reader = std::thread::spawn(move || {
        let mut fifo = BufReader::new(fs::File::open(fifo).unwrap());
        let mut pid = String::new();
        fifo.read_line(&mut pid).unwrap();
        started.0.send(pid).unwrap();
        let mut rest = String::new();
        fifo.read_to_string(&mut rest).unwrap();
        closed.0.send(rest).unwrap();
    });
    let pid = timeout(PATIENCE, started.1).await.unwrap().unwrap();
    signalling.run.abort();
    assert_eq!(timeout(PATIENCE, closed.1).await.unwrap().unwrap(), "");
    reader.join().unwrap();
    let process = Path::new("/proc").join(pid.trim());
    let reaped = async {
        while process.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reaped)
        .await
        .expect("the leader is reaped");
}

#[tokio::test]
async fn a_process_left_in_the_background_is_neither_waited_for_nor_ended() {
    let directory = Directory::new();
    let fifo = directory.path("fifo");
    nix::unistd::mkfifo(Path::new(&fifo), nix::sys::stat::Mode::S_IRWXU).unwrap();
    // It still has our pipe, and writes to it after its parent has left: nothing may break it.
    let script = "(read line < $1; echo $line; echo done > $1) & echo left";
    let command = Command::new("/bin/sh").with_args(["-c", script, "sh", &fifo]);
    let report = run(&command).await;
    assert_eq!(
        report,
        Report {
            outcome: Outcome::Success,
            output: "left".into()
        }
    );
    let talk = spawn_blocking(move || {
        fs::write(&fifo, "go\n").unwrap();
        fs::read_to_string(&fifo).unwrap()
    });
    assert_eq!(timeout(PATIENCE, talk).await.unwrap().unwrap(), "done\n");
}

#[tokio::test]
async fn many_run_side_by_side_and_leave_nothing() {
    let runner = Arc::new(runner());
    let mut runs = JoinSet::new();
    for code in 0..50 {
        let runner = Arc::clone(&runner);
        runs.spawn(async move {
            let (_never, stop) = stop();
            runner
                .run(&sh(&format!("exit {code}")), stop)
                .await
                .outcome
                .exit_status()
        });
    }
    let mut codes = timeout(PATIENCE, runs.join_all()).await.unwrap();
    codes.sort_unstable();
    assert_eq!(codes, (0..50).map(Some).collect::<Vec<_>>());
}

/// A job that looks as if it could not be ended: a start that does not return.
fn hung() -> (Job, std::sync::mpsc::Sender<()>) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let starting = spawn_blocking(move || {
        let _released = held.recv();
        Err(Refusal::NoScriptUser.into())
    });
    (Job::starting(starting), release)
}

#[tokio::test]
async fn a_start_that_never_returns_is_given_up() {
    let (mut job, _release) = hung();
    let limits = Limits {
        grace: Duration::ZERO,
        give_up: Duration::ZERO,
    };
    assert_eq!(supervise(&mut job, async {}, limits).await, End::Left);
    let outcome = runner().give_up(&sh("exit 0"), job).await;
    assert_eq!(outcome, Outcome::Unkillable { processes: vec![] });
}

#[tokio::test]
async fn after_three_that_cannot_be_ended_no_more_are_started_until_one_is_gone() {
    let (runner, command) = (runner(), sh("exit 0"));
    let mut releases = Vec::new();
    for _ in 0..MOST_LEFT {
        assert_eq!(run_with(&runner, &command).await, Outcome::Success);
        let (job, release) = hung();
        runner.give_up(&command, job).await;
        releases.push(release);
    }
    let refused = run_with(&runner, &command).await;
    assert!(matches!(
        refused,
        Outcome::CannotRun {
            reason: CannotRun::TooManyLeft { .. }
        }
    ));
    assert_eq!(
        run_with(&runner, &sh("exit 4")).await,
        Outcome::Failure { code: 4 },
        "others run"
    );

    drop(releases.pop());
    let freed = async {
        while run_with(&runner, &command).await != Outcome::Success {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, freed).await.unwrap();
}

async fn run_with(runner: &ProcessRunner, command: &Command) -> Outcome {
    let (_never, stop) = stop();
    runner.run(command, stop).await.outcome
}

#[tokio::test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root to become another user"
)]
async fn a_script_has_the_user_and_exactly_the_groups_of_its_account() {
    let report = run(&sh("id -u; id -g; id -G").with_user(ScriptUser::new("nobody"))).await;
    assert_eq!(report.output, "65534\n65534\n65534");
    let in_root = ScriptUser {
        user: "nobody".into(),
        group: Some("root".into()),
    };
    let report = run(&sh("id -u; id -g; id -G").with_user(in_root)).await;
    assert_eq!(
        report.output.lines().take(2).collect::<Vec<_>>(),
        ["65534", "0"]
    );
    // A script of another user is ended as well as our own.
    let (stopper, stop) = stop();
    stopper.stop();
    let sleeping = sh("sleep 1000").with_user(ScriptUser::new("nobody"));
    assert_eq!(
        runner().run(&sleeping, stop).await.outcome,
        Outcome::TimedOut
    );
}

#[tokio::test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root to become another user"
)]
async fn a_directory_that_its_user_may_not_pass_is_named() {
    let directory = Directory::new();
    let command = directory.script("script", "#!/bin/sh\n", 0o755);
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o700)).unwrap();
    let reason = cannot_run(&command.with_user(ScriptUser::new("nobody"))).await;
    assert_eq!(
        reason,
        format!(
            "user nobody may not pass {0}: chmod a+x {0}",
            directory.0.display()
        )
    );
}

#[tokio::test]
#[cfg_attr(not(feature = "lab"), ignore = "lab: needs root to make files of root")]
async fn a_script_that_becomes_unsafe_while_the_daemon_runs_is_refused_at_its_next_run() {
    assert!(geteuid().is_root());
    let directory = Directory::new();
    let command = directory.script("script", "#!/bin/sh\n", 0o755);
    let root = Some(ScriptUser::new("root"));
    let runner = ProcessRunner::new(Policy::new(true, root, "/bin".into()));
    assert_eq!(run_with(&runner, &command).await, Outcome::Success);
    fs::set_permissions(&directory.0, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = run_with(&runner, &command).await.to_string();
    assert!(refused.contains("can be changed by anybody"), "{refused}");
}
