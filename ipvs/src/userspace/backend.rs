//! The data plane as a backend.

use std::{io, sync::Arc};

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::{
    config::{Config, Limits, ProxyProtocol, Source},
    listener::listens_on,
    now,
    shard::{Order, Shard},
    shared::{ShardId, Shared},
    source::may_pretend,
    tally::Tally,
};
use crate::{
    Change, ChangeOutcome, Connection, Endpoint, IpvsBackend, IpvsError, Refusal, RefusalReason,
    ServiceKey, Snapshot, sys::splice::most_descriptors,
};

/// A table of virtual services whose connections this process carries itself.
///
/// Dropping it resets its connections and waits for its threads, which end at once.
#[derive(Debug)]
pub struct UserspaceBackend {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
    /// One at a time changes the table and what listens.
    changing: tokio::sync::Mutex<()>,
}

impl UserspaceBackend {
    /// Starts the threads of a data plane whose table is empty. Its sockets are of the network
    /// namespace that the calling thread is in.
    ///
    /// # Errors
    /// The machine gives no threads or descriptors; or no permission for [`Source::Client`].
    pub fn start(config: Config) -> io::Result<Self> {
        if config.source == Source::Client {
            may_pretend()?;
        }
        let limits = Limits::new(&config, most_descriptors()?);
        let count = config.shards.get();
        let shared = Arc::new(Shared::new(config, limits));
        let shards = (0..count).map(|id| Shard::start(Arc::clone(&shared), ShardId(id)));
        let shards = shards.collect::<io::Result<_>>()?;
        Ok(Self {
            shared,
            shards,
            changing: tokio::sync::Mutex::default(),
        })
    }

    /// Every connection, in the order of the clients, and the persistence templates, as
    /// [`fake::Kernel::connections`](crate::fake::Kernel::connections) lists them.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.shared.settled().plane.connections(now())
    }

    /// What became of the clients that came.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.counting.tally()
    }

    /// How many connections are carried at the moment.
    #[must_use]
    pub fn carried(&self) -> usize {
        self.shared.core().carried()
    }

    /// What it takes at most.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.shared.limits
    }

    /// Has the destinations of a service, or one of them, told who their clients are; `None`: no
    /// longer. What is set for a destination goes before what is set for its service. It holds for
    /// connections that begin from now on, whether there is such a service yet or not. Idempotent.
    pub fn set_proxy_protocol(
        &self,
        service: ServiceKey,
        destination: Option<Endpoint>,
        version: Option<ProxyProtocol>,
    ) {
        self.shared
            .core()
            .set_proxy_protocol(service, destination, version);
    }

    async fn make(&self, change: &Change) -> Result<(), RefusalReason> {
        match change {
            Change::AddService { service, settings } => {
                let at = listens_on(service, settings)?;
                self.enter(change)?;
                if let Err(error) = self.listen(*service, at).await {
                    let service = *service;
                    self.enter(&Change::RemoveService { service })?;
                    let number = error.raw_os_error().unwrap_or(libc::EIO);
                    return Err(RefusalReason::CannotListen(number));
                }
            }
            Change::SetService { service, settings } => {
                if self.services().contains(service) {
                    listens_on(service, settings)?;
                }
                self.enter(change)?;
            }
            Change::RemoveService { service } => {
                self.enter(change)?;
                self.close(*service).await;
            }
            Change::Flush => {
                let services = self.services();
                self.enter(change)?;
                for service in services {
                    self.close(service).await;
                }
            }
            Change::StartDaemon(_) => {
                return Err(RefusalReason::NotInUserspace(
                    "tells no other director of its connections: leave the sync daemon out",
                ));
            }
            Change::AddDestination { .. }
            | Change::SetDestination { .. }
            | Change::RemoveDestination { .. }
            | Change::SetTimeouts(_)
            | Change::StopDaemon(_)
            | Change::Zero(_) => self.enter(change)?,
        }
        Ok(())
    }

    /// Makes a change of the table. Counters are settled before, so that a change that zeroes them
    /// leaves nothing.
    fn enter(&self, change: &Change) -> Result<(), RefusalReason> {
        let entered = self.shared.settled().plane.apply(change, now());
        entered.map_err(|errno| Refusal::from_errno(*change, errno).reason)
    }

    fn services(&self) -> Vec<ServiceKey> {
        let core = self.shared.core();
        core.plane.services().map(|service| service.key).collect()
    }

    /// Listens on every shard, or on none.
    async fn listen(&self, service: ServiceKey, at: Endpoint) -> io::Result<()> {
        let opening = self.shards.iter().map(|shard| {
            let (done, opened) = oneshot::channel();
            shard.order(Order::Listen { service, at, done });
            opened
        });
        let mut all = Ok(());
        for opened in opening.collect::<Vec<_>>() {
            match opened.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => all = Err(error),
                // The shard has ended.
                Err(_) => all = Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
        if all.is_err() {
            self.close(service).await;
        }
        all
    }

    /// Returns when no shard listens any more.
    async fn close(&self, service: ServiceKey) {
        let closing = self.shards.iter().map(|shard| {
            let (done, closed) = oneshot::channel();
            shard.order(Order::Close { service, done });
            closed
        });
        for closed in closing.collect::<Vec<_>>() {
            // A shard that has ended listens no more either.
            drop(closed.await);
        }
    }
}

#[async_trait]
impl IpvsBackend for UserspaceBackend {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        Ok(self.shared.settled().plane.snapshot())
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        let _one_at_a_time = self.changing.lock().await;
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(match self.make(change).await {
                Ok(()) => ChangeOutcome::Done,
                Err(reason) => ChangeOutcome::Refused(Refusal {
                    change: *change,
                    reason,
                    kernel_text: None,
                }),
            });
        }
        Ok(outcomes)
    }
}
