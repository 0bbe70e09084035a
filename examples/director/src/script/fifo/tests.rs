//! On real FIFOs, and scripts that are no processes.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    net::unix::pipe::{OpenOptions, Receiver},
    time::timeout,
};

use super::{reader::Reader, *};
use crate::script::{
    fake::{FOR_EVER, FakeRunner},
    outcome::Outcome,
};

fn config(directory: &TempDir, name: &str, about: Option<About>) -> FifoConfig {
    FifoConfig {
        about,
        path: directory.path().join(name).to_str().unwrap().to_owned(),
        owner: None,
        script: None,
    }
}

fn fifos() -> Fifos {
    Fifos::new(FakeRunner::new(|_| (FOR_EVER, Outcome::TimedOut)))
}

/// Waits for what a task of the file system does.
async fn until(there: impl Fn() -> bool) {
    let soon = async {
        while !there() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(30), soon).await.unwrap();
}

async fn read(config: &FifoConfig) -> Lines<BufReader<Receiver>> {
    until(|| Path::new(&config.path).exists()).await;
    let pipe = OpenOptions::new().open_receiver(&config.path).unwrap();
    BufReader::new(pipe).lines()
}

#[tokio::test]
async fn each_is_told_in_order_of_what_it_is_for() {
    let directory = tempfile::tempdir().unwrap();
    let all = config(&directory, "all", None);
    let roles = config(&directory, "roles", Some(About::Roles));
    let services = config(&directory, "services", Some(About::Services));
    let mut fifos = fifos();
    fifos.open(vec![all.clone(), roles.clone(), services.clone()]);
    let mut readers = [read(&all).await, read(&roles).await, read(&services).await];
    for number in 0..1000 {
        fifos.write(About::Roles, &format!("role {number}\n"));
        fifos.write(About::Services, &format!("service {number}\n"));
    }
    for number in 0..1000 {
        let [all, roles, services] = &mut readers;
        let (role, service) = (format!("role {number}"), format!("service {number}"));
        assert_eq!(all.next_line().await.unwrap().unwrap(), role);
        assert_eq!(all.next_line().await.unwrap().unwrap(), service);
        assert_eq!(roles.next_line().await.unwrap().unwrap(), role);
        assert_eq!(services.next_line().await.unwrap().unwrap(), service);
    }
    let mode = fs::metadata(&all.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fifos.write(About::Roles, "last\n");
    fifos.close().await;
    let [mut all, mut roles, mut services] = readers;
    for reader in [&mut all, &mut roles] {
        assert_eq!(reader.next_line().await.unwrap().unwrap(), "last");
        assert_eq!(reader.next_line().await.unwrap(), None);
    }
    assert_eq!(services.next_line().await.unwrap(), None);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_there_stays_and_what_is_no_fifo_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let (there, file) = (
        config(&directory, "there", None),
        config(&directory, "file", None),
    );
    nix::unistd::mkfifo(Path::new(&there.path), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(&file.path, "precious").unwrap();
    let mut fifos = fifos();
    fifos.open(vec![there.clone(), file.clone()]);
    let mut reader = read(&there).await;
    fifos.write(About::Roles, "line\n");
    assert_eq!(reader.next_line().await.unwrap().unwrap(), "line");
    fifos.close().await;
    assert!(fs::metadata(&there.path).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_to_string(&file.path).unwrap(), "precious");
}

#[tokio::test]
async fn a_reload_touches_only_what_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let (same, gone, new) = (
        config(&directory, "same", None),
        config(&directory, "gone", None),
        config(&directory, "new", None),
    );
    let changed = config(&directory, "changed", None);
    let other = FifoConfig {
        about: Some(About::Roles),
        ..changed.clone()
    };
    let mut fifos = fifos();
    let before = vec![same.clone(), gone.clone(), changed.clone()];
    fifos.open(before.clone());
    fifos.keep(before);
    let (mut of_same, mut of_gone) = (read(&same).await, read(&gone).await);
    let mut of_changed = read(&changed).await;
    let inode = fs::metadata(&same.path).unwrap().ino();

    let after = vec![same.clone(), new.clone(), other.clone()];
    fifos.open(after.clone());
    let mut of_new = read(&new).await;
    fifos.write(About::Services, "both\n");
    fifos.keep(after);
    fifos.write(About::Services, "after\n");
    for reader in [&mut of_same, &mut of_new] {
        assert_eq!(reader.next_line().await.unwrap().unwrap(), "both");
        assert_eq!(reader.next_line().await.unwrap().unwrap(), "after");
    }
    for reader in [&mut of_gone, &mut of_changed] {
        assert_eq!(reader.next_line().await.unwrap().unwrap(), "both");
        assert_eq!(reader.next_line().await.unwrap(), None);
    }
    until(|| !Path::new(&gone.path).exists()).await;
    assert_eq!(fs::metadata(&same.path).unwrap().ino(), inode);
    let mut of_other = read(&other).await;
    fifos.write(About::Roles, "role\n");
    assert_eq!(of_other.next_line().await.unwrap().unwrap(), "role");
}

#[tokio::test(start_paused = true)]
async fn a_script_that_ends_is_started_again_ever_later() {
    let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Failure { code: 1 }));
    let reader = Reader::start(Command::new("/read"), Arc::clone(&runner) as _);
    tokio::time::sleep(Duration::from_millis(127_500)).await;
    let journal = runner.journal();
    let starts: Vec<_> = journal
        .iter()
        .filter(|(_, line)| line == "+ /read")
        .map(|(at, _)| at / 1000)
        .collect();
    assert_eq!(starts, [0, 1, 3, 7, 15, 31, 63, 123]);
    reader.end().await;
    assert_eq!(runner.started(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_script_that_goes_on_after_its_fifo_is_ended() {
    let runner = FakeRunner::new(|_| (FOR_EVER, Outcome::TimedOut));
    let reader = Reader::start(Command::new("/read"), Arc::clone(&runner) as _);
    tokio::time::sleep(Duration::from_secs(1)).await;
    reader.end().await;
    let journal = [(0, "+ /read".to_owned()), (3100, "- /read".to_owned())];
    assert_eq!(runner.journal(), journal);
}

#[tokio::test]
async fn a_script_gets_the_path_as_its_last_word() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(&directory, "f", None);
    config.script = Some(Command::new("/read").with_args(["a b"]));
    let runner = FakeRunner::new(|_| (FOR_EVER, Outcome::TimedOut));
    let mut fifos = Fifos::new(Arc::clone(&runner) as _);
    let path = config.path.clone();
    fifos.open(vec![config]);
    until(|| !runner.journal.lock().unwrap().is_empty()).await;
    assert_eq!(runner.started(), [format!("/read 'a b' {path}")]);
}
