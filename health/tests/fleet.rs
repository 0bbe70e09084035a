//! A fleet on virtual time.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test begins at some instant, and fails by panicking"
)]

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use health::{
    Ask, AskedWeight, CheckConfig, CheckId, Failure, Fleet, FleetError, FleetInput, FleetOutput,
    Health, PastProbe, Run, Standing, Success,
};

const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    fleet: Fleet<u32, u32>,
    now: Instant,
    running: BTreeMap<(CheckId, Run), u32>,
    changes: Vec<(u32, Health, Health, Option<String>)>,
    /// What was probed and when.
    probes: Vec<(Instant, u32)>,
    most: usize,
}

impl Rig {
    fn new(concurrency: usize) -> Self {
        Self {
            fleet: Fleet::new(NonZeroUsize::new(concurrency).unwrap(), 1),
            now: Instant::now(),
            running: BTreeMap::new(),
            changes: Vec::new(),
            probes: Vec::new(),
            most: 0,
        }
    }

    fn ask(&mut self, asked: impl IntoIterator<Item = Ask<u32, u32>>) {
        self.fleet.configure(asked, self.now).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.fleet.poll_output() {
            match output {
                FleetOutput::Probe { id, run, probe, .. } => {
                    assert!(self.running.insert((id, run), probe).is_none());
                    self.probes.push((self.now, probe));
                }
                FleetOutput::Abandon { id, run } => {
                    assert!(self.running.remove(&(id, run)).is_some());
                }
                FleetOutput::Changed {
                    service,
                    from,
                    to,
                    because,
                } => {
                    let because = because.map(|failure| failure.to_string());
                    self.changes.push((service, from, to, because));
                }
                FleetOutput::Weighed { .. } | FleetOutput::Proven { .. } => {}
            }
            self.most = self.most.max(self.running.len());
        }
        assert_eq!(self.running.len(), self.fleet.running());
    }

    fn handle(&mut self, input: FleetInput<u32>) {
        self.fleet.handle(input, self.now);
        self.drain();
    }

    /// Lets time pass; `answer` says at once how a probe goes, or nothing for a black hole.
    fn run(&mut self, span: Duration, answer: impl Fn(u32) -> Option<bool>) {
        let end = self.now + span;
        loop {
            let answered: Vec<_> = self
                .running
                .iter()
                .filter_map(|(key, probe)| answer(*probe).map(|passed| (*key, passed)))
                .collect();
            for ((id, run), passed) in &answered {
                self.running.remove(&(*id, *run));
                let (id, run) = (*id, *run);
                let result = match passed {
                    true => Ok(Success::default()),
                    false => Err(Arc::new(io::Error::other("refused")) as Arc<_>),
                };
                self.fleet
                    .handle(FleetInput::Outcome { id, run, result }, self.now);
            }
            self.drain();
            if !answered.is_empty() {
                continue;
            }
            match self.fleet.poll_timeout() {
                Some(at) if at <= end => self.now = at.max(self.now),
                _ => break,
            }
            self.fleet.handle(FleetInput::Timeout, self.now);
            self.drain();
        }
        self.now = end;
    }
}

fn ask(service: u32, probe: u32) -> Ask<u32, u32> {
    Ask {
        service,
        probe,
        config: CheckConfig::plain(2 * SECOND, SECOND),
        start_delay: Duration::ZERO,
        warm_up: 2 * SECOND,
        known: None,
    }
}

#[test]
fn a_probe_that_several_services_ask_for_runs_once_and_all_are_told() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 7), ask(2, 7), ask(3, 8)]);
    rig.run(2 * SECOND - Duration::from_nanos(1), |_| Some(true));
    assert_eq!(rig.probes.len(), 2);
    let mut told: Vec<_> = rig.changes.iter().map(|change| change.0).collect();
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3]);
}

#[test]
fn first_probes_are_spread_and_stay_spread() {
    let mut rig = Rig::new(1000);
    rig.ask((0..1000).map(|number| ask(number, number)));
    rig.run(20 * SECOND, |_| Some(true));
    let start = rig.probes.iter().map(|probe| probe.0).min().unwrap();
    for tenth in 0..90_u32 {
        let from = start + tenth * SECOND / 10;
        let to = from + SECOND / 10;
        let count = rig
            .probes
            .iter()
            .filter(|(at, _)| (from..to).contains(at))
            .count();
        assert!(
            (45..=55).contains(&count),
            "{count} in 100 ms instead of 50"
        );
    }
}

