//! Health checks: when to probe a server, and what the answers mean.
//!
//! [`spawn`] runs a fleet of checks. Whoever uses the servers looks at its snapshot, or waits for it
//! to change. Here the servers are those of module [`fake`], which need no network and, on tokio's
//! paused clock, no time; for real ones the probe is a [`TcpProbe`] or another [`HealthProbe`].
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc, time::Duration};
//! use health::{
//!     Ask, Check, CheckConfig, Health, HealthProbe, Target,
//!     fake::{Behaviour, Servers},
//! };
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let address = "192.0.2.1:80".parse()?;
//! let servers = Arc::new(Servers::new());
//! servers.set(address, Behaviour::default(), 1);
//! let probe: Arc<dyn HealthProbe> = Arc::clone(&servers) as _;
//!
//! let at_a_time = NonZeroUsize::new(100).ok_or("no probe at all")?;
//! let fleet = health::spawn(at_a_time, 42);
//! let interval = Duration::from_secs(2);
//! fleet
//!     .configure([Ask {
//!         service: "web-1",
//!         probe: Check::new(probe, Target::new(address)),
//!         config: CheckConfig::plain(interval, Duration::from_secs(1)),
//!         start_delay: Duration::ZERO,
//!         warm_up: interval,
//!         known: None,
//!     }])
//!     .await?;
//!
//! let mut snapshot = fleet.snapshot();
//! snapshot.wait_for(|now| now.health(&"web-1") == Health::Up).await?;
//! let failing = Behaviour { flaky_per_mille: 1000, ..Behaviour::default() };
//! servers.set(address, failing, 1);
//! snapshot.wait_for(|now| now.health(&"web-1") == Health::Down).await?;
//! fleet.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`FleetHandle::events`] tells each change with its cause, [`FleetHandle::reports`] how every
//! check stands. Services that ask for the same check share its probes: see [`Check`].
//!
//! # Without a runtime
//!
//! A [`Checker`] is a value without clock, socket or task. It says when to probe, is told how the
//! probe went, and says when the server's health changes. The loop around it is always the same:
//! hand it an [`Input`] and the time, take every [`Output`] until there is none, wait until
//! [`Checker::poll_timeout`].
//!
//! ```
//! use std::time::{Duration, Instant};
//! use health::{CheckConfig, Checker, Health, Input, Output};
//!
//! # #[expect(clippy::disallowed_methods, reason = "whoever owns the loop owns the clock")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut now = Instant::now();
//! let config = CheckConfig::plain(Duration::from_secs(2), Duration::from_secs(1));
//! let mut checker = Checker::new(config, now, 0)?;
//!
//! while checker.health() == Health::Unknown {
//!     now = checker.poll_timeout().ok_or("the checker is paused")?;
//!     checker.handle(Input::Timeout, now);
//!     while let Some(output) = checker.poll_output() {
//!         if let Output::Probe { run, .. } = output {
//!             // Here a program connects to the server and waits, no longer than `deadline`.
//!             checker.handle(Input::Outcome { run, passed: true }, now);
//!         }
//!     }
//! }
//! assert_eq!(checker.health(), Health::Up);
//! # Ok(())
//! # }
//! ```
//!
//! [`CheckConfig::plain`] suits most; [`CheckConfig::keepalived`] keeps keepalived's timing.
//!
//! A [`Fleet`] runs many checkers in the same way: one timer, a limit of probes at a time, and one
//! probe for all who ask for the same. It is what [`spawn`] runs.
//!
//! # Probes
//!
//! Whatever implements [`HealthProbe`] can be asked. With feature `net` there are:
//!
//! * [`TcpProbe`]: the server takes connections;
//! * [`DialogueProbe`]: send this, expect that; ready for Redis, IMAP, POP3, FTP and MySQL;
//! * [`SmtpProbe`]: a mail server greets;
//! * [`UdpProbe`]: a datagram is answered, or at least not refused;
//! * [`PingProbe`]: ICMP echo, one socket for any number of servers;
//! * [`FileProbe`]: a file on this machine is there, is young, holds a good number;
//! * [`DnsProbe`] (feature `dns`): response code and records;
//! * [`HttpProbe`] (feature `http`): a page's status, digest, text and JSON;
//! * [`GrpcProbe`] (feature `grpc`): a service that tells its health by `grpc.health.v1`;
//! * [`ScriptProbe`] (feature `script`): a program's exit code;
//! * [`TlsProbe`] (feature `tls`): a certificate that is good, and will be for some time.
//!
//! [`Connect`] says how those that use the network get there. An error names the server and what
//! was awaited of it; what is wrong with this machine is [`ProbeError::Local`].
//!
//! # What follows from health
//!
//! [`all_must_pass`] joins the checks of a server, [`Quorum`] says whether a service has enough
//! servers, [`decide`] which of them are used and with what weight. [`SlowStart`] lets a server's
//! weight grow after it has come up, and [`Outliers`] finds servers that fail those who use them.
//!
//! # Without a network
//!
//! Module [`fake`] has servers that fail by script or by a seed, and runs a fleet on them in
//! virtual time.
//!
//! # Features
//!
//! | Feature | What it adds |
//! |---|---|
//! | `net` (default) | [`spawn`] and the probes that need nothing else; without it there are values and the trait alone |
//! | `dns`, `grpc`, `http`, `script` | what probes of that kind stand on |
//! | `tls` | TLS for those that can use it |
//! | `mock` | [`MockHealthProbe`] |
//! | `lab`, `guest` | nothing: they run the tests that need root, or a kernel with IPVS |

