//! What a virtual router does about an advertisement (RFC 9568 §6.4.2, §6.4.3, §7.1).

use std::{
    cmp::Ordering,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Output, State, VirtualRouter, is_news, state::Backup};
use crate::{
    AddressListCheck, Advertisement, Cause, Checksum, Event, Family, OnHigherPriority,
    OnLowerPriority, Preempt, Received, RejectReason, Role, Transport, Version, election,
    election::Candidate,
};

impl VirtualRouter {
    pub(super) fn on_advert(&mut self, received: &Received, now: Instant) {
        if let Err(reason) = self.examine(received) {
            self.reject(reason, received.from, now);
            return;
        }
        self.count(received);
        let Received { advert, from, .. } = received;
        let rival = Candidate {
            priority: advert.priority(),
            address: *from,
        };
        match &self.state {
            State::Backup(_) => self.on_advert_as_backup(advert, rival, now),
            State::Master(_) => self.on_advert_as_master(advert, rival, now),
            State::Init | State::Fault { .. } | State::Stopped => {}
        }
    }

    /// Checks what depends on the configuration, in keepalived's order.
    fn examine(&self, received: &Received) -> Result<(), RejectReason> {
        let Received {
            advert,
            from,
            to,
            ttl,
            ..
        } = received;
        let config = &self.config;
        let peer = match &config.transport {
            Transport::Multicast { .. } => None,
            Transport::Unicast(unicast) => unicast.peers.iter().find(|peer| peer.address == *from),
        };
        let ttl_is_good = match (&config.transport, peer) {
            (Transport::Multicast { .. }, _) => *ttl == crate::TTL,
            (Transport::Unicast(_), Some(peer)) => (peer.min_ttl..=peer.max_ttl).contains(ttl),
            (Transport::Unicast(_), None) => true,
        };
        let destination_is_good = match &config.transport {
            Transport::Multicast { .. } => to.is_multicast(),
            Transport::Unicast(_) => !to.is_multicast(),
        };
        let source_is_good = match &config.transport {
            Transport::Unicast(unicast) if unicast.check_source => peer.is_some(),
            Transport::Multicast { .. } | Transport::Unicast(_) => true,
        };
        // A backup takes even a master that has its address: two masters would not mend that.
        let own_source = self.role() == Role::Master && Some(*from) == self.source();
        let v2 = config.version == Version::V2;
        let list_matters = config.address_list == AddressListCheck::Reject;
        let checks = [
            (advert.vrid() == config.vrid, RejectReason::Vrid),
            (Family::of(*from) == self.family(), RejectReason::Source),
            (ttl_is_good, RejectReason::Ttl),
            (advert.version() == config.version, RejectReason::Version),
            (
                !v2 || advert.authentication() == config.authentication,
                RejectReason::Authentication,
            ),
            (
                !v2 || advert.interval() == config.interval,
                RejectReason::AdvertInterval,
            ),
            (destination_is_good, RejectReason::Destination),
            (
                !list_matters || self.same_addresses(advert),
                RejectReason::AddressList,
            ),
            (source_is_good && !own_source, RejectReason::Source),
        ];
        checks
            .into_iter()
            .try_for_each(|(good, reason)| good.then_some(()).ok_or(reason))
    }

    fn same_addresses(&self, advert: &Advertisement) -> bool {
        advert.addresses().same_set(self.advert.addresses())
    }

    fn reject(&mut self, reason: RejectReason, from: IpAddr, now: Instant) {
        self.counters.rejected.count(reason);
        let told_at = self.rejections_told.get_mut(reason as usize);
        if told_at.is_some_and(|told_at| is_news(told_at, now)) {
            self.outputs
                .push_back(Output::Event(Event::Rejected { reason, from }));
        }
    }

    fn count(&mut self, received: &Received) {
        let Received {
            advert, checksum, ..
        } = received;
        self.counters.received += 1;
        self.counters.received_release += u64::from(advert.priority().is_release());
        if advert.version() == Version::V3 && self.family() == Family::V4 {
            *match checksum {
                Checksum::Message => &mut self.counters.checksum_message,
                Checksum::PseudoHeader => &mut self.counters.checksum_pseudo_header,
            } += 1;
        }
        if !self.same_addresses(advert) {
            self.counters.address_list_differs += 1;
        }
    }

