//! Conditions that raise, lower or forbid a router's candidacy.

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{OutOfRange, Priority};

/// What a tracker watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tracked {
    /// An interface by name: good while it runs. The driver watches it.
    Interface(Arc<str>),
    /// A named condition that the embedding program reports: a script, a check, a file.
    Condition(Arc<str>),
}

impl fmt::Display for Tracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Condition(name) => f.write_str(name),
        }
    }
}

/// State of what is tracked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a condition holds, does not hold, or is not known"
)]
pub enum TrackerState {
    /// Not known yet.
    #[default]
    Unknown,
    /// The condition holds.
    Up,
    /// The condition does not hold.
    Down,
}

/// How much a tracker weighs.
///
/// keepalived's meaning: a positive weight is *added while the condition holds*, a negative one is
/// *subtracted while it does not*; with weight 0 a router cannot take part while it does not hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight(i16);

impl Weight {
    /// 0: not weighed, but required.
    pub const REQUIRED: Self = Self(0);

    /// Makes a weight of −253 to 253.
    ///
    /// # Errors
    /// The number is out of that range.
    pub const fn new(value: i16) -> Result<Self, OutOfRange> {
        match value {
            -253..=253 => Ok(Self(value)),
            _ => Err(OutOfRange {
                what: "weight (without its sign)",
                value: value.unsigned_abs() as u32,
                expected: "-253 to 253",
            }),
        }
    }

    /// The number.
    #[must_use]
    pub const fn as_i16(self) -> i16 {
        self.0
    }
}

/// A condition that a router tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tracker {
    /// What it watches.
    pub tracked: Tracked,
    /// How much it weighs.
    pub weight: Weight,
    /// Takes Up for Down and Down for Up.
    pub reverse: bool,
}

impl Tracker {
    /// A tracker that is required: the router cannot take part while it is down.
    #[must_use]
    pub const fn required(tracked: Tracked) -> Self {
        Self {
            tracked,
            weight: Weight::REQUIRED,
            reverse: false,
        }
    }

    /// A tracker that moves the priority.
    #[must_use]
    pub const fn weighted(tracked: Tracked, weight: Weight) -> Self {
        Self {
            tracked,
            weight,
            reverse: false,
        }
    }

    fn effective(&self, state: TrackerState) -> TrackerState {
        match (state, self.reverse) {
            (TrackerState::Up, true) => TrackerState::Down,
            (TrackerState::Down, true) => TrackerState::Up,
            (state, _) => state,
        }
    }

    const fn contribution(&self, state: TrackerState) -> i16 {
        match (state, self.weight.0) {
            (TrackerState::Up, weight @ 1..) | (TrackerState::Down, weight @ ..=-1) => weight,
            _ => 0,
        }
    }
}

/// The trackers of one router and what follows from their states.
#[derive(Debug, Clone)]
pub(crate) struct Tracking {
    base: Priority,
    trackers: Vec<(Tracker, TrackerState)>,
}

impl Tracking {
    pub(crate) fn new(base: Priority, trackers: &[Tracker]) -> Self {
        let unknown = |tracker: &Tracker| (tracker.clone(), TrackerState::Unknown);
        Self {
            base,
            trackers: trackers.iter().map(unknown).collect(),
        }
    }

    pub(crate) const fn set_base(&mut self, base: Priority) {
        self.base = base;
    }

    pub(crate) fn set(&mut self, tracked: &Tracked, state: TrackerState) {
        for (tracker, known) in &mut self.trackers {
            if tracker.tracked == *tracked {
                *known = tracker.effective(state);
            }
        }
    }

    /// Takes over the states of another set, for trackers that are in both.
    pub(crate) fn adopt(&mut self, old: &Self) {
        let states: BTreeMap<_, _> = old
            .trackers
            .iter()
            .map(|(tracker, state)| (&tracker.tracked, tracker.effective(*state)))
            .collect();
        for (tracker, known) in &mut self.trackers {
            if let Some(state) = states.get(&tracker.tracked) {
                *known = tracker.effective(*state);
            }
        }
    }

