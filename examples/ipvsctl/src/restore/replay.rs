//! What the table is to be when lines are restored.

use std::collections::BTreeMap;

use ipvs::{Change, Subject, Table, TableError};

/// A table in which lines are restored one after the other.
///
/// A line says how something shall be. What is so already needs no change, what was there before
/// the first line is changed, and what is not there need not be removed. Against each other are
/// only lines that say different things of the same.
#[derive(Debug)]
pub(crate) struct Replay {
    desired: Table,
    /// Counters to zero when all else is done.
    zeroes: Vec<Change>,
    /// The line that said last how something shall be.
    lines: BTreeMap<Subject, usize>,
}

impl Replay {
    /// Begins with what there is.
    pub(crate) const fn new(current: Table) -> Self {
        Self {
            desired: current,
            zeroes: Vec::new(),
            lines: BTreeMap::new(),
        }
    }

    /// Removes all services.
    pub(crate) fn clear(&mut self) {
        self.desired.services.clear();
        self.zeroes.clear();
        self.lines.retain(|subject, _| subject.service().is_none());
    }

    /// Makes what a line says.
    pub(crate) fn make(&mut self, line: usize, change: &Change) -> Result<(), TableError> {
        if *change == Change::Flush {
            self.clear();
            return Ok(());
        }
        let made = if matches!(change, Change::Zero(_)) {
            self.zeroes.push(*change);
            self.desired.apply(change)
        } else {
            self.set(change)
        };
        let removes = matches!(
            change,
            Change::RemoveService { .. } | Change::RemoveDestination { .. } | Change::StopDaemon(_)
        );
        made?;
        match change.subject() {
            Subject::Service(service) if removes => {
                self.lines
                    .retain(|subject, _| subject.service() != Some(service));
                let zeroed = Change::Zero(Some(service));
                self.zeroes.retain(|zero| *zero != zeroed);
            }
            Subject::Services => {}
            subject @ (Subject::Service(_)
            | Subject::Destination(..)
            | Subject::Daemon(_)
            | Subject::Timeouts) => {
                if removes {
                    self.lines.remove(&subject);
                } else {
                    self.lines.insert(subject, line);
                }
            }
        }
        Ok(())
    }

    fn set(&mut self, change: &Change) -> Result<(), TableError> {
        let said = self.lines.contains_key(&change.subject());
        match (self.desired.apply(change), *change) {
            (Err(TableError::ServiceExists { .. }), Change::AddService { service, settings }) => {
                let present = self.desired.services.get(&service).map(|it| it.settings);
                if said && present != Some(settings) {
                    return Err(TableError::ServiceExists { service });
                }
                self.desired
                    .apply(&Change::SetService { service, settings })
            }
            (
                Err(TableError::DestinationExists { .. }),
                Change::AddDestination {
                    service,
                    destination,
                    settings,
                },
            ) => {
                let owner = self.desired.services.get(&service);
                let present = owner.and_then(|it| it.destinations.get(&destination));
                if said && present != Some(&settings) {
                    return Err(TableError::DestinationExists {
                        service,
                        destination,
                    });
                }
                self.desired.apply(&Change::SetDestination {
                    service,
                    destination,
                    settings,
                })
            }
            (Err(TableError::DaemonExists { role }), Change::StartDaemon(daemon)) => {
                let present = self.desired.daemons.get(&role);
                let met = present.is_some_and(|present| daemon.is_met_by(present));
                match (met, said) {
                    (true, _) => Ok(()),
                    (false, true) => Err(TableError::DaemonExists { role }),
                    (false, false) => {
                        self.desired.daemons.insert(role, daemon);
                        Ok(())
                    }
                }
            }
            (
                Err(
                    TableError::NoSuchService { .. }
                    | TableError::NoSuchDestination { .. }
                    | TableError::NoDaemon { .. },
                ),
                Change::RemoveService { .. }
                | Change::RemoveDestination { .. }
                | Change::StopDaemon(_),
            ) => Ok(()),
            (made, _) => made,
        }
    }

