//! What has happened on a fake segment.

use std::{collections::VecDeque, time::Instant};

use super::{Frame, Port};

/// Something that happened to a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameRecord {
    /// When; a delivery has the time it was due, however late it was taken.
    pub at: Instant,
    /// Who sent the frame.
    pub from: Port,
    /// The frame.
    pub frame: Frame,
    /// What happened to it.
    pub event: FrameEvent,
}

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameEvent {
    /// It was sent.
    Sent,
    /// It was delivered.
    Delivered {
        /// To whom.
        to: Port,
    },
    /// It was not delivered.
    Lost {
        /// To whom it should have been.
        to: Port,
        /// Why it was not.
        because: LossCause,
    },
}

/// Why a frame did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossCause {
    /// [`Conditions::loss`](super::Conditions::loss), or a latency that never ends.
    Line,
    /// Sender and receiver were in different parts of the segment.
    Partition,
    /// The sender or the receiver was not plugged in.
    Unplugged,
    /// The receiver did not read, and its receive queue was full.
    QueueFull,
}

/// The last records, up to a limit.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    records: VecDeque<FrameRecord>,
    limit: usize,
}

impl Journal {
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.trim();
    }

    pub(super) fn add(&mut self, at: Instant, from: Port, frame: &Frame, event: FrameEvent) {
        if self.limit > 0 {
            self.records.push_back(FrameRecord {
                at,
                from,
                frame: frame.clone(),
                event,
            });
            self.trim();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &FrameRecord> {
        self.records.iter()
    }

    fn trim(&mut self) {
        let excess = self.records.len().saturating_sub(self.limit);
        self.records.drain(..excess);
    }
}
