//! Addresses on the interfaces of a fake host.

use std::{
    collections::{BTreeMap, VecDeque},
    io, mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::{sync::Notify, time};

use super::{Host, host::NoSuchInterface, lan::now};
use crate::{Vip, VipError, VipManager};

/// A [`VipManager`] for the interfaces of a [`Host`], with a journal, and failures on request.
///
/// Answers as the kernel does: what is there already is fine, an interface that is missing is an
/// error except for [`VipManager::release`], an announcement needs an interface that runs. An
/// operation takes effect and enters the journal when it ends, so one that is dropped while it is
/// delayed or hangs has done nothing. It waits while the host is frozen.
///
/// Two of them on one host have journals and failures of their own: the second is another process,
/// which left addresses behind or takes ours away.
///
/// A handle: clones are the same one.
///
/// ```
/// use std::io::ErrorKind;
/// use vrrp::{Vip, VipManager, fake::{Host, Lan, Operation, VipEvent, Vips}};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let host = Host::new();
/// host.add_interface("eth0", &Lan::new(0), []);
/// let vips = Vips::on(&host);
/// let vip = "192.0.2.100/24".parse::<Vip>()?.on("eth0");
///
/// vips.fail_next(Operation::Acquire, ErrorKind::PermissionDenied);
/// assert!(vips.acquire(&[vip.clone()]).await.is_err());
/// vips.acquire(&[vip.clone()]).await?;
/// vips.announce(&[vip.clone()]).await?;
///
/// assert_eq!(vips.list("eth0").await?, [vip.clone()]);
/// assert_eq!(
///     vips.events(),
///     [
///         VipEvent::Failed(Operation::Acquire, vec![vip.clone()]),
///         VipEvent::Acquired(vec![vip.clone()]),
///         VipEvent::Announced(vec![vip]),
///     ],
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Vips {
    host: Host,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    recovered: Notify,
}

#[derive(Debug, Default)]
struct State {
    journal: Vec<VipRecord>,
    scripts: BTreeMap<Operation, Script>,
    /// Addresses that cannot be put on an interface.
    refused: BTreeMap<IpAddr, io::ErrorKind>,
}

/// How an operation is going to fail.
#[derive(Debug, Default)]
struct Script {
    next: VecDeque<io::ErrorKind>,
    every: Option<io::ErrorKind>,
    hangs: bool,
    delay: Duration,
}

/// An operation of a [`VipManager`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`VipManager::acquire`].
    Acquire,
    /// [`VipManager::release`].
    Release,
    /// [`VipManager::announce`].
    Announce,
    /// [`VipManager::list`].
    List,
}

/// An operation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VipRecord {
    /// When it ended, on tokio's clock.
    pub at: Instant,
    /// What was done.
    pub event: VipEvent,
}

/// What an operation did, with the addresses it was given. Lists that worked are not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VipEvent {
    /// All are on their interfaces now.
    Acquired(Vec<Vip>),
    /// None is on its interface now.
    Released(Vec<Vip>),
    /// All were announced.
    Announced(Vec<Vip>),
    /// At least one was not: what had been asked for.
    Failed(Operation, Vec<Vip>),
}

impl Vips {
    /// The addresses of a host.
    #[must_use]
    pub fn on(host: &Host) -> Self {
        Self {
            host: host.clone(),
            shared: Arc::default(),
        }
    }

    /// Lets the next call fail, without effect; called again, the one after it too, and so on.
    ///
    /// [`io::ErrorKind::PermissionDenied`] makes it a [`VipError::Forbidden`],
    /// [`io::ErrorKind::TimedOut`] a [`VipError::Unanswered`], any other a [`VipError::Refused`].
    pub fn fail_next(&self, operation: Operation, error: io::ErrorKind) {
        self.script(operation, |script| script.next.push_back(error));
    }

    /// Lets every call fail, without effect, until [`Vips::recover`].
    pub fn fail_every(&self, operation: Operation, error: io::ErrorKind) {
        self.script(operation, |script| script.every = Some(error));
    }

    /// Lets every call hang until [`Vips::recover`].
    pub fn hang(&self, operation: Operation) {
        self.script(operation, |script| script.hangs = true);
    }

    /// Lets every call take so long until [`Vips::recover`].
    pub fn delay(&self, operation: Operation, delay: Duration) {
        self.script(operation, |script| script.delay = delay);
    }

    /// Lets an operation work again: calls that hang go on, what was still to fail does not.
    pub fn recover(&self, operation: Operation) {
        self.script(operation, |script| *script = Script::default());
        self.shared.recovered.notify_waiters();
    }

    /// Lets one address be refused when it is acquired, and the others of its set not; `None`: no
    /// more.
    pub fn refuse(&self, address: IpAddr, error: Option<io::ErrorKind>) {
        let refused = &mut self.lock().refused;
        match error {
            Some(error) => refused.insert(address, error),
            None => refused.remove(&address),
        };
    }

    /// What has been done so far, the oldest first, and when.
    #[must_use]
    pub fn journal(&self) -> Vec<VipRecord> {
        self.lock().journal.clone()
    }

