//! Flap damping: remembers when a server went down.

use std::{collections::VecDeque, time::Instant};

use super::Damping;

/// The last falls of a server, as many as damping counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Damper {
    falls: VecDeque<Instant>,
    held_until: Option<Instant>,
}

impl Damper {
    /// The server goes down.
    pub(super) fn on_fall(&mut self, damping: &Damping, now: Instant) {
        self.falls.push_back(now);
        let counted = usize::try_from(damping.falls.get()).unwrap_or(usize::MAX);
        while self.falls.len() > counted {
            self.falls.pop_front();
        }
        let first = self.falls.front().copied().unwrap_or(now);
        if self.falls.len() == counted && now.duration_since(first) <= damping.within {
            self.held_until = Some(now + damping.hold);
        }
    }

    /// Until when the server must not come up.
    pub(super) fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held_until.filter(|until| now < *until)
    }
}
