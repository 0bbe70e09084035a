//! Control of the Linux kernel's load balancer, IP Virtual Server.
//!
//! A *virtual service* is an address and port (or a firewall mark) whose connections the kernel
//! spreads over *destinations*, also called real servers. ipvsadm sets services up by hand; this
//! crate does it for a program: it knows the table as a value, computes the changes from one table
//! to another, and hands them to a backend.
//!
//! # From what is to what shall be
//!
//! [`plan()`] is pure. It changes only what differs, and in an order in which no service is without
//! destinations on the way. Here on a kernel in memory:
//!
//! ```
//! use ipvs::{IpvsBackend, fake::Kernel, plan, text::parse_table};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! let desired = parse_table(
//!     "-A -t 10.1.0.100:80 -s rr\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m -w 2\n",
//! )
//! .map_err(|errors| errors[0].clone())?;
//!
//! let current = kernel.snapshot().await?.table();
//! for outcome in kernel.apply(&plan(&current, &desired)).await? {
//!     assert!(outcome.is_done(), "{outcome:?}");
//! }
//! let current = kernel.snapshot().await?.table();
//! assert_eq!(current.services, desired.services);
//! assert_eq!(plan(&current, &desired), [], "nothing is left to do");
//! # Ok(())
//! # }
//! ```
//!
//! So a restarted program that computes the same table changes nothing, and drift is repaired by
//! planning again. What belongs to others is left alone by [`plan_owned`].
//!
//! # Keeping it so
//!
//! [`spawn`] keeps a table as it is told: it takes over what is right, repairs what others change
//! and says so, tries again later what the kernel refuses, and lets servers that are no longer
//! wanted leave once their connections are gone:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use ipvs::{
//!     Change, IpvsBackend, Ownership, ReconcileEvent, ReconcilePolicy, Removal, Shutdown, fake::Kernel,
//!     text::parse_table,
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! let desired = parse_table("-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g\n")
//!     .map_err(|errors| errors[0].clone())?;
//! let table = ipvs::spawn(
//!     Arc::new(kernel.clone()),
//!     ReconcilePolicy::default(),
//!     Ownership::default(),
//! );
//! table.set(desired.clone(), Removal::AtOnce);
//! table.settled().await?;
//!
//! let mut events = table.events();
//! kernel.change(Change::Flush)?; // Somebody runs `ipvsadm -C`.
//! tokio::time::sleep(Duration::from_secs(31)).await;
//! assert!(matches!(events.recv().await?, ReconcileEvent::Drift(_)));
//! assert_eq!(kernel.snapshot().await?.table().services, desired.services);
//!
//! table.shutdown(Shutdown::Leave).await;
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! | question | answer |
//! | --- | --- |
//! | what shall be set up? | [`Table`], of [`ServiceSettings`] and [`DestinationSettings`] |
//! | would the kernel take it? | [`Table::check`], [`Change::check`], [`RuleError`] |
//! | what runs, what was counted? | [`IpvsBackend::snapshot`], [`Snapshot`] |
//! | what has to change? | [`plan()`], [`plan_owned`], [`Change`] |
//! | what became of it? | [`IpvsBackend::apply`], [`ChangeOutcome`], [`Refusal`] |
//! | who keeps the table so? | [`spawn`], [`TableHandle`]; as a value [`Reconciler`] |
//! | how does a server leave without cutting its clients off? | [`Removal::Drain`]; one alone: [`Drain`] |
//! | what do real servers and a masquerading director need? | [`RealServer`], [`Forwarder`], module [`machine`] |
//! | real servers that know no way back through the director? | [`FullNat`], [`SourceNat`] |
//! | ipvsadm's lists and saved tables? | module [`text`] |
//! | the kernel's own table? | module [`netlink`] |
//! | a load balancer without IPVS, without root? | module [`userspace`] |
//! | a load balancer in a kernel without IPVS? | module [`nftables`] |
//! | the bytes on its socket? | module [`wire`] |
//! | who is connected to whom? | [`Connections`], [`Connection`] |
//! | my own test? | module [`fake`]; `MockIpvsBackend` with feature `mock` |
//! | what would a change do to my clients? | [`fake::Kernel::connect`]: simulated ones, scheduled as Linux does |
//!
//! # What is yours to know about IPVS
//!
//! * A kernel lists destinations newest first, and schedulers walk that list: ties go to the one
//!   that was added last, and two directors agree about `mh` only if they added in the same order.
//! * UDP connections are always inactive. [`WaitFor`] knows.
//! * A removed destination stays in the kernel for two minutes after its last connection; added
//!   again in that time it has its connections and counters back.
//! * A dump is not one moment ([`Snapshot`]): whoever repairs a table reads it again afterwards.
//! * Everything, reading too, needs CAP_NET_ADMIN in the first user namespace.
//!
//! # Errors and panics
//!
//! What the kernel sends is read or refused with the name of what is wrong ([`wire::WireError`]),
//! whatever the bytes. A refused change is an outcome, not an error, and says what to do about it.
//! Nothing here panics but by a defect.
//!
//! # Features
//!
//! | feature | default | what |
//! | --- | --- | --- |
//! | `machine` | yes | [`machine::Linux`], [`Nft`], [`Iptables`], [`nftables::NftablesBackend`]: the machine that the program runs on |
//! | `netlink` | yes | [`netlink::Kernel`]: the kernel's own table |
//! | `mock` | no | `MockIpvsBackend`, `MockMachine` and `MockSourceNat`, made by mockall |
//! | `userspace` | yes | [`userspace::UserspaceBackend`]: a data plane of this process |
//! | `proptest` | no | module `strategy`: arbitrary values of the crate's types |
//!
//! # Sources
//!
//! What Linux 6.1 and 6.12 and ipvsadm 1.31 do: the messages between them and ipvsadm's output are
//! recorded in the tests of this crate.

