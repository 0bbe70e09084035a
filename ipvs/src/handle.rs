//! What a program holds of a table that is kept.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{broadcast, mpsc, watch};

use crate::{
    Counts, Endpoint, ReconcileEvent, ReconcileInput, Refusal, Removal, ServiceKey, Table,
    driver::Command,
};

/// A table that is kept, made by [`spawn`](crate::spawn).
///
/// Dropping it leaves the table as it is, as [`Shutdown::Leave`] does.
#[derive(Debug)]
pub struct TableHandle {
    commands: mpsc::UnboundedSender<Command>,
    events: broadcast::Sender<ReconcileEvent>,
    status: watch::Receiver<TableStatus>,
    /// How often it was told what is desired.
    set: AtomicU64,
}

/// What becomes of a table that is kept no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it stays or it goes")]
pub enum Shutdown {
    /// It stays: connections go on, and the program's next life takes over.
    Leave,
    /// What is ours is removed.
    Remove(Removal),
}

/// How a table that is kept stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStatus {
    /// How often it was told what is desired, as far as that is taken notice of.
    pub revision: u64,
    /// Whether it was as desired when it was last compared, but for [`Self::refused`] and
    /// [`Self::leaving`].
    pub is_converged: bool,
    /// Why it cannot be asked, while that is so.
    pub unreachable: Option<String>,
    /// Changes that were refused and are tried again.
    pub refused: Vec<Refusal>,
    /// Destinations that are being drained.
    pub leaving: Vec<Leaving>,
}

/// A destination that is being drained.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leaving {
    /// Its service.
    pub service: ServiceKey,
    /// The destination.
    pub destination: Endpoint,
    /// The connections that it had when it was last seen.
    pub counts: Counts,
}

impl TableStatus {
    pub(crate) fn note(&mut self, event: &ReconcileEvent) {
        match event {
            ReconcileEvent::Unreachable { because } => self.unreachable = Some(because.clone()),
            ReconcileEvent::Reachable => self.unreachable = None,
            ReconcileEvent::Drift(_)
            | ReconcileEvent::Converged
            | ReconcileEvent::Refused(_)
            | ReconcileEvent::Draining { .. }
            | ReconcileEvent::Drained { .. } => {}
        }
    }
}

/// The table is kept no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the table is kept no more")]
#[non_exhaustive]
pub struct Ended;

impl TableHandle {
    pub(crate) const fn new(
        commands: mpsc::UnboundedSender<Command>,
        events: broadcast::Sender<ReconcileEvent>,
        status: watch::Receiver<TableStatus>,
    ) -> Self {
        Self {
            commands,
            events,
            status,
            set: AtomicU64::new(0),
        }
    }

    /// The table shall be like that from now on: see [`ReconcileInput::Desired`]. Returns at once;
    /// [`settled`](Self::settled) waits. Idempotent.
    pub fn set(&self, table: Table, removal: Removal) {
        self.set.fetch_add(1, Ordering::Relaxed);
        self.send(Command::Input(ReconcileInput::Desired { table, removal }));
    }

    /// These destinations go at once, if they are on their way out: see [`ReconcileInput::Cut`].
    /// Returns at once. Idempotent.
    pub fn cut(&self, destinations: Vec<(ServiceKey, Endpoint)>) {
        self.send(Command::Input(ReconcileInput::Cut(destinations)));
    }

    /// Compares the table at once instead of at the next time.
    pub fn look(&self) {
        self.send(Command::Input(ReconcileInput::Look));
    }

    /// Waits until the table is as desired, but for what is refused and what is being drained: for
    /// ever if nothing is ever [`set`](Self::set), or the kernel never answers. Cancel safe.
    ///
    /// # Errors
    /// The table is kept no more.
    pub async fn settled(&self) -> Result<TableStatus, Ended> {
        let set = self.set.load(Ordering::Relaxed);
        let mut status = self.status();
        let settled = status
            .wait_for(|status| status.is_converged && status.revision >= set)
            .await;
        settled.map(|status| status.clone()).map_err(|_| Ended)
    }

    /// How the table stands, now and whenever that changes. Look briefly, or clone it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<TableStatus> {
        self.status.clone()
    }

    /// All that happens from now on. A listener that lags behind by more than 4096 events misses
    /// the oldest and is told so.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<ReconcileEvent> {
        self.events.subscribe()
    }

    /// Ends, and waits until that is done; with [`Shutdown::Remove`] that is when the table is free
    /// of what was ours, but for what the kernel refuses to remove, so bound it in time. Cancel safe: a dropped call ends it nevertheless.
    pub async fn shutdown(self, how: Shutdown) {
        self.send(Command::End(how));
        self.commands.closed().await;
    }

    fn send(&self, command: Command) {
        // An error means that it has ended; whoever waits is told by that.
        drop(self.commands.send(command));
    }
}
