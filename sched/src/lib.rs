//! The schedulers of the Linux kernel load balancer in user space, decision for decision.
#![forbid(unsafe_code)]

mod flow;
mod hash;
mod kernel;
mod kind;
mod persistence;
mod rules;
mod scheduler;
mod server;
mod server_map;
mod servers;
mod service;
mod tournament;

pub use flow::{Arrival, Flow, Protocol};
pub use kind::{Kind, UnknownScheduler};
pub use persistence::Persistence;
pub use rules::{MaglevTable, Overhead, OverloadRule, Rules, SourceHashTable};
pub use scheduler::{Flags, Scheduler};
pub use server::{Server, ServerId, ServerSettings, SettingsError};
pub use server_map::ServerMap;
pub use servers::Servers;
pub use service::{Connection, Pick, Service, ServiceError};
