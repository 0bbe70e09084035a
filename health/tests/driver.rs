//! A running fleet, on tokio's paused clock.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    future::pending,
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use health::{
    Ask, AskError, Check, CheckConfig, FleetError, FleetEvent, FleetHandle, Health, HealthProbe,
    MockHealthProbe, ProbeError, Success, Target, async_trait,
    fake::{Answer, Behaviour, Servers},
};
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 80))
}

/// Every 2 s with a deadline of 1 s.
fn ask(service: u8, probe: &Arc<dyn HealthProbe>, target: SocketAddr) -> Ask<u8, Check> {
    Ask {
        service,
        probe: Check::new(Arc::clone(probe), Target::new(target)),
        config: CheckConfig::plain(2 * SECOND, SECOND),
        start_delay: Duration::ZERO,
        warm_up: Duration::ZERO,
        known: None,
    }
}

fn fleet() -> FleetHandle<u8> {
    health::spawn(NonZeroUsize::new(100).unwrap(), 1)
}

async fn becomes(fleet: &FleetHandle<u8>, service: u8, health: Health) {
    let mut snapshot = fleet.snapshot();
    let reached = snapshot.wait_for(|snapshot| snapshot.health(&service) == health);
    timeout(100 * SECOND, reached).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn servers_come_up_and_go_down_and_it_is_told_why() {
    let servers = Arc::new(Servers::new());
    servers.set(address(1), Behaviour::default(), 1);
    servers.set(address(2), Behaviour::default(), 2);
    servers.script(address(2), [Answer::Fails(SECOND / 10)]);
    let probe: Arc<dyn HealthProbe> = Arc::clone(&servers) as _;
    let fleet = fleet();
    let mut events = fleet.events();
    let asked = [1, 2, 3].map(|number| ask(number, &probe, address(number)));
    fleet.configure(asked).await.unwrap();

    becomes(&fleet, 1, Health::Up).await;
    becomes(&fleet, 2, Health::Down).await;
    becomes(&fleet, 3, Health::Down).await;
    becomes(&fleet, 2, Health::Up).await;

    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let FleetEvent::Changed {
            service,
            to,
            because,
            ..
        } = event
        {
            let because = because.map(|failure| failure.to_string());
            told.push((service, to, because));
        }
    }
    let refused = ProbeError::Refused {
        address: address(2),
    };
    assert_eq!(
        told,
        [
            (1, Health::Up, None),
            (2, Health::Down, Some(refused.to_string())),
            (3, Health::Down, Some("no result within 1s".to_owned())),
            (2, Health::Up, None),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn services_that_share_a_probe_share_its_runs() {
    let servers = Arc::new(Servers::new());
    servers.set(address(1), Behaviour::default(), 1);
    let probe: Arc<dyn HealthProbe> = Arc::clone(&servers) as _;
    let fleet = fleet();
    let asked = [1, 2, 3].map(|service| ask(service, &probe, address(1)));
    fleet.configure(asked).await.unwrap();
    sleep(9 * SECOND).await;
    assert_eq!(servers.probes(address(1)), 5);
    let reports = fleet.reports().await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].services, [1, 2, 3]);
    assert_eq!(reports[0].counters.passed, 5);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed_and_the_others_go_on() {
    let mut mock = MockHealthProbe::new();
    mock.expect_probe().returning(|_| panic!("no such table"));
    let (defective, servers): (Arc<dyn HealthProbe>, _) = (Arc::new(mock), Servers::new());
    servers.set(address(2), Behaviour::default(), 2);
    let servers: Arc<dyn HealthProbe> = Arc::new(servers);
    let fleet = fleet();
    let asked = [ask(1, &defective, address(1)), ask(2, &servers, address(2))];
    fleet.configure(asked).await.unwrap();
    becomes(&fleet, 1, Health::Down).await;
    becomes(&fleet, 2, Health::Up).await;
    let reports = fleet.reports().await.unwrap();
    let failure = reports[0].last_failure.as_ref().unwrap().to_string();
    assert_eq!(failure, "the probe panicked: no such table");
}

/// Counts the probes that are under way, which never end.
#[derive(Default)]
struct Endless(AtomicUsize);

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl HealthProbe for Endless {
    async fn probe(&self, _: &Target) -> Result<Success, ProbeError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted(&self.0);
        pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_gone_at_its_deadline_and_with_the_fleet() {
    let endless = Arc::new(Endless::default());
    let probe: Arc<dyn HealthProbe> = Arc::clone(&endless) as _;
    let under_way = || endless.0.load(Ordering::Relaxed);
    let fleet = fleet();
    let asked = (1..=50).map(|service| ask(service, &probe, address(service)));
    fleet.configure(asked).await.unwrap();
    sleep(SECOND / 2).await;
    assert_eq!(under_way(), 50);
    sleep(SECOND).await;
    assert_eq!(under_way(), 0);
    sleep(SECOND).await;
    assert_eq!(under_way(), 50);
    fleet.shutdown().await;
    assert_eq!(under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_paused_service_keeps_its_health_and_a_dropped_one_is_forgotten() {
    let servers = Arc::new(Servers::new());
    servers.set(address(1), Behaviour::default(), 1);
    let probe: Arc<dyn HealthProbe> = Arc::clone(&servers) as _;
    let fleet = fleet();
    fleet.configure([ask(1, &probe, address(1))]).await.unwrap();
    becomes(&fleet, 1, Health::Up).await;
    fleet.pause(1);
    sleep(SECOND / 10).await;
    let probes = servers.probes(address(1));
    sleep(60 * SECOND).await;
    assert_eq!(servers.probes(address(1)), probes);
    assert_eq!(fleet.snapshot().borrow().health(&1), Health::Up);
    fleet.resume(1);
    sleep(SECOND / 10).await;
    assert_eq!(servers.probes(address(1)), probes + 1);
    fleet.probe_now(1);
    sleep(SECOND / 10).await;
    assert_eq!(servers.probes(address(1)), probes + 2);
    fleet.configure([]).await.unwrap();
    assert!(fleet.snapshot().borrow().standings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_contradicts_itself_is_refused_and_all_goes_on() {
    let servers = Servers::new();
    servers.set(address(1), Behaviour::default(), 1);
    let probe: Arc<dyn HealthProbe> = Arc::new(servers);
    let fleet = fleet();
    fleet.configure([ask(1, &probe, address(1))]).await.unwrap();
    let twice = [1, 1].map(|service| ask(service, &probe, address(2)));
    let refused = fleet.configure(twice).await;
    assert!(matches!(
        refused,
        Err(AskError::Fleet(FleetError::Twice { .. }))
    ));
    becomes(&fleet, 1, Health::Up).await;
}
