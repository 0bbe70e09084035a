//! Keeps what is known for the next life of the daemon, in a task of its own: the table waits for no
//! disk.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use health::Snapshot;
use ipvs::{Ownership, Table};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
    time::sleep,
};
use tracing::{error, info, warn};

use crate::{
    balance::{CheckName, MemberName, Order},
    conf::model::{TlsClient, VirtualServer},
    log::chain,
    state::{KnownCheck, State, file, fingerprints},
};

/// It is not written more often than that.
const SHORTEST: Duration = Duration::from_secs(1);

/// It is written at least that often, so that its age says when the daemon was last alive.
const LONGEST: Duration = Duration::from_secs(10);

/// What balancing knows, besides what its checks do.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Whose checks are meant.
    pub(super) virtual_servers: Vec<Arc<VirtualServer>>,
    /// Who they say that they are.
    pub(super) tls: Option<TlsClient>,
    pub(super) orders: BTreeMap<MemberName, Order>,
    /// What was ever set up, by this daemon or by the one before.
    owned: Ownership,
}

impl Memory {
    /// Of a daemon that has set up nothing but this.
    pub(super) const fn of(owned: Ownership) -> Self {
        Self {
            virtual_servers: Vec::new(),
            tls: None,
            orders: BTreeMap::new(),
            owned,
        }
    }

    /// Owns what is in a table too, and says whether anything in it is new.
    pub(super) fn own(&mut self, table: &Table) -> bool {
        let count = |owned: &Ownership| owned.services.len() + owned.daemons.len();
        let before = count(&self.owned);
        self.owned.extend(table);
        count(&self.owned) != before
    }
}

/// What becomes of the file at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It says how it was at the end.
    Written,
    /// There is nothing to go on with.
    Removed,
}

/// Keeps the file.
#[derive(Debug)]
pub(super) struct Keeping {
    memory: watch::Sender<Option<Arc<Memory>>>,
    fate: oneshot::Sender<Fate>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// Begins to write once something is [remembered](Self::remember).
    pub(super) fn start(path: PathBuf, standings: watch::Receiver<Snapshot<CheckName>>) -> Self {
        let (memory, remembered) = watch::channel(None);
        let (fate, told) = oneshot::channel();
        let keeper = Keeper {
            path,
            remembered,
            standings,
            is_failing: false,
        };
        let task = tokio::spawn(keeper.run(told));
        Self { memory, fate, task }
    }

    /// What to keep from now on.
    pub(super) fn remember(&self, memory: Memory) {
        self.memory.send_replace(Some(Arc::new(memory)));
    }

    /// Ends, once the file has met its fate.
    pub(super) async fn stop(self, fate: Fate) {
        // An error means that it has ended by itself, which the task says.
        self.fate.send(fate).ok();
        if let Err(error) = self.task.await {
            error!("the state was not kept to the end: {}", chain(&error));
        }
    }
}

struct Keeper {
    path: PathBuf,
    remembered: watch::Receiver<Option<Arc<Memory>>>,
    standings: watch::Receiver<Snapshot<CheckName>>,
    /// Whether the last attempt failed, which was told.
    is_failing: bool,
}

impl Keeper {
    async fn run(mut self, mut fate: oneshot::Receiver<Fate>) {
        let fate = loop {
            tokio::select! {
                fate = &mut fate => break fate,
                () = self.until_due() => self.write().await,
            }
            tokio::select! {
                fate = &mut fate => break fate,
                () = sleep(SHORTEST) => {}
            }
        };
        match fate {
            Ok(Fate::Written) => self.write().await,
            Ok(Fate::Removed) => self.remove().await,
            // Nothing is said: it stays as it was written last.
            Err(_) => {}
        }
    }

