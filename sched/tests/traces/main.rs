//! Replays what a real kernel decided: every pick must be made again.
//!
//! The histories (`traces/public.tar.xz`, format in `traces/FORMAT.md`) were recorded from
//! Linux 6.1.176. The variable `TAKEOVER_TRACES` names a folder of other `*.jsonl` files, which
//! is searched with its subfolders, to replay instead; a relative one begins at the root of the
//! workspace:
//!
//! ```text
//! TAKEOVER_TRACES=/path/to/folder cargo test -p takeover-sched --test traces
//! ```

mod history;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use history::{Outcome, replay};

static ARCHIVE: &[u8] = include_bytes!("public.tar.xz");

/// What the archive holds, so that a shrunken one cannot pass.
const PUBLIC_TRACES: usize = 339;
const PUBLIC_PICKS: usize = 56_130;

#[test]
fn every_pick_of_the_kernel_is_made_again() {
    if let Some(folder) = env::var_os("TAKEOVER_TRACES") {
        let checked = traces_in_folder(&workspace().join(folder)).and_then(|it| check_all(&it));
        if let Err(error) = checked {
            panic!("{error}");
        }
    } else {
        let traces = traces_in_archive();
        assert_eq!(traces.len(), PUBLIC_TRACES, "traces in the archive");
        assert_eq!(
            check_all(&traces).unwrap(),
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
fn a_folder_without_traces_is_a_failure() {
    let folder = workspace().join("sched/src");
    assert!(traces_in_folder(&folder).is_err_and(|error| error.starts_with("no *.jsonl file")));
}

#[test]
fn a_folder_that_is_not_there_is_a_failure() {
    let folder = workspace().join("no such folder");
    assert!(traces_in_folder(&folder).is_err_and(|error| error.starts_with("cannot read")));
}

#[test]
fn traces_without_a_pick_are_a_failure() {
    let text = r#"{"scheduler":"rr","flags":[],"persistent":null,"sysctl":{},"picks":0,"nulls":0}"#;
    assert!(
        check_all(&[Trace {
            name: "empty".into(),
            text: text.into()
        }])
        .is_err()
    );
}

struct Trace {
    name: String,
    text: String,
}

/// Replays all and prints a table by scheduler; the number of picks if all are equal.
///
/// Written to the standard output itself, which `cargo test` shows even of a test that passes.
fn check_all(traces: &[Trace]) -> Result<usize, String> {
    let mut by_scheduler = BTreeMap::<&str, Outcome>::new();
    let mut broken = Vec::new();
    for trace in traces {
        let outcomes = match replay(&trace.text) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                broken.push(format!("{}: {error}", trace.name));
                continue;
            }
        };
        for (kind, mut outcome) in outcomes {
            for difference in &mut outcome.differences {
                difference.insert_str(0, &format!("{}: ", trace.name));
            }
            by_scheduler.entry(kind.name()).or_default().add(outcome);
        }
    }

    if by_scheduler.is_empty() && broken.is_empty() {
        return Err("traces without a single pick prove nothing".into());
    }
    let mut table = format!(
        "\n{:<10} {:>8} {:>8} {:>8} {:>9}\n",
        "scheduler", "picks", "equal", "refused", "state ok"
    );
    let mut all = Outcome::default();
    for (name, outcome) in by_scheduler {
        table.push_str(&format!("{name:<10} {outcome}\n"));
        all.add(outcome);
    }
    table.push_str(&format!(
        "{:<10} {all}  in {} traces\n",
        "all",
        traces.len()
    ));
    io::stdout()
        .write_all(table.as_bytes())
        .map_err(|error| error.to_string())?;

    if !broken.is_empty() || !all.differences.is_empty() {
        let (traces, differences) = (broken.len(), all.differences.len());
        let first: Vec<_> = broken.into_iter().chain(all.differences).take(20).collect();
        return Err(format!(
            "{traces} traces cannot be replayed to their end, {differences} picks or states \
             differ from the kernel's, the first:\n{}",
            first.join("\n")
        ));
    }
    Ok(all.picks)
}

/// The root of the workspace. Cargo runs tests in the folder of their package, one below.
fn workspace() -> PathBuf {
    let package = env::current_dir().expect("cargo runs a test in its package's folder");
    package.parent().map(Path::to_owned).unwrap_or(package)
}

fn traces_in_archive() -> Vec<Trace> {
    let mut archive = tar::Archive::new(lzma_rust2::XzReader::new(ARCHIVE, true));
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

fn traces_in_folder(folder: &Path) -> Result<Vec<Trace>, String> {
    let mut files = Vec::new();
    collect(folder, &mut files).map_err(|error| format!("cannot read {error}"))?;
    if files.is_empty() {
        return Err(format!("no *.jsonl file in {} or below", folder.display()));
    }
    files.sort();
    let traces = files.into_iter().map(|file| {
        let name = file.display().to_string();
        let text = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}"))?;
        Ok(Trace { name, text })
    });
    traces.collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let in_folder = |error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(in_folder)? {
        let path = entry.map_err(in_folder)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            files.push(path);
        }
    }
    Ok(())
}
