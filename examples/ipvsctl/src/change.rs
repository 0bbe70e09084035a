//! One change.

use std::{io::Write, slice};

use ipvs::{Change, ChangeOutcome, text};

use crate::{
    End,
    fault::{Fault, Status},
    host::Host,
    json,
    list::write_json,
    request::DryRun,
};

/// Makes a change, or tells it if the table is such that it could be made.
pub(crate) async fn make(
    change: Change,
    dry_run: DryRun,
    host: &dyn Host,
    out: &mut dyn Write,
) -> Result<(), End> {
    let refused = |error| Fault::of_kernel(&error, Status::Refused);
    let backend = host.backend().await.map_err(refused)?;
    if dry_run != DryRun::No {
        let mut table = backend.snapshot().await.map_err(refused)?.table();
        let possible = table.apply(&change);
        possible.map_err(|error| Fault::of_table(&error, Some(&change)))?;
        return tell(slice::from_ref(&change), dry_run, out);
    }
    let outcomes = backend.apply(&[change]).await.map_err(refused)?;
    match outcomes.first() {
        Some(ChangeOutcome::Done) => Ok(()),
        Some(ChangeOutcome::Refused(refusal)) => Err(Fault::of_refusal(refusal).into()),
        Some(ChangeOutcome::Unanswered) | None => Err(unanswered(&change).into()),
    }
}

/// A change of which nobody knows whether it was made.
pub(crate) fn unanswered(change: &Change) -> Fault {
    Fault::new(Status::Refused, "The kernel did not answer").with_help(format!(
        "cannot tell whether it did {change}; `ipvsctl -Ln' shows the table"
    ))
}

/// Tells what would be changed: as commands, which can be restored.
pub(crate) fn tell(changes: &[Change], how: DryRun, out: &mut dyn Write) -> Result<(), End> {
    match how {
        DryRun::Json => write_json(&json::Changes::of(changes), out),
        DryRun::Text | DryRun::No => {
            for change in changes {
                writeln!(out, "{}", text::command_line(change))?;
            }
            Ok(())
        }
    }
}
