//! The kernel in memory answers as Linux does.

use std::time::Duration;

use ipvs::{
    Change, ChangeOutcome, Counts, DestinationSettings, Endpoint, Forwarding, IpvsBackend,
    IpvsError, RefusalReason, ServiceKey, ServiceSettings, Statistics, SyncDaemon, SyncRole, Table,
    Traffic, Tunnel, Weight,
    fake::{Fault, Kernel},
    plan, strategy,
};
use proptest::prelude::*;

fn web() -> ServiceKey {
    ServiceKey::tcp(at("10.1.0.100:80"))
}

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

fn add_service() -> Change {
    Change::AddService {
        service: web(),
        settings: ServiceSettings::default(),
    }
}

fn add(destination: &str) -> Change {
    let settings = DestinationSettings::new(Forwarding::Masquerade);
    Change::AddDestination {
        service: web(),
        destination: at(destination),
        settings,
    }
}

fn remove(destination: &str) -> Change {
    Change::RemoveDestination {
        service: web(),
        destination: at(destination),
    }
}

fn refused(kernel: &Kernel, change: Change) -> RefusalReason {
    kernel.change(change).expect_err("it is refused").reason
}

fn counts(active: u32) -> Counts {
    Counts {
        active,
        ..Counts::ZERO
    }
}

async fn destinations(kernel: &Kernel) -> Vec<String> {
    let snapshot = kernel.snapshot().await.expect("it can be read");
    let service = snapshot.service(&web()).expect("it is there");
    service
        .destinations
        .iter()
        .map(|it| it.key.to_string())
        .collect()
}

#[test]
fn what_cannot_be_done_is_refused_with_the_kernels_reason() {
    let kernel = Kernel::new();
    let (one, settings) = ("10.0.0.1:80", ServiceSettings::default());
    assert_eq!(refused(&kernel, add(one)), RefusalReason::NoSuchService);
    let set = Change::SetService {
        service: web(),
        settings,
    };
    assert_eq!(refused(&kernel, set), RefusalReason::NoSuchService);
    assert_eq!(
        refused(&kernel, Change::Zero(Some(web()))),
        RefusalReason::NoSuchService
    );

    kernel.change(add_service()).unwrap();
    assert_eq!(
        refused(&kernel, add_service()),
        RefusalReason::ServiceExists
    );
    assert_eq!(
        refused(&kernel, remove(one)),
        RefusalReason::NoSuchDestination
    );
    kernel.change(add(one)).unwrap();
    assert_eq!(refused(&kernel, add(one)), RefusalReason::DestinationExists);
    assert_eq!(
        refused(&kernel, add("224.0.0.1:80")),
        RefusalReason::Invalid
    );
    assert_eq!(
        refused(&kernel, add("[fd00::1]:80")),
        RefusalReason::Invalid
    );

    let twos = "twos".parse().unwrap();
    kernel.unload(twos);
    let settings = ServiceSettings::new(twos);
    let service = ServiceKey::udp(at("10.1.0.100:53"));
    let unknown = Change::AddService { service, settings };
    assert_eq!(refused(&kernel, unknown), RefusalReason::NoScheduler(twos));
}

#[test]
fn one_sync_daemon_of_each_role_runs_and_none_beside_mixed_families() {
    let kernel = Kernel::new();
    let daemon = SyncDaemon::new(SyncRole::Master, "eth0".parse().unwrap());
    assert_eq!(
        refused(&kernel, Change::StopDaemon(SyncRole::Master)),
        RefusalReason::NoDaemon
    );
    kernel.change(Change::StartDaemon(daemon)).unwrap();
    assert_eq!(
        refused(&kernel, Change::StartDaemon(daemon)),
        RefusalReason::DaemonRuns
    );

    kernel.change(add_service()).unwrap();
    let settings = DestinationSettings::new(Forwarding::Tunnel(Tunnel::Ipip));
    let destination = at("[fd00::1]:80");
    let mixed = Change::AddDestination {
        service: web(),
        destination,
        settings,
    };
    assert_eq!(refused(&kernel, mixed), RefusalReason::Invalid);
    kernel.change(Change::StopDaemon(SyncRole::Master)).unwrap();
    kernel.change(mixed).unwrap();
    assert_eq!(
        refused(&kernel, Change::StartDaemon(daemon)),
        RefusalReason::Invalid
    );
}

#[tokio::test]
async fn the_newest_destination_is_the_first_and_an_edit_does_not_move_it() {
    let kernel = Kernel::new();
    let (one, two, three) = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80");
    let changes = [add_service(), add(one), add(two), add(three)];
    assert!(
        kernel
            .apply(&changes)
            .await
            .unwrap()
            .iter()
            .all(ChangeOutcome::is_done)
    );
    assert_eq!(destinations(&kernel).await, [three, two, one]);

    let settings = DestinationSettings::new(Forwarding::Masquerade).with_weight(Weight::ZERO);
    let destination = at(one);
    kernel
        .change(Change::SetDestination {
            service: web(),
            destination,
            settings,
        })
        .unwrap();
    assert_eq!(destinations(&kernel).await, [three, two, one]);
    kernel.change(remove(one)).unwrap();
    kernel.change(add(one)).unwrap();
    assert_eq!(destinations(&kernel).await, [one, three, two]);
}

