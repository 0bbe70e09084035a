//! Load balancing by rules of nftables, for kernels that have nf_tables but not IPVS.
//!
//! [`NftablesBackend`] is an [`IpvsBackend`] whose services are rules that
//! translate the destination of a client's first packet; connection tracking does the rest. The
//! program `nft` (1.0.6 or newer) and Linux 5.9 or newer are needed, and CAP_NET_ADMIN in the
//! network namespace: a container of its own will do.
//!
//! ```no_run
//! use ipvs::{IpvsBackend, nftables::NftablesBackend, plan, text::parse_table};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let nftables = NftablesBackend::new();
//! let desired = parse_table(
//!     "-A -t 10.1.0.100:80 -s wrr\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m -w 2\n",
//! )
//! .map_err(|errors| errors[0].clone())?;
//! let current = nftables.snapshot().await?.table();
//! for outcome in nftables.apply(&plan(&current, &desired)).await? {
//!     assert!(outcome.is_done(), "{outcome:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is as with IPVS
//!
//! The table, its errors and its order. Services of TCP, UDP and SCTP, of all ports of an address,
//! and of firewall marks; IPv4 and IPv6; clients elsewhere and on this machine. `rr`, `wrr` and `fo`
//! choose in the order of IPVS and begin anew when their service or one of its destinations is
//! changed. A destination of weight 0 gets no new connections and keeps those it has. A client that
//! reaches no destination is told that the port is unreachable. As with IPVS the client's address
//! is not translated: answers have to come back through the director, which has to forward
//! ([`Forwarder`](crate::Forwarder)).
//!
//! # What is not
//!
//! * What nftables cannot do is refused, [`RefusalReason::NotInNftables`] says why: the schedulers
//!   that count connections (`lc`, `wlc`, `sed`, `nq`, `lblc`, `lblcr`, `ovf`, `twos`), thresholds,
//!   one-packet services, persistence engines, sync daemons, timeouts, and every forwarding method
//!   but NAT (`-m`).
//! * `sh`, `dh` and `mh` choose by another hash, which is the same on every director: a client gets
//!   another server than from IPVS, but always the same one. `mh` has 251 places; one destination
//!   more or less changes no place but its own.
//! * Weights are rounded to shares in 1024 if they do not fit.
//! * A connection goes on for as long as connection tracking knows it, also to a destination that
//!   was removed.
//! * Persistence is of the service and its destination, for 65,536 clients of each; its time runs
//!   from the client's last new connection. A service with persistence looks for a known client
//!   in one destination after the other.
//! * Of what passed only the connections are counted: those that a destination was given, and those
//!   that came to a service, also in vain. Numbers of connections at the moment are told as 0:
//!   a drain waits for nothing, which cuts no connection off.
//!
//! # One step
//!
//! All changes of one [`apply`](crate::IpvsBackend::apply) are one transaction: no packet sees a
//! part of it. What it does not change is not touched, and neither are connections.
//!
//! # Where it is kept
//!
//! In a table of our own, [`TABLE`] of family `inet` unless named otherwise; nothing else is ever
//! read or changed. A service is a chain, and so is each of its destinations, in whose comments the
//! command of ipvsadm stands that would add it; the age of destinations is the order of their
//! chains. A program that starts reads the table from there, and one that ends leaves it working. A
//! service whose chains, elements or numbers of rules are not as they were made is not told of, so
//! that who keeps the table ([`spawn`](crate::spawn)) makes it anew. With the last service the table
//! goes. A table of that name that
//! somebody else made is left alone: [`IpvsError::NotOurs`]. `nft delete table inet takeover`
//! removes all of it.

mod commands;
mod found;
mod means;
mod ruleset;
mod slots;

#[cfg(test)]
mod tests;

use std::time::Instant;

use async_trait::async_trait;

use self::{commands::commands, found::Found, means::can_do, ruleset::Ruleset};
use crate::{
    Change, ChangeOutcome, IpvsBackend, IpvsError, NetfilterError, Refusal, RefusalReason,
    Snapshot, netfilter::run, plane::Plane,
};

/// The name of our table, of family `inet`, unless it is given another.
pub const TABLE: &str = "takeover";

