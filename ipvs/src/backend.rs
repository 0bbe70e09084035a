//! The trait behind which the kernel is, and how it answers.

use std::{collections::BTreeSet, io, sync::Arc};

use async_trait::async_trait;

use crate::{Change, EngineName, NetfilterError, SchedulerName, ServiceKey, Snapshot};

/// A table of virtual services: the kernel's, or one in memory ([`fake::Kernel`]).
///
/// Implement with `#[async_trait]`, which this crate re-exports.
///
/// [`fake::Kernel`]: crate::fake::Kernel
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
#[async_trait]
pub trait IpvsBackend: Send + Sync {
    /// Reads everything there is. Cancel safe.
    ///
    /// Not one moment: a table that is changed meanwhile can have rows that are left out or told
    /// twice.
    ///
    /// # Errors
    /// It cannot be read, or not to the end; nothing is told rather than a part.
    async fn snapshot(&self) -> Result<Snapshot, IpvsError>;

    /// As [`snapshot`](Self::snapshot), but of these services alone, as far as they are there. By
    /// default it reads everything. Cancel safe.
    ///
    /// # Errors
    /// As of [`snapshot`](Self::snapshot).
    async fn snapshot_of(&self, services: &BTreeSet<ServiceKey>) -> Result<Snapshot, IpvsError> {
        let mut snapshot = self.snapshot().await?;
        snapshot.services.retain(|it| services.contains(&it.key));
        Ok(snapshot)
    }

    /// Makes changes in their order, each whatever became of the one before it, and tells of each
    /// what became of it: as many outcomes as changes.
    ///
    /// Not idempotent: a service that is there cannot be added again. Not cancel safe: a dropped
    /// call may have made some of the changes; read the table again.
    ///
    /// # Errors
    /// None of the changes could be asked for.
    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError>;
}

#[async_trait]
impl<T: IpvsBackend + ?Sized> IpvsBackend for Arc<T> {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        (**self).snapshot().await
    }

    async fn snapshot_of(&self, services: &BTreeSet<ServiceKey>) -> Result<Snapshot, IpvsError> {
        (**self).snapshot_of(services).await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        (**self).apply(changes).await
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "yes, no, unknown")]
#[must_use]
pub enum ChangeOutcome {
    /// It was made.
    Done,
    /// It was refused.
    Refused(Refusal),
    /// No answer came: it may have been made or not.
    Unanswered,
}