#[tokio::test]
async fn an_edit_replaces_everything() {
    let kernel = Kernel::new();
    let mut settings = ServiceSettings::new("rr".parse().unwrap());
    settings.flags.third = true;
    kernel
        .change(Change::AddService {
            service: web(),
            settings,
        })
        .unwrap();
    let settings = ServiceSettings::default();
    kernel
        .change(Change::SetService {
            service: web(),
            settings,
        })
        .unwrap();
    assert_eq!(
        kernel.snapshot().await.unwrap().services[0].settings,
        settings
    );
}

#[tokio::test]
async fn a_destination_added_again_in_time_has_its_connections_and_counters() {
    let one = "10.0.0.1:80";
    let total = Traffic {
        connections: 7,
        ..Traffic::ZERO
    };
    let statistics = Statistics {
        total,
        ..Statistics::ZERO
    };
    let after = |gone: [u64; 2], removed_with: Change, connections: u32| async move {
        let kernel = Kernel::new();
        kernel.change(add_service()).unwrap();
        kernel.change(add(one)).unwrap();
        assert!(kernel.set_counts(web(), at(one), counts(connections)));
        assert!(kernel.set_statistics(web(), at(one), statistics));
        kernel.change(removed_with).unwrap();
        kernel.advance(Duration::from_secs(gone[0]));
        kernel.set_counts(web(), at(one), Counts::ZERO);
        kernel.advance(Duration::from_secs(gone[1]));
        if kernel.snapshot().await.unwrap().services.is_empty() {
            kernel.change(add_service()).unwrap();
        }
        kernel.change(add(one)).unwrap();
        kernel.snapshot().await.unwrap().services[0].destinations[0].statistics
    };
    assert_eq!(after([0, 119], remove(one), 0).await, statistics);
    assert_eq!(after([0, 120], remove(one), 0).await, Statistics::ZERO);
    assert_eq!(after([0, 119], Change::Flush, 0).await, statistics);
    assert_eq!(
        after([900, 119], remove(one), 3).await,
        statistics,
        "it is kept as long as it has connections"
    );
    assert_eq!(after([900, 120], remove(one), 3).await, Statistics::ZERO);
}

#[tokio::test]
async fn the_nth_change_fails_and_the_others_do_not() {
    let kernel = Kernel::new();
    kernel.inject(Fault::Refuse { nth: 2, errno: 12 });
    let changes = [add_service(), add("10.0.0.1:80"), add("10.0.0.2:80")];
    let outcomes = kernel.apply(&changes).await.unwrap();
    let ChangeOutcome::Refused(refusal) = &outcomes[1] else {
        unreachable!("{outcomes:?}");
    };
    assert_eq!(refusal.reason, RefusalReason::OutOfMemory);
    assert!(outcomes[0].is_done() && outcomes[2].is_done());
    assert_eq!(destinations(&kernel).await, ["10.0.0.2:80"]);
    assert_eq!(kernel.journal().len(), 3);
}

#[tokio::test]
async fn after_a_break_nobody_knows_what_was_done() {
    let kernel = Kernel::new();
    kernel.inject(Fault::Break { nth: 2 });
    let changes = [add_service(), add("10.0.0.1:80"), add("10.0.0.2:80")];
    let outcomes = kernel.apply(&changes).await.unwrap();
    let unknown = ChangeOutcome::Unanswered;
    assert_eq!(outcomes, [ChangeOutcome::Done, unknown.clone(), unknown]);
    assert_eq!(destinations(&kernel).await, ["10.0.0.1:80"]);
}

#[tokio::test]
async fn half_a_dump_is_none() {
    let kernel = Kernel::new();
    for change in [add_service(), add("10.0.0.1:80"), add("10.0.0.2:80")] {
        kernel.change(change).unwrap();
    }
    kernel.inject(Fault::HalfDump { rows: 2 });
    let error = kernel.snapshot().await.unwrap_err();
    assert!(matches!(error, IpvsError::Unanswered { .. }), "{error}");
    assert_eq!(destinations(&kernel).await.len(), 2, "once");
}

#[tokio::test]
async fn a_table_changed_between_pages_has_rows_twice_or_not_at_all() {
    let kernel = Kernel::new();
    kernel.change(add_service()).unwrap();
    let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
    for destination in all {
        kernel.change(add(destination)).unwrap();
    }
    kernel.inject(Fault::BetweenPages(vec![add("10.0.0.5:80")]));
    let [one, two, three, four] = all;
    assert_eq!(destinations(&kernel).await, [four, three, three, two, one]);
    kernel.inject(Fault::BetweenPages(vec![remove("10.0.0.5:80")]));
    assert_eq!(destinations(&kernel).await, ["10.0.0.5:80", four, two, one]);
    let table = kernel.snapshot().await.unwrap().table();
    assert_eq!(table.services[&web()].destinations.len(), 4);
}

/// Makes the changes of a plan and returns what they lead to.
fn carried_out(kernel: &Kernel, desired: &Table) -> Table {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let current = kernel.snapshot().await.expect("it can be read").table();
        let outcomes = kernel
            .apply(&plan(&current, desired))
            .await
            .expect("it answers");
        assert!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
        kernel.snapshot().await.expect("it can be read").table()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_plan_is_taken_by_the_kernel(tables in proptest::collection::vec(strategy::table(), 3)) {
        let kernel = Kernel::new();
        for desired in tables {
            let after = carried_out(&kernel, &desired);
            prop_assert_eq!(&after.services, &desired.services);
            prop_assert_eq!(plan(&after, &desired), []);
        }
    }
}
