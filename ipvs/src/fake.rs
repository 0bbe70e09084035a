//! A kernel's table in memory: what a test needs to see services change without root or a kernel.
//!
//! [`Kernel`] answers as Linux does: what is there already cannot be added (EEXIST), what is not
//! cannot be changed or removed (ESRCH, ENOENT), an unknown scheduler is missed, the newest
//! destination is the first of its list, and one that was removed comes back with its connections
//! and counters if it is added again in time. Time is moved by [`Kernel::advance`] alone.
//!
//! ```
//! use ipvs::{Change, IpvsBackend, ServiceKey, ServiceSettings, fake::{Fault, Kernel}};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! let service = ServiceKey::tcp("10.1.0.100:80".parse()?);
//! let add = Change::AddService { service, settings: ServiceSettings::default() };
//!
//! kernel.inject(Fault::Refuse { nth: 1, errno: 12 });
//! let outcomes = kernel.apply(&[add, add, add]).await?;
//! assert_eq!(outcomes.iter().filter(|outcome| outcome.is_done()).count(), 1);
//! assert_eq!(kernel.journal().len(), 3);
//! assert!(kernel.snapshot().await?.service(&service).is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # Clients
//!
//! Clients connect, and the table's schedulers choose as Linux does, decision for decision: the
//! crate `sched` is behind them, with thresholds, persistence and each scheduler's memory. So a test
//! sees whom a change of the table sends where, and whom it cuts off:
//!
//! ```
//! use std::time::Duration;
//! use ipvs::{Change, IpvsBackend, fake::{Dropped, Flow, Kernel}, plan, text::parse_table};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! let desired = parse_table(
//!     "-A -t 10.1.0.100:80 -s wlc\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.1:8080 -m\n\
//!      -a -t 10.1.0.100:80 -r 10.0.0.2:8080 -m -w 2\n",
//! )
//! .map_err(|errors| errors[0].clone())?;
//! let changes = plan(&kernel.snapshot().await?.table(), &desired);
//! assert!(kernel.apply(&changes).await?.iter().all(|outcome| outcome.is_done()));
//!
//! let flow = Flow::tcp("192.0.2.7:4012".parse()?, "10.1.0.100:80".parse()?);
//! let destination = kernel.connect(flow)?.destination;
//! assert_eq!(destination, "10.0.0.2:8080".parse()?);
//!
//! assert_eq!(kernel.connections()[0].state, "ESTABLISHED");
//!
//! let service = *desired.services.keys().next().ok_or("there is one")?;
//! kernel.change(Change::RemoveDestination { service, destination })?;
//! assert_eq!(kernel.send(flow), Err(Dropped::Removed { destination }));
//!
//! kernel.advance(Duration::from_secs(900)); // The time-out of an established connection.
//! assert_eq!(kernel.connections(), []);
//! # Ok(())
//! # }
//! ```
//!
//! The rules are those of Linux 6.1 with every sysctl as it is at first. Not simulated: persistence
//! engines (clients are known by their address alone), FTP's second connection, what passes through
//! a connection (of statistics the connections are counted), synchronisation, and connections that
//! stay half open.
//!
//! # Failures
//!
//! | what fails | how |
//! | --- | --- |
//! | the kernel refuses the nth change from now | [`Fault::Refuse`] |
//! | the nth change from now is made but not acknowledged, those after it never asked | [`Fault::Break`] |
//! | a dump ends in the middle | [`Fault::HalfDump`] |
//! | somebody changes the table between two pages of a dump | [`Fault::BetweenPages`] |
//! | somebody changes the table at any time | [`Kernel::change`] |

mod kernel;
mod machine;
mod source_nat;
mod state;

pub use kernel::{Fault, Kernel, Record};
pub use machine::Machine;
pub use source_nat::SourceNat;

pub use crate::plane::{Dropped, Flow};