    /// What has been done so far, the oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<VipEvent> {
        let state = self.lock();
        let records = state.journal.iter();
        records.map(|record| record.event.clone()).collect()
    }

    /// Forgets what has been done so far, and returns it.
    pub fn take_journal(&self) -> Vec<VipRecord> {
        mem::take(&mut self.lock().journal)
    }

    fn script(&self, operation: Operation, change: impl FnOnce(&mut Script)) {
        change(self.lock().scripts.entry(operation).or_default());
    }

    /// Waits as long as the operation is told to take, and fails if it is told to.
    async fn begin(&self, operation: Operation) -> io::Result<()> {
        let delay = self
            .lock()
            .scripts
            .get(&operation)
            .map(|script| script.delay);
        if let Some(delay) = delay.filter(|delay| !delay.is_zero()) {
            time::sleep(delay).await;
        }
        loop {
            let recovered = self.shared.recovered.notified();
            self.host.thawed().await;
            let verdict = match self.lock().scripts.get_mut(&operation) {
                Some(script) if script.hangs => None,
                Some(script) => Some(script.next.pop_front().or(script.every)),
                None => Some(None),
            };
            match verdict {
                None => recovered.await,
                Some(None) => return Ok(()),
                Some(Some(error)) => return Err(error.into()),
            }
        }
    }

    /// Does something to each address, and tells the first that it could not be done to.
    fn each(
        operation: Operation,
        vips: &[Vip],
        act: impl Fn(&str, &Vip) -> Result<(), Failure>,
    ) -> Result<(), VipError> {
        let unnamed = || io::Error::new(io::ErrorKind::InvalidInput, "it names no interface");
        let failures: Vec<_> = vips
            .iter()
            .filter_map(|vip| {
                let done = match vip.interface.as_deref() {
                    Some(interface) => act(interface, vip),
                    None => Err(Failure::Refused(unnamed())),
                };
                done.err().map(|failure| (vip, failure))
            })
            .collect();
        let failed = failures.len();
        match failures.into_iter().next() {
            None => Ok(()),
            Some((vip, Failure::NoSuchInterface)) => Err(VipError::NoSuchInterface {
                operation: operation.verb(),
                vip: vip.to_string(),
                interface: vip.interface.clone().unwrap_or_default(),
            }),
            Some((vip, Failure::Refused(source))) => Err(refusal(
                operation,
                vip.to_string(),
                (failed, vips.len()),
                source,
            )),
        }
    }

    /// Enters an operation that has ended in the journal.
    fn end(&self, operation: Operation, vips: &[Vip], done: &Result<(), VipError>) {
        let vips = vips.to_vec();
        let event = match (done, operation) {
            (Err(_), _) => VipEvent::Failed(operation, vips),
            (Ok(()), Operation::Acquire) => VipEvent::Acquired(vips),
            (Ok(()), Operation::Release) => VipEvent::Released(vips),
            (Ok(()), Operation::Announce) => VipEvent::Announced(vips),
            (Ok(()), Operation::List) => return,
        };
        let at = now();
        self.lock().journal.push(VipRecord { at, event });
    }

    async fn run(
        &self,
        operation: Operation,
        vips: &[Vip],
        act: impl Fn(&str, &Vip) -> Result<(), Failure>,
    ) -> Result<(), VipError> {
        let done = match self.begin(operation).await {
            Ok(()) => Self::each(operation, vips, act),
            Err(source) => {
                let first = vips.first().map(Vip::to_string).unwrap_or_default();
                Err(refusal(operation, first, (vips.len(), vips.len()), source))
            }
        };
        self.end(operation, vips, &done);
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock is the one to be heard of.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl VipManager for Vips {
    async fn acquire(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.run(Operation::Acquire, vips, |interface, vip| {
            if let Some(error) = self.lock().refused.get(&vip.address) {
                return Err(Failure::Refused((*error).into()));
            }
            Ok(self.host.put(interface, vip)?)
        })
        .await
    }

    async fn release(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.run(Operation::Release, vips, |interface, vip| {
            self.host.take(interface, vip);
            Ok(())
        })
        .await
    }

    async fn announce(&self, vips: &[Vip]) -> Result<(), VipError> {
        self.run(Operation::Announce, vips, |interface, _| {
            match self.host.look(interface)? {
                (_, true) => Ok(()),
                (_, false) => Err(Failure::Refused(io::ErrorKind::NetworkDown.into())),
            }
        })
        .await
    }

    async fn list(&self, interface: &str) -> Result<Vec<Vip>, VipError> {
        let operation = Operation::List;
        let done = match self.begin(operation).await {
            Err(source) => Err(refusal(operation, interface.to_owned(), (1, 1), source)),
            Ok(()) => match self.host.look(interface) {
                Ok((vips, _)) => Ok(vips),
                Err(NoSuchInterface) => Err(VipError::NoSuchInterface {
                    operation: operation.verb(),
                    vip: interface.to_owned(),
                    interface: interface.into(),
                }),
            },
        };
        if done.is_err() {
            let event = VipEvent::Failed(operation, Vec::new());
            self.lock().journal.push(VipRecord { at: now(), event });
        }
        done
    }
}

/// Why an operation failed for one address.
enum Failure {
    NoSuchInterface,
    Refused(io::Error),
}

impl From<NoSuchInterface> for Failure {
    fn from(NoSuchInterface: NoSuchInterface) -> Self {
        Self::NoSuchInterface
    }
}

fn refusal(
    operation: Operation,
    vip: String,
    (failed, tried): (usize, usize),
    source: io::Error,
) -> VipError {
    let operation = operation.verb();
    // A kind of error that is not listed is a refusal like any other.
    if source.kind() == io::ErrorKind::PermissionDenied {
        VipError::Forbidden {
            operation,
            vip,
            source,
        }
    } else if source.kind() == io::ErrorKind::TimedOut {
        VipError::Unanswered {
            operation,
            vip,
            source,
        }
    } else {
        VipError::Refused {
            operation,
            vip,
            failed,
            tried,
            source,
        }
    }
}

impl Operation {
    const fn verb(self) -> &'static str {
        match self {
            Self::Acquire => "add",
            Self::Release => "remove",
            Self::Announce => "announce",
            Self::List => "list",
        }
    }
}
