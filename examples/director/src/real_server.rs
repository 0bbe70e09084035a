//! Prepares a real server, and leaves it as it was.
//!
//! What is changed is written to a journal before it is changed, one line for each [`Edit`], so it
//! can be undone exactly by another process, at another time, or after a crash in the middle.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use ipvs::{
    RealServer,
    machine::{self, Edit, EditError, Machine, MachineError, MakeError},
};

/// Where the journal is unless told otherwise. It is gone after a restart of the machine, as are
/// the changes.
pub const DEFAULT_JOURNAL: &str = "/run/director.realserver";

/// How often what is missing is looked for: a tunnel's end can be set up once its module is loaded.
const ROUNDS: usize = 3;

/// A file with what was changed, in order.
#[derive(Debug, Clone)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal in a file, which need not be there.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path }
    }

    /// What was changed; nothing if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is not a change.
    pub fn read(&self) -> Result<Vec<Edit>, PrepareError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.failed("read", source)),
        };
        let edits = text.lines().zip(1..).map(|(line, number)| {
            line.parse().map_err(|source| PrepareError::Line {
                path: self.path.clone(),
                number,
                source,
            })
        });
        edits.collect()
    }

    /// Replaces the file whole, or removes it if nothing is changed.
    fn write(&self, edits: &[Edit]) -> Result<(), PrepareError> {
        if edits.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(self.failed("remove", error))
                }
                Ok(()) | Err(_) => Ok(()),
            };
        }
        let text: String = edits.iter().map(|edit| format!("{edit}\n")).collect();
        let unfinished = self.path.with_extension("unfinished");
        let written = fs::File::create(&unfinished)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
            })
            .and_then(|()| fs::rename(&unfinished, &self.path));
        written.map_err(|source| self.failed("write", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> PrepareError {
        PrepareError::Journal {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

/// Why a real server could not be prepared, or be left as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The journal cannot be read or written.
    #[error("cannot {action} {}, where changes are written down so that they can be undone", path.display())]
    Journal {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The journal has a line that nobody here wrote.
    #[error("{}:{number}: undo it by hand and remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        number: usize,
        /// What is wrong with it.
        #[source]
        source: EditError,
    },
    /// A change was refused, and those before it taken back.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The machine could not be looked at, or a change not be undone.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// Prepares a machine: makes what is missing and undoes what earlier calls gave it and this server
/// does not need. Returns what was made. Idempotent.
///
/// # Errors
/// Nothing is left half done: a change that is refused takes those made with it along.
pub async fn up(
    machine: &dyn Machine,
    server: &RealServer,
    journal: &Journal,
) -> Result<Vec<Edit>, PrepareError> {
    let (needed, stale) = journal
        .read()?
        .into_iter()
        .partition(|edit| is_needed(server, edit));
    let (mut known, stale): (Vec<Edit>, Vec<Edit>) = (needed, stale);
    machine::undo(machine, &stale).await?;
    let mut made = Vec::new();
    for _ in 0..ROUNDS {
        let edits = server.edits(machine).await?;
        if edits.is_empty() {
            break;
        }
        for edit in &edits {
            if !known.iter().any(|earlier| same_thing(earlier, edit)) {
                known.push(edit.clone());
            }
        }
        journal.write(&known)?;
        machine::make(machine, &edits).await?;
        made.extend(edits);
    }
    journal.write(&known)?;
    Ok(made)
}

/// Undoes all that [`up`] has made. Returns what was undone, and what somebody else has changed
/// since, which is left alone. Idempotent.
///
/// # Errors
/// Something could not be undone: it stays in the journal.
pub async fn down(
    machine: &dyn Machine,
    journal: &Journal,
) -> Result<(Vec<Edit>, Vec<Edit>), PrepareError> {
    let mut edits = journal.read()?;
    let changed_since = machine::undo(machine, &edits).await?;
    journal.write(&[])?;
    edits.retain(|edit| !changed_since.contains(edit));
    Ok((edits, changed_since))
}

/// Whether a change made earlier still serves. Sysctls and links stay until all is undone: others
/// may rely on them by then.
fn is_needed(server: &RealServer, edit: &Edit) -> bool {
    let Edit::Address { interface, address } = edit else {
        return true;
    };
    server.places().any(|place| place == (*interface, *address))
}

/// Whether both change the same thing, so that the earlier one knows what was there before us.
fn same_thing(earlier: &Edit, edit: &Edit) -> bool {
    match (earlier, edit) {
        (Edit::Sysctl { name, .. }, Edit::Sysctl { name: other, .. }) => name == other,
        (earlier, edit) => earlier == edit,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use ipvs::{Family, Via, fake::Machine};

    use super::*;

    fn server(vips: &[(&str, Via)]) -> RealServer {
        let vip = |(address, via): &(&str, Via)| (address.parse().unwrap(), *via);
        RealServer::new(vips.iter().map(vip))
    }

    fn lo(address: &str) -> (&'static str, IpAddr) {
        ("lo", address.parse().unwrap())
    }

    fn journal(directory: &tempfile::TempDir) -> Journal {
        Journal::at(&directory.path().join("journal"))
    }

    #[tokio::test]
    async fn a_server_is_prepared_twice_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let (machine, journal) = (Machine::new(), journal(&directory));
        machine::Machine::load_module(&machine, "ipip")
            .await
            .unwrap();
        let before = machine.clone();
        let vips = [
            ("10.1.0.100", Via::DirectRoute),
            ("10.1.0.101", Via::Tunnel(Family::V4)),
        ];
        let made = up(&machine, &server(&vips), &journal).await.unwrap();
        assert!(made.len() > 4, "{made:?}");
        assert_eq!(up(&machine, &server(&vips), &journal).await.unwrap(), []);
        let (undone, left) = down(&machine, &journal).await.unwrap();
        assert_eq!((undone.len(), left), (made.len(), Vec::new()));
        assert!(machine == before);
        assert_eq!(
            down(&machine, &journal).await.unwrap(),
            (Vec::new(), Vec::new())
        );
    }

    #[tokio::test]
    async fn an_address_that_left_the_configuration_is_taken_away_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (machine, journal) = (Machine::new(), journal(&directory));
        let (first, second) = (
            ("10.1.0.100", Via::DirectRoute),
            ("10.1.0.101", Via::DirectRoute),
        );
        up(&machine, &server(&[first, second]), &journal)
            .await
            .unwrap();
        up(&machine, &server(&[second]), &journal).await.unwrap();
        let holds = |(interface, address)| machine.holds(interface, address);
        assert_eq!(
            (holds(lo("10.1.0.100")), holds(lo("10.1.0.101"))),
            (false, true)
        );
    }

    #[tokio::test]
    async fn what_was_there_before_is_remembered_through_a_crash_and_a_meddler() {
        let directory = tempfile::tempdir().unwrap();
        let (machine, journal) = (Machine::new(), journal(&directory));
        let wanted = server(&[("10.1.0.100", Via::DirectRoute)]);
        let before = machine.clone();
        machine.fail(3);
        let error = up(&machine, &wanted, &journal).await.unwrap_err();
        assert_eq!(error.to_string(), "nothing was changed");
        up(&machine, &wanted, &journal).await.unwrap();
        machine.set("net.ipv4.conf.all.arp_ignore", "3");
        up(&machine, &wanted, &journal).await.unwrap();
        down(&machine, &journal).await.unwrap();
        assert!(machine == before, "{machine:?}");
    }

    #[tokio::test]
    async fn a_foreign_line_is_told_with_its_number_and_nothing_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (machine, journal) = (Machine::new(), journal(&directory));
        fs::write(&journal.path, "load module ipip\nrm -rf\n").unwrap();
        let error = down(&machine, &journal).await.unwrap_err().to_string();
        assert!(error.contains("journal:2: "), "{error}");
        assert!(machine == Machine::new());
    }
}