    /// Something is new, or it was not written for long. Cancel safe.
    async fn until_due(&mut self) {
        if self.remembered.wait_for(Option::is_some).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            Ok(()) = self.remembered.changed() => {}
            Ok(()) = self.standings.changed() => {}
            () = sleep(LONGEST.saturating_sub(SHORTEST)) => {}
        }
    }

    async fn write(&mut self) {
        let Some(memory) = self.remembered.borrow_and_update().clone() else {
            return;
        };
        // Marked as seen first: what changes meanwhile is written the next time.
        self.standings.mark_unchanged();
        let (path, standings) = (self.path.clone(), self.standings.clone());
        let written = spawn_blocking(move || {
            let known = standings.borrow().clone();
            let text = state(&memory, &known).to_bytes(since_1970())?;
            file::write(&path, &text)
        });
        let failure = match written.await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(error) => Some(chain(&error)),
        };
        let was_failing = std::mem::replace(&mut self.is_failing, failure.is_some());
        if let Some(failure) = failure
            && !was_failing
        {
            warn!(
                "what is known is not kept for a restart, {} cannot be written: {failure}; choose \
                 another path with --state",
                self.path.display()
            );
        }
    }

    async fn remove(&self) {
        let path = self.path.clone();
        if let Ok(Err(error)) = spawn_blocking(move || file::remove(&path)).await {
            warn!("{} stays: {}", self.path.display(), chain(&error));
        }
    }
}

fn state(memory: &Memory, known: &Snapshot<CheckName>) -> State {
    let mut state = State::default();
    let checks = fingerprints(&memory.virtual_servers, memory.tls.as_ref()).into_iter();
    let checks = checks.filter_map(|(name, fingerprint)| {
        let standing = *known.standings.get(&name)?;
        // How a check begins is not worth keeping: taken up, it would count as shown.
        standing
            .is_proven
            .then(|| (name, KnownCheck::new(fingerprint, standing)))
    });
    state.checks = checks.collect();
    state.orders.clone_from(&memory.orders);
    state.owned = memory.owned.clone();
    state
}

/// What the daemon before this one knew, if it is to be gone on with; the log says why not.
pub(super) async fn recall(path: &Path) -> State {
    let (state, remarks) = look(path).await;
    for remark in remarks {
        match remark {
            Remark::GoneOnWith(text) => info!("{text}"),
            Remark::LeftOut(text) => warn!("{text}"),
        }
    }
    state
}

/// What becomes of something that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    GoneOnWith(String),
    LeftOut(String),
}

impl Remark {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::GoneOnWith(text) | Self::LeftOut(text) => text,
        }
    }
}

/// What a start would go on with, and what is to be told of it.
pub(super) async fn look(path: &Path) -> (State, Vec<Remark>) {
    let file = path.to_owned();
    let read = spawn_blocking(move || {
        let Some(text) = file::read(&file).map_err(|error| chain(&error))? else {
            return Ok(None);
        };
        let state = State::from_bytes(&text, since_1970());
        state.map(Some).map_err(|error| chain(&error))
    });
    let path = path.display();
    let (state, age) = match read.await {
        Ok(Ok(None)) => return (State::default(), Vec::new()),
        Ok(Ok(Some(kept))) => kept,
        Ok(Err(why)) => {
            let left = format!("What is kept in {path} is not gone on with: {why}");
            return (State::default(), vec![Remark::LeftOut(left)]);
        }
        Err(error) => {
            let left = format!("{path} was not read: {}", chain(&error));
            return (State::default(), vec![Remark::LeftOut(left)]);
        }
    };
    let checks = match age {
        Ok(age) => Remark::GoneOnWith(format!(
            "Going on with what was known {} s ago of {} checks, from {path}",
            age.as_secs(),
            state.checks.len()
        )),
        Err(outdated) => Remark::LeftOut(format!(
            "What checks knew is not gone on with, from {path}: {outdated}"
        )),
    };
    let orders = state.orders.iter().map(|(server, order)| {
        Remark::GoneOnWith(format!("Order taken up from {path}: {server}: {order}"))
    });
    let remarks = std::iter::once(checks).chain(orders).collect();
    (state, remarks)
}

#[expect(clippy::disallowed_methods, reason = "the driver's clock of the file")]
fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}
