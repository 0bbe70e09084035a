//! A table is kept on a kernel in memory, in virtual time.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and begins at some instant"
)]

use std::time::{Duration, Instant};

use ipvs::{
    Change, Claim, Counts, DrainEnd, DrainPolicy, Endpoint, IpvsBackend, Ownership, ReconcileEvent,
    ReconcileInput, ReconcileOutput, ReconcilePolicy, Reconciler, Removal, ServiceKey, Table,
    fake::{Fault, Kernel},
    text::parse_table,
};
use proptest::{collection, prelude::*, sample};

const SECOND: Duration = Duration::from_secs(1);

/// A reconciler on a kernel.
struct Rig {
    kernel: Kernel,
    reconciler: Reconciler,
    now: Instant,
    events: Vec<ReconcileEvent>,
    reads: usize,
}

impl Rig {
    fn new(kernel: Kernel, owned: Ownership) -> Self {
        Self::with(kernel, owned, ReconcilePolicy::default())
    }

    fn with(kernel: Kernel, owned: Ownership, policy: ReconcilePolicy) -> Self {
        let now = Instant::now();
        Self {
            kernel,
            reconciler: Reconciler::new(policy, owned, now),
            now,
            events: Vec::new(),
            reads: 0,
        }
    }

    fn handle(&mut self, input: ReconcileInput) {
        self.reconciler.handle(input, self.now);
        self.drain();
    }

    fn desire(&mut self, table: &Table, removal: Removal) {
        let table = table.clone();
        self.handle(ReconcileInput::Desired { table, removal });
    }

    fn drain(&mut self) {
        for _ in 0..1000 {
            let Some(output) = self.reconciler.poll_output() else {
                return;
            };
            let input = match output {
                ReconcileOutput::Event(event) => {
                    self.events.push(event);
                    continue;
                }
                ReconcileOutput::Read => {
                    self.reads += 1;
                    match block_on(self.kernel.snapshot()) {
                        Ok(snapshot) => ReconcileInput::Read(snapshot),
                        Err(error) => ReconcileInput::NotRead {
                            because: error.to_string(),
                        },
                    }
                }
                ReconcileOutput::Apply(changes) => {
                    assert!(!changes.is_empty());
                    match block_on(self.kernel.apply(&changes)) {
                        Ok(outcomes) => ReconcileInput::Applied(outcomes),
                        Err(error) => ReconcileInput::NotApplied {
                            because: error.to_string(),
                        },
                    }
                }
            };
            self.reconciler.handle(input, self.now);
        }
        panic!("it never comes to rest: {:?}", self.reconciler);
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.drain();
        let mut wakes = 0;
        while let Some(at) = self.reconciler.poll_timeout()
            && at <= end
        {
            wakes += 1;
            assert!(wakes < 100_000, "it does not rest: {:?}", self.reconciler);
            self.kernel.advance(at.saturating_duration_since(self.now));
            self.now = at.max(self.now);
            self.handle(ReconcileInput::Timeout);
        }
        self.kernel.advance(end - self.now);
        self.now = end;
    }

    /// What the kernel has; dumps that are to fail do so here too.
    fn table(&self) -> Table {
        loop {
            if let Ok(snapshot) = block_on(self.kernel.snapshot()) {
                return snapshot.table();
            }
        }
    }

    fn take_changes(&self) -> Vec<Change> {
        let records = self.kernel.take_journal().into_iter();
        records.map(|record| record.change).collect()
    }

    fn take_events(&mut self) -> Vec<ReconcileEvent> {
        std::mem::take(&mut self.events)
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    { runtime }.build().unwrap().block_on(future)
}

fn table(text: &str) -> Table {
    parse_table(text).unwrap()
}

const WEB: &str = "-A -t 10.1.0.100:80 -s rr\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 1\n\
                   -a -t 10.1.0.100:80 -r 10.0.0.2:80 -g -w 1\n";

fn web() -> (ServiceKey, Endpoint) {
    let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
    (service, "10.0.0.2:80".parse().unwrap())
}

#[test]
fn what_is_desired_comes_and_what_is_right_is_not_touched_by_the_next_life() {
    let kernel = Kernel::new();
    let mut rig = Rig::new(kernel.clone(), Ownership::default());
    rig.desire(&table(WEB), Removal::AtOnce);
    assert_eq!(rig.table().services, table(WEB).services);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);
    kernel.take_journal();

