//! Replays what a real kernel decided: every pick must be made again.
//!
//! The histories (`traces/public.tar.xz`, format in `traces/FORMAT.md`) were recorded from
//! Linux 6.1.176. The variable `TAKEOVER_TRACES` names a folder of other `*.jsonl` files, which
//! is searched with its subfolders, to replay instead:
//!
//! ```text
//! TAKEOVER_TRACES=/path/to/folder cargo test -p takeover-sched --test traces -- --nocapture
//! ```

#[path = "traces/history.rs"]
mod history;

use std::{
    collections::BTreeMap,
    env, fs,
    io::Read,
    path::{Path, PathBuf},
};

use history::{Outcome, replay};

/// What the archive holds, so that a shrunken one cannot pass.
const PUBLIC_TRACES: usize = 339;
const PUBLIC_PICKS: usize = 56_130;

#[test]
fn every_pick_of_the_kernel_is_made_again() {
    if let Some(folder) = env::var_os("TAKEOVER_TRACES") {
        assert_all_equal(&traces_in_folder(Path::new(&folder)));
    } else {
        let traces = traces_in_archive();
        assert_eq!(traces.len(), PUBLIC_TRACES, "traces in the archive");
        assert_eq!(
            assert_all_equal(&traces),
            PUBLIC_PICKS,
            "picks in the archive"
        );
    }
}

#[test]
fn another_pick_or_another_state_is_noticed() {
    let header =
        r#"{"scheduler":"rr","flags":[],"persistent":null,"sysctl":{},"picks":1,"nulls":0}"#;
    let add = r#"{"op":"add","dest":"10.9.0.1:80","weight":1,"upper":0,"lower":0}"#;
    let pick = r#"{"op":"pick","conn":0,"proto":"tcp","client":"10.8.0.1:1024","vip":"10.7.0.1:80","dests":[["10.9.0.1:80",1,ACTIVE,0,0,0]],"picked":"PICKED"}"#;
    let check = |active: &str, picked: &str| {
        let pick = pick.replace("ACTIVE", active).replace("PICKED", picked);
        let outcomes = replay(&[header, add, &pick].join("\n")).expect("a trace");
        let counts = outcomes
            .values()
            .map(|it| (it.equal, it.same_state, it.differences.len()));
        counts.collect::<Vec<_>>()
    };
    assert_eq!(check("0", "10.9.0.1:80"), [(1, 1, 0)]);
    assert_eq!(check("0", "10.9.0.2:80"), [(0, 1, 1)]);
    assert_eq!(check("1", "10.9.0.1:80"), [(1, 0, 1)]);
}

#[test]
#[should_panic(expected = "no *.jsonl file in")]
fn a_folder_without_traces_is_a_failure() {
    traces_in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
}

#[test]
#[should_panic(expected = "cannot read the folder")]
fn a_folder_that_is_not_there_is_a_failure() {
    traces_in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("no such folder"));
}

struct Trace {
    name: String,
    text: String,
}

/// Replays all, prints a table by scheduler, fails if anything differs; returns the picks.
#[expect(clippy::print_stdout, reason = "the counts are part of the proof")]
fn assert_all_equal(traces: &[Trace]) -> usize {
    let mut by_scheduler = BTreeMap::<&str, Outcome>::new();
    let mut differences = Vec::new();
    for trace in traces {
        let outcomes =
            replay(&trace.text).unwrap_or_else(|error| panic!("{}: {error}", trace.name));
        for (kind, outcome) in outcomes {
            differences.extend(
                outcome
                    .differences
                    .iter()
                    .map(|it| format!("{}: {it}", trace.name)),
            );
            by_scheduler.entry(kind.name()).or_default().add(outcome);
        }
    }

    println!(
        "{:<10} {:>8} {:>8} {:>8} {:>9}",
        "scheduler", "picks", "equal", "refused", "state ok"
    );
    let mut total = Outcome::default();
    for (name, outcome) in by_scheduler {
        println!("{name:<10} {outcome}");
        total.add(outcome);
    }
    println!("{:<10} {total}  in {} traces", "all", traces.len());

    assert!(
        differences.is_empty(),
        "{} differences, the first:\n{}",
        differences.len(),
        differences
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    );
    assert!(
        total.picks > 0,
        "traces without a single pick prove nothing"
    );
    assert_eq!((total.equal, total.same_state), (total.picks, total.picks));
    total.picks
}

fn traces_in_archive() -> Vec<Trace> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/public.tar.xz");
    let file = fs::File::open(&archive).expect("the archive is in the repository");
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(file, true));
    let entries = archive.entries().expect("a tar archive");
    entries
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.header().entry_type().is_file())
        .map(|mut entry| {
            let name = entry.path().expect("a path").display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            Trace { name, text }
        })
        .collect()
}

fn traces_in_folder(folder: &Path) -> Vec<Trace> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    assert!(
        !files.is_empty(),
        "no *.jsonl file in {} or below",
        folder.display()
    );
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("cannot read {}: {error}", file.display()));
            Trace {
                name: file.display().to_string(),
                text,
            }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("cannot read the folder {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            files.push(path);
        }
    }
}
