//! A table is kept on a kernel in memory, in virtual time.

#![expect(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, and begins at some instant"
)]

use std::time::Duration;

use ipvs::{
    Change, Claim, Ownership, ReconcileEvent, ReconcileInput, ReconcilePolicy, Removal, Table,
    fake::{Fault, Kernel},
};

mod leaving;
mod random;
mod refused;
mod rig;

use rig::{Rig, SECOND, WEB, table, web};

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