    /// What the table is to be.
    pub(crate) const fn desired(&self) -> &Table {
        &self.desired
    }

    /// What is to be zeroed then.
    pub(crate) fn zeroes(&self) -> &[Change] {
        &self.zeroes
    }

    /// The line that asked for a change, if one did: removals may come from there being none.
    pub(crate) fn line_of(&self, change: &Change) -> Option<usize> {
        self.lines.get(&change.subject()).copied()
    }

    /// A plan in which new destinations of a service come in the order of their lines.
    pub(crate) fn sorted(&self, plan: Vec<Change>) -> Vec<Change> {
        sort_added(plan, |change| self.line_of(change))
    }
}

/// Puts new destinations of a service in order. The kernel keeps the order in which they come, and
/// schedulers go by it; a plan has them in the order of their addresses.
pub(crate) fn sort_added<K: Ord>(
    mut plan: Vec<Change>,
    rank: impl Fn(&Change) -> K,
) -> Vec<Change> {
    let added = |change: &Change| {
        let adds = matches!(change, Change::AddDestination { .. });
        adds.then(|| change.service()).flatten()
    };
    for run in plan.chunk_by_mut(|a, b| added(a).is_some() && added(a) == added(b)) {
        run.sort_by_key(&rank);
    }
    plan
}

#[cfg(test)]
mod tests {
    use ipvs::text::parse;

    use super::*;

    fn table(text: &str) -> Table {
        ipvs::text::parse_table(text).unwrap()
    }

    fn replayed(before: &str, text: &str) -> Result<Replay, (usize, TableError)> {
        let mut replay = Replay::new(table(before));
        for line in parse(text).unwrap() {
            let made = replay.make(line.number, &line.change);
            made.map_err(|error| (line.number, error))?;
        }
        Ok(replay)
    }

    const WEB: &str = "-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m\n";

    #[test]
    fn what_is_so_already_needs_no_change() {
        let again = WEB.repeat(2) + "-D -t 10.1.0.101:80\n--stop-daemon master\n";
        assert_eq!(*replayed(WEB, &again).unwrap().desired(), table(WEB));
    }

    #[test]
    fn what_was_there_before_becomes_what_the_line_says() {
        let other = "-A -t 10.1.0.100:80 -s wrr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -m -w 5\n";
        assert_eq!(*replayed(WEB, other).unwrap().desired(), table(other));
    }

    #[test]
    fn lines_that_say_different_things_are_against_each_other() {
        let text = format!("{WEB}-A -t 10.1.0.100:80 -s wrr\n");
        let (line, error) = replayed("", &text).unwrap_err();
        assert!(matches!(error, TableError::ServiceExists { .. }));
        assert_eq!(line, 3);
        let text = format!("{WEB}-D -t 10.1.0.100:80\n-A -t 10.1.0.100:80 -s wrr\n");
        assert!(replayed("", &text).is_ok(), "it was removed between");
    }

    #[test]
    fn what_is_not_there_cannot_be_edited_or_zeroed() {
        for text in ["-E -t 10.1.0.100:80", "-Z -t 10.1.0.100:80"] {
            assert!(replayed("", text).is_err(), "{text}");
        }
        let text = "-e -t 10.1.0.100:80 -r 10.0.0.9:80 -m";
        assert!(replayed(WEB, text).is_err());
    }

    #[test]
    fn destinations_are_added_in_the_order_of_their_lines() {
        let text = "-A -t 10.1.0.100:80\n\
                    -a -t 10.1.0.100:80 -r 10.0.0.3:80 -m\n\
                    -a -t 10.1.0.100:80 -r 10.0.0.1:80 -m\n";
        let replay = replayed("", text).unwrap();
        let plan = ipvs::plan(&Table::default(), replay.desired());
        let changes: Vec<_> = parse(text).unwrap().iter().map(|it| it.change).collect();
        assert_eq!(replay.sorted(plan), changes);
    }
}