#![cfg_attr(
    not(all(
        feature = "dns",
        feature = "grpc",
        feature = "http",
        feature = "mock",
        feature = "net",
        feature = "script",
        feature = "tls",
    )),
    allow(
        rustdoc::broken_intra_doc_links,
        reason = "the documentation names what all features bring"
    )
)]

mod check;
mod checker;
#[cfg(feature = "net")]
mod connect;
#[cfg(feature = "net")]
mod dialogue;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "net")]
mod driver;
#[cfg(feature = "net")]
mod excerpt;
pub mod fake;
#[cfg(feature = "net")]
mod file;
mod fleet;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "net")]
mod handle;
mod histogram;
#[cfg(feature = "http")]
mod http;
mod outlier;
#[cfg(feature = "net")]
mod ping;
mod pool;
mod probe;
mod quorum;
mod random;
#[cfg(feature = "script")]
mod script;
mod slow_start;
#[cfg(feature = "net")]
mod smtp;
#[cfg(feature = "net")]
mod sys;
#[cfg(feature = "net")]
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "net")]
mod udp;
#[cfg(feature = "net")]
mod unpredictable;

pub use async_trait::async_trait;
pub use check::Check;
pub use checker::{
    CheckConfig, Checker, ConfigError, Counted, Counters, Damping, Health, Initial, Input,
    KeepalivedTiming, Output, Run, Streak, WhenDown,
};
#[cfg(feature = "net")]
pub use connect::Connect;
#[cfg(feature = "net")]
pub use dialogue::{DialogueError, DialogueProbe, Expect, PatternError};
#[cfg(feature = "dns")]
pub use dns::{DnsError, DnsProbe, QuestionError, Rcode, RecordType};
#[cfg(feature = "net")]
pub use driver::spawn;
#[cfg(feature = "net")]
pub use file::{FileError, FileProbe};
pub use fleet::{
    Ask, CheckId, CheckReport, Failure, Fleet, FleetError, FleetInput, FleetOutput, PastProbe,
    ProbeResult, Snapshot, Standing,
};
#[cfg(feature = "grpc")]
pub use grpc::{AuthorityError, GrpcError, GrpcProbe, GrpcProblem, ServingStatus};
#[cfg(feature = "net")]
pub use handle::{AskError, FleetEvent, FleetHandle};
pub use histogram::Histogram;
#[cfg(feature = "http")]
pub use http::{
    BodyDigest, BodyPattern, DigestError, HttpError, HttpExpect, HttpPage, HttpPageError,
    HttpProbe, HttpProblem, HttpVersion, PatternOptions, StatusRange, StatusRangeError,
};
pub use outlier::{OutlierConfig, Outliers};
#[cfg(feature = "net")]
pub use ping::{PingError, PingProbe};
pub use pool::{
    Decision, MAX_WEIGHT, Place, PoolConfig, Server, SorryServer, decide, dynamic_weight,
};
#[cfg(any(test, feature = "mock"))]
pub use probe::MockHealthProbe;
pub use probe::{AskedWeight, HealthProbe, ProbeError, Success, Target};
pub use quorum::{Quorum, QuorumChange, QuorumConfig, QuorumNote, all_must_pass};
#[cfg(feature = "script")]
pub use script::{Account, ScriptError, ScriptProbe};
pub use slow_start::SlowStart;
#[cfg(feature = "net")]
pub use smtp::{Hello, HelloError, SmtpProbe};
#[cfg(feature = "net")]
pub use tcp::TcpProbe;
#[cfg(feature = "tls")]
pub use tls::{
    Tls, TlsError, TlsIdentity, TlsOptions, TlsOptionsError, TlsProbe, TlsProblem, ToldName,
};
#[cfg(feature = "net")]
pub use udp::{BytePattern, HexError, Reply, UdpError, UdpProbe, parse_hex};
