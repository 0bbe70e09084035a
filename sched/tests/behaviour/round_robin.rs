//! `rr` and `wrr`.

use proptest::prelude::*;
use sched::{Flags, Kind, ServerSettings};

use crate::{
    Bench,
    history::{Run, Step, steps},
};

#[test]
fn rr_goes_on_after_the_server_picked_last_when_that_one_is_removed() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1, 1]);
    assert_eq!(bench.hold(2), [4, 3]);
    bench.remove(3);
    assert_eq!(bench.hold(1), [2]);
    bench.add(3, 1);
    assert_eq!(bench.hold(3), [1, 3, 4]);
}

#[test]
fn rr_begins_at_the_front_when_the_first_server_was_picked_last_and_removed() {
    let mut bench = Bench::with_weights(Kind::Rr, &[1, 1, 1]);
    assert_eq!(bench.hold(1), [3]);
    bench.remove(3);
    bench.add(4, 1);
    assert_eq!(bench.hold(3), [4, 2, 1]);
}

#[test]
fn wrr_begins_with_a_short_cycle_after_setting_up() {
    // Recorded from a kernel.
    let mut bench = Bench::with_weights(Kind::Wrr, &[4, 3, 2]);
    assert_eq!(bench.hold(12), [3, 2, 1, 1, 2, 1, 3, 2, 1, 3, 2, 1]);
}

#[test]
fn wrr_gives_up_without_a_search_through_every_level_of_weight() {
    let mut bench = Bench::with_weights(Kind::Wrr, &[1]);
    let settings = ServerSettings::new(ServerSettings::MAX_WEIGHT).with_thresholds(1, 0);
    bench
        .service
        .add_server(crate::server(2), settings, bench.now)
        .unwrap();
    assert_eq!(bench.hold(1), [2]);
    // Two billion levels lie between the heavy server, now overloaded, and the light one.
    assert_eq!(bench.hold(3), [1, 1, 1]);
}

proptest! {
    #[test]
    fn rr_picks_each_usable_server_once_in_a_round(
        weights in proptest::collection::vec(0_u32..3, 1..12),
        skipped in 0_u32..20,
    ) {
        let mut bench = Bench::with_weights(Kind::Rr, &weights);
        let usable: Vec<u8> =
            (1..).zip(&weights).filter(|(_, weight)| **weight > 0).map(|(it, _)| it).collect();
        prop_assume!(!usable.is_empty());
        bench.hold(skipped);
        let mut round = bench.hold(u32::try_from(usable.len()).unwrap());
        round.sort_unstable();
        prop_assert_eq!(round, usable);
    }

    #[test]
    fn wrr_gives_every_server_its_exact_share_of_any_cycle(
        weights in proptest::collection::vec(0_u32..12, 1..10),
        factor in 1_u32..4,
        skipped in 0_u32..100,
    ) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let weights: Vec<u32> = weights.iter().map(|weight| weight * factor).collect();
        let mut bench = Bench::with_weights(Kind::Wrr, &weights);
        bench.hold(skipped);
        let divisor = weights.iter().copied().fold(0, gcd);
        let cycle = bench.hold(weights.iter().sum::<u32>() / divisor);
        for (server, weight) in (1..).zip(weights) {
            let picks = cycle.iter().filter(|picked| **picked == server).count();
            prop_assert_eq!(picks, (weight / divisor) as usize, "server {}", server);
        }
    }

    #[test]
    fn wrr_picks_what_a_walk_through_the_list_finds(steps in steps()) {
        let mut run = Run::new(Bench::new(Kind::Wrr), Flags::NONE);
        let mut walk = Walk { top: 0, step: 1, level: 0, place: None };
        for step in &steps {
            let (before, accepted) = (listed(&run), is_accepted(step, &run));
            let picked = run.step(step);
            if let Step::Arrive { .. } = step {
                prop_assert_eq!(picked.and_then(|it| it.server), walk.pick(&before));
            } else if accepted {
                walk.on_change(&listed(&run));
            }
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Number, weight and overload mark of a server in the list.
type Listed = (u8, u32, bool);

fn listed(run: &Run) -> Vec<Listed> {
    let servers = run.bench.service.servers().iter();
    servers
        .map(|it| (crate::number(it.address()), it.weight(), it.is_overloaded()))
        .collect()
}

/// Whether a step is a change of a server that will be accepted.
fn is_accepted(step: &Step, run: &Run) -> bool {
    let is_listed = |number: u8| {
        run.bench
            .service
            .servers()
            .find(crate::server(number))
            .is_some()
    };
    match *step {
        Step::Add(number, _) => !is_listed(number),
        Step::Edit(number, _) | Step::Remove(number) => is_listed(number),
        Step::Arrive { .. } | Step::Close(_) | Step::Expire(_) | Step::Wait(_) => false,
    }
}

/// `wrr` by its definition: server by server, level by level.
struct Walk {
    top: u32,
    step: u32,
    level: u32,
    /// Index of the server picked last; `None` for the front of the list.
    place: Option<usize>,
}

impl Walk {
    fn on_change(&mut self, servers: &[Listed]) {
        let weights = || servers.iter().map(|(_, weight, _)| *weight);
        self.step = weights().fold(0, gcd).max(1);
        self.top = weights().max().unwrap_or(0).saturating_sub(self.step - 1);
        self.place = None;
        if self.level == 0 || self.level > self.top {
            self.level = self.top;
        } else if self.step > 1 {
            self.level = self.level / self.step * self.step + 1;
        }
    }

    fn pick(&mut self, servers: &[Listed]) -> Option<u8> {
        let begun_after = self.place;
        let in_last_round = self.level <= self.step;
        if self.top == 0 {
            return None;
        }
        // More rounds than there are levels: one of each level from the front, and the one begun.
        for _ in 0..self.top + 2 {
            let from = self.place.map_or(0, |place| place + 1);
            let rest = servers.iter().enumerate().skip(from);
            let mut good = rest.filter(|(_, (_, weight, full))| !full && *weight >= self.level);
            if let Some((index, (number, ..))) = good.next() {
                self.place = Some(index);
                return Some(*number);
            }
            self.place = None;
            self.level = match self.level.saturating_sub(self.step) {
                0 => self.top,
                level => level,
            };
        }
        // Where a fruitless search ends: at the front with a new cycle, or, if it began in the
        // last round of one, at the end of a whole cycle more, which is the place it began at.
        self.level = self.top;
        if begun_after.is_some() && in_last_round {
            (self.place, self.level) = (begun_after, 1);
        }
        None
    }
}