#[test]
fn black_holes_within_the_budget_delay_nobody() {
    let mut rig = Rig::new(5);
    rig.ask((0..20).map(|number| ask(number, number)));
    rig.run(60 * SECOND, |probe| (probe >= 4).then_some(true));
    assert!(rig.most <= 5);
    let snapshot = rig.fleet.snapshot();
    for (service, standing) in snapshot.standings {
        let expected = if service < 4 {
            Health::Down
        } else {
            Health::Up
        };
        assert_eq!(standing.health, expected, "{service}");
    }
    for report in rig.fleet.reports() {
        let runs = report.lateness.total();
        assert!((29..=31).contains(&runs), "{runs} runs in a minute");
        let late = report.lateness.quantile(1000).unwrap();
        assert!(late < SECOND / 20, "black holes delay others by {late:?}");
    }
}

#[test]
fn checks_beyond_the_budget_take_turns_instead_of_starving() {
    let mut rig = Rig::new(1);
    rig.ask((0..6).map(|number| ask(number, number)));
    rig.run(60 * SECOND, |_| None);
    let runs: Vec<_> = rig
        .fleet
        .reports()
        .map(|report| report.lateness.total())
        .collect();
    assert!(runs.iter().all(|runs| (9..=11).contains(runs)), "{runs:?}");
    assert_eq!(rig.most, 1);
}

#[test]
fn a_report_says_how_the_last_probes_went_and_what_was_seen_in_a_row() {
    let mut rig = Rig::new(1);
    rig.ask([ask(1, 1)]);
    let began = rig.now;
    rig.run(20 * SECOND, |_| Some(true));
    let report = rig.fleet.reports().next().unwrap();
    assert_eq!(report.recent.len(), PastProbe::KEPT);
    assert!(report.recent.iter().all(|probe| probe.failure.is_none()));
    assert_eq!(report.streak.failures, 0);
    assert!(report.streak.passes >= 2 && !report.is_running);

    // The interval, its retry, and the three failures that it takes.
    let passes = report.counters.passed;
    while rig.fleet.reports().next().unwrap().counters.failed < 2 {
        rig.run(SECOND / 10, |_| Some(false));
    }
    let report = rig.fleet.reports().next().unwrap();
    assert_eq!((report.streak.passes, report.streak.failures), (0, 2));
    assert_eq!(
        report.standing.health,
        Health::Up,
        "one more brings it down"
    );
    assert_eq!(report.counters.passed, passes);
    let failures = report.recent.iter().map(|probe| probe.failure.as_ref());
    let failures: Vec<_> = failures.map(|it| it.map(ToString::to_string)).collect();
    let refused = Some(String::from("refused"));
    assert_eq!(failures, [None, None, refused.clone(), refused]);
    let order = report.recent.iter().map(|probe| probe.began_at);
    assert!(order.clone().is_sorted() && order.clone().all(|at| at >= began && at <= rig.now));

    rig.run(20 * SECOND, |_| None);
    let report = rig.fleet.reports().next().unwrap();
    let last = report.recent.last().unwrap();
    assert!(matches!(last.failure, Some(Failure::TimedOut(timeout)) if timeout == last.took));
}

#[test]
fn state_goes_by_identity_not_by_position() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1), ask(2, 2), ask(3, 3)]);
    rig.run(10 * SECOND, |probe| Some(probe != 2));
    rig.changes.clear();
    let before = rig.fleet.snapshot();
    rig.ask([ask(3, 3), ask(2, 2), ask(1, 1)]);
    assert_eq!(
        rig.fleet.snapshot(),
        before,
        "the same in another order is the same"
    );
    rig.ask([ask(4, 4), ask(3, 3), ask(2, 2)]);
    let snapshot = rig.fleet.snapshot();
    assert!(snapshot.standings.keys().eq(&[2, 3, 4]));
    assert_eq!(
        [2, 3, 4].map(|service| snapshot.health(&service)),
        [Health::Down, Health::Up, Health::Unknown],
    );
    assert!(rig.changes.is_empty());
}

#[test]
fn another_timing_keeps_what_is_known() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1), ask(2, 1)]);
    rig.run(10 * SECOND, |_| Some(false));
    rig.changes.clear();
    let mut slower = ask(1, 1);
    slower.config.interval = 9 * SECOND;
    rig.ask([slower, ask(2, 1)]);
    assert_eq!(rig.fleet.reports().count(), 2);
    for report in rig.fleet.reports() {
        assert_eq!(report.last_failure.unwrap().to_string(), "refused");
        assert!(report.changed_at.is_some());
    }
    assert!(
        rig.fleet
            .snapshot()
            .standings
            .values()
            .all(|standing| standing.health == Health::Down)
    );
    assert!(rig.changes.is_empty());
}

#[test]
fn a_check_nobody_asks_for_any_more_is_abandoned() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1)]);
    rig.run(SECOND / 2, |_| None);
    assert_eq!(rig.fleet.running(), 1);
    rig.ask([]);
    assert_eq!((rig.fleet.running(), rig.fleet.poll_timeout()), (0, None));
}

