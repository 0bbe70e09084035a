//! On virtual time, with scripts that are no processes; the last ones with real processes.

use std::collections::{BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::Mutex;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::*;
use crate::script::fake::{FOR_EVER, FakeRunner};
use crate::script::outcome::Outcome;
use crate::script::run::{CannotRun, ProcessRunner};
use crate::script::security::Policy;

const SECOND: Duration = Duration::from_secs(1);

fn check(name: &str) -> (String, CheckDefinition) {
    let config = CheckConfig {
        timeout: SECOND / 2,
        ..CheckConfig::every(SECOND)
    };
    (
        name.to_owned(),
        CheckDefinition {
            command: Command::new(name),
            config,
        },
    )
}

fn start(
    definitions: impl IntoIterator<Item = (String, CheckDefinition)>,
    runner: &Arc<FakeRunner>,
) -> (Checks, UnboundedReceiver<Update>) {
    let (updates, changes) = mpsc::unbounded_channel();
    let runner = Arc::<FakeRunner>::clone(runner);
    (
        Checks::start(definitions.into_iter().collect(), runner, updates),
        changes,
    )
}

/// What was published so far, as `name state because`.
fn published(changes: &mut UnboundedReceiver<Update>) -> Vec<String> {
    let line = |u: Update| format!("{} {:?} {}", u.name, u.state, u.because);
    std::iter::from_fn(|| changes.try_recv().ok())
        .map(line)
        .collect()
}

fn taking(takes: Duration, outcome: Outcome) -> Arc<FakeRunner> {
    FakeRunner::new(move |_| (takes, outcome.clone()))
}

#[tokio::test(start_paused = true)]
async fn each_check_runs_once_an_interval_and_publishes_its_changes_only() {
    let runner = FakeRunner::new(|command| match command.program.as_str() {
        "bad" => (SECOND / 4, Outcome::Failure { code: 3 }),
        _ => (SECOND / 4, Outcome::Success),
    });
    let (_checks, mut changes) = start([check("bad"), check("good")], &runner);
    sleep(SECOND * 9 / 2).await;
    let told = [
        "bad Down failed (exited with status 3)",
        "good Up succeeded",
    ];
    assert_eq!(published(&mut changes), told);
    let starts = |name| {
        let wanted = format!("+ {name}");
        let journal = runner.journal.lock().unwrap();
        journal
            .iter()
            .filter(|(_, line)| *line == wanted)
            .map(|(at, _)| *at)
            .collect::<Vec<_>>()
    };
    assert_eq!(starts("bad"), [0, 1000, 2000, 3000, 4000]);
    assert_eq!(starts("good"), [10, 1010, 2010, 3010, 4010]);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_stalls_no_other_and_is_down_at_its_deadline() {
    let runner = FakeRunner::new(|command| match command.program.as_str() {
        "hangs" => (FOR_EVER, Outcome::Success),
        _ => (SECOND / 4, Outcome::Success),
    });
    let names = (0..200).map(|n| format!("check{n:03}"));
    let definitions = names.chain(["hangs".to_owned()]).map(|name| check(&name));
    let (checks, mut changes) = start(definitions, &runner);
    sleep(SECOND * 5 / 2).await;
    let told = published(&mut changes);
    assert_eq!(told.len(), 201);
    assert!(told.contains(&"hangs Down timed_out".to_owned()));
    let status = checks.status();
    assert!(status.values().all(|status| status.counters.runs >= 2));
    assert!(status.values().all(|status| status.counters.skipped == 0));
}

#[tokio::test(start_paused = true)]
async fn first_runs_are_spread_and_none_waits_longer_than_its_interval() {
    let runner = taking(Duration::ZERO, Outcome::Success);
    let (_checks, _changes) = start((0..150).map(|n| check(&n.to_string())), &runner);
    sleep(SECOND).await;
    let times: Vec<_> = runner.journal().into_iter().map(|(at, _)| at).collect();
    assert!(times.iter().all(|at| *at < 1000));
    assert_eq!(
        times.iter().collect::<BTreeSet<_>>().len(),
        100,
        "spread over the interval"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_leaves_alone_what_has_not_changed() {
    let runner = taking(SECOND / 4, Outcome::Success);
    let (mut checks, mut changes) = start([check("kept")], &runner);
    sleep(SECOND / 10).await;
    checks
        .reload(
            [check("kept")].into(),
            Arc::<FakeRunner>::clone(&runner) as _,
        )
        .await;
    sleep(SECOND).await;
    assert_eq!(published(&mut changes), ["kept Up succeeded"]);
    let expected = [(0, "+ kept"), (250, "- kept"), (1000, "+ kept")];
    assert_eq!(
        runner.journal(),
        expected.map(|(at, line)| (at, line.to_owned()))
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_kills_what_is_gone_and_nothing_is_heard_of_it_again() {
    let runner = taking(SECOND / 4, Outcome::Success);
    let (mut checks, mut changes) = start([check("gone")], &runner);
    sleep(SECOND / 10).await;
    checks
        .reload(BTreeMap::new(), Arc::<FakeRunner>::clone(&runner) as _)
        .await;
    let expected = [(0, "+ gone"), (100, "x gone")];
    assert_eq!(
        runner.journal(),
        expected.map(|(at, line)| (at, line.to_owned()))
    );
    sleep(10 * SECOND).await;
    assert_eq!(published(&mut changes), Vec::<String>::new());
    assert!(checks.status().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_reload_adds_is_up_until_it_has_run() {
    let runner = taking(SECOND / 4, Outcome::Failure { code: 1 });
    let (mut checks, mut changes) = start([], &runner);
    let mut init_fail = check("init_fail");
    init_fail.1.config.init_fail = true;
    let new = [check("new"), init_fail];
    checks
        .reload(new.into(), Arc::<FakeRunner>::clone(&runner) as _)
        .await;
    sleep(SECOND / 10).await;
    let told = [
        "init_fail Down considered failed until it has run (init_fail)",
        "new Up considered successful on reload",
    ];
    assert_eq!(published(&mut changes), told);
    sleep(SECOND).await;
    assert_eq!(
        published(&mut changes),
        ["new Down failed (exited with status 1)"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_check_keeps_its_state_and_runs_at_once_and_its_old_run_is_killed() {
    let runner = FakeRunner::new(|command| match command.args.len() {
        0 => (SECOND / 4, Outcome::Success),
        _ => (SECOND / 4, Outcome::Failure { code: 1 }),
    });
    let (mut checks, mut changes) = start([check("c")], &runner);
    sleep(SECOND * 11 / 10).await;
    let (name, mut changed) = check("c");
    changed.command = changed.command.with_args(["new"]);
    changed.config.fall = NonZeroU32::new(2).unwrap();
    checks
        .reload(
            [(name, changed)].into(),
            Arc::<FakeRunner>::clone(&runner) as _,
        )
        .await;
    sleep(SECOND * 21 / 20).await;
    assert_eq!(
        published(&mut changes),
        ["c Up succeeded"],
        "one failure is not enough now"
    );
    let expected = [
        (0, "+ c"),
        (250, "- c"),
        (1000, "+ c"),
        (1100, "x c"),
        (1100, "+ c new"),
        (1350, "- c new"),
        (2100, "+ c new"),
    ];
    assert_eq!(
        runner.journal(),
        expected.map(|(at, line)| (at, line.to_owned()))
    );
    sleep(SECOND).await;
    assert_eq!(
        published(&mut changes),
        ["c Down failed (exited with status 1)"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_the_last_run_and_what_it_wrote() {
    let runner = taking(SECOND / 4, Outcome::Failure { code: 1 });
    let (checks, _changes) = start([check("c")], &runner);
    assert_eq!(checks.status()["c"].state, CheckState::Unknown);
    sleep(SECOND / 2).await;
    let status = &checks.status()["c"];
    assert_eq!(status.state, CheckState::Down);
    let (_, report) = status.last.clone().unwrap();
    assert_eq!(report.output, "output of c");
    assert_eq!((status.counters.runs, status.counters.failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_kills_what_runs_before_it_returns() {
    let runner = taking(FOR_EVER, Outcome::Success);
    let (checks, _changes) = start([check("a"), check("b")], &runner);
    sleep(SECOND / 10).await;
    checks.shutdown().await;
    let killed = runner
        .journal()
        .into_iter()
        .filter(|(at, line)| *at == 100 && line.starts_with('x'));
    assert_eq!(killed.count(), 2);
}

/// A writer that several tasks of a test share.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_has_the_lines_of_keepalived_one_for_each_change() {
    // While there is only one subscriber, tracing asks the thread that comes to a line first
    // whether anybody wants it: another test, which has none, could silence it for this one.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    let outcomes = Mutex::new(VecDeque::from([
        (SECOND / 4, Outcome::Success),
        (SECOND / 4, Outcome::Success),
        (SECOND / 4, Outcome::Failure { code: 2 }),
        (SECOND / 4, Outcome::Failure { code: 2 }),
        (SECOND / 4, Outcome::Signalled { signal: 9 }),
        (SECOND / 4, Outcome::Success),
        (FOR_EVER, Outcome::Success),
    ]));
    let runner = FakeRunner::new(move |_| outcomes.lock().unwrap().pop_front().unwrap());
    let (_checks, _changes) = start([check("chk")], &runner);
    sleep(SECOND * 34 / 5).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let message = |line: &str| {
        let fields = line.find(" name=").unwrap_or(line.len());
        line[..fields].trim_start().to_owned()
    };
    let expected = [
        "INFO VRRP_Script(chk) succeeded",
        "INFO Script `chk` now returning 2",
        "WARN VRRP_Script(chk) failed (exited with status 2)",
        "INFO Script `chk` failed (due to signal 9)",
        "INFO Script `chk` now returning 0",
        "INFO VRRP_Script(chk) succeeded",
        "WARN VRRP_Script(chk) timed_out",
    ];
    assert_eq!(text.lines().map(message).collect::<Vec<_>>(), expected);
    assert!(text.contains("output=\"output of chk\""), "{text}");
}

#[tokio::test]
async fn with_real_processes_good_is_up_bad_is_down_and_missing_is_down() {
    let config = CheckConfig::every(Duration::from_secs(3600));
    let real = |name: &str, script: &str| {
        let command = match script {
            "" => Command::new("/nonexistent/check.sh"),
            script => Command::new("/bin/sh").with_args(["-c", script]),
        };
        (name.to_owned(), CheckDefinition { command, config })
    };
    let definitions = [
        real("good", "exit 0"),
        real("bad", "exit 1"),
        real("missing", ""),
    ];
    let (updates, mut changes) = mpsc::unbounded_channel();
    let runner = Arc::new(ProcessRunner::new(Policy::new(false, None, "/bin".into())));
    let checks = Checks::start(definitions.into(), runner, updates);
    let mut states = BTreeMap::new();
    while states.len() < 3 {
        let update = changes.recv().await.unwrap();
        states.insert(update.name.to_string(), (update.state, update.because));
    }
    assert_eq!(
        states["good"],
        (CheckState::Up, Because::Ended(Outcome::Success))
    );
    let failed = Because::Ended(Outcome::Failure { code: 1 });
    assert_eq!(states["bad"], (CheckState::Down, failed));
    let (CheckState::Down, Because::Ended(Outcome::CannotRun { reason })) = &states["missing"]
    else {
        panic!("{:?}", states["missing"]);
    };
    assert!(matches!(reason, CannotRun::Refused(_)));
    assert!(
        reason
            .to_string()
            .starts_with("/nonexistent does not exist"),
        "{reason}"
    );
    checks.shutdown().await;
}
