//! What fails does not take the rest along.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use ipvs::{
    Change, ChangeOutcome, IpvsBackend, IpvsError, Snapshot, SyncRole,
    fake::{Fault, Kernel},
};

use super::*;
use crate::script::fake::FOR_EVER;

/// A kernel that cannot be asked from time to time.
#[derive(Clone)]
struct Flaky {
    kernel: Kernel,
    is_down: Arc<AtomicBool>,
}

impl Flaky {
    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }
}

#[async_trait]
impl IpvsBackend for Flaky {
    async fn snapshot(&self) -> Result<Snapshot, IpvsError> {
        if self.is_down.load(Ordering::Relaxed) {
            self.kernel.inject(Fault::HalfDump { rows: 0 });
        }
        self.kernel.snapshot().await
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<ChangeOutcome>, IpvsError> {
        if self.is_down.load(Ordering::Relaxed) {
            self.snapshot().await?;
        }
        self.kernel.apply(changes).await
    }
}

#[tokio::test(start_paused = true)]
async fn checks_go_on_while_the_kernel_cannot_be_asked_and_what_they_say_is_made_up_for() {
    let kernel = Kernel::new();
    let flaky = Flaky {
        kernel: kernel.clone(),
        is_down: Arc::default(),
    };
    let fails = Arc::new(AtomicBool::new(false));
    let runner = FakeRunner::new({
        let fails = Arc::clone(&fails);
        move |_| {
            let outcome = match fails.load(Ordering::Relaxed) {
                true => Outcome::Failure { code: 1 },
                false => Outcome::Success,
            };
            (Duration::ZERO, outcome)
        }
    });
    let means = Means {
        backend: Arc::new(flaky.clone()),
        ..means(&kernel)
    };
    let balancing = started(means, false, Arc::clone(&runner) as _).await;
    let text = server("NAT").replace(
        "real_server 10.0.0.1 80 {\n",
        "delay_loop 1\nreal_server 10.0.0.1 80 {\nMISC_CHECK {\nmisc_path /check\n}\n",
    );
    balancing.configure(&config(&text)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let destinations = async || {
        let table = kernel.snapshot().await.unwrap().table();
        let services = table.services.values();
        services
            .map(|service| service.destinations.len())
            .sum::<usize>()
    };
    assert_eq!(destinations().await, 1);

    flaky.set_down(true);
    fails.store(true, Ordering::Relaxed);
    runner.journal();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let checks = runner.started().len();
    assert!((55..=61).contains(&checks), "{checks}");

    flaky.set_down(false);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(destinations().await, 0);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn roles_reach_the_kernel_at_once_while_every_check_hangs() {
    let kernel = Kernel::new();
    let runner = FakeRunner::new(|_| (FOR_EVER, Outcome::Success));
    let balancing = with_runner(&kernel, false, Arc::clone(&runner) as _).await;
    let servers: String = (0..2 * CONCURRENCY.get())
        .map(|nth| {
            let (high, low) = (nth / 250, nth % 250 + 1);
            format!(
                "real_server 10.0.{high}.{low} 80 {{\nMISC_CHECK {{\nmisc_path \"/check {nth}\"\n\
                 misc_timeout 86400\nwarmup 0\n}}\n}}\n"
            )
        })
        .collect();
    let text = format!(
        "global_defs {{\nlvs_sync_daemon eth0 VI_1\n}}\n\
         vrrp_instance VI_1 {{\ninterface eth0\nvirtual_router_id 51\nvirtual_ipaddress {{\n\
         10.1.0.100\n}}\n}}\n\
         virtual_server 10.1.0.100 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n{servers}}}\n"
    );
    balancing.configure(&config(&text)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runner.started().len(), CONCURRENCY.get());

    let roles = async || {
        let table = kernel.snapshot().await.unwrap().table();
        table.daemons.keys().copied().collect::<Vec<_>>()
    };
    for (role, expected) in [
        (Role::Master, SyncRole::Master),
        (Role::Backup, SyncRole::Backup),
    ] {
        balancing.on_role(&"VI_1".into(), role);
        settle().await;
        assert_eq!(roles().await, [expected]);
    }
    cleared(balancing).await;
}