#![cfg_attr(
    not(any(feature = "netlink", feature = "userspace")),
    forbid(unsafe_code)
)]

mod address;
mod backend;
mod change;
mod connection;
mod connections;
mod daemon;
mod destination;
mod drain;
mod driver;
pub mod fake;
mod forwarder;
mod full_nat;
mod handle;
pub mod machine;
mod name;
mod netfilter;
#[cfg(feature = "netlink")]
pub mod netlink;
#[cfg(feature = "machine")]
pub mod nftables;
mod plan;
mod plane;
mod real_server;
mod reconcile;
mod rules;
mod seconds;
mod service;
mod snapshot;
#[cfg(feature = "proptest")]
pub mod strategy;
#[cfg(any(feature = "netlink", feature = "userspace"))]
mod sys;
mod table;
pub mod text;
#[cfg(feature = "userspace")]
pub mod userspace;
pub mod wire;

pub use address::{Endpoint, EndpointError, Family, Protocol, ServiceKey};
pub use async_trait::async_trait;
#[cfg(any(test, feature = "mock"))]
pub use backend::MockIpvsBackend;
pub use backend::{ChangeOutcome, IpvsBackend, IpvsError, Refusal, RefusalReason};
pub use change::{Change, Subject};
pub use connection::{Connection, Origin};
pub use connections::{Connections, ConnectionsError};
pub use daemon::{SyncDaemon, SyncMaxLength, SyncRole};
pub use destination::{
    DestinationSettings, Forwarding, GreChecksum, GueChecksum, Thresholds, ThresholdsError, Tunnel,
    Weight,
};
pub use drain::{Drain, DrainEnd, DrainInput, DrainOutput, DrainPolicy, WaitFor};
pub use driver::spawn;
pub use forwarder::Forwarder;
#[cfg(any(test, feature = "mock"))]
pub use full_nat::MockSourceNat;
#[cfg(feature = "machine")]
pub use full_nat::{CHAIN as FULL_NAT_CHAIN, Iptables, Nft, TABLE as FULL_NAT_TABLE};
pub use full_nat::{FullNat, SourceNat, SourceRange, SourceRangeError, Translated};
pub use handle::{Ended, Leaving, Shutdown, TableHandle, TableStatus};
pub use name::{EngineName, InterfaceName, NameError, SchedulerName};
pub use netfilter::NetfilterError;
pub use plan::{Ownership, plan, plan_owned};
pub use real_server::{RealServer, Via};
pub use reconcile::{
    Claim, ReconcileEvent, ReconcileInput, ReconcileOutput, ReconcilePolicy, Reconciler, Removal,
};
pub use rules::RuleError;
pub use seconds::{Seconds, TimeoutChange, Timeouts};
pub use service::{ClientMask, Flags, Persistence, PrefixLen, ServiceSettings};
pub use snapshot::{
    Counts, DestinationState, Info, ServiceState, Snapshot, Statistics, Traffic, UnreadableRow,
    Version,
};
pub use table::{Service, Table, TableError};

/// A number that is out of its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is {value}: expected {expected}")]
#[non_exhaustive]
pub struct OutOfRange {
    /// What the number stands for, with its unit.
    pub what: &'static str,
    /// The number.
    pub value: u64,
    /// The range it should be in.
    pub expected: &'static str,
}
