//! Whatever happens, in whatever order.

use std::time::Duration;

use ipvs::{
    Change, Counts, DestinationSettings, Endpoint, Forwarding, Ownership, Removal, ServiceKey,
    ServiceSettings, Table, Weight,
    fake::{Fault, Kernel},
};
use proptest::{collection, prelude::*, sample};

use super::{
    leaving::drain,
    rig::{Rig, SECOND, table},
};

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
    Meddle(usize, Meddling),
    Connections(usize, u32),
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (tables(), any::<bool>()).prop_map(|(table, drains)| Step::Desire(table, drains)),
        (1..6_usize).prop_map(Step::Refuse),
        (1..6_usize).prop_map(Step::Break),
        (0..4_usize).prop_map(Step::HalfDump),
        (any::<usize>(), meddling()).prop_map(|(which, how)| Step::Meddle(which, how)),
        (any::<usize>(), 0..3_u32).prop_map(|(which, active)| Step::Connections(which, active)),
        (0..50_u64).prop_map(Step::Pass),
    ]
}

/// What somebody else does to a destination of ours, or to its service.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Removes,
    RemovesService,
    SetsScheduler,
    SetsWeight,
    /// Another one beside it.
    Adds,
}

fn meddling() -> impl Strategy<Value = Meddling> {
    sample::select(vec![
        Meddling::Removes,
        Meddling::RemovesService,
        Meddling::SetsScheduler,
        Meddling::SetsWeight,
        Meddling::Adds,
    ])
}

impl Meddling {
    fn change(self, service: ServiceKey, destination: Endpoint) -> Change {
        let mut settings = DestinationSettings::new(Forwarding::Masquerade);
        settings.weight = Weight::new(9).unwrap();
        match self {
            Self::Removes => Change::RemoveDestination {
                service,
                destination,
            },
            Self::RemovesService => Change::RemoveService { service },
            Self::SetsScheduler => Change::SetService {
                service,
                settings: ServiceSettings::new("lc".parse().unwrap()),
            },
            Self::SetsWeight => Change::SetDestination {
                service,
                destination,
                settings,
            },
            Self::Adds => Change::AddDestination {
                service,
                destination: "10.0.0.99:0".parse().unwrap(),
                settings,
            },
        }
    }
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
                Step::Meddle(which, how) => {
                    if let Some((service, destination)) = nth(&rig, which)
                        && !strange.services.contains_key(&service)
                    {
                        // Refused where it was done before.
                        drop(rig.kernel.change(how.change(service, destination)));
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
