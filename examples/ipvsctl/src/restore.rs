//! `-R`: all is read first, only what differs is changed, and what fails leads back.

use std::{
    cmp::Reverse,
    io::{Read, Write},
};

use ipvs::{
    Change, ChangeOutcome, IpvsBackend, IpvsError, Snapshot, SyncDaemon, Table, plan, text,
};

use self::replay::{Replay, sort_added};
use crate::{
    End,
    change::{tell, unanswered},
    fault::{Fault, Status, in_line},
    host::Host,
    request::{DryRun, Request, Restore},
    scan::scan,
};

mod replay;

/// How many refusals of the kernel are told one by one: mostly all have the same reason.
const TOLD: usize = 20;

/// A line that changes something.
#[derive(Debug)]
struct Line {
    /// From 1.
    number: usize,
    /// Where its command is, from 1.
    column: usize,
    change: Change,
}

pub(crate) async fn restore(
    how: Restore,
    host: &dyn Host,
    input: &mut dyn Read,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<(), End> {
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let lines = read(&String::from_utf8_lossy(&bytes), host, err).await?;
    if how.replace && lines.is_empty() {
        let fault = Fault::usage("Nothing to restore");
        let help = "an empty file would remove all services; `ipvsctl -C' does that";
        return Err(fault.with_help(help).into());
    }
    let refused = |error| Fault::of_kernel(&error, Status::Refused);
    let backend = host.backend().await.map_err(refused)?;
    let before = backend.snapshot().await.map_err(refused)?;
    let table = before.table();
    let replay = replay(&table, &lines, how, err)?;
    let changes = replay.sorted(plan(&table, replay.desired()));
    if how.dry_run != DryRun::No {
        let zeroes = replay.zeroes().iter().copied();
        let all: Vec<_> = changes.into_iter().chain(zeroes).collect();
        return tell(&all, how.dry_run, out);
    }
    let failed = apply(&*backend, &changes, &replay).await.map_err(refused)?;
    if failed.is_empty() {
        // Counters cannot be given back, so they are zeroed when all else is done.
        let failed = apply(&*backend, replay.zeroes(), &replay).await;
        let failed = failed.map_err(refused)?;
        return match failed.is_empty() {
            true => Ok(()),
            false => Err(tell_refusals(&failed, err)?),
        };
    }
    let end = tell_refusals(&failed, err)?;
    let (all, failed) = (changes.len(), failed.len());
    if !how.rollback {
        let made = all - failed;
        writeln!(
            err,
            "ipvsctl: {made} of {all} changes were made and stay (--no-rollback)"
        )?;
        return Err(end);
    }
    match roll_back(&*backend, &before, &changes).await {
        Ok(left) if left.is_empty() => {
            writeln!(err, "ipvsctl: rolled back: the table is as it was")?;
        }
        Ok(left) => {
            writeln!(err, "ipvsctl: not all could be rolled back; left to do:")?;
            for change in left {
                writeln!(err, "ipvsctl:   {}", text::command_line(&change))?;
            }
        }
        Err(error) => {
            let fault = Fault::of_kernel(&error, Status::Refused);
            let help = fault.help.unwrap_or(fault.message);
            writeln!(err, "ipvsctl: cannot roll back, changes may stay: {help}")?;
        }
    }
    Err(end)
}

/// What the lines of a saved table change, or everything that is wrong with them.
async fn read(text: &str, host: &dyn Host, err: &mut dyn Write) -> Result<Vec<Line>, End> {
    let (mut lines, mut faults) = (Vec::new(), Vec::new());
    for (line, number) in text.lines().zip(1..) {
        match read_line(line, host).await {
            Ok(None) => {}
            Ok(Some((column, change, idle))) => {
                for name in idle {
                    writeln!(
                        err,
                        "ipvsctl: line {number}: --{name} has no effect without -p"
                    )?;
                }
                lines.push(Line {
                    number,
                    column,
                    change,
                });
            }
            Err(fault) => faults.push((Some(number), fault)),
        }
    }
    match faults.is_empty() {
        true => Ok(lines),
        false => Err(nothing_changed(&faults, err)?),
    }
}

/// Where the command of a line is, what it changes, and which of its options have no effect.
/// Nothing, if it is empty or a comment.
async fn read_line(
    line: &str,
    host: &dyn Host,
) -> Result<Option<(usize, Change, Vec<&'static str>)>, Fault> {
    let mut words = text::words(line);
    match words.first().map(|word| word.text) {
        None => return Ok(None),
        Some(first) if first.starts_with('#') => return Ok(None),
        Some("ipvsadm" | "ipvsctl") => {
            words.remove(0);
        }
        Some(_) => {}
    }
    if words.is_empty() {
        return Ok(None);
    }
    let command = scan(&words)?;
    let at = command.given.word.column;
    let own = ["dry-run", "json"]
        .into_iter()
        .find(|name| command.has(name));
    if let Some(name) = own {
        let message = format!("Illegal '{name}' option in a table that is restored");
        return Err(Fault::usage(message).at(at));
    }
    match Request::read(&command, host).await? {
        Request::Change { change, idle, .. } => Ok(Some((at, change, idle))),
        Request::Help
        | Request::Version
        | Request::List { .. }
        | Request::Save { .. }
        | Request::Restore(_) => {
            let name = command.given.known.called;
            let fault = Fault::usage(format!(
                "Illegal '{name}' command in a table that is restored"
            ));
            Err(fault.with_help("a line has to change something").at(at))
        }
    }
}

fn replay(
    before: &Table,
    lines: &[Line],
    how: Restore,
    err: &mut dyn Write,
) -> Result<Replay, End> {
    let mut replay = Replay::new(before.clone());
    let mut faults = Vec::new();
    if how.replace {
        replay.clear();
    }
    for line in lines {
        if let Err(error) = replay.make(line.number, &line.change) {
            let fault = Fault::of_table(&error, Some(&line.change)).at(line.column);
            faults.push((Some(line.number), fault));
        }
    }
    match faults.is_empty() {
        true => Ok(replay),
        false => Err(nothing_changed(&faults, err)?),
    }
}

/// A fault, and the line that it comes from.
type Failed = (Option<usize>, Fault);

/// Makes changes; tells those that were not made.
async fn apply(
    backend: &dyn IpvsBackend,
    changes: &[Change],
    replay: &Replay,
) -> Result<Vec<Failed>, IpvsError> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let outcomes = backend.apply(changes).await?;
    let failed = changes
        .iter()
        .zip(outcomes)
        .filter_map(|(change, outcome)| {
            let fault = match outcome {
                ChangeOutcome::Done => return None,
                ChangeOutcome::Refused(refusal) => Fault::of_refusal(&refusal),
                ChangeOutcome::Unanswered => unanswered(change),
            };
            Some((replay.line_of(change), fault))
        });
    Ok(failed.collect())
}

