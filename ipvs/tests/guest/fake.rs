//! The kernel in memory answers as the real one: both get the same changes.

use ipvs::{
    Change, ChangeOutcome, DestinationSettings, Endpoint, Family, IpvsBackend, RefusalReason,
    ServiceKey, Snapshot, fake, netlink,
    strategy::{destination, service_settings, timeouts},
};
use proptest::{
    collection,
    prelude::*,
    sample,
    test_runner::{Config, TestRunner},
};

use super::in_kernel;

/// Few of them, so that changes meet what others left.
fn services() -> Vec<ServiceKey> {
    let endpoint = |text: &str| text.parse::<Endpoint>().expect("an endpoint");
    vec![
        ServiceKey::tcp(endpoint("192.0.2.100:80")),
        ServiceKey::udp(endpoint("[2001:db8::100]:53")),
        ServiceKey::fwmark(7.try_into().expect("not 0"), Family::V4),
    ]
}

fn destinations(of: ServiceKey) -> impl Strategy<Value = (Endpoint, DestinationSettings)> {
    let near = |family| match family {
        Family::V4 => vec!["198.51.100.1:80", "198.51.100.2:80", "198.51.100.1:8080"],
        Family::V6 => vec!["[2001:db8::1]:80", "[2001:db8::2]:80", "[2001:db8::1]:8080"],
    };
    destination(of).prop_flat_map(move |(endpoint, settings)| {
        sample::select(near(endpoint.family()))
            .prop_map(move |near| (near.parse().expect("an endpoint"), settings))
    })
}

fn changes() -> impl Strategy<Value = Change> {
    let of_service = sample::select(services()).prop_flat_map(|service| {
        (
            0..8,
            Just(service),
            service_settings(service),
            destinations(service),
        )
    });
    prop_oneof![
        30 => of_service.prop_map(|(which, service, settings, (destination, of_destination))| {
            match which {
                0 => Change::AddService { service, settings },
                1 => Change::SetService { service, settings },
                2 => Change::RemoveService { service },
                3 | 4 => Change::AddDestination { service, destination, settings: of_destination },
                5 => Change::SetDestination { service, destination, settings: of_destination },
                6 => Change::RemoveDestination { service, destination },
                _ => Change::Zero(Some(service)),
            }
        }),
        1 => timeouts().prop_map(|it| Change::SetTimeouts(it.into())),
        1 => Just(Change::Flush),
    ]
}

/// What both have to agree about: the kernel lists services in an order of its own.
fn seen(mut snapshot: Snapshot) -> (Vec<(ServiceKey, Vec<Endpoint>)>, ipvs::Table) {
    snapshot.services.sort_by_key(|service| service.key);
    let in_order = |service: &ipvs::ServiceState| {
        let destinations = service.destinations.iter();
        (service.key, destinations.map(|it| it.key).collect())
    };
    (
        snapshot.services.iter().map(in_order).collect(),
        snapshot.table(),
    )
}

fn told(outcome: &ChangeOutcome) -> Result<(), Option<RefusalReason>> {
    match outcome {
        ChangeOutcome::Done => Ok(()),
        ChangeOutcome::Refused(refusal) => Err(Some(refusal.reason.clone())),
        ChangeOutcome::Unanswered => Err(None),
    }
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn the_same_changes_have_the_same_outcomes_and_leave_the_same_table() {
    in_kernel(async |kernel| {
        let config = Config {
            cases: 100,
            failure_persistence: None,
            ..Config::default()
        };
        let runtime = tokio::runtime::Handle::current();
        // The runner is not asynchronous.
        let compared = tokio::task::spawn_blocking(move || {
            TestRunner::new(config).run(&collection::vec(changes(), 1..40), |changes| {
                runtime.block_on(compare(&kernel, &changes))
            })
        });
        compared
            .await
            .expect("no panic")
            .unwrap_or_else(|error| panic!("{error}"));
    });
}

async fn compare(kernel: &netlink::Kernel, changes: &[Change]) -> Result<(), TestCaseError> {
    let fake = fake::Kernel::new();
    // The guest's kernel has all schedulers but this one.
    fake.unload("twos".parse().expect("a name"));
    let start = [
        Change::Flush,
        Change::SetTimeouts(ipvs::Timeouts::default().into()),
    ];
    for both in [&start[..], changes] {
        let real = kernel.apply(both).await.expect("an answer");
        let faked = fake.apply(both).await.expect("an answer");
        for ((change, real), faked) in both.iter().zip(&real).zip(&faked) {
            prop_assert_eq!(told(real), told(faked), "{}", change);
        }
    }
    let real = kernel.snapshot().await.expect("a table");
    prop_assert_eq!(&real.unreadable, &[]);
    prop_assert_eq!(seen(real), seen(fake.snapshot().await.expect("a table")));
    Ok(())
}
