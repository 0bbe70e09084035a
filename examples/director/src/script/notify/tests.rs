//! On virtual time, with scripts that are no processes.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::*;
use crate::script::fake::{FOR_EVER, FakeRunner};
use crate::script::outcome::Outcome;

const SECOND: Duration = Duration::from_secs(1);

fn instance(name: &str) -> Subject {
    Subject::Instance(name.to_owned())
}

fn event(subject: &Subject, event: Event) -> Notification {
    Notification {
        subject: subject.clone(),
        event,
        priority: 150,
    }
}

/// A script for every keyword, named after it.
fn all_scripts() -> Scripts {
    let script = |name: &str| Some(Command::new(format!("/{name}")).with_args(["word"]));
    Scripts {
        master: script("master"),
        backup: script("backup"),
        fault: script("fault"),
        stop: script("stop"),
        deleted: NotifyDeleted::Script(Command::new("/deleted")),
        master_rx_lower_priority: script("lower"),
        any: script("any"),
        priority_changes: true,
    }
}

#[test]
fn the_words_are_those_of_keepalived() {
    let group = Subject::Group("G1".to_owned());
    let vi = instance("VI_1");
    let table = [
        (
            &vi,
            Event::Master,
            "/master word|/any word INSTANCE VI_1 MASTER 150",
        ),
        (
            &vi,
            Event::Backup,
            "/backup word|/any word INSTANCE VI_1 BACKUP 150",
        ),
        (
            &vi,
            Event::Fault,
            "/fault word|/any word INSTANCE VI_1 FAULT 150",
        ),
        (
            &vi,
            Event::Stop,
            "/stop word|/any word INSTANCE VI_1 STOP 150",
        ),
        (
            &vi,
            Event::Deleted,
            "/deleted|/any word INSTANCE VI_1 DELETED 150",
        ),
        (&vi, Event::MasterRxLowerPriority, "/lower word"),
        (
            &group,
            Event::Master,
            "/master word|/any word GROUP G1 MASTER 0",
        ),
        (&group, Event::Stop, "/stop word|/any word GROUP G1 STOP 0"),
    ];
    let written = |scripts: &Scripts, subject: &Subject, what| {
        let commands = scripts.commands(&event(subject, what));
        commands
            .iter()
            .map(Command::to_string)
            .collect::<Vec<_>>()
            .join("|")
    };
    for (subject, what, expected) in table {
        assert_eq!(written(&all_scripts(), subject, what), expected);
        assert_eq!(written(&Scripts::default(), subject, what), "");
    }

    // Without notify_deleted a removed instance is in fault, and notify_fault is not told.
    let mut scripts = all_scripts();
    scripts.deleted = NotifyDeleted::Absent;
    let fault = "/any word INSTANCE VI_1 FAULT 150";
    assert_eq!(written(&scripts, &vi, Event::Deleted), fault);
    scripts.deleted = NotifyDeleted::Alone;
    let deleted = "/any word INSTANCE VI_1 DELETED 150";
    assert_eq!(written(&scripts, &vi, Event::Deleted), deleted);
}

/// A notifier whose instances `a` and `b` have `notify NAME`, nothing else.
fn notifier(runner: &Arc<FakeRunner>, limits: Limits) -> Notifier {
    let notifier = Notifier::start(Arc::<FakeRunner>::clone(runner), limits);
    let any = |name: &str| Scripts {
        any: Some(Command::new(name)),
        ..Scripts::default()
    };
    notifier.configure(BTreeMap::from([
        (instance("a"), any("a")),
        (instance("b"), any("b")),
    ]));
    notifier
}

fn taking(takes: Duration) -> Arc<FakeRunner> {
    FakeRunner::new(move |_| (takes, Outcome::Success))
}

fn line(name: &str, state: &str) -> String {
    format!("{name} INSTANCE {name} {state} 150")
}

