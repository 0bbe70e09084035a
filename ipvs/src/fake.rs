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
