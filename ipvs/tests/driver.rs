//! A table is kept on tokio's paused clock.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{sync::Arc, time::Duration};

use ipvs::{
    Change, Counts, DrainEnd, DrainPolicy, Endpoint, IpvsBackend, IpvsError, MockIpvsBackend,
    Ownership, ReconcileEvent, ReconcilePolicy, Removal, ServiceKey, Shutdown, Snapshot, Table,
    TableHandle, fake::Kernel, text::parse_table,
};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn web() -> Table {
    let text = "-A -t 10.1.0.100:80 -s rr\n-a -t 10.1.0.100:80 -r 10.0.0.1:80 -g -w 1\n";
    parse_table(text).unwrap()
}

fn server() -> (ServiceKey, Endpoint) {
    let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
    (service, "10.0.0.1:80".parse().unwrap())
}

fn keep(backend: Arc<dyn IpvsBackend>) -> TableHandle {
    ipvs::spawn(backend, ReconcilePolicy::default(), Ownership::default())
}

async fn services(kernel: &Kernel) -> usize {
    kernel.snapshot().await.unwrap().services.len()
}

#[tokio::test(start_paused = true)]
async fn what_is_set_is_there_once_it_has_settled_and_drift_is_repaired() {
    let kernel = Kernel::new();
    let table = keep(Arc::new(kernel.clone()));
    table.set(web(), Removal::AtOnce);
    let status = table.settled().await.unwrap();
    assert!(status.refused.is_empty() && status.unreachable.is_none());
    assert_eq!(services(&kernel).await, 1);

    let mut events = table.events();
    kernel.change(Change::Flush).unwrap();
    sleep(31 * SECOND).await;
    assert_eq!(services(&kernel).await, 1);
    assert!(matches!(events.recv().await, Ok(ReconcileEvent::Drift(_))));
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_leaves_the_table() {
    let kernel = Kernel::new();
    let table = keep(Arc::new(kernel.clone()));
    table.set(web(), Removal::AtOnce);
    table.settled().await.unwrap();
    drop(table);
    sleep(60 * SECOND).await;
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_can_wait_for_connections() {
    let kernel = Kernel::new();
    let table = keep(Arc::new(kernel.clone()));
    table.set(web(), Removal::AtOnce);
    table.settled().await.unwrap();
    let (service, destination) = server();
    let counts = Counts {
        active: 1,
        ..Counts::ZERO
    };
    assert!(kernel.set_counts(service, destination, counts));
    let mut events = table.events();
    let status = table.status();
    let shutdown =
        tokio::spawn(table.shutdown(Shutdown::Remove(Removal::Drain(DrainPolicy::default()))));
    sleep(60 * SECOND).await;
    assert_eq!(services(&kernel).await, 1);
    assert_eq!(status.borrow().leaving[0].counts, counts);
    assert!(kernel.set_counts(service, destination, Counts::ZERO));
    timeout(10 * SECOND, shutdown).await.unwrap().unwrap();
    assert_eq!(services(&kernel).await, 0);
    let mut ends = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let ReconcileEvent::Drained { end, .. } = event {
            ends.push(end);
        }
    }
    assert_eq!(ends, [DrainEnd::Removed { left: Counts::ZERO }]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_at_once_does_not_wait_for_who_was_to_be_waited_for() {
    let kernel = Kernel::new();
    let table = keep(Arc::new(kernel.clone()));
    let waits = Removal::Drain(DrainPolicy::default());
    table.set(web(), waits);
    table.settled().await.unwrap();
    let (service, destination) = server();
    let counts = Counts {
        active: 1,
        ..Counts::ZERO
    };
    assert!(kernel.set_counts(service, destination, counts));
    table.set(Table::default(), waits);
    sleep(60 * SECOND).await;
    assert_eq!(services(&kernel).await, 1);
    let shutdown = table.shutdown(Shutdown::Remove(Removal::AtOnce));
    timeout(10 * SECOND, shutdown).await.unwrap();
    assert_eq!(services(&kernel).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_status_lists_what_is_refused_for_as_long_as_it_is() {
    let kernel = Kernel::new();
    kernel.unload("rr".parse().unwrap());
    let table = keep(Arc::new(kernel.clone()));
    table.set(web(), Removal::AtOnce);
    let status = table.settled().await.unwrap();
    assert_eq!(status.refused.len(), 1);
    table.set(Table::default(), Removal::AtOnce);
    let status = table.settled().await.unwrap();
    assert_eq!(status.refused, []);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_is_told_and_asked_again_and_commands_are_taken_meanwhile() {
    let mut backend = MockIpvsBackend::new();
    backend.expect_snapshot().times(2).returning(|| {
        Err(IpvsError::Unavailable {
            operation: "read the table",
        })
    });
    backend
        .expect_snapshot()
        .returning(|| Ok(Snapshot::default()));
    backend
        .expect_apply()
        .withf(|changes| changes.len() == 2)
        .times(1)
        .returning(|changes| Ok(vec![ipvs::ChangeOutcome::Done; changes.len()]));
    let table = keep(Arc::new(backend));
    let mut status = table.status();
    let unreachable = status.wait_for(|status| status.unreachable.is_some());
    let because = unreachable.await.unwrap().unreachable.clone().unwrap();
    assert!(because.contains("modprobe ip_vs"), "{because}");
    table.set(web(), Removal::AtOnce);
    let status = timeout(60 * SECOND, table.settled())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.unreachable, None);
}

/// Never answers.
struct Hanging;

#[ipvs::async_trait]
impl IpvsBackend for Hanging {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        std::future::pending().await
    }

    async fn apply(&self, _: &[Change]) -> Result<Vec<ipvs::ChangeOutcome>, IpvsError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_told_and_can_be_left() {
    let table = keep(Arc::new(Hanging));
    table.set(web(), Removal::AtOnce);
    let mut status = table.status();
    let unreachable = status.wait_for(|status| status.unreachable.is_some());
    let told = timeout(120 * SECOND, unreachable).await.unwrap();
    assert!(told.unwrap().unreachable.clone().unwrap().contains("60s"));
    timeout(SECOND, table.shutdown(Shutdown::Leave))
        .await
        .unwrap();
}
