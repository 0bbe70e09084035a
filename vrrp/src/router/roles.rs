//! How a virtual router comes to its role and leaves it (RFC 9568 §6.4).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Announcements, GroupOrder, Output, VirtualRouter,
    state::{Backup, Master, State},
};
use crate::{Cause, Event, FaultCause, Priority, Role, RouterConfig, StartAs, election};

/// Whether a master that leaves says so.
enum Departure {
    /// By an advertisement of priority 0.
    Announced,
    /// Not: there is a better master already.
    Silent,
}

impl VirtualRouter {
    pub(super) fn on_start(&mut self, now: Instant) {
        self.started = true;
        self.settle(now);
    }

    pub(super) fn on_stop(&mut self) {
        if self.state != State::Stopped {
            let was_master = self.leave_master(Departure::Announced);
            if !was_master && self.release_again_at.is_some() {
                self.outputs
                    .push_back(Output::Release(Arc::clone(&self.held)));
            }
            self.state = State::Stopped;
            self.release_again_at = None;
            self.tell(Role::Stopped, Cause::Stopped);
        }
    }

    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.release_again_at.take_if(|at| *at <= now).is_some() {
            self.outputs
                .push_back(Output::Release(Arc::clone(&self.held)));
        }
        match &mut self.state {
            State::Backup(backup) if backup.master_down_at <= now => self.on_master_down(now),
            State::Master(_) => self.on_master_timeout(now),
            State::Fault { retry_at: Some(at) } if *at <= now => {
                self.state = State::Fault { retry_at: None };
                self.set_fault(FaultCause::Addresses, false, now);
            }
            State::Init | State::Backup(_) | State::Fault { .. } | State::Stopped => {}
        }
    }

    pub(super) fn on_master_down(&mut self, now: Instant) {
        let wait = self.master_down(self.config.interval.as_duration());
        let State::Backup(backup) = &mut self.state else {
            return;
        };
        backup.claiming = true;
        backup.master_down_at = now + wait;
        if self.config.sync_group.is_none() {
            self.become_master(None, now);
        }
    }

    /// Brings the state in line with what forbids to take part.
    pub(super) fn settle(&mut self, now: Instant) {
        let fault = self.faults().next();
        let undecided = self.link.is_none() || self.tracking.undecided();
        match (&self.state, fault) {
            _ if !self.started => {}
            (State::Stopped, _) | (State::Fault { .. }, Some(_)) => {}
            (State::Init | State::Backup(_) | State::Master(_), Some(fault)) => {
                self.become_fault(fault);
            }
            (State::Init, None) if undecided => {}
            (State::Init, None) => self.enter(Cause::Started, now),
            (State::Fault { .. }, None) => self.enter(Cause::FaultCleared, now),
            (State::Backup(_) | State::Master(_), None) => {}
        }
    }

    /// Begins, or begins again, to take part.
    pub(super) fn enter(&mut self, because: Cause, now: Instant) {
        let first = because == Cause::Started;
        let interval = self.config.interval.as_duration();
        let wait = match (self.priority().is_owner(), self.config.start_as) {
            (true, _) => Duration::ZERO,
            (false, StartAs::Master) if first => {
                interval + election::skew(self.config.version, Priority::OWNER, interval)
            }
            (false, _) => self.master_down(interval),
        };
        let delay = if first {
            self.config.startup_delay
        } else {
            Duration::ZERO
        };
        let master_down_at = now + wait + delay;
        self.state = State::Backup(Backup::new(master_down_at, interval));
        let at_once = master_down_at <= now && self.config.sync_group.is_none();
        if !at_once {
            if first {
                // An earlier process that died as master has left the addresses behind.
                self.outputs
                    .push_back(Output::Release(Arc::clone(&self.held)));
            }
            self.tell(Role::Backup, because);
        }
        if master_down_at <= now {
            self.on_master_down(now);
        }
    }

    pub(super) fn become_master(&mut self, because: Option<Cause>, now: Instant) {
        let State::Backup(backup) = &self.state else {
            return;
        };
        let because = because.unwrap_or_else(|| backup.why_master(self.priority()));
        self.owner_disputed = false;
        self.release_again_at = None;
        self.counters.became_master += 1;
        self.state = State::Master(Master {
            advertise_at: now + self.config.interval.as_duration(),
            acquired: false,
            because,
            announcements: Announcements::default(),
            disputed_until: None,
        });
        // First of all, so that another master learns it before it hears of the addresses.
        self.transmit(self.priority());
        self.acquire(Arc::clone(&self.held));
    }

    /// Leaves for another who has a better claim.
    pub(super) fn become_backup(&mut self, because: Cause, backup: Backup) {
        self.leave_master(Departure::Silent);
        self.state = State::Backup(backup);
        self.tell(Role::Backup, because);
    }

    pub(super) fn become_fault(&mut self, fault: FaultCause) {
        let was_master = self.leave_master(Departure::Announced);
        if self.role() == Role::Init && !was_master {
            self.outputs
                .push_back(Output::Release(Arc::clone(&self.held)));
        }
        self.state = State::Fault { retry_at: None };
        self.tell(Role::Fault, Cause::Fault(fault));
    }

    /// Gives up what a master has, if it is one. The state is the caller's to change.
    fn leave_master(&mut self, departure: Departure) -> bool {
        if self.role() != Role::Master {
            return false;
        }
        match departure {
            Departure::Announced => self.transmit(Priority::RELEASE),
            Departure::Silent => {}
        }
        self.outputs
            .push_back(Output::Release(Arc::clone(&self.held)));
        true
    }

    pub(super) fn on_group(&mut self, order: GroupOrder, now: Instant) {
        match order {
            GroupOrder::Promote => self.become_master(Some(Cause::Group), now),
            GroupOrder::Demote if self.role() == Role::Master => {
                let interval = self.config.interval.as_duration();
                let wait = self.master_down(interval);
                self.become_backup(Cause::Group, Backup::new(now + wait, interval));
            }
            GroupOrder::Demote => {}
            GroupOrder::Fault => self.set_fault(FaultCause::Group, true, now),
            GroupOrder::FaultCleared => self.set_fault(FaultCause::Group, false, now),
            GroupOrder::Announce => self.announce_against_rival(now),
        }
    }

    pub(super) fn tell(&mut self, to: Role, because: Cause) {
        let from = std::mem::replace(&mut self.told, to);
        if from != to {
            self.outputs
                .push_back(Output::Event(Event::RoleChanged { from, to, because }));
        }
    }

    pub(super) fn master_down(&self, master_interval: Duration) -> Duration {
        let RouterConfig {
            version,
            down_timer_adverts,
            ..
        } = self.config;
        election::master_down(
            version,
            self.priority(),
            master_interval,
            down_timer_adverts,
        )
    }
}
