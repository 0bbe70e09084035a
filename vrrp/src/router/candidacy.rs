//! What a virtual router has to offer: its link, its priority, its configuration.

use std::{net::IpAddr, sync::Arc, time::Instant};

use super::{
    Output, VirtualRouter, destination,
    state::{Backup, State},
};
use crate::{Event, FaultCause, Role, RouterConfig, Version, Vip, election, track::Tracking};

impl VirtualRouter {
    pub(super) fn on_link(&mut self, running: bool, primary: Option<IpAddr>, now: Instant) {
        let last_source = self.source();
        self.link = Some((running, primary));
        let name = &self.config.interface;
        let down = FaultCause::InterfaceDown(Arc::clone(name));
        let addressless = FaultCause::NoSourceAddress(Arc::clone(name), self.family());
        // Without a link it is of no interest, and the kernel may have dropped it with the link.
        let no_source = running && self.source().is_none();
        for (cause, present) in [
            (down, !running && self.config.track_interface),
            (addressless, no_source),
        ] {
            self.note_fault(cause, present);
        }
        if last_source != self.source() && self.role() == Role::Master && self.source().is_some() {
            self.advertise_now(now);
        }
        self.settle(now);
    }

    pub(super) fn set_fault(&mut self, cause: FaultCause, present: bool, now: Instant) {
        self.note_fault(cause, present);
        self.settle(now);
    }

    pub(super) fn note_fault(&mut self, cause: FaultCause, present: bool) {
        if present {
            self.faults.insert(cause);
        } else {
            self.faults.remove(&cause);
        }
    }

    /// Changes what the priority is made of. A backup's wait moves by the difference of the skews;
    /// a master says it in its next advertisement.
    pub(super) fn change_priority(&mut self, now: Instant, change: impl FnOnce(&mut Tracking)) {
        let from = self.priority();
        change(&mut self.tracking);
        let to = self.priority();
        if from == to {
            return;
        }
        if let State::Backup(backup) = &mut self.state {
            let skew =
                |priority| election::skew(self.config.version, priority, backup.master_interval);
            let at = backup.master_down_at + skew(to);
            backup.master_down_at = at.checked_sub(skew(from)).map_or(now, |at| at.max(now));
        }
        self.outputs
            .push_back(Output::Event(Event::PriorityChanged { from, to }));
    }

    pub(super) fn on_configure(&mut self, config: RouterConfig, now: Instant) {
        let Ok(advert) = config.advertisement() else {
            debug_assert!(
                false,
                "the node checks a configuration before it hands it over"
            );
            return;
        };
        let mut tracking = Tracking::new(config.priority, &config.trackers);
        tracking.adopt(&self.tracking);
        let old_vips = std::mem::replace(&mut self.held, config.held_vips());
        (self.advert, self.destination) = (advert, destination(&config));
        let old = std::mem::replace(&mut self.config, config);
        self.change_priority(now, |known| *known = tracking);
        if old.sync_group != self.config.sync_group {
            // The group it was in will not take it back.
            self.note_fault(FaultCause::Group, false);
        }
        match &self.state {
            State::Master(_) => {
                self.change_addresses(&old_vips);
                self.advertise_now(now);
            }
            State::Backup(backup) => {
                // Version 3 goes on at the pace of the master it hears.
                let heard = backup
                    .master
                    .filter(|_| [old.version, self.config.version] == [Version::V3; 2]);
                let interval = match heard {
                    Some(_) => backup.master_interval,
                    None => self.config.interval.as_duration(),
                };
                let wait = self.master_down(interval);
                let mut backup = Backup::new(now + wait, interval);
                backup.master = heard;
                self.state = State::Backup(backup);
            }
            State::Init | State::Fault { .. } | State::Stopped => {}
        }
        if let Some((running, primary)) = self.link {
            self.on_link(running, primary, now);
        }
        self.settle(now);
    }

    /// Removes first: an address whose attributes change can be added only then, and one that goes
    /// may take others of its network with it.
    fn change_addresses(&mut self, old: &[Vip]) {
        if *old == *self.held {
            return;
        }
        let gone: Arc<[Vip]> = old
            .iter()
            .filter(|vip| !self.held.contains(vip))
            .cloned()
            .collect();
        if !gone.is_empty() {
            self.outputs.push_back(Output::Release(gone));
        }
        if let State::Master(master) = &mut self.state {
            master.acquired = false;
        }
        self.acquire(Arc::clone(&self.held));
    }
}
