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
    reason = "a condition holds or does not, is a number, or is not known"
)]
pub enum TrackerState {
    /// Not known yet.
    #[default]
    Unknown,
    /// The condition holds.
    Up,
    /// The condition does not hold.
    Down,
    /// It is a number, as of a file: multiplied with the weight it moves the priority, at most by
    /// 253, and below −253 the router cannot take part. Where the tracker is required, that is so
    /// with any number but 0.
    Number(i32),
}

/// How much a tracker weighs.
///
/// keepalived's meaning: a positive weight is *added while the condition holds*, a negative one is
/// *subtracted while it does not*; with weight 0 a router cannot take part while it does not hold.
/// A [number](TrackerState::Number) is multiplied with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight(i16);

impl Weight {
    /// 0: not weighed, but required.
    pub const REQUIRED: Self = Self(0);

    /// Makes a weight of −254 to 254. More than 253 is of use with a number only: of the other sign,
    /// each but 0 keeps the router from taking part.
    ///
    /// # Errors
    /// The number is out of that range.
    pub const fn new(value: i16) -> Result<Self, OutOfRange> {
        match value {
            -254..=254 => Ok(Self(value)),
            _ => Err(OutOfRange {
                what: "weight (without its sign)",
                value: value.unsigned_abs() as u32,
                expected: "-254 to 254",
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

    /// The state in the sense of this tracker.
    const fn effective(&self, state: TrackerState) -> TrackerState {
        let state = match (state, self.weight) {
            (TrackerState::Number(0), Weight::REQUIRED) => TrackerState::Up,
            (TrackerState::Number(_), Weight::REQUIRED) => TrackerState::Down,
            (state, _) => state,
        };
        match (state, self.reverse) {
            (TrackerState::Up, true) => TrackerState::Down,
            (TrackerState::Down, true) => TrackerState::Up,
            (TrackerState::Number(number), true) => TrackerState::Number(number.saturating_neg()),
            (state, _) => state,
        }
    }

    fn contribution(&self, state: TrackerState) -> i16 {
        match (self.effective(state), self.weight.0) {
            (TrackerState::Up, weight @ 1..) | (TrackerState::Down, weight @ ..=-1) => weight,
            (TrackerState::Number(number), weight) => product(number, weight),
            _ => 0,
        }
    }

    fn is_fault(&self, state: TrackerState) -> bool {
        match self.effective(state) {
            TrackerState::Up | TrackerState::Unknown => false,
            TrackerState::Down => self.weight == Weight::REQUIRED,
            TrackerState::Number(number) => product(number, self.weight.0) == FAULT,
        }
    }
}

/// What a number comes to when it is below −253.
const FAULT: i16 = -254;

/// A number times a weight, from [`FAULT`] to 253.
fn product(number: i32, weight: i16) -> i16 {
    let product = i64::from(number) * i64::from(weight);
    i16::try_from(product.clamp(FAULT.into(), 253)).unwrap_or(FAULT)
}

/// The trackers of one router and what follows from their states.
#[derive(Debug, Clone)]
pub(crate) struct Tracking {
    base: Priority,
    /// With their states as they were told.
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
                *known = state;
            }
        }
    }

    /// Takes over the states of another set, for trackers that are in both.
    pub(crate) fn adopt(&mut self, old: &Self) {
        let states: BTreeMap<_, _> = old
            .trackers
            .iter()
            .map(|(tracker, state)| (&tracker.tracked, *state))
            .collect();
        for (tracker, known) in &mut self.trackers {
            if let Some(state) = states.get(&tracker.tracked) {
                *known = *state;
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

    /// The trackers that keep the router from taking part.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &Tracked> {
        self.trackers
            .iter()
            .filter(|(tracker, state)| tracker.is_fault(*state))
            .map(|(tracker, _)| &tracker.tracked)
    }

    /// Whether a required tracker has given no result yet.
    pub(crate) fn undecided(&self) -> bool {
        self.trackers.iter().any(|(tracker, state)| {
            tracker.weight == Weight::REQUIRED && *state == TrackerState::Unknown
        })
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

    #[test]
    fn row_2_1_7_a_number_is_multiplied_and_a_fault_below_minus_253() {
        let told = |weight: i16, reverse: bool, number: i32| {
            let mut tracker = Tracker::weighted(condition("a"), Weight::new(weight).unwrap());
            tracker.reverse = reverse;
            let mut tracking = Tracking::new(Priority::DEFAULT, &[tracker]);
            tracking.set(&condition("a"), TrackerState::Number(number));
            let is_fault = tracking.faults().next().is_some();
            (tracking.priority().as_u8(), is_fault)
        };
        assert_eq!(told(3, false, 7), (121, false));
        assert_eq!(told(3, false, -7), (79, false));
        assert_eq!(told(3, true, 7), (79, false));
        assert_eq!(told(1, false, -253), (1, false));
        assert_eq!(told(1, false, -254), (1, true));
        assert_eq!(told(254, false, 1), (254, false));
        assert_eq!(told(254, false, -1), (1, true));
        assert_eq!(told(254, true, i32::MIN), (254, false));
        // Required.
        assert_eq!(told(0, false, 0), (100, false));
        assert_eq!(told(0, false, 7), (100, true));
        assert_eq!(told(0, true, 0), (100, true));
        assert_eq!(told(0, true, 7), (100, false));
    }

    #[test]
    fn another_weight_takes_over_the_number() {
        let mut old = tracking(100, &[("a", 0)]);
        old.set(&condition("a"), TrackerState::Number(7));
        let mut new = tracking(100, &[("a", 2)]);
        new.adopt(&old);
        assert_eq!(new.priority().as_u8(), 114);
    }
}
