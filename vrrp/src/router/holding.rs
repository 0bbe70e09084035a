//! How a master holds its addresses: puts them on, announces them, defends them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Output, VirtualRouter, state::State};
use crate::{Event, FaultCause, Role, Vip};

/// How long to wait before addresses that could not be removed are tried again.
const RELEASE_RETRY: Duration = Duration::from_secs(1);

/// Addresses lost twice within this time are not fought for.
const LOSS_WINDOW: Duration = Duration::from_secs(10);

impl VirtualRouter {
    pub(super) fn on_acquired(&mut self, now: Instant) {
        if !self.is_last_acquire() {
            return;
        }
        // Somebody who has just removed them may do so again.
        if self.lost_at.is_none_or(|at| now - at >= LOSS_WINDOW) {
            self.failures_in_a_row = 0;
        }
        let State::Master(master) = &mut self.state else {
            return;
        };
        master.acquired = true;
        let because = master.because.clone();
        let rounds = master.announcements.start(&self.config.announce, now);
        self.announce(rounds);
        self.tell(Role::Master, because);
    }

    pub(super) fn on_acquire_failed(&mut self, error: Arc<str>, now: Instant) {
        self.counters.acquire_failures += 1;
        if self.is_last_acquire() && self.role() == Role::Master {
            self.give_up_addresses(error, now);
        }
    }

    /// Goes to fault for a time that doubles with each failure in a row: 1 s to 64 s.
    pub(super) fn give_up_addresses(&mut self, error: Arc<str>, now: Instant) {
        let retry_in = Duration::from_secs(1 << self.failures_in_a_row.min(6));
        self.failures_in_a_row += 1;
        self.outputs
            .push_back(Output::Event(Event::AcquireFailed { error, retry_in }));
        self.note_fault(FaultCause::Addresses, true);
        self.settle(now);
        if let State::Fault { retry_at } = &mut self.state {
            *retry_at = Some(now + retry_in);
        }
    }

    pub(super) fn on_release_failed(&mut self, error: Arc<str>, now: Instant) {
        self.outputs
            .push_back(Output::Event(Event::ReleaseFailed { error }));
        if !matches!(self.role(), Role::Master | Role::Stopped) {
            self.release_again_at = Some(now + RELEASE_RETRY);
        }
    }

    /// Puts the addresses back at once, as the rest of the network still takes us for their holder;
    /// but not again and again against somebody who keeps removing them.
    pub(super) fn on_addresses_lost(&mut self, now: Instant) {
        if !self.holds_addresses() {
            return;
        }
        self.counters.addresses_lost += 1;
        let again = self
            .lost_at
            .replace(now)
            .is_some_and(|last| now - last < LOSS_WINDOW);
        if again {
            self.give_up_addresses("somebody keeps removing them".into(), now);
        } else {
            self.outputs.push_back(Output::Event(Event::AddressesLost));
            self.acquire(Arc::clone(&self.held));
        }
    }

    pub(super) fn is_last_acquire(&mut self) -> bool {
        self.acquires_in_flight = self.acquires_in_flight.saturating_sub(1);
        self.acquires_in_flight == 0
    }

    pub(super) fn acquire(&mut self, vips: Arc<[Vip]>) {
        self.acquires_in_flight += 1;
        self.outputs.push_back(Output::Acquire(vips));
    }

    pub(super) fn announce(&mut self, rounds: u8) {
        if rounds > 0 {
            let (vips, gap) = (Arc::clone(&self.held), self.config.announce.gap);
            self.outputs
                .push_back(Output::Announce { vips, rounds, gap });
        }
    }

    pub(super) fn announce_against_rival(&mut self, now: Instant) {
        if let State::Master(master) = &mut self.state
            && master.acquired
        {
            let rounds = master.announcements.rival(&self.config.announce, now);
            self.announce(rounds);
        }
    }
}