impl ChangeOutcome {
    /// Whether it was made for certain.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// A change that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {change}: {reason}{}", in_its_words(.kernel_text.as_deref()))]
#[non_exhaustive]
pub struct Refusal {
    /// The change.
    pub change: Change,
    /// Why.
    pub reason: RefusalReason,
    /// The kernel's own words (`NLMSGERR_ATTR_MSG`), which it has for few errors.
    pub kernel_text: Option<Box<str>>,
}

fn in_its_words(text: Option<&str>) -> String {
    text.map(|text| format!(" (the kernel says: {text})"))
        .unwrap_or_default()
}

/// Why the kernel refuses a change, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RefusalReason {
    /// EEXIST.
    #[error("the service is there already, edit it instead")]
    ServiceExists,
    /// ESRCH.
    #[error("there is no such service, add it before")]
    NoSuchService,
    /// EEXIST.
    #[error("the destination is there already, edit it instead")]
    DestinationExists,
    /// ENOENT.
    #[error("the service has no such destination, add it before, mind its port")]
    NoSuchDestination,
    /// ENOENT.
    #[error("the kernel has no scheduler `{0}`, load its module (modprobe ip_vs_{0})")]
    NoScheduler(SchedulerName),
    /// ENOENT: which of both is missing is not told.
    #[error(
        "the kernel lacks scheduler `{0}` or persistence engine `{1}`, load their modules \
         (modprobe ip_vs_{0} ip_vs_pe_{1})"
    )]
    NoSchedulerOrEngine(SchedulerName, EngineName),
    /// EEXIST.
    #[error("a sync daemon of that role runs already, stop it before")]
    DaemonRuns,
    /// ESRCH.
    #[error("no sync daemon of that role runs")]
    NoDaemon,
    /// ENODEV.
    #[error("there is no such interface, or it has no address of the group's family")]
    NoInterface,
    /// EPERM.
    #[error(
        "changing the table needs CAP_NET_ADMIN in the first user namespace, run as root outside \
         of a user namespace"
    )]
    Forbidden,
    /// EINVAL.
    #[error(
        "the kernel takes no such value; is the destination the address of one host, and of the \
         family of its service or reached by tunnel with no sync daemon running?"
    )]
    Invalid,
    /// ERANGE.
    #[error("a number is out of the kernel's range")]
    OutOfRange,
    /// EAFNOSUPPORT.
    #[error(
        "IPv6 is disabled on this machine, enable it (sysctl net.ipv6.conf.all.disable_ipv6=0)"
    )]
    NoIpv6,
    /// ENOMEM.
    #[error("the kernel has no memory left")]
    OutOfMemory,
    /// ENOPROTOOPT and EOPNOTSUPP.
    #[error("the kernel does not know how, it is too old or built without it")]
    Unsupported,
    /// A data plane in user space does not do what the kernel does.
    #[error("the user-space data plane {0}")]
    NotInUserspace(&'static str),
    /// Rules of nftables do not do what the kernel's IPVS does.
    #[error("nftables {0}")]
    NotInNftables(&'static str),
    /// A data plane in user space cannot listen on the address of the service, for the error told.
    #[error("cannot listen there: {}{}", io::Error::from_raw_os_error(*.0), listening(*.0))]
    CannotListen(i32),
    /// Any other.
    #[error("{}", io::Error::from_raw_os_error(*.0))]
    Other(i32),
}

/// What to do if listening fails.
const fn listening(number: i32) -> &'static str {
    match number {
        errno::EACCES => {
            "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE, give it \
             or lower the sysctl"
        }
        errno::EADDRINUSE => "; another program listens there, stop it (ss -ltnup tells which)",
        errno::EMFILE => "; the process has too many open files, raise its limit (ulimit -n)",
        _ => "",
    }
}

/// Numbers of errors on Linux that IPVS answers with.
pub(crate) mod errno {
    pub(crate) const EPERM: i32 = 1;
    pub(crate) const ENOENT: i32 = 2;
    pub(crate) const ESRCH: i32 = 3;
    pub(crate) const ENOMEM: i32 = 12;
    pub(crate) const EACCES: i32 = 13;
    pub(crate) const EEXIST: i32 = 17;
    pub(crate) const ENODEV: i32 = 19;
    pub(crate) const EINVAL: i32 = 22;
    pub(crate) const EMFILE: i32 = 24;
    pub(crate) const ERANGE: i32 = 34;
    pub(crate) const ENOPROTOOPT: i32 = 92;
    pub(crate) const EOPNOTSUPP: i32 = 95;
    pub(crate) const EAFNOSUPPORT: i32 = 97;
    pub(crate) const EADDRINUSE: i32 = 98;
}

impl Refusal {
    /// What an error number (positive, `errno`) means for a change.
    #[must_use]
    pub fn from_errno(change: Change, number: i32) -> Self {
        let reason = match number {
            errno::EEXIST => already_there(&change),
            errno::ESRCH => no_owner(&change),
            errno::ENOENT => not_there(&change),
            errno::EPERM => Some(RefusalReason::Forbidden),
            errno::EINVAL => Some(RefusalReason::Invalid),
            errno::ERANGE => Some(RefusalReason::OutOfRange),
            errno::ENODEV => Some(RefusalReason::NoInterface),
            errno::EAFNOSUPPORT => Some(RefusalReason::NoIpv6),
            errno::ENOMEM => Some(RefusalReason::OutOfMemory),
            errno::ENOPROTOOPT | errno::EOPNOTSUPP => Some(RefusalReason::Unsupported),
            _ => None,
        };
        let reason = reason.unwrap_or(RefusalReason::Other(number));
        Self {
            change,
            reason,
            kernel_text: None,
        }
    }
}

