//! Destinations that are drained before they go.

use ipvs::{
    Change, Counts, DrainEnd, DrainPolicy, Ownership, ReconcileEvent, ReconcileInput, Removal,
    Table,
    fake::{Fault, Kernel},
};

use super::rig::{Rig, SECOND, WEB, table, web};

pub(crate) fn drain() -> Removal {
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
fn one_who_leaves_is_cut_and_nobody_else() {
    let mut rig = leaving();
    let (service, destination) = web();
    let other = "10.0.0.9:80".parse().unwrap();
    rig.handle(ReconcileInput::Cut(vec![(service, other)]));
    rig.run(SECOND);
    assert_eq!(ends(&mut rig), []);
    // Who is desired stays, whatever is said.
    let desired = rig.reconciler.desired().unwrap().clone();
    let stays = *desired.services[&service]
        .destinations
        .keys()
        .next()
        .unwrap();
    let both = vec![(service, destination), (service, stays)];
    rig.handle(ReconcileInput::Cut(both));
    rig.run(SECOND);
    let left = Counts {
        active: 2,
        ..Counts::ZERO
    };
    assert_eq!(ends(&mut rig), [DrainEnd::Removed { left }]);
    assert_eq!(rig.table().services, desired.services);
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
fn whose_removal_was_refused_is_removed_later_and_not_waited_for_anew() {
    let mut rig = leaving();
    let (service, destination) = web();
    rig.kernel.inject(Fault::Refuse { nth: 1, errno: 12 });
    rig.run(95 * SECOND);
    let destinations = &rig.table().services[&service].destinations;
    assert!(!destinations.contains_key(&destination), "{destinations:?}");
    let ends = ends(&mut rig);
    assert!(matches!(ends[..], [DrainEnd::Refused(_)]), "{ends:?}");
}