/// Makes everything that was changed as it was before, and leaves alone what others changed
/// meanwhile. Tells what could not be made.
async fn roll_back(
    backend: &dyn IpvsBackend,
    before: &Snapshot,
    changes: &[Change],
) -> Result<Vec<Change>, IpvsError> {
    let (now, table) = (backend.snapshot().await?.table(), before.table());
    let mut target = now.clone();
    for change in changes {
        if let Some(key) = change.service() {
            match table.services.get(&key) {
                Some(service) => target.services.insert(key, service.clone()),
                None => target.services.remove(&key),
            };
        }
        if let Change::SetTimeouts(_) = change {
            target.timeouts = table.timeouts;
        }
        let (Change::StartDaemon(SyncDaemon { role, .. }) | Change::StopDaemon(role)) = change
        else {
            continue;
        };
        match table.daemons.get(role) {
            Some(daemon) => target.daemons.insert(*role, *daemon),
            None => target.daemons.remove(role),
        };
    }
    // The newest is the first of the kernel's list, so the last comes first.
    let back = sort_added(plan(&now, &target), |change| {
        let Change::AddDestination {
            service,
            destination,
            ..
        } = change
        else {
            return Reverse(None);
        };
        let owner = before.service(service);
        let mut listed = owner.iter().flat_map(|it| &it.destinations);
        Reverse(listed.position(|it| it.key == *destination))
    });
    if back.is_empty() {
        return Ok(back);
    }
    let outcomes = backend.apply(&back).await?;
    let left = back.into_iter().zip(outcomes);
    let left = left.filter(|(_, outcome)| !outcome.is_done());
    Ok(left.map(|(change, _)| change).collect())
}

fn nothing_changed(faults: &[Failed], err: &mut dyn Write) -> Result<End, End> {
    tell_faults(faults, err)?;
    writeln!(err, "ipvsctl: nothing was changed")?;
    Ok(End::Told(Status::Usage))
}

/// Tells what the kernel refused.
fn tell_refusals(failed: &[Failed], err: &mut dyn Write) -> Result<End, End> {
    let (told, more) = failed.split_at(failed.len().min(TOLD));
    tell_faults(told, err)?;
    if !more.is_empty() {
        writeln!(err, "ipvsctl: and {} more", more.len())?;
    }
    Ok(End::Told(Status::Refused))
}

/// Tells what is wrong, one in a line.
fn tell_faults(faults: &[Failed], err: &mut dyn Write) -> Result<(), End> {
    for (line, fault) in faults {
        writeln!(err, "ipvsctl: {}", in_line(*line, fault))?;
    }
    Ok(())
}
