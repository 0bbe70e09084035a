//! A data plane of this process: load balancing without IPVS and without root.
//!
//! [`UserspaceBackend`] is an [`IpvsBackend`](crate::IpvsBackend) whose services are sockets. It
//! listens on virtual addresses, chooses a real server for each connection as the kernel would,
//! and carries its bytes:
//!
//! ```no_run
//! use ipvs::{IpvsBackend, plan, text::parse_table, userspace::{Config, UserspaceBackend}};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let plane = UserspaceBackend::start(Config::default())?;
//! let desired = parse_table(
//!     "-A -t 127.0.0.100:8080 -s wlc\n\
//!      -a -t 127.0.0.100:8080 -r 127.0.0.1:8081 -m\n\
//!      -a -t 127.0.0.100:8080 -r 127.0.0.1:8082 -m -w 2\n",
//! )
//! .map_err(|errors| errors[0].clone())?;
//! let current = plane.snapshot().await?.table();
//! for outcome in plane.apply(&plan(&current, &desired)).await? {
//!     assert!(outcome.is_done(), "{outcome:?}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is as with the kernel
//!
//! The table, its errors and its order; the schedulers, weights, thresholds and persistence, all
//! changed while connections go on; the states, time-outs, counters and rates that are listed. A
//! destination with weight 0 gets no new connections and keeps those it has; so does one that was
//! removed, and added again it counts them anew. No change of the table cuts a connection.
//!
//! # What is not
//!
//! * A service is an address with a port. Firewall marks, port 0, persistence engines and sync
//!   daemons are refused: [`RefusalReason::NotInUserspace`](crate::RefusalReason::NotInUserspace).
//! * Every forwarding method is a connection of its own to the address and port of the real server,
//!   which has to listen there: one that is set up for direct routing or a tunnel, with the virtual
//!   address on its loopback interface, has to listen on its own address too (on all of them, as
//!   most programs do). Its answers come back through here. It sees this machine as its client,
//!   unless [`Source::Client`] or the PROXY protocol tells it another.
//! * A server that does not answer is passed over for another one that takes new connections, the
//!   one with the fewest for its weight, up to [`Config::tries`]. The kernel would wait for the
//!   client to try again.
//! * A connection that is over is forgotten at once. The kernel remembers it for two minutes, and
//!   counts it as inactive, which `wlc` and its kind look at. When nothing has passed for the
//!   time-out of its state, both ends are reset; the kernel forgets it and lets them find out.
//! * A packet of TCP is what was moved at a time: fewer than on the wire.
//! * The datagrams of a client go on to a server that was removed for as long as the kernel
//!   remembers the flow, and get lost; here its next one goes to another server
//!   (`net.ipv4.vs.expire_nodest_conn` 1). So it does when the server says that it does not listen.
//! * A client whose datagram goes nowhere is not told by ICMP.
//! * The answers to a one-packet service come back: a client has a socket for each server that was
//!   chosen for it, until nothing has passed for the time-out of UDP. They are not listed.
//! * Flows of datagrams end with their service.
//! * When the process ends its connections end.
//!
//! # Too many
//!
//! No more connections are carried than [`Limits`] allows. Those beyond are accepted and reset at
//! once, as are those that no destination takes, so that clients need not wait for a time-out; of
//! UDP the datagram is dropped. [`Tally`] counts them. If the process or the machine is short of descriptors nevertheless,
//! nothing is accepted for a tenth of a second at a time, and clients wait in the backlog. What is
//! established goes on.
//!
//! # Threads and memory
//!
//! Every shard is a thread that listens on each virtual address itself (`SO_REUSEPORT`) and keeps
//! the connections that the kernel gives it. A connection of TCP holds two sockets and no buffer while it
//! is idle: some 2 KB of this process' memory, beside the kernel's. While a receiver does not take what was sent, up to 64 KiB, or a pipe of 256 KiB, are
//! held for it on each way, and its sender is not read. A flow of datagrams holds one socket; up to
//! 32 datagrams are received or sent with one system call, in 2 MiB that a thread has for all.

mod backend;
mod carried;
mod config;
mod listener;
mod pipes;
mod shard;
mod shared;
mod source;
mod tally;
mod tcp;
mod udp;

use std::{io, time::Instant};

pub use self::{
    backend::UserspaceBackend,
    config::{Config, Limits, ProxyProtocol, Source},
    tally::Tally,
};

/// The clock of the data plane: the runtime's.
#[expect(clippy::disallowed_methods, reason = "this is the driver's clock")]
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether an error says that the process or the machine has no more of what a socket needs.
fn is_short_of_descriptors(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}
