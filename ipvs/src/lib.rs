//! Control of the Linux kernel's load balancer, IP Virtual Server.

#![forbid(unsafe_code)]

mod address;
mod backend;
mod change;
mod daemon;
mod destination;
mod drain;
pub mod fake;
mod name;
mod plan;
mod rules;
mod seconds;
mod service;
mod snapshot;
#[cfg(feature = "proptest")]
pub mod strategy;
mod table;
pub mod text;
pub mod wire;

pub use address::{Endpoint, EndpointError, Family, Protocol, ServiceKey};
pub use async_trait::async_trait;
#[cfg(any(test, feature = "mock"))]
pub use backend::MockIpvsBackend;
pub use backend::{ChangeOutcome, IpvsBackend, IpvsError, Refusal, RefusalReason};
pub use change::Change;
pub use daemon::{SyncDaemon, SyncMaxLength, SyncRole};
pub use destination::{
    DestinationSettings, Forwarding, GreChecksum, GueChecksum, Thresholds, ThresholdsError, Tunnel,
    Weight,
};
pub use drain::{Drain, DrainEnd, DrainInput, DrainOutput, DrainPolicy, WaitFor};
pub use name::{EngineName, InterfaceName, NameError, SchedulerName};
pub use plan::{Ownership, plan, plan_owned};
pub use rules::RuleError;
pub use seconds::{Seconds, TimeoutChange, Timeouts};
pub use service::{ClientMask, Flags, Persistence, PrefixLen, ServiceSettings};
pub use snapshot::{
    Connection, Counts, DestinationState, Info, ServiceState, Snapshot, Statistics, Traffic,
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
