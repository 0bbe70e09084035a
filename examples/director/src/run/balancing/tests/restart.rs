//! What a daemon goes on with that starts after another one has died.

use std::path::Path;

use super::*;
use crate::run::keeping::look;

const CHECKED: &str = "virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
    delay_loop 5\n\
    real_server 10.0.0.1 80 {\nMISC_CHECK {\nmisc_path \"/bin/check 1\"\nwarmup 0\n}\n}\n\
    real_server 10.0.0.2 80 {\nMISC_CHECK {\nmisc_path \"/bin/check 2\"\nwarmup 0\n}\n}\n}\n";

const SECOND: Duration = Duration::from_secs(1);

/// One whose second server is dead, or is not any more.
async fn start(kernel: &Kernel, state: &Path, is_dead: bool) -> (Balancing, Arc<FakeRunner>) {
    let runner = FakeRunner::new(move |command| {
        let is_second = command.args.iter().any(|word| word == "2");
        let outcome = match is_second && is_dead {
            true => Outcome::Failure { code: 1 },
            false => Outcome::Success,
        };
        (Duration::ZERO, outcome)
    });
    let state = Some(state.to_owned());
    let balancing = keeping(means(kernel), false, Arc::clone(&runner) as _, state).await;
    (balancing, runner)
}

/// It dies without a word, once it has written what it knows.
async fn die(balancing: Balancing) {
    tokio::time::sleep(12 * SECOND).await;
    drop(balancing.jobs);
    balancing.task.await.unwrap();
}

/// Long enough to set the table, and too short for a probe.
async fn before_a_probe(runner: &FakeRunner) {
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(runner.started(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn servers_are_as_they_were_until_their_first_probes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let kernel = Kernel::new();
    let (first, _) = start(&kernel, &path, true).await;
    first.configure(&config(CHECKED)).await.unwrap();
    die(first).await;
    let up = String::from("10.0.0.1:80");
    assert_eq!(weights(&kernel).await, [(up.clone(), 1)]);
    kernel.take_journal();

    // Another check than the one that something is known by: it begins as any new one.
    let copy = directory.path().join("copy");
    std::fs::copy(&path, &copy).unwrap();
    let elsewhere = Kernel::new();
    let (changed, runner) = start(&elsewhere, &copy, true).await;
    let text = CHECKED.replace("/bin/check 2", "/bin/check 3");
    changed.configure(&config(&text)).await.unwrap();
    before_a_probe(&runner).await;
    assert_eq!(weights(&elsewhere).await.len(), 2);
    cleared(changed).await;

    let (second, runner) = start(&kernel, &path, false).await;
    second.configure(&config(CHECKED)).await.unwrap();
    before_a_probe(&runner).await;
    assert_eq!(kernel.take_journal(), []);
    // It came back while nobody looked.
    tokio::time::sleep(SECOND).await;
    assert_eq!(weights(&kernel).await.len(), 2);
    cleared(second).await;
    assert!(!path.exists());
}

#[tokio::test(start_paused = true)]
async fn an_order_survives_and_so_does_who_has_set_a_service_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let kernel = kernel();
    let (first, _) = start(&kernel, &path, false).await;
    let other = server("NAT").replace("10.1.0.100", "10.1.0.200");
    let both = format!("{CHECKED}{other}");
    first.configure(&config(&both)).await.unwrap();
    act(&first, "10.0.0.1:80", Action::Drain).await.unwrap();
    first
        .shutdown(ending(OnStop::Leave), std::future::pending())
        .await;
    assert!(path.exists());

    let (second, _) = start(&kernel, &path, false).await;
    second.configure(&config(CHECKED)).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    // The stranger's is there still, and what the file does not name any more is gone.
    assert_eq!(services(&kernel).await, 2);
    let drained = (String::from("10.0.0.1:80"), 0);
    assert!(weights(&kernel).await.contains(&drained));
    cleared(second).await;
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_trusted_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let kernel = Kernel::new();
    for text in ["", "{}", "\u{0}", "{\"version\":9}"] {
        std::fs::write(&path, text).unwrap();
        let (balancing, _) = start(&kernel, &path, false).await;
        balancing.configure(&config(CHECKED)).await.unwrap();
        tokio::time::sleep(3 * SECOND).await;
        assert_eq!(weights(&kernel).await.len(), 2, "{text}");
        cleared(balancing).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_probe_has_shown_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let (balancing, runner) = start(&Kernel::new(), &path, false).await;
    // The first server is asked at once, the second one much later.
    let text = CHECKED.replace("2\"\nwarmup 0", "2\"\nwarmup 86400");
    balancing.configure(&config(&text)).await.unwrap();
    die(balancing).await;
    assert!(runner.started().iter().all(|it| it == "/bin/check 1"));
    let kept = recall(&path).await;
    let names = kept.checks.keys().map(|name| name.real_server.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["10.0.0.1:80"]);
}

/// What a start with that file would do, in the words of `ipvsadm`.
async fn planned(kernel: &Kernel, text: &str, state: &Path) -> Vec<String> {
    let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Success));
    let recalled = look(state).await.0;
    let plan = plan_start(kernel, Probes::new(runner), &config(text), recalled).await;
    let changes = plan.unwrap().changes.into_iter();
    changes.map(|change| change.command).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_a_start_goes_on_with_what_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state");
    let kernel = Kernel::new();
    let (first, _) = start(&kernel, &path, true).await;
    let other = server("NAT").replace("10.1.0.100", "10.1.0.200");
    let both = format!("{CHECKED}{other}");
    first.configure(&config(&both)).await.unwrap();
    act(&first, "10.0.0.1:80", Action::Drain).await.unwrap();
    die(first).await;

    // One is dead, one is drained, and the table is right.
    assert_eq!(planned(&kernel, &both, &path).await, [] as [&str; 0]);
    let changes = planned(&kernel, CHECKED, &path).await;
    assert_eq!(changes, ["-D -t 10.1.0.200:80"]);
    // Without it the other service is a stranger's, and nobody is known to be dead or drained.
    let missing = directory.path().join("missing");
    let changes = planned(&kernel, CHECKED, &missing).await;
    let expected = [
        "-a -t 10.1.0.100:80 -r 10.0.0.2:80 -m -w 1",
        "-e -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 1",
    ];
    assert_eq!(changes, expected);
    // All is a start's own that is told to flush.
    let flushing = format!("global_defs {{\nlvs_flush\n}}\n{CHECKED}");
    let changes = planned(&kernel, &flushing, &missing).await;
    assert!(
        changes.contains(&String::from("-D -t 10.1.0.200:80")),
        "{changes:?}"
    );
    // Nothing was done.
    assert_eq!(services(&kernel).await, 2);
}