/// A table of virtual services in nftables. See the module.
///
/// It works in the network namespace of the thread that asks.
#[derive(Debug)]
pub struct NftablesBackend {
    table: Box<str>,
    /// What is read must not have changed when it is written.
    changing: tokio::sync::Mutex<()>,
}

impl Default for NftablesBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl NftablesBackend {
    /// In [`TABLE`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: TABLE.into(),
            changing: tokio::sync::Mutex::default(),
        }
    }

    /// In a table of another name: up to 128 letters, digits, `_` and `-`, a letter first. `None`:
    /// that is no name.
    #[must_use]
    pub fn in_table(name: &str) -> Option<Self> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= 128
            && name.chars().all(is_word);
        is_name.then(|| Self {
            table: name.into(),
            changing: tokio::sync::Mutex::default(),
        })
    }

    async fn read(&self) -> Result<Found, IpvsError> {
        let arguments = ["-j", "list", "table", "inet", &self.table];
        let listed = match run("nft", &arguments, "").await {
            Ok(listed) => listed,
            Err(NetfilterError::Refused { text, .. })
                if text.contains("No such file or directory") =>
            {
                return Ok(Found::default());
            }
            Err(source) => {
                let operation = "read the table of nftables";
                return Err(IpvsError::Nft { operation, source });
            }
        };
        let found = Found::read(&listed).ok_or_else(|| IpvsError::Nft {
            operation: "understand the table of nftables",
            source: NetfilterError::Refused {
                program: "nft",
                text: listed.chars().take(200).collect(),
            },
        })?;
        if found.is_foreign() {
            let table = self.table.clone();
            return Err(IpvsError::NotOurs { table });
        }
        Ok(found)
    }
}

/// A plane is told the time, on which nothing depends here.
#[expect(clippy::disallowed_methods, reason = "any instant serves")]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A plane whose table is that one.
fn plane_of(snapshot: &Snapshot, now: Instant) -> Plane {
    let mut plane = Plane::new();
    for service in &snapshot.services {
        let (key, settings) = (service.key, service.settings);
        let mut enter = |change| {
            let entered = plane.apply(&change, now);
            debug_assert!(entered.is_ok(), "{change} was refused");
        };
        enter(Change::AddService {
            service: key,
            settings,
        });
        for it in service.destinations.iter().rev() {
            enter(Change::AddDestination {
                service: key,
                destination: it.key,
                settings: it.settings,
            });
        }
    }
    plane.running.services.clone_from(&snapshot.services);
    plane
}

/// Makes a change of the plane if nftables can do it. Of what the kernel refuses anyhow its reason
/// is told.
fn make(plane: &mut Plane, change: &Change, now: Instant) -> Result<(), RefusalReason> {
    let known = change
        .service()
        .map(|key| plane.running.service(&key).is_some());
    let adds = matches!(change, Change::AddService { .. });
    if known.is_none() || known != Some(adds) {
        can_do(change)?;
    }
    let made = plane.apply(change, now);
    made.map_err(|errno| Refusal::from_errno(*change, errno).reason)
}

#[async_trait]
impl IpvsBackend for NftablesBackend {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        let mut snapshot = Plane::new().running;
        snapshot.services = self.read().await?.snapshot(now()).services;
        Ok(snapshot)
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        let _one_at_a_time = self.changing.lock().await;
        let found = self.read().await?;
        let now = now();
        let before = found.snapshot(now);
        let mut plane = plane_of(&before, now);
        let outcomes = changes.iter().map(|change| {
            let made = make(&mut plane, change, now);
            made.map_or_else(
                |reason| {
                    ChangeOutcome::Refused(Refusal {
                        change: *change,
                        reason,
                        kernel_text: None,
                    })
                },
                |()| ChangeOutcome::Done,
            )
        });
        let outcomes: Vec<_> = outcomes.collect();
        if outcomes.iter().any(ChangeOutcome::is_done) {
            let (before, after) = (Ruleset::of(&before, now), Ruleset::of(&plane.running, now));
            let text = commands(&self.table, &found, &before, &after);
            if !text.is_empty() {
                let written = run("nft", &["-f", "-"], &text).await;
                written.map_err(|source| IpvsError::Nft {
                    operation: "change the table of nftables",
                    source,
                })?;
            }
        }
        Ok(outcomes)
    }
}