    fn on_advert_as_backup(&mut self, advert: &Advertisement, rival: Candidate, now: Instant) {
        let own = self.priority();
        let master_interval = self.interval_of(advert);
        let master_down_at = now + self.master_down(master_interval);
        let State::Backup(backup) = &mut self.state else {
            return;
        };
        if rival.priority.is_release() {
            let skew = election::skew(self.config.version, own, backup.master_interval);
            backup.master_down_at = now + skew;
            backup.released = true;
            backup.preempt_at = None;
            return;
        }
        let accepted = match self.config.preempt {
            _ if rival.priority >= own => {
                backup.preempt_at = None;
                true
            }
            // An owner preempts whatever it was told (RFC 9568 §6.1, Preempt_Mode).
            Preempt::Never => !own.is_owner(),
            Preempt::After(Duration::ZERO) => false,
            Preempt::After(delay) => now < *backup.preempt_at.get_or_insert(now + delay),
        };
        backup.released = false;
        if accepted {
            backup.claiming = false;
            // Who is about to yield to the master we hear does not make us wait any shorter for
            // that one; else a faster pace of the one makes us take the other for dead.
            let yields = backup
                .master
                .is_some_and(|known| known.compare(&rival) == Ordering::Greater);
            if yields && backup.master_down_at > master_down_at {
                return;
            }
            backup.master_interval = master_interval;
            backup.master_down_at = master_down_at;
        }
        let last = backup.master.replace(rival);
        if last.map(|last| last.address) != Some(rival.address) {
            self.tell_differences(advert, rival.address, now);
        }
    }

    fn tell_differences(&mut self, advert: &Advertisement, from: IpAddr, now: Instant) {
        let interval = advert.interval();
        let (addresses_differ, interval_differs) = (
            !self.same_addresses(advert),
            interval != self.config.interval,
        );
        if !(addresses_differ || interval_differs) || !is_news(&mut self.differences_told, now) {
            return;
        }
        if addresses_differ {
            self.outputs
                .push_back(Output::Event(Event::AddressListDiffers { from }));
        }
        if interval_differs {
            self.outputs
                .push_back(Output::Event(Event::IntervalDiffers { from, interval }));
        }
    }

    /// Version 3 follows the master's interval; version 2 demands its own (checked before).
    fn interval_of(&self, advert: &Advertisement) -> Duration {
        match self.config.version {
            Version::V2 => self.config.interval.as_duration(),
            Version::V3 => advert.interval().as_duration(),
        }
    }

    fn on_advert_as_master(&mut self, advert: &Advertisement, rival: Candidate, now: Instant) {
        if rival.priority.is_release() {
            self.advertise_now(now);
            return;
        }
        let Some(address) = self.source() else { return };
        let own = Candidate {
            priority: self.priority(),
            address,
        };
        match rival.compare(&own) {
            Ordering::Greater => self.yield_to(advert, rival, now),
            Ordering::Less | Ordering::Equal => {
                if own.priority.is_owner() && rival.priority.is_owner() {
                    self.dispute(advert, rival, now);
                } else {
                    self.assert_mastership(rival, now);
                }
            }
        }
    }

    fn yield_to(&mut self, advert: &Advertisement, rival: Candidate, now: Instant) {
        if self.config.higher_priority == OnHigherPriority::AdvertiseAndYield {
            self.advertise_now(now);
        }
        let interval = self.interval_of(advert);
        let mut backup = Backup::new(now + self.master_down(interval), interval);
        backup.master = Some(rival);
        let because = Cause::Outranked {
            by: rival.address,
            priority: rival.priority,
        };
        self.become_backup(because, backup);
        self.tell_differences(advert, rival.address, now);
    }

    fn assert_mastership(&mut self, rival: Candidate, now: Instant) {
        let Candidate {
            priority,
            address: from,
        } = rival;
        if self.config.lower_priority == OnLowerPriority::Advertise {
            self.advertise_now(now);
        }
        self.announce_against_rival(now);
        self.outputs
            .push_back(Output::Event(Event::LowerPriorityReceived {
                from,
                priority,
            }));
    }

    /// Two owners cannot both be right. The one of the lower address yields by the common rule; if
    /// it has not done so after 1.2 intervals, it never will, and we step down to keep one master.
    /// One that had gone silent in the meantime starts over.
    fn dispute(&mut self, advert: &Advertisement, rival: Candidate, now: Instant) {
        let patience = self
            .config
            .interval
            .as_duration()
            .max(advert.interval().as_duration())
            * 6
            / 5;
        let State::Master(master) = &mut self.state else {
            return;
        };
        match master.disputed_until {
            Some(until) if (until..until + 3 * patience).contains(&now) => {
                self.owner_disputed = true;
                let by = rival.address;
                self.outputs
                    .push_back(Output::Event(Event::OwnerDisputed { by }));
                self.yield_to(advert, rival, now);
            }
            Some(until) if now < until => {}
            Some(_) | None => {
                master.disputed_until = Some(now + patience);
                self.assert_mastership(rival, now);
            }
        }
    }
}
