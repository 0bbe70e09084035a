//! A fake kernel as a backend, with a journal and failures on request.

use std::{
    collections::{BTreeSet, VecDeque},
    io, mem,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::state::State;
use crate::{
    Change, ChangeOutcome, Connection, Counts, Endpoint, IpvsBackend, IpvsError, Refusal,
    SchedulerName, ServiceKey, ServiceState, Snapshot, Statistics,
    plane::{Dropped, Flow, Plane, Step},
};

/// An [`IpvsBackend`] in memory. A handle: clones are the same one.
#[derive(Debug, Clone)]
pub struct Kernel {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    state: State,
    journal: Vec<Record>,
    faults: Vec<Fault>,
    /// Changes to make between pages of the next dump.
    between_pages: VecDeque<Change>,
}

/// Something that is going to fail, once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The kernel refuses a change with an error number, without effect.
    Refuse {
        /// Which change from now, from 1.
        nth: usize,
        /// The number.
        errno: i32,
    },
    /// The connection to the kernel breaks: a change is made without an answer, and those that
    /// were to follow in the same call are not.
    Break {
        /// Which change from now, from 1.
        nth: usize,
    },
    /// A dump ends after so many rows, so that the table cannot be read.
    HalfDump {
        /// Rows of services and destinations that are told.
        rows: usize,
    },
    /// Somebody makes these changes while the next table is read, one after each page of
    /// [`Kernel::PAGE`] rows. The kernel goes on at the row number it was at, so that rows are left
    /// out or told twice. Reading panics if the kernel refuses one: the test asked for what cannot
    /// happen.
    BetweenPages(Vec<Change>),
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When, since the kernel started.
    pub at: Duration,
    /// What was asked for.
    pub change: Change,
    /// What became of it.
    pub outcome: ChangeOutcome,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel {
    /// Rows in a page of a dump: few, so that small tables have several pages.
    pub const PAGE: usize = 2;

    /// A kernel with an empty table and the fourteen schedulers of Linux.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            state: State::new(),
            journal: Vec::new(),
            faults: Vec::new(),
            between_pages: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Lets time pass: connections that are idle are forgotten, and destinations that were removed
    /// 120 s after their last connection.
    pub fn advance(&self, by: Duration) {
        self.lock().state.advance(by);
    }

    /// Makes a change as somebody else does: at once and without entry in the journal.
    ///
    /// # Errors
    /// The kernel refuses it.
    #[expect(clippy::result_large_err, reason = "it is the outcome, for a test")]
    pub fn change(&self, change: Change) -> Result<(), Refusal> {
        let made = self.lock().state.apply(&change);
        made.map_err(|errno| Refusal::from_errno(change, errno))
    }

    /// Unloads the module of a scheduler.
    pub fn unload(&self, scheduler: SchedulerName) {
        self.lock().state.plane.schedulers.remove(&scheduler);
    }

    /// Sets the connections of a destination, also of one that was removed a while ago: numbers that
    /// stay, to which those of clients ([`Kernel::connect`]) are added. Tells whether there is such a
    /// destination.
    pub fn set_counts(&self, service: ServiceKey, destination: Endpoint, counts: Counts) -> bool {
        self.lock().state.set_counts(&service, &destination, counts)
    }

    /// Sets what has passed through a destination. Tells whether there is one.
    pub fn set_statistics(
        &self,
        service: ServiceKey,
        destination: Endpoint,
        statistics: Statistics,
    ) -> bool {
        let mut shared = self.lock();
        let found = shared.state.plane.destination_mut(&service, &destination);
        found.map(|it| it.statistics = statistics).is_some()
    }

    /// A client connects, or sends its first datagram; the handshake is over at once.
    ///
    /// A new connection is scheduled as Linux 6.1 schedules it, by the crate `sched`. One that is
    /// known already goes on where it is: a flow of UDP, and a client that comes again from the same
    /// port before its old connection is seen to be over, or under persistence. What a one-packet service gets is told and not
    /// remembered.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub fn connect(&self, flow: Flow) -> Result<Connection, Dropped> {
        self.lock().state.connect(flow, None)
    }

    /// As [`Kernel::connect`], of packets that the firewall has marked: a service of the mark comes
    /// before one of the address. The mark matters to the first packet alone.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub fn connect_marked(&self, mark: NonZeroU32, flow: Flow) -> Result<Connection, Dropped> {
        self.lock().state.connect(flow, Some(mark))
    }

    /// Data passes through a connection, which is remembered anew for the whole of its timeout.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub fn send(&self, flow: Flow) -> Result<Connection, Dropped> {
        self.lock().state.send(flow, &[Step::Data])
    }

    /// Both ends close a connection: it is inactive, and forgotten 120 s later under masquerading,
    /// else after the timeout `tcp_fin`, because the director does not see the destination close;
    /// one of SCTP after 10 s. Of UDP nothing is seen to end: this is [`Kernel::send`] then.
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub fn close(&self, flow: Flow) -> Result<Connection, Dropped> {
        self.lock()
            .state
            .send(flow, &[Step::ClientFin, Step::DestinationFin])
    }

    /// The client breaks a connection off: it is inactive, and forgotten 10 s later. Of UDP this is
    /// [`Kernel::send`].
    ///
    /// # Errors
    /// It reaches no destination, for the reason told.
    pub fn reset(&self, flow: Flow) -> Result<Connection, Dropped> {
        self.lock().state.send(flow, &[Step::Reset])
    }

    /// The clients' connections and persistence templates, as `netlink::Kernel::connections` lists
    /// them.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.lock().state.connections()
    }

    /// Lets something fail, once.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// What has been asked for so far, the oldest first.
    #[must_use]
    pub fn journal(&self) -> Vec<Record> {
        self.lock().journal.clone()
    }

    /// Forgets what has been asked for so far, and returns it.
    pub fn take_journal(&self) -> Vec<Record> {
        mem::take(&mut self.lock().journal)
    }

    /// Everything as it is, without a dump of which something could fail.
    #[cfg(test)]
    pub(crate) fn running(&self) -> Snapshot {
        self.lock().state.plane.running.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A test that panicked while it held the lock is the one to be heard of.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl IpvsBackend for Kernel {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        self.lock().dump(|_| true)
    }

    async fn snapshot_of(&self, services: &BTreeSet<ServiceKey>) -> Result<Snapshot, IpvsError> {
        self.lock().dump(|service| services.contains(service))
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        let mut shared = self.lock();
        let mut broken = false;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            let outcome = if broken {
                ChangeOutcome::Unanswered
            } else {
                shared.make(change)
            };
            broken |= outcome == ChangeOutcome::Unanswered;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
}

impl Shared {
    /// Makes a change, unless it is to fail, and enters it in the journal.
    fn make(&mut self, change: &Change) -> ChangeOutcome {
        let outcome = match self.due() {
            Some(Fault::Refuse { errno, .. }) => {
                ChangeOutcome::Refused(Refusal::from_errno(*change, errno))
            }
            due => match (self.state.apply(change), due) {
                (_, Some(_)) => ChangeOutcome::Unanswered,
                (Ok(()), None) => ChangeOutcome::Done,
                (Err(errno), None) => ChangeOutcome::Refused(Refusal::from_errno(*change, errno)),
            },
        };
        let (at, change) = (self.state.now, *change);
        self.journal.push(Record {
            at,
            change,
            outcome: outcome.clone(),
        });
        outcome
    }

    /// Counts a change, and takes the fault that is due at it.
    fn due(&mut self) -> Option<Fault> {
        let mut due = None;
        for (place, fault) in self.faults.iter_mut().enumerate() {
            if let Fault::Refuse { nth, .. } | Fault::Break { nth } = fault {
                *nth = nth.saturating_sub(1);
                if *nth == 0 && due.is_none() {
                    due = Some(place);
                }
            }
        }
        due.map(|place| self.faults.remove(place))
    }

    /// Reads services as the kernel tells them: page by page, with nothing that keeps the rows of two
    /// pages together.
    fn dump(&mut self, wanted: impl Fn(&ServiceKey) -> bool) -> Result<Snapshot, IpvsError> {
        let mut rows_left = None;
        for fault in mem::take(&mut self.faults) {
            match fault {
                Fault::HalfDump { rows } if rows_left.is_none() => rows_left = Some(rows),
                Fault::BetweenPages(changes) => self.between_pages.extend(changes),
                other @ (Fault::HalfDump { .. } | Fault::Refuse { .. } | Fault::Break { .. }) => {
                    self.faults.push(other);
                }
            }
        }
        let running = &self.state.plane.running;
        let mut snapshot = Snapshot {
            info: running.info,
            timeouts: running.timeouts,
            daemons: running.daemons.clone(),
            services: Vec::new(),
            unreadable: running.unreadable.clone(),
        };
        snapshot.services = self.pages(&mut rows_left, |plane, told| {
            let rows = plane.running.services.iter().skip(told);
            let row = |service: &ServiceState| {
                let mut row = ServiceState::new(service.key, service.settings);
                row.statistics = service.statistics;
                row
            };
            rows.take(Kernel::PAGE).map(row).collect()
        })?;
        snapshot.services.retain(|service| wanted(&service.key));
        for service in &mut snapshot.services {
            let key = service.key;
            service.destinations = self.pages(&mut rows_left, |plane, told| {
                let rows = plane.destinations(&key).into_iter().skip(told);
                rows.take(Kernel::PAGE).collect()
            })?;
        }
        Ok(snapshot)
    }

    /// All rows, page by page: `page` has those from a row number on.
    fn pages<T>(
        &mut self,
        rows_left: &mut Option<usize>,
        page: impl Fn(&Plane, usize) -> Vec<T>,
    ) -> Result<Vec<T>, IpvsError> {
        let mut told = Vec::new();
        loop {
            let page = page(&self.state.plane, told.len());
            if let Some(left) = rows_left {
                match left.checked_sub(page.len()) {
                    Some(rest) => *left = rest,
                    None => {
                        return Err(IpvsError::Unanswered {
                            operation: "read the table",
                            source: io::ErrorKind::UnexpectedEof.into(),
                        });
                    }
                }
            }
            let full = page.len() == Kernel::PAGE;
            told.extend(page);
            if !full {
                return Ok(told);
            }
            if let Some(change) = self.between_pages.pop_front() {
                let made = self.state.apply(&change);
                assert!(made.is_ok(), "cannot {change} between pages: {made:?}");
            }
        }
    }
}
