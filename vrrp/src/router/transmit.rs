//! When a master advertises.

use std::{sync::Arc, time::Instant};

use super::{Output, VirtualRouter, is_news, state::State};
use crate::{Delivery, Event, Family, FaultCause, Priority, Transport};

impl VirtualRouter {
    pub(super) fn on_master_timeout(&mut self, now: Instant) {
        let interval = self.config.interval.as_duration();
        let patience = self.master_down(interval);
        let State::Master(master) = &mut self.state else {
            return;
        };
        let mut rounds = master.announcements.due(&self.config.announce, now);
        if master.advertise_at <= now {
            let late = now - master.advertise_at;
            // Never late for long, and never two at once to make up for a stall.
            master.advertise_at = (master.advertise_at + interval).max(now + interval / 2);
            if late + interval > patience {
                rounds = rounds.max(master.announcements.start(&self.config.announce, now));
                self.outputs
                    .push_back(Output::Event(Event::Overslept { by: late }));
            }
            self.transmit(self.priority());
        }
        if self.holds_addresses() {
            self.announce(rounds);
        }
    }

    pub(super) fn advertise_now(&mut self, now: Instant) {
        if let State::Master(master) = &mut self.state {
            master.advertise_at = now + self.config.interval.as_duration();
            self.transmit(self.priority());
        }
    }

    pub(super) fn transmit(&mut self, priority: Priority) {
        let Some(source) = self.source() else { return };
        if self
            .faults
            .iter()
            .any(|cause| matches!(cause, FaultCause::InterfaceDown(_)))
        {
            return;
        }
        let ttl = match &self.config.transport {
            Transport::Multicast { .. } => crate::TTL,
            Transport::Unicast(unicast) => unicast.ttl,
        };
        self.counters.sent += 1;
        self.counters.released += u64::from(priority.is_release());
        self.outputs.push_back(Output::Transmit {
            advert: self.advert.with_priority(priority),
            delivery: Delivery::new(source, self.destination.clone(), ttl, self.config.checksum),
        });
    }

    pub(super) fn on_send_failed(&mut self, error: Arc<str>, now: Instant) {
        self.counters.send_failures += 1;
        if is_news(&mut self.send_failure_told, now) {
            self.outputs
                .push_back(Output::Event(Event::SendFailed { error }));
        }
    }

    pub(super) fn family(&self) -> Family {
        self.advert.addresses().family()
    }
}