#[tokio::test(start_paused = true)]
async fn scripts_of_one_instance_run_in_order_and_those_of_two_side_by_side() {
    let runner = taking(SECOND);
    let notifier = notifier(&runner, Limits::default());
    let (a, b) = (instance("a"), instance("b"));
    notifier.notify(event(&a, Event::Backup));
    notifier.notify(event(&a, Event::Master));
    notifier.notify(event(&b, Event::Master));
    assert!(notifier.shutdown(10 * SECOND).await.is_empty());
    let expected = [
        (0, format!("+ {}", line("a", "BACKUP"))),
        (0, format!("+ {}", line("b", "MASTER"))),
        (1000, format!("- {}", line("a", "BACKUP"))),
        (1000, format!("- {}", line("b", "MASTER"))),
        (1000, format!("+ {}", line("a", "MASTER"))),
        (2000, format!("- {}", line("a", "MASTER"))),
    ];
    let mut journal = runner.journal();
    // What happens at one time in two instances has no order.
    journal.sort_by_key(|(at, line)| (*at, line.starts_with("+ a INSTANCE a MASTER")));
    journal.sort_by_key(|(at, _)| *at);
    for line in &expected {
        assert!(journal.contains(line), "{line:?} in {journal:?}");
    }
    assert_eq!(journal.len(), expected.len());
}

