//! A step of the story: what happens, what should come of it, and what has.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::{Node, REQUEST_INTERVAL, Server, millis};
use super::service::Counts;

/// One thing that happens, and what should come of it.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) title: &'static str,
    /// For a table.
    pub(super) short: &'static str,
    /// Done at once, in this order.
    pub(super) actions: Vec<Action>,
    /// Who holds the address afterwards.
    pub(super) holder: Node,
    /// Which real servers answer afterwards, in turn.
    pub(super) pool: &'static [Server],
    /// How long the address and the service may be silent; `None` where they were before.
    pub(super) silence: Option<Promise>,
    /// After what time the directors have put a real server in the pool, or out of it.
    pub(super) change: Option<Promise>,
    /// For how long requests may fail.
    pub(super) failing: Option<Promise>,
}

/// What the protocol promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Promise {
    /// The longest time it takes.
    pub(super) limit: Duration,
    /// By how much a busy machine may exceed it.
    pub(super) allowance: Duration,
    pub(super) because: String,
}

/// What is done to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// A new machine on the network, and its director is started.
    PowerOn(Node),
    /// The machine is gone in an instant.
    PowerOff(Node),
    /// The director is told to stop.
    Stop(Node),
    /// A real server's process is started.
    StartServer(Server),
    /// A real server's process is killed; its machine stays.
    KillServer(Server),
}

/// What a step has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) short: &'static str,
    pub(super) holder: Node,
    /// The longest time without an answer of the address; where nobody held it before, the time
    /// until the first one.
    pub(super) address_gap: Duration,
    /// The same for the service.
    pub(super) service_gap: Duration,
    /// How long it took until every director had the pool that it should.
    pub(super) changed_after: Duration,
    /// From the first request that failed to the last one.
    pub(super) failed_for: Duration,
    /// What became of the requests.
    pub(super) counts: Counts,
    /// How many each real server answered once all was as it should be.
    pub(super) shares: BTreeMap<Server, u64>,
    pub(super) silence: Option<Promise>,
    pub(super) change: Option<Promise>,
    pub(super) failing: Option<Promise>,
}

impl Measured {
    /// What took longer than it may.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut judge = |what: &str, took, promise: &Option<Promise>, exactness: Duration| {
            if let Some(promise) = promise
                && took > promise.limit + promise.allowance + exactness
            {
                broken.push(format!(
                    "{}: {what} {}, the protocol takes {} and {} more are allowed here",
                    self.short,
                    millis(took),
                    millis(promise.limit),
                    millis(promise.allowance + exactness)
                ));
            }
        };
        let (silence, change) = (&self.silence, &self.change);
        let exact = Duration::ZERO;
        judge("nobody answered for", self.address_gap, silence, exact);
        judge(
            "no request was answered for",
            self.service_gap,
            silence,
            REQUEST_INTERVAL,
        );
        judge(
            "the pool was changed after",
            self.changed_after,
            change,
            exact,
        );
        judge(
            "requests failed for",
            self.failed_for,
            &self.failing,
            REQUEST_INTERVAL,
        );
        broken
    }
}
