//! When a master announces its addresses.

use std::time::{Duration, Instant};

use crate::AnnounceSchedule;

/// The announcements that a master still owes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Announcements {
    repeat_at: Option<Instant>,
    lower_priority_at: Option<Instant>,
    refresh_at: Option<Instant>,
}

impl Announcements {
    /// Starts over, as the addresses have just been put on the interface; the answer is how many
    /// announcements of each address are due at once.
    pub(super) fn start(&mut self, schedule: &AnnounceSchedule, now: Instant) -> u8 {
        self.repeat_at = after(now, schedule.delay);
        self.refresh_at = after(now, schedule.refresh);
        schedule.repeat
    }

    /// Somebody of lower priority has been heard, who may have drawn traffic to itself.
    pub(super) fn rival(&mut self, schedule: &AnnounceSchedule, now: Instant) -> u8 {
        self.lower_priority_at = after(now, schedule.lower_priority_delay);
        schedule.lower_priority_repeat
    }

    /// How many announcements of each address are due; what is due is then done with.
    pub(super) fn due(&mut self, schedule: &AnnounceSchedule, now: Instant) -> u8 {
        let mut rounds = 0;
        if self.repeat_at.take_if(|at| *at <= now).is_some() {
            rounds = rounds.max(schedule.repeat);
        }
        if self.lower_priority_at.take_if(|at| *at <= now).is_some() {
            rounds = rounds.max(schedule.lower_priority_repeat);
        }
        if self.refresh_at.take_if(|at| *at <= now).is_some() {
            self.refresh_at = after(now, schedule.refresh);
            rounds = rounds.max(schedule.refresh_repeat);
        }
        rounds
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        [self.repeat_at, self.lower_priority_at, self.refresh_at]
            .into_iter()
            .flatten()
            .min()
    }
}

fn after(now: Instant, delay: Duration) -> Option<Instant> {
    (!delay.is_zero()).then(|| now + delay)
}
