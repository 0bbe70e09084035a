//! The kernel's own table, over generic netlink.
//!
//! [`Kernel::connect`] gives an [`IpvsBackend`] of the network namespace that the calling thread is
//! in:
//!
//! ```no_run
//! use ipvs::{IpvsBackend, netlink::Kernel, plan, text::parse_table};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::connect().await?;
//! let desired = parse_table("-A -t 192.0.2.100:80 -s rr\n-a -t 192.0.2.100:80 -r 192.0.2.1 -g\n")
//!     .map_err(|errors| errors[0].clone())?;
//! let current = kernel.snapshot().await?.table();
//! for outcome in kernel.apply(&plan(&current, &desired)).await? {
//!     println!("{outcome:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//! CAP_NET_ADMIN in the first user namespace, for reading too: root inside `unshare --user` will
//! not do, whatever network namespace it made. And the module ip_vs: where modules can be loaded,
//! the kernel loads it by itself when it is first asked for; otherwise [`IpvsError::Unavailable`]
//! says so. It loads schedulers and persistence engines by itself too.
//!
//! # Network namespaces
//! Every network namespace has a table of its own. The socket belongs to the namespace of the
//! thread that polls [`Kernel::connect`] first; one that has to be opened again later is opened on
//! a thread that stays there.
//!
//! # Threads
//! The kernel works on a request inside the system call that sends it, and keeps it waiting for as
//! long as it loads a module or somebody else changes the table. So there is one thread for each
//! [`Kernel`], named `ipvs-netlink`, which sleeps while nothing is asked and ends when the last
//! clone is dropped. What runs on the caller's runtime never waits for the kernel. That runtime
//! needs its time driver.
//!
//! # How it asks
//! * One socket, on which the family is looked up once. It takes messages from the kernel alone.
//! * Changes go out up to 128 in a datagram, of which the last one alone is acknowledged: the kernel
//!   works through them in order and always says what it refuses, so the others went well if it says
//!   nothing before the last. What it does with one does not depend on what it did with the one
//!   before, so none is left out.
//! * Lists are read one after the other, because a socket can have only one in the making: first
//!   the services, then the destinations of each. Lists may have any length.
//! * What is asked without an answer (ENOBUFS, a list that changed while it was made, silence for
//!   a second, a socket that broke, ip_vs unloaded and loaded again) is asked again over a new
//!   socket, up to three times. A change is not, unless it is certain that the kernel has not seen
//!   it: it is [`ChangeOutcome::Unanswered`]. Linux answers one change with silence even where an
//!   acknowledgement is asked for: that a sync daemon stop which was started so shortly before that
//!   it has not begun; it is stopped then.
//! * Every request has a number, and answers to another one are passed over.
//!
//! Socket, headers and the lookup of the family are neli's. Its routers are not used: they hold
//! back all answers once a list of more than 1,024 rows is not read while another request waits,
//! drop the kernel's own words about an error, and send one request at a time.

use std::{collections::BTreeSet, io};

use async_trait::async_trait;
use tokio::{fs::File, io::BufReader};

use crate::{
    Change, ChangeOutcome, Connections, IpvsBackend, IpvsError, Refusal, ServiceKey, Snapshot,
    backend::errno,
};

mod family;
mod frame;
mod link;
mod socket;
mod worker;

use self::{
    frame::Answer,
    link::{Fault, Link},
    socket::Socket,
    worker::Worker,
};

/// How many changes go into one datagram. Each that is refused takes about 1 KiB of the socket's
/// receive buffer (208 KiB by default) until all are there, and what does not fit is lost.
const BATCH: usize = 128;

/// The kernel's list of connections, for the calling thread's network namespace.
const CONNECTIONS: &str = "/proc/thread-self/net/ip_vs_conn";

/// The kernel's table in one network namespace. A handle: clones share its socket and thread.
#[derive(Debug, Clone)]
pub struct Kernel {
    worker: Worker,
}

impl Kernel {
    /// Connects to the kernel and waits until it has answered. Cancel safe.
    ///
    /// # Errors
    /// The kernel has no IPVS, the process lacks the capability, or there is no answer.
    ///
    /// # Panics
    /// Outside of a tokio runtime with a time driver.
    pub async fn connect() -> Result<Self, IpvsError> {
        let open = || socket::open().map(|it| Box::new(it) as Box<dyn Socket>);
        Self::over(Link::new(Box::new(open))).await
    }