#[tokio::test(start_paused = true)]
async fn no_state_is_left_out_however_fast_they_come() {
    let runner = taking(SECOND);
    let notifier = notifier(&runner, Limits::default());
    let states = ["BACKUP", "MASTER"].into_iter().cycle().take(100);
    for state in states.clone() {
        let what = if state == "MASTER" {
            Event::Master
        } else {
            Event::Backup
        };
        notifier.notify(event(&instance("a"), what));
    }
    assert!(notifier.shutdown(1000 * SECOND).await.is_empty());
    assert_eq!(
        runner.started(),
        states.map(|state| line("a", state)).collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn telling_returns_at_once_whatever_the_scripts_do() {
    let runner = taking(FOR_EVER);
    let notifier = notifier(&runner, Limits::default());
    #[expect(clippy::disallowed_methods, reason = "tokio's paused clock")]
    let start = Instant::now();
    for _ in 0..10_000 {
        notifier.notify(event(&instance("a"), Event::Master));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_hangs_delays_its_successor_by_a_minute() {
    let runner = FakeRunner::new(|command| {
        let hangs = command.args.contains(&"BACKUP".to_owned());
        (if hangs { FOR_EVER } else { SECOND }, Outcome::Success)
    });
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Backup));
    sleep(10 * SECOND).await;
    notifier.notify(event(&instance("a"), Event::Master));
    sleep(100 * SECOND).await;
    let expected = [
        (0, format!("+ {}", line("a", "BACKUP"))),
        (60_100, format!("- {}", line("a", "BACKUP"))),
        (60_100, format!("+ {}", line("a", "MASTER"))),
        (61_100, format!("- {}", line("a", "MASTER"))),
    ];
    assert_eq!(runner.journal(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_long_script_that_nobody_waits_for_is_left_alone() {
    let runner = taking(3600 * SECOND);
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Master));
    sleep(3601 * SECOND).await;
    assert_eq!(
        runner.journal().last().unwrap().1,
        format!("- {}", line("a", "MASTER"))
    );
}

#[tokio::test(start_paused = true)]
async fn of_too_many_that_wait_the_latest_are_told() {
    let runner = taking(SECOND);
    let limits = Limits {
        most_waiting: 2,
        ..Limits::default()
    };
    let notifier = notifier(&runner, limits);
    for what in [
        Event::Backup,
        Event::Backup,
        Event::Backup,
        Event::Fault,
        Event::Master,
    ] {
        notifier.notify(event(&instance("a"), what));
    }
    assert!(notifier.shutdown(10 * SECOND).await.is_empty());
    assert_eq!(
        runner.started(),
        [line("a", "BACKUP"), line("a", "FAULT"), line("a", "MASTER")]
    );
}

#[tokio::test(start_paused = true)]
async fn a_reload_changes_the_scripts_from_the_next_event_on() {
    let runner = taking(SECOND);
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Backup));
    notifier.notify(event(&instance("a"), Event::Deleted));
    notifier.configure(BTreeMap::new());
    notifier.notify(event(&instance("a"), Event::Master));
    assert!(notifier.shutdown(10 * SECOND).await.is_empty());
    assert_eq!(runner.started(), [line("a", "BACKUP"), line("a", "FAULT")]);
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_ends_what_is_in_the_way_of_the_last_notification() {
    let runner = FakeRunner::new(|command| {
        let hangs = command.args.contains(&"MASTER".to_owned());
        (if hangs { FOR_EVER } else { SECOND }, Outcome::Success)
    });
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Master));
    notifier.notify(event(&instance("a"), Event::Stop));
    assert!(notifier.shutdown(5 * SECOND).await.is_empty());
    let expected = [
        (0, format!("+ {}", line("a", "MASTER"))),
        (2600, format!("- {}", line("a", "MASTER"))),
        (2600, format!("+ {}", line("a", "STOP"))),
        (3600, format!("- {}", line("a", "STOP"))),
    ];
    assert_eq!(runner.journal(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_has_an_end_and_kills_what_hangs() {
    let runner = taking(FOR_EVER);
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Stop));
    let unfinished = notifier.shutdown(5 * SECOND).await;
    assert_eq!(
        unfinished
            .iter()
            .map(Command::to_string)
            .collect::<Vec<_>>(),
        [line("a", "STOP")]
    );
    assert_eq!(
        runner.journal().last().unwrap(),
        &(5000, format!("x {}", line("a", "STOP")))
    );
    notifier.notify(event(&instance("a"), Event::Master));
    assert!(notifier.shutdown(SECOND).await.is_empty());
    assert_eq!(runner.journal(), []);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_fails_does_not_stop_the_next() {
    let runner = FakeRunner::new(|_| (SECOND, Outcome::Failure { code: 1 }));
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Backup));
    notifier.notify(event(&instance("a"), Event::Master));
    assert!(notifier.shutdown(10 * SECOND).await.is_empty());
    assert_eq!(runner.started(), [line("a", "BACKUP"), line("a", "MASTER")]);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_is_lost_does_not_stop_the_next() {
    let runner = FakeRunner::new(|command| {
        assert!(
            !command.args.contains(&"BACKUP".to_owned()),
            "a fault of the runner"
        );
        (SECOND, Outcome::Success)
    });
    let notifier = notifier(&runner, Limits::default());
    notifier.notify(event(&instance("a"), Event::Backup));
    notifier.notify(event(&instance("a"), Event::Master));
    assert!(notifier.shutdown(10 * SECOND).await.is_empty());
    assert_eq!(runner.started().last(), Some(&line("a", "MASTER")));
}

#[tokio::test]
async fn a_fifo_is_told_of_all_in_the_words_of_keepalived() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&path);
    let notifier = Notifier::start(taking(SECOND), Limits::default());
    notifier.open_fifos(vec![FifoConfig {
        about: None,
        path: path.to_str().unwrap().to_owned(),
        owner: None,
        script: None,
    }]);
    let group = Subject::Group("G 1".to_owned());
    let vi = instance("VI_1");
    // It has no script.
    notifier.notify(event(&vi, Event::Backup));
    notifier.notify(event(&vi, Event::Master));
    notifier.notify(event(&group, Event::Master));
    notifier.notify(event(&vi, Event::MasterRxLowerPriority));
    notifier.service("RS [10.0.0.1]:tcp:80 [web]:0 DOWN\n".to_owned());
    notifier.notify(event(&vi, Event::Deleted));
    notifier.configure(BTreeMap::from([(vi.clone(), all_scripts())]));
    notifier.notify(event(&vi, Event::Deleted));
    notifier.notify(event(&vi, Event::Stop));
    notifier.shutdown(10 * SECOND).await;
    let mut lines = String::new();
    let mut pipe = pipe.unwrap();
    tokio::io::AsyncReadExt::read_to_string(&mut pipe, &mut lines)
        .await
        .unwrap();
    let expected = [
        "INSTANCE \"VI_1\" BACKUP 150",
        "INSTANCE \"VI_1\" MASTER 150",
        "GROUP \"G 1\" MASTER 0",
        "INSTANCE \"VI_1\" MASTER_RX_LOWER_PRI 150",
        "RS [10.0.0.1]:tcp:80 [web]:0 DOWN",
        "INSTANCE \"VI_1\" FAULT 150",
        "INSTANCE \"VI_1\" DELETED 150",
        "INSTANCE \"VI_1\" STOP 150",
    ];
    assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn of_a_priority_only_fifos_are_told_that_shall_be() {
    for (event, word) in [
        (Event::MasterPriority, "MASTER_PRIORITY"),
        (Event::BackupPriority, "BACKUP_PRIORITY"),
    ] {
        let notification = Notification {
            subject: instance("VI_1"),
            event,
            priority: 150,
        };
        let mut scripts = all_scripts();
        assert_eq!(scripts.commands(&notification), []);
        let line = format!("INSTANCE \"VI_1\" {word} 150\n");
        assert_eq!(scripts.line(&notification), Some(line));
        scripts.priority_changes = false;
        assert_eq!(scripts.line(&notification), None);
    }
}