    let mut next = Rig::new(kernel, Ownership::default());
    next.desire(&table(WEB), Removal::AtOnce);
    next.run(120 * SECOND);
    assert_eq!(next.take_changes(), []);
    assert_eq!(next.take_events(), [ReconcileEvent::Converged]);
}

#[test]
fn drift_is_told_and_repaired_at_the_next_look() {
    let mut rig = Rig::new(Kernel::new(), Ownership::default());
    rig.desire(&table(WEB), Removal::AtOnce);
    rig.take_events();
    let (service, destination) = web();
    let removed = Change::RemoveDestination {
        service,
        destination,
    };
    rig.kernel.change(removed).unwrap();
    rig.run(31 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
    let events = rig.take_events();
    let [ReconcileEvent::Drift(changes), ReconcileEvent::Converged] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(matches!(changes[..], [Change::AddDestination { .. }]));

    rig.kernel.change(Change::Flush).unwrap();
    rig.handle(ReconcileInput::Look);
    assert_eq!(rig.table().services, table(WEB).services);
}

#[test]
fn strangers_are_left_alone_unless_the_table_is_claimed_whole() {
    let strange = "-A -u 10.1.0.200:53 -s wlc\n-a -u 10.1.0.200:53 -r 10.0.0.9:53 -m -w 1\n";
    for claim in [Claim::Own, Claim::Whole] {
        let kernel = Kernel::new();
        for change in ipvs::plan(&Table::default(), &table(strange)) {
            kernel.change(change).unwrap();
        }
        let mut policy = ReconcilePolicy::default();
        policy.claim = claim;
        let mut rig = Rig::with(kernel, Ownership::default(), policy);
        rig.desire(&table(WEB), Removal::AtOnce);
        rig.desire(&Table::default(), Removal::AtOnce);
        rig.run(120 * SECOND);
        let expected = match claim {
            Claim::Own => table(strange),
            Claim::Whole => Table::default(),
        };
        assert_eq!(rig.table().services, expected.services);
    }
}

#[test]
fn what_an_earlier_life_left_is_removed_where_it_is_known_to_be_ours() {
    let kernel = Kernel::new();
    let mut rig = Rig::new(kernel.clone(), Ownership::default());
    rig.desire(&table(WEB), Removal::AtOnce);
    let mut next = Rig::new(kernel, Ownership::of(&table(WEB)));
    next.desire(&Table::default(), Removal::AtOnce);
    assert_eq!(next.table().services.len(), 0);
}

#[test]
fn a_refusal_is_told_once_tried_later_and_later_and_the_rest_is_done() {
    let kernel = Kernel::new();
    kernel.unload("sed".parse().unwrap());
    let mut rig = Rig::new(kernel, Ownership::default());
    let text =
        format!("{WEB}-A -t 10.1.0.101:80 -s sed\n-a -t 10.1.0.101:80 -r 10.0.0.1:80 -g -w 1\n");
    rig.desire(&table(&text), Removal::AtOnce);
    rig.run(300 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
    let refused = rig.take_events().into_iter();
    let refused = refused.filter(|event| matches!(event, ReconcileEvent::Refused(_)));
    assert_eq!(refused.count(), 1);
    let tried = rig.take_changes().into_iter();
    let tried = tried.filter(|change| matches!(change, Change::AddService { settings, .. } if settings.scheduler.as_str() == "sed"));
    // After 1, 3, 7, 15, 31, 63, 123, 183, 243 seconds.
    assert_eq!(tried.count(), 10);
    // The weight of the others does not wait for it.
    let lighter = text.replace("10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 9");
    rig.desire(&table(&lighter), Removal::AtOnce);
    assert_eq!(
        rig.table().services[&web().0].destinations[&web().1]
            .weight
            .get(),
        9
    );
}

#[test]
fn a_kernel_that_cannot_be_asked_is_told_once_and_asked_later() {
    let kernel = Kernel::new();
    for change in ipvs::plan(&Table::default(), &table(WEB)) {
        kernel.change(change).unwrap();
    }
    let mut rig = Rig::new(kernel, Ownership::default());
    rig.kernel.inject(Fault::HalfDump { rows: 0 });
    rig.desire(&table(WEB), Removal::AtOnce);
    rig.kernel.inject(Fault::HalfDump { rows: 2 });
    rig.run(60 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
    let events = rig.take_events();
    assert!(
        matches!(
            events[..],
            [
                ReconcileEvent::Unreachable { .. },
                ReconcileEvent::Reachable,
                ReconcileEvent::Converged
            ]
        ),
        "{events:?}"
    );
}

fn drain() -> Removal {
    let mut policy = DrainPolicy::default();
    policy.deadline = Some(100 * SECOND);
    Removal::Drain(policy)
}

/// A rig whose second server has connections and is asked to leave.
fn leaving() -> Rig {
    let mut rig = Rig::new(Kernel::new(), Ownership::default());
    rig.desire(&table(WEB), drain());
    let (service, destination) = web();
    let counts = Counts {
        active: 2,
        ..Counts::ZERO
    };
    assert!(rig.kernel.set_counts(service, destination, counts));
    rig.take_events();
    let without = WEB.replace("-a -t 10.1.0.100:80 -r 10.0.0.2:80 -g -w 1\n", "");
    rig.desire(&table(&without), drain());
    rig.run(10 * SECOND);
    let weight = rig.table().services[&service].destinations[&destination].weight;
    assert_eq!(weight.get(), 0);
    rig
}

fn ends(rig: &mut Rig) -> Vec<DrainEnd> {
    let events = rig.take_events().into_iter();
    let mut ends = Vec::new();
    for event in events {
        if let ReconcileEvent::Drained { end, .. } = event {
            ends.push(end);
        }
    }
    ends
}

#[test]
fn who_is_no_longer_desired_leaves_once_its_connections_are_gone() {
    let mut rig = leaving();
    let (service, destination) = web();
    assert!(rig.events.iter().any(|event| matches!(
        event,
        ReconcileEvent::Draining { counts, .. } if counts.active == 2
    )));
    assert_eq!(rig.reconciler.leaving().count(), 1);
    assert!(rig.kernel.set_counts(service, destination, Counts::ZERO));
    rig.run(10 * SECOND);
    assert_eq!(ends(&mut rig), [DrainEnd::Removed { left: Counts::ZERO }]);
    assert!(
        !rig.table().services[&service]
            .destinations
            .contains_key(&destination)
    );
}

#[test]
fn a_deadline_removes_it_with_what_it_has() {
    let mut rig = leaving();
    rig.run(100 * SECOND);
    let left = Counts {
        active: 2,
        ..Counts::ZERO
    };
    assert_eq!(ends(&mut rig), [DrainEnd::Removed { left }]);
}

#[test]
fn who_is_desired_again_stays_with_its_weight() {
    let mut rig = leaving();
    rig.desire(&table(WEB), drain());
    rig.run(200 * SECOND);
    assert_eq!(ends(&mut rig), [DrainEnd::Cancelled]);
    assert_eq!(rig.table().services, table(WEB).services);
}

#[test]
fn a_service_that_goes_waits_for_those_who_leave() {
    let mut rig = leaving();
    let (service, destination) = web();
    rig.desire(&Table::default(), drain());
    rig.run(10 * SECOND);
    let destinations = &rig.table().services[&service].destinations;
    assert!(destinations.keys().eq([&destination]), "{destinations:?}");
    rig.kernel.set_counts(service, destination, Counts::ZERO);
    rig.run(10 * SECOND);
    assert_eq!(rig.table().services.len(), 0);
}

#[test]
fn nothing_is_removed_before_it_is_told_what_is_desired() {
    let kernel = Kernel::new();
    for change in ipvs::plan(&Table::default(), &table(WEB)) {
        kernel.change(change).unwrap();
    }
    for claim in [Claim::Own, Claim::Whole] {
        let mut policy = ReconcilePolicy::default();
        policy.claim = claim;
        let mut rig = Rig::with(kernel.clone(), Ownership::of(&table(WEB)), policy);
        rig.run(120 * SECOND);
        assert_eq!(rig.table().services, table(WEB).services);
        assert_eq!(rig.take_events(), []);
        assert!(!rig.reconciler.is_converged());
    }
}

#[test]
fn a_new_server_is_there_before_the_one_that_leaves_loses_its_weight() {
    let mut rig = Rig::new(Kernel::new(), Ownership::default());
    let one = "-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 1\n";
    rig.desire(&table(one), drain());
    rig.take_changes();
    rig.desire(&table(&one.replace("10.0.0.1", "10.0.0.2")), drain());
    let changes = rig.take_changes();
    assert!(
        matches!(
            changes[..],
            [
                Change::AddDestination { .. },
                Change::SetDestination { .. },
                Change::RemoveDestination { .. }
            ]
        ),
        "{changes:?}"
    );
}

#[test]
fn who_leaves_goes_at_once_when_that_is_asked_for_meanwhile() {
    let mut policy = DrainPolicy::default();
    policy.interval = 10 * SECOND;
    let mut rig = leaving();
    let without = rig.reconciler.desired().unwrap().clone();
    rig.handle(ReconcileInput::Leave(Removal::Drain(policy)));
    rig.run(200 * SECOND);
    assert_eq!(ends(&mut rig), [], "the new policy has no deadline");
    rig.handle(ReconcileInput::Leave(Removal::AtOnce));
    rig.run(SECOND);
    let left = Counts {
        active: 2,
        ..Counts::ZERO
    };
    assert_eq!(ends(&mut rig), [DrainEnd::Removed { left }]);
    assert_eq!(rig.table().services, without.services);
}

#[test]
fn everybody_goes_as_was_said_when_he_was_taken_out() {
    // He is drained already, and the next table says that others go at once.
    let mut rig = leaving();
    let (service, destination) = web();
    let mut next = rig.reconciler.desired().unwrap().clone();
    let other = "10.0.0.3:80".parse().unwrap();
    let settings = next.services[&service]
        .destinations
        .values()
        .next()
        .copied();
    next.add_destination(service, other, settings.unwrap())
        .unwrap();
    rig.desire(&next, Removal::AtOnce);
    rig.run(10 * SECOND);
    let has = |rig: &Rig, destination| {
        let services = rig.table().services;
        services[&service].destinations.contains_key(&destination)
    };
    assert!(has(&rig, destination) && has(&rig, other));

    // Both are told before anything of it can be done.
    rig.run(100 * SECOND);
    rig.desire(&table(WEB), Removal::AtOnce);
    let counts = Counts {
        active: 2,
        ..Counts::ZERO
    };
    assert!(rig.kernel.set_counts(service, destination, counts));
    rig.take_events();
    let without = WEB.replace("-a -t 10.1.0.100:80 -r 10.0.0.2:80 -g -w 1\n", "");
    for (text, removal) in [(&*without, drain()), ("", Removal::AtOnce)] {
        let table = table(text);
        let input = ReconcileInput::Desired { table, removal };
        rig.reconciler.handle(ReconcileInput::Look, rig.now);
        rig.reconciler.handle(input, rig.now);
    }
    rig.drain();
    rig.run(10 * SECOND);
    assert!(has(&rig, destination));
    assert!(!has(&rig, "10.0.0.1:80".parse().unwrap()));
    rig.run(100 * SECOND);
    assert_eq!(ends(&mut rig), [DrainEnd::Removed { left: counts }]);
    assert_eq!(rig.table().services.len(), 0);
}

#[test]
fn who_was_removed_by_somebody_else_is_not_removed_again() {
    let mut rig = leaving();
    let (service, destination) = web();
    rig.take_events();
    rig.take_changes();
    let removed = Change::RemoveDestination {
        service,
        destination,
    };
    rig.kernel.change(removed).unwrap();
    rig.take_changes();
    // Without a look between.
    rig.now += 100 * SECOND;
    rig.handle(ReconcileInput::Timeout);
    assert_eq!(rig.take_changes(), [removed]);
    assert!(matches!(ends(&mut rig)[..], [DrainEnd::Removed { .. }]));
    rig.run(60 * SECOND);
    assert_eq!(rig.take_changes(), []);
    assert_eq!(rig.reconciler.refused().count(), 0);
}

#[test]
fn what_somebody_else_set_up_after_ours_had_gone_is_a_strangers() {
    let mut rig = leaving();
    let (service, destination) = web();
    rig.desire(&Table::default(), drain());
    rig.kernel.set_counts(service, destination, Counts::ZERO);
    rig.run(10 * SECOND);
    assert_eq!(rig.table().services.len(), 0);
    for change in ipvs::plan(&Table::default(), &table(WEB)) {
        rig.kernel.change(change).unwrap();
    }
    rig.run(120 * SECOND);
    assert_eq!(rig.table().services, table(WEB).services);
}

#[test]
fn what_is_refused_no_longer_is_not_listed_any_more() {
    let kernel = Kernel::new();
    kernel.unload("sed".parse().unwrap());
    let mut rig = Rig::new(kernel, Ownership::default());
    let text = format!("{WEB}-A -t 10.1.0.101:80 -s sed\n");
    rig.desire(&table(&text), Removal::AtOnce);
    rig.run(10 * SECOND);
    assert_eq!(rig.reconciler.refused().count(), 1);
    assert_eq!(rig.take_events().len(), 2);
    // Another weight is no reason to tell it again.
    let lighter = text.replace("10.0.0.2:80 -g -w 1", "10.0.0.2:80 -g -w 9");
    rig.desire(&table(&lighter), Removal::AtOnce);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);
    assert_eq!(rig.reconciler.refused().count(), 1);
    // Somebody else sets up what it could not.
    let service = ServiceKey::tcp("10.1.0.101:80".parse().unwrap());
    let mut settings = table(&text).services[&service].settings;
    settings.scheduler = "rr".parse().unwrap();
    rig.kernel
        .change(Change::AddService { service, settings })
        .unwrap();
    let there = text.replace("sed", "rr");
    rig.desire(&table(&there), Removal::AtOnce);
    assert_eq!(rig.reconciler.refused().count(), 0);
}

#[test]
fn a_change_that_comes_too_late_is_no_refusal() {
    let mut rig = Rig::new(Kernel::new(), Ownership::default());
    rig.desire(&table(WEB), Removal::AtOnce);
    rig.take_events();
    rig.kernel.change(Change::Flush).unwrap();
    let heavier = table(&WEB.replace("-w 1", "-w 2"));
    rig.desire(&heavier, Removal::AtOnce);
    assert_eq!(rig.table().services, heavier.services);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);

    rig.desire(&table(WEB), Removal::AtOnce);
    rig.take_events();
    let more = format!("{WEB}-A -t 10.1.0.101:80 -s rr\n");
    for change in ipvs::plan(&table(WEB), &table(&more)) {
        rig.kernel.change(change).unwrap();
    }
    rig.take_changes();
    rig.desire(&table(&more), Removal::AtOnce);
    assert_eq!(rig.take_changes().len(), 1);
    assert_eq!(rig.take_events(), [ReconcileEvent::Converged]);
    assert_eq!(rig.reconciler.refused().count(), 0);
}

#[test]
fn no_span_of_time_is_too_long_or_too_short() {
    for span in [Duration::ZERO, Duration::MAX] {
        let kernel = Kernel::new();
        kernel.unload("sed".parse().unwrap());
        kernel.inject(Fault::HalfDump { rows: 0 });
        let mut policy = ReconcilePolicy::default();
        (policy.interval, policy.shortest_retry, policy.longest_retry) = (span, span, span);
        let mut rig = Rig::with(kernel, Ownership::default(), policy);
        rig.drain();
        rig.handle(ReconcileInput::Timeout);
        rig.desire(&table("-A -t 10.1.0.101:80 -s sed\n"), Removal::AtOnce);
        rig.run(Duration::from_millis(20));
    }
}

/// Tables near each other.
fn tables() -> impl Strategy<Value = Table> {
    let service = (
        sample::select(vec!["-t 10.1.0.100:80", "-u 10.1.0.100:53", "-f 7"]),
        sample::select(vec!["rr", "wlc", "mh"]),
        collection::btree_map(0..4_u8, 0..3_u8, 0..4),
    );
    collection::btree_map(0..3_u8, service, 0..4).prop_map(|services| {
        let mut by_name = std::collections::BTreeMap::new();
        for (name, scheduler, destinations) in services.into_values() {
            by_name.insert(name, (scheduler, destinations));
        }
        let mut text = String::new();
        for (name, (scheduler, destinations)) in by_name {
            text += &format!("-A {name} -s {scheduler}\n");
            for (host, weight) in destinations {
                text += &format!("-a {name} -r 10.0.0.{host}:0 -m -w {weight}\n");
            }
        }
        table(&text)
    })
}

#[derive(Debug, Clone)]
enum Step {
    Desire(Table, bool),
    Refuse(usize),
    Break(usize),
    HalfDump(usize),
    Meddle(usize),
    Connections(usize, u32),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (tables(), any::<bool>()).prop_map(|(table, drains)| Step::Desire(table, drains)),
        (1..6_usize).prop_map(Step::Refuse),
        (1..6_usize).prop_map(Step::Break),
        (0..4_usize).prop_map(Step::HalfDump),
        any::<usize>().prop_map(Step::Meddle),
        (any::<usize>(), 0..3_u32).prop_map(|(which, active)| Step::Connections(which, active)),
        (0..50_u64).prop_map(Step::Pass),
    ]
}