    /// Base priority plus all contributions, within 1–254; an owner's is never changed.
    pub(crate) fn priority(&self) -> Priority {
        if self.base.is_owner() {
            return self.base;
        }
        let contributions: i32 = self
            .trackers
            .iter()
            .map(|(tracker, state)| i32::from(tracker.contribution(*state)))
            .sum();
        let total = i32::from(self.base.as_u8()).saturating_add(contributions);
        let lowest = 1;
        let highest = i32::from(Priority::HIGHEST_BACKUP.as_u8());
        Priority::from_wire(u8::try_from(total.clamp(lowest, highest)).unwrap_or(1))
    }

    /// The required trackers that are down.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Tracked> {
        self.required()
            .filter(|(_, state)| *state == TrackerState::Down)
            .map(|(tracked, _)| tracked)
    }

    /// Whether a required tracker has given no result yet.
    pub(crate) fn undecided(&self) -> bool {
        self.required()
            .any(|(_, state)| state == TrackerState::Unknown)
    }

    fn required(&self) -> impl Iterator<Item = (&Tracked, TrackerState)> {
        self.trackers
            .iter()
            .filter(|(tracker, _)| tracker.weight == Weight::REQUIRED)
            .map(|(tracker, state)| (&tracker.tracked, *state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &str) -> Tracked {
        Tracked::Condition(name.into())
    }

    fn tracking(base: u8, trackers: &[(&str, i16)]) -> Tracking {
        let trackers: Vec<_> = trackers
            .iter()
            .map(|(name, weight)| Tracker::weighted(condition(name), Weight::new(*weight).unwrap()))
            .collect();
        Tracking::new(Priority::new(base).unwrap(), &trackers)
    }

    #[test]
    fn row_2_1_1_the_effective_priority_is_kept_within_1_and_254() {
        let mut high = tracking(250, &[("a", 100)]);
        high.set(&condition("a"), TrackerState::Up);
        assert_eq!(high.priority(), Priority::HIGHEST_BACKUP);

        let mut low = tracking(10, &[("a", -100)]);
        low.set(&condition("a"), TrackerState::Down);
        assert_eq!(low.priority().as_u8(), 1);
    }

    #[test]
    fn row_2_1_1_the_priority_of_an_owner_is_never_changed() {
        let mut owner = tracking(255, &[("a", -100)]);
        owner.set(&condition("a"), TrackerState::Down);
        assert_eq!(owner.priority(), Priority::OWNER);
    }

    #[test]
    fn row_2_1_2_positive_is_added_while_up_and_negative_subtracted_while_down() {
        let mut both = tracking(100, &[("plus", 2), ("minus", -30)]);
        assert_eq!(both.priority().as_u8(), 100, "nothing is known yet");
        both.set(&condition("plus"), TrackerState::Up);
        both.set(&condition("minus"), TrackerState::Up);
        assert_eq!(both.priority().as_u8(), 102);
        both.set(&condition("plus"), TrackerState::Down);
        both.set(&condition("minus"), TrackerState::Down);
        assert_eq!(both.priority().as_u8(), 70);
    }

    #[test]
    fn row_2_1_3_a_required_tracker_is_a_fault_and_moves_no_priority() {
        let mut required = tracking(100, &[("a", 0)]);
        assert!(required.undecided());
        required.set(&condition("a"), TrackerState::Down);
        assert!(!required.undecided());
        assert_eq!(required.faults().collect::<Vec<_>>(), [&condition("a")]);
        assert_eq!(required.priority().as_u8(), 100);
    }

    #[test]
    fn row_2_1_4_reverse_turns_the_sense_around_from_the_first_result_on() {
        let mut tracker = Tracker::weighted(condition("a"), Weight::new(20).unwrap());
        tracker.reverse = true;
        let mut reversed = Tracking::new(Priority::DEFAULT, &[tracker]);
        reversed.set(&condition("a"), TrackerState::Up);
        assert_eq!(reversed.priority().as_u8(), 100);
        reversed.set(&condition("a"), TrackerState::Down);
        assert_eq!(reversed.priority().as_u8(), 120);
    }
}