    /// The connections of the network namespace. Cancel safe.
    ///
    /// # Errors
    /// The kernel's list cannot be opened.
    pub async fn connections(&self) -> Result<Connections<BufReader<File>>, IpvsError> {
        // By the thread that is in the namespace: `/proc/net` is that of the process' first one.
        let opened = self.worker.call(|_| Ok(std::fs::File::open(CONNECTIONS)));
        let opened = opened
            .await
            .map_err(|fault| fault.told("list connections"))?;
        let file = opened.map_err(|source| IpvsError::NoConnections {
            path: CONNECTIONS,
            source,
        })?;
        Ok(Connections::new(BufReader::new(File::from_std(file))))
    }

    async fn over(link: Link) -> Result<Self, IpvsError> {
        const OPERATION: &str = "connect to IPVS";
        let worker = Worker::start(link).map_err(|source| IpvsError::NoSocket {
            operation: OPERATION,
            source,
        })?;
        worker
            .call(Link::check)
            .await
            .map_err(|fault| fault.told(OPERATION))?;
        Ok(Self { worker })
    }

    /// Reads the services that are wanted. The kernel lists them all at once, and the destinations
    /// of one at a time.
    async fn read(&self, wanted: impl Fn(&ServiceKey) -> bool) -> Result<Snapshot, IpvsError> {
        const OPERATION: &str = "read the table";
        let overview = self.worker.call(Link::overview).await;
        let mut snapshot = overview.map_err(|fault| fault.told(OPERATION))?;
        snapshot.services.retain(|service| wanted(&service.key));
        // In pieces, so that the time for an answer is that for a piece and not for any table.
        for services in snapshot.services.chunks_mut(BATCH) {
            let keys: Vec<_> = services.iter().map(|service| service.key).collect();
            let lists = self.worker.call(|link| {
                let lists = keys.into_iter().map(|key| link.destinations(key));
                lists.collect::<Result<Vec<_>, _>>()
            });
            let lists = lists.await.map_err(|fault| fault.told(OPERATION))?;
            for (service, (destinations, unreadable)) in services.iter_mut().zip(lists) {
                service.destinations = destinations;
                snapshot.unreadable.extend(unreadable);
            }
        }
        for row in &snapshot.unreadable {
            tracing::debug!(cause = %row.cause, "{row}");
        }
        Ok(snapshot)
    }
}

#[async_trait]
impl IpvsBackend for Kernel {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        self.read(|_| true).await
    }

    async fn snapshot_of(&self, services: &BTreeSet<ServiceKey>) -> Result<Snapshot, IpvsError> {
        self.read(|service| services.contains(service)).await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for batch in changes.chunks(BATCH) {
            let asked = batch.to_vec();
            match self.worker.call(move |link| link.apply(&asked)).await {
                Ok(answers) => outcomes.extend(batch.iter().zip(answers).map(outcome)),
                Err(fault) if outcomes.is_empty() && !matches!(fault, Fault::Lost(_)) => {
                    return Err(fault.told("change the table"));
                }
                Err(fault) => {
                    tracing::debug!(?fault, "no more changes are asked for");
                    break;
                }
            }
        }
        outcomes.resize(changes.len(), ChangeOutcome::Unanswered);
        Ok(outcomes)
    }
}

fn outcome((change, answer): (&Change, Option<Answer>)) -> ChangeOutcome {
    match answer {
        None => ChangeOutcome::Unanswered,
        Some(Ok(())) => ChangeOutcome::Done,
        Some(Err(denial)) => {
            let mut refusal = Refusal::from_errno(*change, denial.errno);
            refusal.kernel_text = denial.text;
            ChangeOutcome::Refused(refusal)
        }
    }
}

impl Fault {
    /// The error that a caller is told.
    fn told(self, operation: &'static str) -> IpvsError {
        match self {
            Self::NoSocket(source) => IpvsError::NoSocket { operation, source },
            Self::NoFamily => IpvsError::Unavailable { operation },
            Self::Broken(source) | Self::Lost(source) => {
                IpvsError::Unanswered { operation, source }
            }
            Self::Refused(denial) => {
                let source = io::Error::from_raw_os_error(denial.errno);
                match denial.errno {
                    errno::EPERM => IpvsError::Forbidden { operation, source },
                    _ => IpvsError::Refused { operation, source },
                }
            }
        }
    }
}

#[cfg(test)]
mod byte_kernel;
#[cfg(test)]
mod tests;
