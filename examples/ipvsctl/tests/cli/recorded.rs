//! Every command line that was recorded of ipvsadm 1.31 (Linux 6.1) does the same.
//!
//! The recording has after each command line what it wrote (`1`, and `2` for errors), its status
//! if it was not 0, and which lines of `ipvsadm -Sn` it removed (`-`) and added (`+`); `#` is what
//! that does not tell. Before each, the table was the one of the fixture.

use std::collections::BTreeMap;

use ipvs::{
    Table, Timeouts,
    text::{Dialect, Names, list_daemons, list_timeouts, save},
};

use crate::{
    different::{IN_MEMORY, OURS},
    rig::{Done, Rig},
};

const RECORDED: &str = include_str!("../golden/ipvsadm-1.31.txt");

#[derive(Debug, Default)]
struct Recorded<'a> {
    output: String,
    /// The first line: we write help below.
    error: &'a str,
    code: u8,
    changed: Vec<&'a str>,
}

fn recorded() -> Vec<(&'static str, Recorded<'static>)> {
    let mut all = Vec::new();
    for line in RECORDED.lines() {
        let (kind, rest) = line.split_at(line.len().min(2));
        if let Some(command) = line.strip_prefix("$ ipvsadm") {
            all.push((command.trim_start(), Recorded::default()));
            continue;
        }
        let (_, of) = all.last_mut().unwrap();
        match kind {
            "1 " => of.output += &format!("{rest}\n"),
            "2 " if of.error.is_empty() => of.error = rest,
            "2 " => {}
            "rc" => of.code = rest.strip_prefix('=').unwrap().parse().unwrap(),
            "- " | "+ " => of.changed.push(line),
            _ => panic!("{line}"),
        }
    }
    all
}

/// The lines that the recording compares.
fn lines(table: &Table) -> Vec<String> {
    let mut lines: Vec<_> = save(table, Dialect::Ipvsadm, &Names::default())
        .lines()
        .map(str::to_owned)
        .collect();
    for service in table.services.values() {
        for (destination, settings) in &service.destinations {
            let (upper, lower) = (settings.thresholds.upper(), settings.thresholds.lower());
            if (upper, lower) != (0, 0) {
                lines.push(format!("# thresholds {destination} {upper} {lower}"));
            }
        }
    }
    let timeouts = table.timeouts.unwrap_or_default();
    if timeouts != Timeouts::default() {
        lines.push(format!("# {}", list_timeouts(&timeouts).trim_end()));
    }
    let daemons: Vec<_> = table.daemons.values().copied().collect();
    lines.extend(
        list_daemons(&daemons)
            .lines()
            .map(|line| format!("# {line}")),
    );
    lines
}

fn changed(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !after.contains(line));
    let come = after.iter().filter(|line| !before.contains(line));
    let gone = gone.map(|line| format!("- {line}"));
    gone.chain(come.map(|line| format!("+ {line}"))).collect()
}

#[test]
fn every_recorded_command_line_does_the_same() {
    let different: BTreeMap<_, _> = OURS.iter().chain(IN_MEMORY).copied().collect();
    let before = lines(&Rig::with_fixture().table());
    let (mut failed, mut used) = (Vec::new(), Vec::new());
    let recorded = recorded();
    assert!(recorded.len() > 400, "{}", recorded.len());
    for (command, expected) in recorded {
        let rig = Rig::with_fixture();
        let Done {
            status,
            output,
            errors,
        } = rig.run(command);
        // What begins like this is ours.
        let mut theirs = errors.lines().filter(|line| !line.starts_with("ipvsctl: "));
        let error = theirs.next().unwrap_or_default();
        let error = error.replace("ipvsctl", "ipvsadm");
        let changed = changed(&before, &lines(&rig.table()));
        let same = status.code() == expected.code
            && output == expected.output
            && error == expected.error
            && changed == expected.changed;
        if different.contains_key(command) {
            assert!(!same, "{command} does not differ any more");
            used.push(command);
        } else if !same {
            failed.push(format!(
                "{command}\n  {} {error:?} {changed:?}\n{output}  instead of\n  {expected:?}",
                status.code()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(used.len(), different.len(), "of {different:?}");
}
