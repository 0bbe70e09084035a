//! What goes into a fleet and comes out of it.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    AskedWeight, CheckConfig, ConfigError, Counters, Health, Histogram, Run, Streak, Success,
};

/// The number of a checker of a fleet; none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckId(pub(super) u64);

/// One service's wish to know the health of something.
///
/// `S` names the wish: which server of which service, say. `P` says what to probe and how; equal
/// ones with an equal `config` share one checker, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a wish has to say all of it")]
pub struct Ask<S, P> {
    /// Who asks.
    pub service: S,
    /// What is probed.
    pub probe: P,
    /// When, and what the answers mean.
    pub config: CheckConfig,
    /// The first probe is not before that (keepalived: 1 s).
    pub start_delay: Duration,
    /// First probes are spread evenly over that span after `start_delay` (keepalived's `warmup`).
    pub warm_up: Duration,
    /// What is known of it from elsewhere, such as from before a restart; `None`, or unknown health:
    /// nothing.
    ///
    /// A check that is new to the fleet begins with it instead of with [`CheckConfig::initial`], as
    /// if probes had shown it; its first probe comes no later for that. It means nothing where the
    /// fleet has a checker of the same probe. Of equal checks the first service that knows speaks
    /// for all.
    pub known: Option<Standing>,
}

/// Why a probe failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It said so.
    #[error("{0}")]
    Probe(Arc<dyn Error + Send + Sync>),
    /// It had not ended at its deadline.
    #[error("no result within {0:?}")]
    TimedOut(Duration),
}

/// What a fleet is told.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "whoever writes a driver makes them all"
)]
pub enum FleetInput<S> {
    /// The time of [`Fleet::poll_timeout`](super::Fleet::poll_timeout) has come.
    Timeout,
    /// A probe has ended.
    Outcome {
        /// Whose it was.
        id: CheckId,
        /// Which one.
        run: Run,
        /// How it went.
        result: ProbeResult,
    },
    /// No more probes for this service, until it is resumed; its health stays. A checker that
    /// others ask for too goes on for them (keepalived's `ha_suspend`).
    Pause(S),
    /// Probes again for this service, the next one at once. Nothing if it was not paused.
    Resume(S),
    /// Probes for this service at once instead of at the next time. Nothing while a probe is under
    /// way.
    ProbeNow(S),
}

/// How a probe went.
pub type ProbeResult = Result<Success, Arc<dyn Error + Send + Sync>>;

/// What a fleet wants done, or tells.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_enums, reason = "a driver must do them all")]
pub enum FleetOutput<S, P> {
    /// Probe now, and say how it went.
    Probe {
        /// To be given back with the outcome.
        id: CheckId,
        /// To be given back with the outcome.
        run: Run,
        /// What to probe.
        probe: P,
        /// Which of the [`steps`](CheckConfig::steps), from 0.
        step: u32,
        /// When it counts as failed.
        deadline: Instant,
    },
    /// Stop that probe: its outcome is of no interest any more.
    Abandon {
        /// Whose it is.
        id: CheckId,
        /// Which one.
        run: Run,
    },
    /// What a service asked for has changed health.
    Changed {
        /// Who asked.
        service: S,
        /// What it was.
        from: Health,
        /// What it is.
        to: Health,
        /// The last failure, where it is down.
        because: Option<Failure>,
    },
    /// A probe that passed asks for another weight than the one before ([`Success::weight`]).
    Weighed {
        /// Who asked.
        service: S,
        /// The weight, if it asks for one.
        weight: Option<AskedWeight>,
    },
    /// The first probe of what a service asked for has shown its health ([`Standing::is_proven`]).
    Proven {
        /// Who asked.
        service: S,
    },
}

/// What is known of all that was asked for, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot<S: Ord> {
    /// Grows with each change of anything in it.
    pub revision: u64,
    /// What is known of each.
    pub standings: BTreeMap<S, Standing>,
}

impl<S: Ord> Snapshot<S> {
    /// The health of a service; unknown if nobody asked for it.
    #[must_use]
    pub fn health(&self, service: &S) -> Health {
        let standing = self.standings.get(service);
        standing.map_or(Health::Unknown, |standing| standing.health)
    }
}

/// What is known of one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Whether it is up.
    pub health: Health,
    /// The weight that the last probe that passed asks for.
    pub weight: Option<AskedWeight>,
    /// Whether a probe has shown the health: without one it is how the check begins.
    pub is_proven: bool,
}

impl Standing {
    /// This health, as probes have shown, and no weight asked for.
    #[must_use]
    pub const fn new(health: Health) -> Self {
        Self {
            health,
            weight: None,
            is_proven: !matches!(health, Health::Unknown),
        }
    }

    /// The health that a check of this configuration begins with.
    #[must_use]
    pub const fn at_start(config: &CheckConfig) -> Self {
        Self {
            health: config.initial.health(),
            weight: None,
            is_proven: false,
        }
    }
}

/// A probe that has ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PastProbe {
    /// When it began.
    pub began_at: Instant,
    /// How long it took.
    pub took: Duration,
    /// Why it failed; `None` if it passed.
    pub failure: Option<Failure>,
}

impl PastProbe {
    /// How many are kept of each checker.
    pub const KEPT: usize = 4;
}

/// How one checker stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckReport<S, P> {
    /// Which it is.
    pub id: CheckId,
    /// What it probes.
    pub probe: P,
    /// When.
    pub config: CheckConfig,
    /// Who asked for it.
    pub services: Vec<S>,
    /// What it says.
    pub standing: Standing,
    /// What the last probe that passed warned of.
    pub warning: Option<String>,
    /// Since when it has this health; `None` before the first change.
    pub changed_at: Option<Instant>,
    /// When its last probe began.
    pub last_run_at: Option<Instant>,
    /// When its next one is due; `None` while one is under way or it is paused. In the past if it
    /// waits for others to end.
    pub next_run_at: Option<Instant>,
    /// Whether a probe is under way.
    pub is_running: bool,
    /// Why the last failed probe failed.
    pub last_failure: Option<Failure>,
    /// What was seen in a row.
    pub streak: Streak,
    /// The last probes that have ended, the oldest first, at most [`PastProbe::KEPT`].
    pub recent: Vec<PastProbe>,
    /// How long probes took that came to an end by themselves.
    pub latency: Histogram,
    /// How late probes began.
    pub lateness: Histogram,
    /// What was counted.
    pub counters: Counters,
}

/// Why a fleet does not take what was asked for; it goes on as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// A name was given twice.
    #[error("service {service} is named twice, each must have a name of its own")]
    Twice {
        /// Which one.
        service: String,
    },
    /// A checker refused its configuration.
    #[error("the check of service {service} cannot be configured")]
    Config {
        /// Whose.
        service: String,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// A wait before the first probe is too long.
    #[error("the check of service {service} starts after {span:?}, it must be at most 366 days")]
    Start {
        /// Whose.
        service: String,
        /// `start_delay` and `warm_up` together.
        span: Duration,
    },
}