#[test]
fn a_change_says_why() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1), ask(2, 2)]);
    rig.run(4 * SECOND, |probe| (probe == 1).then_some(false));
    rig.changes.sort_by_key(|change| change.0);
    let (unknown, down) = (Health::Unknown, Health::Down);
    assert_eq!(
        rig.changes,
        [
            (1, unknown, down, Some("refused".into())),
            (2, unknown, down, Some("no result within 1s".into())),
        ],
    );
}

#[test]
fn a_set_with_a_mistake_is_refused_whole() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1)]);
    let before = rig.fleet.snapshot();
    let twice = rig.fleet.configure([ask(2, 2), ask(2, 3)], rig.now);
    assert_eq!(
        twice,
        Err(FleetError::Twice {
            service: "2".into()
        })
    );
    let mut wrong = ask(3, 3);
    wrong.config.interval = Duration::ZERO;
    assert!(matches!(
        rig.fleet.configure([ask(2, 2), wrong], rig.now),
        Err(FleetError::Config { .. })
    ));
    assert_eq!(rig.fleet.snapshot(), before);
}

#[test]
fn a_paused_service_is_probed_no_more_and_a_shared_check_goes_on_for_the_others() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1), ask(2, 2), ask(3, 2)]);
    rig.run(10 * SECOND, |_| Some(true));
    rig.handle(FleetInput::Pause(1));
    rig.handle(FleetInput::Pause(2));
    rig.probes.clear();
    rig.run(10 * SECOND, |_| Some(false));
    assert!(rig.probes.iter().all(|(_, probe)| *probe == 2));
    assert_eq!(rig.fleet.snapshot().health(&1), Health::Up);
    assert_eq!(rig.fleet.snapshot().health(&2), Health::Down);
    rig.probes.clear();
    rig.handle(FleetInput::Resume(1));
    assert_eq!(rig.probes, [(rig.now, 1)]);
}

#[test]
fn a_crowd_that_is_resumed_keeps_to_the_budget() {
    let mut rig = Rig::new(3);
    rig.ask((0..20).map(|number| ask(number, number)));
    (0..20).for_each(|number| rig.handle(FleetInput::Pause(number)));
    rig.run(SECOND, |_| Some(true));
    assert!(rig.probes.is_empty());
    (0..20).for_each(|number| rig.handle(FleetInput::Resume(number)));
    rig.run(SECOND, |_| Some(true));
    assert_eq!((rig.probes.len(), rig.most), (20, 3));
}

#[test]
fn a_probe_can_be_asked_for_out_of_turn() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1)]);
    rig.run(5 * SECOND + SECOND / 2, |_| Some(true));
    rig.probes.clear();
    rig.handle(FleetInput::ProbeNow(1));
    rig.handle(FleetInput::ProbeNow(1));
    rig.handle(FleetInput::ProbeNow(9));
    assert_eq!(rig.probes, [(rig.now, 1)]);
}

#[test]
fn a_probe_that_waits_for_its_turn_stays_as_late_as_it_is_when_it_is_asked_for() {
    let mut rig = Rig::new(1);
    rig.ask([1, 2].map(|number| Ask {
        warm_up: Duration::ZERO,
        ..ask(number, number)
    }));
    rig.run(SECOND / 2, |_| None);
    let due = |rig: &Rig| -> Vec<_> {
        let reports = rig.fleet.reports();
        reports.filter_map(|report| report.next_run_at).collect()
    };
    let before = due(&rig);
    assert!(matches!(*before, [at] if at < rig.now));
    rig.handle(FleetInput::ProbeNow(1));
    rig.handle(FleetInput::ProbeNow(2));
    assert_eq!(due(&rig), before);
}

#[test]
fn a_weight_that_a_probe_asks_for_is_told_once_and_kept_while_probes_fail() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1)]);
    let mut told = Vec::new();
    for (weight, passed) in [
        (None, true),
        (Some(7), true),
        (Some(7), true),
        (Some(9), false),
    ] {
        rig.handle(FleetInput::ProbeNow(1));
        let ((id, run), _) = rig.running.pop_first().unwrap();
        let mut success = Success::default();
        success.weight = weight.map(AskedWeight::Change);
        let result = match passed {
            true => Ok(success),
            false => Err(Arc::new(io::Error::other("refused")) as Arc<_>),
        };
        rig.now += SECOND / 10;
        rig.fleet
            .handle(FleetInput::Outcome { id, run, result }, rig.now);
        while let Some(output) = rig.fleet.poll_output() {
            if let FleetOutput::Weighed { service, weight } = output {
                told.push((service, weight));
            }
        }
    }
    let seven = Some(AskedWeight::Change(7));
    assert_eq!(told, [(1, seven)]);
    assert_eq!(rig.fleet.snapshot().standings[&1].weight, seven);
}