/// The nth destination of a kernel, counted round.
fn nth(rig: &Rig, which: usize) -> Option<(ServiceKey, Endpoint)> {
    let services = rig.table().services;
    let all: Vec<_> = services
        .iter()
        .flat_map(|(key, service)| service.destinations.keys().map(|it| (*key, *it)))
        .collect();
    all.get(which.checked_rem(all.len())?).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever fails and whoever meddles: strangers are never touched, and once all is quiet the
    /// table is right and nothing more is asked for.
    #[test]
    fn it_converges_once_faults_stop(steps in collection::vec(steps(), 1..25)) {
        let strange = table("-A -t 10.9.9.9:99 -s rr\n-a -t 10.9.9.9:99 -r 10.0.0.9:99 -g -w 1\n");
        let kernel = Kernel::new();
        for change in ipvs::plan(&Table::default(), &strange) {
            kernel.change(change).unwrap();
        }
        let mut rig = Rig::new(kernel, Ownership::default());
        let mut desired = Table::default();
        rig.desire(&desired, Removal::AtOnce);
        for step in steps {
            match step {
                Step::Desire(table, drains) => {
                    desired = table;
                    rig.desire(&desired, if drains { drain() } else { Removal::AtOnce });
                }
                Step::Refuse(nth) => rig.kernel.inject(Fault::Refuse { nth, errno: 12 }),
                Step::Break(nth) => rig.kernel.inject(Fault::Break { nth }),
                Step::HalfDump(rows) => rig.kernel.inject(Fault::HalfDump { rows }),
                Step::Meddle(which) => {
                    if let Some((service, destination)) = nth(&rig, which)
                        && service != *strange.services.keys().next().unwrap()
                    {
                        rig.kernel.change(Change::RemoveDestination { service, destination }).unwrap();
                    }
                }
                Step::Connections(which, active) => {
                    if let Some((service, destination)) = nth(&rig, which) {
                        rig.kernel.set_counts(service, destination, Counts { active, ..Counts::ZERO });
                    }
                }
                Step::Pass(seconds) => rig.run(Duration::from_secs(seconds)),
            }
        }
        rig.run(600 * SECOND);
        let mut expected = desired.services.clone();
        expected.extend(strange.services.clone());
        prop_assert_eq!(rig.table().services, expected);
        prop_assert!(rig.reconciler.is_converged());
        for record in rig.kernel.take_journal() {
            let service = record.change.service();
            prop_assert!(service.is_none_or(|it| !strange.services.contains_key(&it)));
            prop_assert!(record.change != Change::Flush);
        }
        rig.reads = 0;
        rig.run(60 * SECOND);
        prop_assert_eq!(rig.take_changes(), []);
        prop_assert!(rig.reads <= 3, "{} reads in a minute", rig.reads);
    }
}
