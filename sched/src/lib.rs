//! The schedulers of the Linux kernel load balancer in user space, decision for decision.
//!
//! IPVS users choose a scheduler by name and rely on what it does. This crate has the same
//! fourteen, `rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos`, for a data plane in user
//! space, for simulation ("what does `mh` do when I remove this server?") and for the
//! client-side balancing of any program. Given the same history each picks what Linux picks:
//! the tests replay 339 histories recorded from a kernel 6.1 and make every one of their 56,130
//! decisions again.
//!
//! There is no IO, no async, no clock, no source of randomness and no global state: time and
//! random numbers are arguments.
//!
//! # A service
//!
//! A [`Service`] owns the servers in the kernel's order, a scheduler, the counters, the overload
//! marks and the persistence templates. Each new connection is an [`Arrival`]; the answer is a
//! [`Pick`] with a [`Connection`] to give back when the connection ends.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use sched::{Arrival, Flow, Kind, Persistence, Rules, ServerSettings, Service};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut service = Service::new("wlc".parse::<Kind>()?, Rules::default(), now);
//! service.set_persistence(Some(Persistence::new(Duration::from_secs(300))));
//! service.add_server("10.0.0.1:80".parse()?, ServerSettings::new(1), now)?;
//! service.add_server(
//!     "10.0.0.2:80".parse()?,
//!     ServerSettings::new(3).with_thresholds(1000, 800),
//!     now,
//! )?;
//!
//! let flow = Flow::tcp("192.168.0.7:40123".parse()?, "10.0.0.100:80".parse()?);
//! let pick = service.connect(&Arrival::new(flow, now, 0)).ok_or("no server is usable")?;
//! assert_eq!(pick.address, "10.0.0.2:80".parse()?, "a tie goes to the server added last");
//!
//! let mut connection = pick.connection.ok_or("not a one-packet service")?;
//! service.set_active(&mut connection, false); // a FIN was seen
//! service.expire(connection, now); // the entry left the connection table
//!
//! // Live changes, as ipvsadm makes them: drain a server, change the scheduler.
//! service.edit_server("10.0.0.2:80".parse()?, ServerSettings::new(0), now)?;
//! service.set_kind(Kind::Mh, now)?;
//! # Ok(())
//! # }
//! ```
//!
//! Whoever drives a service calls [`Service::handle_timeout`] when [`Service::poll_timeout`] says
//! so. It is never wrong to call it early, and a late call changes no decision.
//!
//! # What is yours to know about the kernel's schedulers
//!
//! * The list is walked newest first. keepalived adds the servers of its file from top to
//!   bottom, so the last one is the first here, and wins ties.
//! * Weight 0 (drained) means no new connections, but persistent clients keep coming, and under
//!   `sh` and `mh` without fallback ([`Flags::with_fallback`]) the server's clients are refused.
//! * UDP connections are never active, so `sed`, `nq` and `ovf` see nothing of them, nor do
//!   `lblc` and `lblcr` when they ask whether a server is crowded.
//! * A weight edit under `sh` moves most clients; under `mh` about as many as it must.
//! * `lc` and `rr` only care whether a weight is 0.
//!
//! The [`laboratory`] shows all this on a history of your own, and
//! `cargo run -p takeover-sched --example laboratory` on one of its own.
//!
//! # Kernels differ
//!
//! They differ in the load formula and the overload mark (changed in 2026), in the sizes of
//! tables, in sysctl settings: see [`Rules`], whose default is the kernel of the recorded histories.
//! Not modelled are the tables of `mh` on 32-bit kernels and the overflow of the kernel's 32-bit
//! counters beyond eight million active connections; and the caches of `lblc` and `lblcr` have
//! the bound of the kernels of 2026 under all rules.
//!
//! # A scheduler of your own
//!
//! Implement [`Scheduler`], of which only two methods are required:
//!
//! ```
//! use sched::{Arrival, Flags, Rules, Scheduler, ServerId, Servers, Service};
//!
//! /// Any server, as long as it is the busiest.
//! #[derive(Debug)]
//! struct PackTight;
//!
//! impl Scheduler for PackTight {
//!     fn name(&self) -> &str {
//!         "pack-tight"
//!     }
//!
//!     fn pick(&mut self, _: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
//!         let usable = servers.iter().filter(|server| server.is_usable());
//!         usable.max_by_key(|server| server.connections()).map(|server| server.id())
//!     }
//! }
//!
//! # let now = std::time::Instant::now();
//! let service = Service::with_scheduler(Box::new(PackTight), Rules::default(), now);
//! ```
//!
//! [`beyond`] has three that the kernel lacks: smooth weighted round robin, consistent hashing
//! with bounded loads, and the power of two choices by response time.
//!
//! # Speed
//!
//! A pick allocates nothing (`lblc` and `lblcr` when they meet a new virtual address, and a
//! service when it makes a persistence template, do). Whatever the number of servers, `rr`,
//! `sh`, `dh` and `mh` look at one (at more only while it is not usable), and `lc`, `wlc`, `sed`,
//! `nq`, `fo` and `ovf` have their choice ready: a tournament tree brings it up to date, in
//! logarithmic time, when a connection comes or goes. `wrr` searches the same kind of tree.
//! `twos` walks the list, as `lblc` and `lblcr` do while a server has more active connections
//! than weight.

#![forbid(unsafe_code)]

pub mod beyond;
mod connection;
mod flow;
mod hash;
mod kernel;
mod kind;
pub mod laboratory;
mod persistence;
mod rules;
mod scheduler;
mod server;
mod server_map;
mod servers;
mod service;
mod tournament;

pub use connection::{Connection, Pick};
pub use flow::{Arrival, Flow, Protocol};
pub use kind::{Kind, UnknownScheduler};
pub use persistence::{Persistence, Remembered};
pub use rules::{MaglevTable, Overhead, OverloadRule, Rules, SourceHashTable};
pub use scheduler::{Flags, Scheduler};
pub use server::{Server, ServerId, ServerSettings, SettingsError};
pub use server_map::ServerMap;
pub use servers::Servers;
pub use service::{Service, ServiceError};