#[test]
fn what_is_foreseen_is_what_is_known_after_it_is_asked_for() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1), ask(2, 2), ask(3, 3)]);
    rig.run(20 * SECOND, |probe| match probe {
        3 => None,
        probe => Some(probe == 1),
    });
    let slower = |ask: Ask<u32, u32>| Ask {
        config: CheckConfig::plain(5 * SECOND, SECOND),
        ..ask
    };
    let down_at_first = |mut ask: Ask<u32, u32>| {
        ask.config.initial = health::Initial::Down;
        ask
    };
    // The same, another timing, another probe, a new service of a known probe, a new one.
    let next = [
        ask(1, 1),
        slower(ask(2, 2)),
        ask(3, 1),
        slower(ask(4, 2)),
        down_at_first(ask(5, 5)),
    ];
    let before = rig.fleet.snapshot();
    let foreseen = rig.fleet.foresee(next.clone()).unwrap();
    assert_eq!(rig.fleet.snapshot(), before);
    rig.ask(next);
    assert_eq!(foreseen, rig.fleet.snapshot().standings);
    let health = |service: u32| foreseen.get(&service).map(|standing| standing.health);
    assert_eq!(health(4), Some(Health::Down));
    assert_eq!(health(5), Some(Health::Down));
    assert!(rig.fleet.foresee([ask(1, 1), ask(1, 2)]).is_err());
}

fn known(health: Health, weight: Option<i32>) -> Standing {
    let mut standing = Standing::new(health);
    standing.weight = weight.map(AskedWeight::Change);
    standing
}

#[test]
fn a_new_check_begins_with_what_is_known_and_is_foreseen_so() {
    let mut rig = Rig::new(10);
    let of = |service, probe, known| Ask {
        known,
        ..ask(service, probe)
    };
    let (up, down) = (known(Health::Up, Some(7)), known(Health::Down, None));
    let asked = [
        of(1, 1, Some(down)),
        of(2, 2, Some(up)),
        // Nobody knows of the first that the second is the same, which knows.
        of(3, 3, None),
        of(4, 3, Some(up)),
        of(5, 4, Some(known(Health::Unknown, Some(7)))),
    ];
    let foreseen = rig.fleet.foresee(asked.clone()).unwrap();
    rig.ask(asked);
    let standings = rig.fleet.snapshot().standings;
    assert_eq!(foreseen, standings);
    let unknown = Standing::new(Health::Unknown);
    assert_eq!(
        standings.into_values().collect::<Vec<_>>(),
        [down, up, up, up, unknown]
    );
    assert!(rig.changes.is_empty());
}

#[test]
fn who_was_down_stays_out_until_probes_pass_and_who_was_up_falls_as_configured() {
    let mut rig = Rig::new(10);
    let (up, down) = (known(Health::Up, None), known(Health::Down, None));
    let asked = [(1, down), (2, up)].map(|(number, known)| {
        let mut ask = ask(number, number);
        ask.known = Some(known);
        ask.warm_up = Duration::ZERO;
        ask.start_delay = SECOND;
        ask.config.rise = 2.try_into().unwrap();
        ask.config.fall = 2.try_into().unwrap();
        ask
    });
    rig.ask(asked);
    // The first is well again by now, and the second is not any more.
    rig.run(SECOND / 2, |probe| Some(probe == 1));
    assert!(rig.probes.is_empty());
    rig.run(SECOND, |probe| Some(probe == 1));
    assert_eq!(rig.probes.len(), 2);
    assert!(rig.changes.is_empty());
    rig.run(5 * SECOND, |probe| Some(probe == 1));
    let refused = Some(String::from("refused"));
    let mut changes = rig.changes.clone();
    changes.sort_by_key(|change| change.0);
    assert_eq!(
        changes,
        [
            (1, Health::Down, Health::Up, None),
            (2, Health::Up, Health::Down, refused)
        ]
    );
}

#[test]
fn what_the_fleet_knows_itself_counts_for_more() {
    let mut rig = Rig::new(10);
    rig.ask([ask(1, 1)]);
    rig.run(5 * SECOND, |_| Some(true));
    let mut changed = ask(2, 1);
    changed.config.interval = 3 * SECOND;
    changed.known = Some(known(Health::Down, None));
    let mut same = ask(1, 1);
    same.known = changed.known;
    let asked = [same, changed];
    let foreseen = rig.fleet.foresee(asked.clone()).unwrap();
    rig.ask(asked);
    let standings = rig.fleet.snapshot().standings;
    assert_eq!(foreseen, standings);
    assert!(standings.values().all(|it| it.health == Health::Up));
}
