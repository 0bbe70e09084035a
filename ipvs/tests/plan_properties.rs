//! What holds for the plan between any two tables.

use std::collections::BTreeSet;

use ipvs::{
    Change, DestinationSettings, Endpoint, Forwarding, Ownership, ServiceKey, ServiceSettings,
    Table, Weight, plan, plan_owned, strategy,
};
use proptest::prelude::*;

/// The tables that `current` goes through, the last being what becomes of it.
fn steps(current: &Table, changes: &[Change]) -> Vec<Table> {
    let mut table = current.clone();
    let each = changes.iter().map(|change| {
        table
            .apply(change)
            .unwrap_or_else(|error| unreachable!("{change}: {error}"));
        table.clone()
    });
    each.collect()
}

fn last(current: &Table, changes: &[Change]) -> Table {
    steps(current, changes)
        .pop()
        .unwrap_or_else(|| current.clone())
}

/// Whether nothing of `desired` is missing in `table`, which may say more about timeouts and
/// daemons.
fn meets(table: &Table, desired: &Table) -> bool {
    table.services == desired.services
        && (desired.timeouts.is_none() || table.timeouts == desired.timeouts)
        && table.daemons.keys().eq(desired.daemons.keys())
        && (desired.daemons.values().zip(table.daemons.values()))
            .all(|(daemon, running)| daemon.is_met_by(running))
}

/// How many things differ, each of which takes one change, a daemon that is otherwise two.
fn difference(current: &Table, desired: &Table) -> usize {
    let keys: BTreeSet<_> = current
        .services
        .keys()
        .chain(desired.services.keys())
        .collect();
    let of_services =
        keys.into_iter().map(
            |key| match (current.services.get(key), desired.services.get(key)) {
                (None, None) => 0,
                (Some(_), None) => 1,
                (None, Some(service)) => 1 + service.destinations.len(),
                (Some(a), Some(b)) => {
                    let all: BTreeSet<_> =
                        a.destinations.keys().chain(b.destinations.keys()).collect();
                    let differs =
                        |it: &&&Endpoint| a.destinations.get(**it) != b.destinations.get(**it);
                    usize::from(a.settings != b.settings) + all.iter().filter(differs).count()
                }
            },
        );
    let of_timeouts = desired.timeouts.is_some() && current.timeouts != desired.timeouts;
    let running = current.daemons.values();
    let stopped = running.filter(|it| {
        !desired
            .daemons
            .get(&it.role)
            .is_some_and(|wanted| wanted.is_met_by(it))
    });
    let wanted = desired.daemons.values();
    let started = wanted.filter(|it| {
        !current
            .daemons
            .get(&it.role)
            .is_some_and(|running| it.is_met_by(running))
    });
    of_services.sum::<usize>() + usize::from(of_timeouts) + stopped.count() + started.count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_plan_leads_to_what_is_desired(a in strategy::table(), b in strategy::table()) {
        prop_assert!(meets(&last(&a, &plan(&a, &b)), &b));
    }

    #[test]
    fn what_is_as_desired_needs_no_change(a in strategy::table()) {
        prop_assert_eq!(plan(&a, &a), []);
    }

    #[test]
    fn after_the_plan_there_is_nothing_to_do(a in strategy::table(), b in strategy::table()) {
        prop_assert_eq!(plan(&last(&a, &plan(&a, &b)), &b), []);
    }

    #[test]
    fn the_plan_has_a_change_for_each_thing_that_differs(
        a in strategy::table(),
        b in strategy::table(),
    ) {
        prop_assert_eq!(plan(&a, &b).len(), difference(&a, &b));
    }

    #[test]
    fn the_plan_is_always_the_same(a in strategy::table(), b in strategy::table()) {
        prop_assert_eq!(plan(&a, &b), plan(&a, &b));
    }

    #[test]
    fn a_service_with_destinations_before_and_after_has_some_all_the_time(
        a in strategy::table(),
        b in strategy::table(),
    ) {
        let has = |table: &Table, key: &ServiceKey| {
            table.services.get(key).is_some_and(|service| !service.destinations.is_empty())
        };
        for step in steps(&a, &plan(&a, &b)) {
            for key in a.services.keys().filter(|key| has(&a, key) && has(&b, key)) {
                prop_assert!(has(&step, key), "{} has none", key);
            }
        }
    }

    #[test]
    fn a_service_that_is_usable_before_and_after_is_so_all_the_time(
        a in strategy::table(),
        b in strategy::table(),
    ) {
        let usable = |table: &Table, key: &ServiceKey| {
            table.services.get(key).is_some_and(|it| it.is_usable())
        };
        for step in steps(&a, &plan(&a, &b)) {
            for key in a.services.keys().filter(|key| usable(&a, key) && usable(&b, key)) {
                prop_assert!(usable(&step, key), "{} has no weight", key);
            }
        }
    }

    #[test]
    fn no_step_breaks_a_rule_that_neither_end_breaks(
        a in strategy::table(),
        b in strategy::table(),
    ) {
        prop_assert_eq!(a.check(), Ok(()));
        prop_assert_eq!(b.check(), Ok(()));
        for step in steps(&a, &plan(&a, &b)) {
            prop_assert_eq!(step.check(), Ok(()));
        }
    }

    #[test]
    fn strangers_are_left_alone_and_what_is_owned_is_not(
        a in strategy::table(),
        b in strategy::table(),
        owned in strategy::table(),
    ) {
        let ownership = Ownership::of(&owned);
        let after = last(&a, &plan_owned(&a, &b, &ownership));
        for (key, service) in &a.services {
            if !b.services.contains_key(key) {
                let expected = Some(service).filter(|_| !ownership.services.contains(key));
                prop_assert_eq!(after.services.get(key), expected);
            }
        }
        for (role, daemon) in &a.daemons {
            if !b.daemons.contains_key(role) {
                let expected = Some(daemon).filter(|_| !ownership.daemons.contains(role));
                prop_assert_eq!(after.daemons.get(role), expected);
            }
        }
        for (key, service) in &b.services {
            prop_assert_eq!(after.services.get(key), Some(service));
        }
    }
}

#[test]
fn the_only_destination_is_drained_after_the_one_that_replaces_it_has_weight() {
    let web = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
    let [one, two] = ["10.0.0.1:80", "10.0.0.2:80"].map(|it| it.parse::<Endpoint>().unwrap());
    let settings = DestinationSettings::new(Forwarding::DirectRoute);
    let drained = settings.with_weight(Weight::ZERO);
    let mut current = Table::default();
    current
        .add_service(web, ServiceSettings::default())
        .unwrap();
    let mut desired = current.clone();
    current.add_destination(web, one, settings).unwrap();
    current.add_destination(web, two, drained).unwrap();
    desired.add_destination(web, one, drained).unwrap();
    desired.add_destination(web, two, settings).unwrap();
    assert_eq!(
        plan(&current, &desired),
        [
            Change::SetDestination {
                service: web,
                destination: two,
                settings
            },
            Change::SetDestination {
                service: web,
                destination: one,
                settings: drained
            },
        ]
    );
}
