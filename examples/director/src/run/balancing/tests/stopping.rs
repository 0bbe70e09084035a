//! What becomes of the table at the end, and what the next life makes of it.

use ipvs::{Counts, Endpoint, ServiceKey};
use tokio::time::Instant;

use super::*;

/// One virtual server with a connection to its server, and one of somebody else.
async fn running(kernel: &Kernel) -> Balancing {
    let balancing = balancing(kernel, false).await;
    balancing.configure(&config(&server("NAT"))).await.unwrap();
    settle().await;
    connections(kernel, 1);
    balancing
}

fn connections(kernel: &Kernel, active: u32) {
    let service = ServiceKey::tcp("10.1.0.100:80".parse().unwrap());
    let server: Endpoint = "10.0.0.1:80".parse().unwrap();
    let counts = Counts {
        active,
        ..Counts::ZERO
    };
    assert!(kernel.set_counts(service, server, counts));
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test's clock is the runtime's"
)]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_left_is_taken_over_untouched() {
    let kernel = kernel();
    let first = running(&kernel).await;
    kernel.take_journal();
    first
        .shutdown(ending(OnStop::Leave), std::future::pending())
        .await;
    let second = balancing(&kernel, false).await;
    second.configure(&config(&server("NAT"))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(kernel.take_journal(), []);
    assert_eq!(services(&kernel).await, 2);
    cleared(second).await;
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_connections_end_and_then_clears() {
    let kernel = kernel();
    let balancing = running(&kernel).await;
    let ended = tokio::spawn(balancing.shutdown(ending(OnStop::Drain), std::future::pending()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let table = kernel.snapshot().await.unwrap().table();
    let weights: Vec<_> = table
        .services
        .values()
        .flat_map(|service| service.destinations.values())
        .map(|destination| destination.weight.get())
        .collect();
    assert_eq!(weights, [0]);
    assert!(!ended.is_finished());
    connections(&kernel, 0);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(ended.is_finished());
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_an_end_and_a_sooner_one_for_who_is_in_a_hurry() {
    for (patience, least, most) in [(None, 60, 62), (Some(10), 10, 12)] {
        let kernel = kernel();
        let balancing = running(&kernel).await;
        let begun = now();
        let hurry = async {
            match patience {
                None => std::future::pending().await,
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            }
        };
        balancing.shutdown(ending(OnStop::Drain), hurry).await;
        let took = begun.elapsed().as_secs();
        assert!((least..most).contains(&took), "{took} s");
        assert_eq!(services(&kernel).await, 1);
    }
}
