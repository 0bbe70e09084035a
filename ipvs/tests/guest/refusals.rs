//! What the kernel refuses, and what we make of it.

use std::{env, os::unix::process::CommandExt as _, process::Command};

use ipvs::{
    Change, ChangeOutcome, DestinationSettings, Endpoint, Family, Forwarding, IpvsBackend as _,
    IpvsError, Persistence, RefusalReason, Seconds, ServiceKey, ServiceSettings, SyncDaemon,
    SyncRole, netlink::Kernel,
};

use super::{in_kernel, make, one};

fn at(text: &str) -> Endpoint {
    text.parse().expect("an endpoint")
}

async fn reason(kernel: &Kernel, change: Change) -> Option<RefusalReason> {
    match one(kernel, change).await {
        ChangeOutcome::Refused(refusal) => {
            assert_eq!(refusal.change, change);
            Some(refusal.reason)
        }
        ChangeOutcome::Done | ChangeOutcome::Unanswered => None,
    }
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn every_refusal_is_understood() {
    in_kernel(async |kernel| {
        let service = ServiceKey::tcp(at("10.1.0.1:80"));
        let absent = ServiceKey::tcp(at("10.1.0.2:80"));
        let (here, there) = (at("10.0.0.1:80"), at("10.0.0.2:80"));
        let settings = ServiceSettings::default();
        let masquerade = DestinationSettings::new(Forwarding::Masquerade);
        let scheduled = |name: &str| ServiceSettings::new(name.parse().unwrap());
        let mut with_engine = scheduled("rr");
        with_engine.persistence = Some(Persistence::new(Family::V4, Seconds::new(60)));
        with_engine.persistence.as_mut().unwrap().engine = Some("nope".parse().unwrap());
        let add = |service, destination| Change::AddDestination {
            service,
            destination,
            settings: masquerade,
        };
        let daemon = |interface: &str| {
            Change::StartDaemon(SyncDaemon::new(
                SyncRole::Master,
                interface.parse().unwrap(),
            ))
        };
        make(
            &kernel,
            &[Change::AddService { service, settings }, add(service, here)],
        )
        .await;

        let nope = "nope".parse().unwrap();
        let engine = "nope".parse().unwrap();
        let no_scheduler = RefusalReason::NoScheduler(nope);
        let no_engine = RefusalReason::NoSchedulerOrEngine("rr".parse().unwrap(), engine);
        let refused = [
            (
                Change::AddService { service, settings },
                RefusalReason::ServiceExists,
            ),
            (
                Change::SetService {
                    service: absent,
                    settings,
                },
                RefusalReason::NoSuchService,
            ),
            (
                Change::RemoveService { service: absent },
                RefusalReason::NoSuchService,
            ),
            (Change::Zero(Some(absent)), RefusalReason::NoSuchService),
            (
                Change::AddService {
                    service: absent,
                    settings: scheduled("nope"),
                },
                no_scheduler.clone(),
            ),
            (
                Change::SetService {
                    service,
                    settings: scheduled("nope"),
                },
                no_scheduler,
            ),
            (
                Change::AddService {
                    service: absent,
                    settings: with_engine,
                },
                no_engine,
            ),
            (add(absent, here), RefusalReason::NoSuchService),
            (add(service, here), RefusalReason::DestinationExists),
            (
                Change::SetDestination {
                    service,
                    destination: there,
                    settings: masquerade,
                },
                RefusalReason::NoSuchDestination,
            ),
            (
                Change::RemoveDestination {
                    service,
                    destination: there,
                },
                RefusalReason::NoSuchDestination,
            ),
            (
                Change::RemoveDestination {
                    service: absent,
                    destination: there,
                },
                RefusalReason::NoSuchService,
            ),
            (add(service, at("224.0.0.1:80")), RefusalReason::Invalid),
            (add(service, at("[fd00::1]:80")), RefusalReason::Invalid),
            (
                Change::StopDaemon(SyncRole::Master),
                RefusalReason::NoDaemon,
            ),
            (daemon("nope0"), RefusalReason::NoInterface),
        ];
        for (change, expected) in refused {
            assert_eq!(reason(&kernel, change).await, Some(expected), "{change}");
        }
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn a_refusal_in_the_middle_concerns_none_of_the_others() {
    in_kernel(async |kernel| {
        let changes: Vec<_> = (0..300)
            .map(|number| Change::AddService {
                service: ServiceKey::tcp(at(&format!("10.1.0.1:{}", number % 290 + 1))),
                settings: ServiceSettings::default(),
            })
            .collect();
        let outcomes = kernel.apply(&changes).await.unwrap();
        let refused: Vec<_> = (0..300)
            .filter(|at: &usize| !outcomes[*at].is_done())
            .collect();
        assert_eq!(refused, (290..300).collect::<Vec<_>>());
        assert_eq!(kernel.snapshot().await.unwrap().services.len(), 290);
    });
}

#[test]
#[cfg_attr(not(feature = "guest"), ignore = "guest: needs a kernel with IPVS")]
fn who_may_not_is_told_what_it_takes() {
    const NOBODY: &str = "IPVS_TEST_AS_NOBODY";
    if env::var_os(NOBODY).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let error = runtime.block_on(Kernel::connect()).unwrap_err();
        assert!(matches!(error, IpvsError::Forbidden { .. }), "{error:?}");
        assert!(error.to_string().contains("CAP_NET_ADMIN"));
        return;
    }
    // The same test, by somebody without rights.
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "refusals::who_may_not_is_told_what_it_takes"])
        .env(NOBODY, "")
        .uid(65_534)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("1 passed"), "{output:?}");
}