fn already_there(change: &Change) -> Option<RefusalReason> {
    if matches!(change, Change::AddService { .. }) {
        Some(RefusalReason::ServiceExists)
    } else if matches!(change, Change::AddDestination { .. }) {
        Some(RefusalReason::DestinationExists)
    } else if matches!(change, Change::StartDaemon(_)) {
        Some(RefusalReason::DaemonRuns)
    } else {
        None
    }
}

fn no_owner(change: &Change) -> Option<RefusalReason> {
    if matches!(change, Change::StopDaemon(_)) {
        Some(RefusalReason::NoDaemon)
    } else {
        change.service().map(|_| RefusalReason::NoSuchService)
    }
}

fn not_there(change: &Change) -> Option<RefusalReason> {
    if let Change::AddService { settings, .. } | Change::SetService { settings, .. } = change {
        let engine = settings
            .persistence
            .and_then(|persistence| persistence.engine);
        let scheduler = settings.scheduler;
        return Some(match engine {
            None => RefusalReason::NoScheduler(scheduler),
            Some(engine) => RefusalReason::NoSchedulerOrEngine(scheduler, engine),
        });
    }
    let of_destination = matches!(
        change,
        Change::SetDestination { .. } | Change::RemoveDestination { .. }
    );
    of_destination.then_some(RefusalReason::NoSuchDestination)
}

/// Why a table could not be read, or no change be asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IpvsError {
    /// The kernel has no IPVS.
    #[error("cannot {operation}: the kernel has no IPVS, load it (modprobe ip_vs)")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
    },
    /// The process may not.
    #[error(
        "cannot {operation}: that needs CAP_NET_ADMIN in the first user namespace, run as root \
         outside of a user namespace"
    )]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// There is no socket, or no thread, to ask with.
    #[error("cannot {operation}: there is no netlink socket to be had")]
    NoSocket {
        /// What was tried.
        operation: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses for a reason that nothing is known about.
    #[error("cannot {operation}: the kernel refuses to")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The program `nft` has not done as asked.
    #[error("cannot {operation}")]
    Nft {
        /// What was tried.
        operation: &'static str,
        /// What it answered.
        #[source]
        source: NetfilterError,
    },
    /// What is in the table of nftables is somebody else's.
    #[error(
        "the nftables table `inet {table}` is not one of this program: remove it (nft delete table \
         inet {table}), or give ours another name"
    )]
    NotOurs {
        /// Its name.
        table: Box<str>,
    },
    /// The kernel's list of connections cannot be opened.
    #[error("cannot open {path}, is /proc mounted and ip_vs loaded?")]
    NoConnections {
        /// Its path.
        path: &'static str,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The answer did not come, or not to its end.
    #[error("cannot {operation}: the kernel did not answer, or not to the end")]
    Unanswered {
        /// What was tried.
        operation: &'static str,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceKey, ServiceSettings};

    #[test]
    fn an_error_number_means_what_the_change_makes_of_it() {
        let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
        let settings = ServiceSettings::new("nope".parse().unwrap());
        let add = Change::AddService { service, settings };
        let remove = Change::RemoveService { service };
        let text = |change, number| Refusal::from_errno(change, number).to_string();
        assert_eq!(
            text(add, errno::ENOENT),
            "cannot add service TCP 10.1.0.100:80 (nope): the kernel has no scheduler `nope`, load \
             its module (modprobe ip_vs_nope)"
        );
        assert_eq!(
            text(remove, errno::ESRCH),
            "cannot remove service TCP 10.1.0.100:80: there is no such service, add it before"
        );
        assert!(text(Change::Flush, errno::EPERM).contains("CAP_NET_ADMIN"));
        assert!(text(Change::Flush, 5).contains("os error 5"));
    }
}
