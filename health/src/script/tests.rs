//! Scripts that behave and scripts that do not, as real processes.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, time::Duration};

use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::unix::pipe, time::timeout};

use super::*;

/// Longer than any script of these tests takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn target() -> Target {
    Target::new(SocketAddr::from(([192, 0, 2, 1], 80)))
}

fn shell(text: &str) -> ScriptProbe {
    ScriptProbe::new("/bin/sh").with_arguments(["-c", text])
}

async fn run(probe: &ScriptProbe) -> Result<Success, ScriptError> {
    let result = timeout(PATIENCE, probe.probe(&target())).await;
    result.expect("in time").map_err(|error| {
        let ProbeError::Script(error) = error else {
            panic!("{error}");
        };
        error
    })
}

/// A pipe that is at its end when nobody of a process group is left who has inherited it.
fn lifeline(directory: &TempDir) -> (PathBuf, pipe::Receiver) {
    let path = directory.path().join("lifeline");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let receiver = pipe::OpenOptions::new().open_receiver(&path).unwrap();
    (path, receiver)
}

/// Waits until a process has said something through the pipe.
async fn speaks(receiver: &pipe::Receiver) {
    loop {
        // At its end as long as nobody has opened it.
        receiver.readable().await.unwrap();
        match receiver.try_read(&mut [0; 16]) {
            Ok(0) => tokio::task::yield_now().await,
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
    }
}

async fn is_gone(mut receiver: pipe::Receiver) {
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, receiver.read_to_end(&mut rest)).await;
    end.expect("the whole group is gone").unwrap();
}

#[tokio::test]
async fn the_exit_code_is_the_result() {
    assert_eq!(run(&shell("exit 0")).await.unwrap(), Success::default());
    let error = run(&shell("echo no disk; echo left >&2; exit 3"))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "exit code 3: no disk\nleft");
    let error = run(&shell("exit 1")).await.unwrap_err();
    assert_eq!(error.to_string(), "exit code 1");
}

#[tokio::test]
async fn codes_from_2_on_are_weights_if_so_wanted() {
    for (code, weight) in [(2, 0), (3, 1), (255, 253)] {
        let probe = shell(&format!("exit {code}")).with_dynamic_weight();
        assert_eq!(
            run(&probe).await.unwrap().weight,
            Some(AskedWeight::Exactly(weight))
        );
    }
    assert_eq!(
        run(&shell("exit 0").with_dynamic_weight())
            .await
            .unwrap()
            .weight,
        None
    );
    let failed = run(&shell("exit 1").with_dynamic_weight()).await;
    assert!(matches!(failed, Err(ScriptError::Exit { code: 1, .. })));
}

#[tokio::test]
async fn a_signal_from_elsewhere_is_told() {
    let error = run(&shell("echo bye; kill -9 $$")).await.unwrap_err();
    assert_eq!(error.to_string(), "killed by signal 9: bye");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let error = run(&ScriptProbe::new("/nowhere/check")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot start /nowhere/check");
}

#[tokio::test]
async fn arguments_variables_and_the_target_reach_the_program() {
    let text = r#"echo "$#:$1:$2:$WORD:$TAKEOVER_ADDRESS:$TAKEOVER_PORT:$IFS$LD_PRELOAD"; exit 1"#;
    let probe = shell(text)
        .with_arguments(["check", "a b", "$HOME"])
        .with_variable("WORD", "w");
    let error = run(&probe).await.unwrap_err();
    let expected = "exit code 1: 2:a b:$HOME:w:192.0.2.1:80:";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_script_without_an_interpreter_is_run_by_the_shell() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("check");
    fs::write(&path, "exit 7\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let error = run(&ScriptProbe::new(&path)).await.unwrap_err();
    assert!(
        matches!(error, ScriptError::Exit { code: 7, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn output_without_end_and_output_that_is_not_text_are_kept_in_bounds() {
    let error = run(&shell(
        r"printf '\377'; head -c 3000000 /dev/zero | tr '\0' x; exit 1",
    ))
    .await;
    let ScriptError::Exit { output, .. } = error.unwrap_err() else {
        panic!("exits");
    };
    assert_eq!(output, "x".repeat(2048));
    let error = run(&shell(r"printf 'a\377b'; exit 1")).await.unwrap_err();
    assert_eq!(error.to_string(), "exit code 1: a\u{fffd}b");
}

#[tokio::test]
async fn a_child_that_holds_the_output_open_neither_delays_the_result_nor_stays() {
    let directory = TempDir::new().unwrap();
    let (path, receiver) = lifeline(&directory);
    let text = format!(
        "(exec 5>{0}; echo here >&5; exec sleep 1000) & read x <{1}; exit 4",
        path.display(),
        directory.path().join("go").display(),
    );
    let go = directory.path().join("go");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&go)
            .status()
            .unwrap()
            .success()
    );
    let probe = shell(&text);
    let running = tokio::spawn(async move { run(&probe).await });
    speaks(&receiver).await;
    fs::write(&go, "go\n").unwrap();
    let error = running.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ScriptError::Exit { code: 4, .. }),
        "{error}"
    );
    is_gone(receiver).await;
}

#[tokio::test]
async fn a_probe_given_up_leaves_nothing_of_the_group_behind() {
    let directory = TempDir::new().unwrap();
    let (path, receiver) = lifeline(&directory);
    let text = format!(
        "exec 5>{}; trap '' TERM; sleep 1000 & echo here >&5; wait",
        path.display()
    );
    let (probe, target) = (shell(&text), target());
    tokio::select! {
        result = probe.probe(&target) => panic!("it ends: {result:?}"),
        () = speaks(&receiver) => {}
    }
    is_gone(receiver).await;
}

#[tokio::test]
async fn at_its_deadline_a_script_may_say_why_and_is_then_ended() {
    let text = "trap 'echo asked to stop; exit 0' TERM; while :; do sleep 0.01; done";
    let probe = shell(text).with_deadline(Duration::from_millis(300), PATIENCE);
    let error = run(&probe).await.unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("still running after 300ms: "), "{text}");
    assert!(text.ends_with("asked to stop"), "{text}");
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed_with_all_it_started() {
    let directory = TempDir::new().unwrap();
    let (path, receiver) = lifeline(&directory);
    let text = format!(
        "exec 5>{}; trap '' TERM; sleep 1000 & echo here >&5; while :; do wait; done",
        path.display()
    );
    let probe = shell(&text).with_deadline(Duration::from_millis(300), Duration::from_millis(50));
    let error = run(&probe).await.unwrap_err();
    assert!(matches!(error, ScriptError::TooLong { .. }), "{error}");
    is_gone(receiver).await;
}

#[tokio::test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
async fn the_program_has_the_rights_of_its_account_and_no_others() {
    let account = Account {
        user: 65534,
        group: 65533,
        groups: vec![65532],
    };
    let probe = shell("id -u; id -g; id -G; exit 1").with_account(account);
    let error = run(&probe).await.unwrap_err();
    assert_eq!(error.to_string(), "exit code 1: 65534\n65533\n65533 65532");
}

#[tokio::test]
#[cfg_attr(
    not(feature = "lab"),
    ignore = "lab: needs root and network namespaces"
)]
async fn a_program_closed_to_its_account_is_told_with_the_user() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("check");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let account = Account {
        user: 65534,
        group: 65534,
        groups: Vec::new(),
    };
    let error = run(&ScriptProbe::new(&path).with_account(account))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ScriptError::StartAs { user: 65534, .. }),
        "{error}"
    );
}
