//! One virtual router as a value: RFC 9568 §6.4 and what users of keepalived rely on beside it.
//!
//! No socket, no clock, no task. Give it [`Input`]s with the time at which they happen, then take
//! its [`Output`]s until there is none, then wait until [`VirtualRouter::poll_timeout`] or the next
//! input, whichever is first. Time never goes back.

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(doc)]
use crate::Event;
use crate::{
    Advertisement, ConfigError, Counters, Destination, FaultCause, Priority, RejectReason, Role,
    RouterConfig, Transport, Vip, election, track::Tracking,
};

mod announce;
mod candidacy;
mod holding;
mod input;
mod output;
mod receive;
mod roles;
mod state;
mod transmit;

use announce::Announcements;
pub use input::{GroupOrder, Input};
pub use output::{Output, Standing};
use state::{Master, State};

/// One virtual router.
#[derive(Debug, Clone)]
pub struct VirtualRouter {
    config: RouterConfig,
    advert: Advertisement,
    destination: Destination,
    held: Arc<[Vip]>,
    state: State,
    told: Role,
    started: bool,
    tracking: Tracking,
    faults: BTreeSet<FaultCause>,
    link: Option<(bool, Option<IpAddr>)>,
    acquires_in_flight: u32,
    failures_in_a_row: u32,
    lost_at: Option<Instant>,
    release_again_at: Option<Instant>,
    owner_disputed: bool,
    send_failure_told: Option<Instant>,
    differences_told: Option<Instant>,
    rejections_told: [Option<Instant>; RejectReason::ALL.len()],
    counters: Counters,
    outputs: VecDeque<Output>,
}

impl VirtualRouter {
    /// Makes a router that takes no part until [`Input::Start`].
    ///
    /// # Errors
    /// The configuration contradicts itself.
    pub fn new(config: RouterConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            advert: config.advertisement()?,
            destination: destination(&config),
            held: config.held_vips(),
            tracking: Tracking::new(config.priority, &config.trackers),
            config,
            state: State::Init,
            told: Role::Init,
            started: false,
            faults: BTreeSet::new(),
            link: None,
            acquires_in_flight: 0,
            failures_in_a_row: 0,
            lost_at: None,
            release_again_at: None,
            owner_disputed: false,
            send_failure_told: None,
            differences_told: None,
            rejections_told: [None; RejectReason::ALL.len()],
            counters: Counters::default(),
            outputs: VecDeque::new(),
        })
    }

    /// Takes in what happens at `now`. Drain [`VirtualRouter::poll_output`] afterwards.
    pub fn handle(&mut self, input: Input, now: Instant) {
        match input {
            Input::Start => self.on_start(now),
            Input::Stop => self.on_stop(),
            Input::Timeout => self.on_timeout(now),
            Input::Advert(received) => self.on_advert(&received, now),
            Input::Priority(base) => {
                self.change_priority(now, |tracking| tracking.set_base(base));
            }
            Input::Tracker { tracked, state } => {
                self.change_priority(now, |tracking| tracking.set(&tracked, state));
                self.settle(now);
            }
            Input::Link { running, primary } => self.on_link(running, primary, now),
            Input::Fault { cause, present } => self.set_fault(cause, present, now),
            Input::Acquired => self.on_acquired(now),
            Input::AcquireFailed(error) => self.on_acquire_failed(error, now),
            Input::ReleaseFailed(error) => self.on_release_failed(error, now),
            Input::AddressesLost => self.on_addresses_lost(now),
            Input::SendFailed(error) => self.on_send_failed(error, now),
            Input::Group(order) => self.on_group(order, now),
            Input::Configure(config) => self.on_configure(*config, now),
        }
    }

    /// The next thing to do, or `None` when all is said.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When the router wants [`Input::Timeout`]; `None` if it waits for nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.state
            .deadline()
            .into_iter()
            .chain(self.release_again_at)
            .min()
    }

    /// The role it has in the protocol now; [`Event::RoleChanged`] follows when the addresses do.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.state.role()
    }

    /// The role that was last told by [`Event::RoleChanged`].
    #[must_use]
    pub const fn told_role(&self) -> Role {
        self.told
    }

    /// How it stands, for its sync group.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.state {
            State::Stopped => Standing::Stopped,
            State::Init => Standing::NotReady,
            State::Fault { .. } if self.faults().all(|cause| cause == FaultCause::Group) => {
                Standing::Held
            }
            State::Fault { .. } => Standing::Unable,
            State::Backup(backup) if backup.claiming => Standing::Claiming,
            State::Backup(_) => Standing::Waiting,
            State::Master(_) => Standing::Master,
        }
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &RouterConfig {
        &self.config
    }

    /// All addresses it holds as master.
    #[must_use]
    pub const fn vips(&self) -> &Arc<[Vip]> {
        &self.held
    }

    /// Who gets its advertisements.
    #[must_use]
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Whether its addresses are on their interfaces as far as it knows.
    #[must_use]
    pub const fn holds_addresses(&self) -> bool {
        matches!(self.state, State::Master(Master { acquired: true, .. }))
    }

    /// Its priority after trackers: 1–254, or 255 for an owner that nobody disputes.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self.tracking.priority() {
            Priority::OWNER if self.owner_disputed => Priority::HIGHEST_BACKUP,
            priority => priority,
        }
    }

    /// The address it sends from, if it has one.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.config
            .source
            .or_else(|| self.link.and_then(|(_, primary)| primary))
    }

    /// The master it hears, if it is a backup that does.
    #[must_use]
    pub const fn master(&self) -> Option<election::Candidate> {
        match &self.state {
            State::Backup(backup) => backup.master,
            State::Init | State::Master(_) | State::Fault { .. } | State::Stopped => None,
        }
    }

    /// Why it cannot take part; empty if it can.
    pub fn faults(&self) -> impl Iterator<Item = FaultCause> + '_ {
        let trackers = self.tracking.faults().cloned().map(FaultCause::Tracker);
        self.faults.iter().cloned().chain(trackers)
    }

    /// What it has counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Trouble of one kind is told once in this time; the counters have it all.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);

pub(crate) fn is_news(told_at: &mut Option<Instant>, now: Instant) -> bool {
    let news = told_at.is_none_or(|at| now - at >= TROUBLE_PAUSE);
    if news {
        *told_at = Some(now);
    }
    news
}

fn destination(config: &RouterConfig) -> Destination {
    match &config.transport {
        Transport::Multicast { group } => {
            Destination::Group(group.unwrap_or_else(|| config.family().multicast_group()))
        }
        Transport::Unicast(unicast) => {
            Destination::Peers(unicast.peers.iter().map(|peer| peer.address).collect())
        }
    }
}
