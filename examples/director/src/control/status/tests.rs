use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use health::{Fleet, FleetInput, FleetOutput, Success};
use ipvs::{
    Change, Counts, IpvsBackend, ServiceKey, Snapshot, TableStatus, Timeouts, fake::Kernel,
};

use super::*;
use crate::balance::{Action, Balancer, CheckName, OrderedWeight, Probes, Selection};
use crate::conf::{MemoryEnvironment, Options, load};
use crate::script::fake::FakeRunner;
use crate::script::outcome::Outcome;

const PATH: &str = "/etc/keepalived/keepalived.conf";

const SERVICE: &str = "10.1.0.100:80";

const FILE: &str = "virtual_server 10.1.0.100 80 {\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n \
    delay_loop 5\n sorry_server 10.0.0.9 90\n \
    real_server 10.0.0.1 8080 {\n weight 2\n MISC_CHECK {\n misc_path /bin/one\n retry 2\n \
    delay_before_retry 1\n warmup 0\n }\n }\n \
    real_server 10.0.0.2 8080 {\n }\n}\n";

/// A balancer with its checks and a kernel, on a clock that stands still until it is moved.
struct Rig {
    balancer: Balancer,
    fleet: Fleet<CheckName, health::Check>,
    kernel: Kernel,
    table: TableStatus,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self::with(FILE)
    }

    fn with(file: &str) -> Self {
        let machine = MemoryEnvironment::with_file(PATH, file);
        let config = load(PATH, &machine, &Options::default())
            .unwrap()
            .config
            .unwrap();
        let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Success));
        let mut rig = Self {
            balancer: Balancer::new(Timeouts::default()),
            fleet: Fleet::new(NonZeroUsize::MIN, 0),
            kernel: Kernel::new(),
            table: TableStatus::default(),
            now: crate::script::clock::now(),
        };
        let asks = Probes::new(runner).recheck(&config).unwrap().asks;
        rig.fleet.configure(asks, rig.now).unwrap();
        rig.balancer
            .configure(&config, |check| rig.fleet.standing(check), rig.now);
        rig
    }

    /// Lets time pass; each probe fails with these words, or passes without.
    fn run(&mut self, span: Duration, failure: Option<&'static str>) {
        let end = self.now + span;
        while let Some(at) = self.fleet.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.fleet.handle(FleetInput::Timeout, self.now);
            while let Some(output) = self.fleet.poll_output() {
                match output {
                    FleetOutput::Probe { id, run, .. } => {
                        let result = match failure {
                            None => Ok(Success::default()),
                            Some(words) => Err(Arc::new(io(words)) as Arc<_>),
                        };
                        let outcome = FleetInput::Outcome { id, run, result };
                        self.fleet
                            .handle(outcome, self.now + Duration::from_millis(7));
                    }
                    FleetOutput::Changed { service, .. } => {
                        let standing = self.fleet.standing(&service).unwrap();
                        self.balancer.on_check(&service, standing, self.now);
                    }
                    FleetOutput::Abandon { .. }
                    | FleetOutput::Weighed { .. }
                    | FleetOutput::Proven { .. } => {}
                }
            }
        }
        self.now = end;
    }

    fn act(&mut self, server: &str, action: Action) {
        let which = Selection {
            real_server: server.parse().unwrap(),
            virtual_server: None,
        };
        self.balancer.act(&which, action, self.now).unwrap();
    }

    /// The kernel has the table as it shall be.
    async fn apply(&self) {
        let now = self.kernel.snapshot().await.unwrap().table();
        for change in ipvs::plan(&now, &self.balancer.table()) {
            self.kernel.change(change).unwrap();
        }
    }

    /// The first real server has so many connections.
    fn connect(&self, active: u32) {
        let service = ServiceKey::tcp(SERVICE.parse().unwrap());
        let counts = Counts {
            active,
            ..Counts::ZERO
        };
        let to = "10.0.0.1:8080".parse().unwrap();
        assert!(self.kernel.set_counts(service, to, counts));
    }

    async fn snapshot(&self) -> Snapshot {
        self.kernel.snapshot().await.unwrap()
    }

    async fn look(&self) -> VirtualServer {
        let snapshot = self.snapshot().await;
        self.known().virtual_servers(Some(&snapshot)).remove(0)
    }

    fn known(&self) -> Known {
        Known {
            pools: self.balancer.pools().collect(),
            reports: self.fleet.reports().collect(),
            table: self.table.clone(),
            at: self.now,
        }
    }

    async fn because(&self) -> String {
        self.look().await.real_servers.remove(0).because
    }
}

fn io(words: &'static str) -> std::io::Error {
    std::io::Error::other(words)
}

#[tokio::test]
async fn who_is_used_as_the_file_says_needs_no_explanation() {
    let mut rig = Rig::new();
    rig.run(Duration::from_secs(20), None);
    rig.apply().await;
    rig.connect(3);
    let server = rig.look().await;
    assert_eq!(
        server.to_string(),
        "10.1.0.100 80        up      rr, 2 of 2 real servers up, weight 3 of 1 for a quorum\n    \
         10.0.0.1:8080          up      weight 2, 3 active, 0 inactive\n    \
         10.0.0.2:8080          up      weight 1, 0 active, 0 inactive\n    \
         10.0.0.9:90            waits   sorry server\n"
    );
    assert_eq!(
        rig.because().await,
        "new connections with weight 2: as in the file"
    );
    let told = serde_json::to_value(&server).unwrap();
    assert_eq!(
        serde_json::from_value::<VirtualServer>(told).unwrap(),
        server
    );
}

#[tokio::test]
async fn who_fails_is_explained_by_its_checks_and_where_they_stand() {
    let mut rig = Rig::new();
    rig.run(Duration::from_secs(20), None);
    rig.apply().await;
    while rig.look().await.real_servers[0].checks[0].failures < 2 {
        rig.run(Duration::from_millis(100), Some("it is on fire"));
    }
    let check = rig.look().await.real_servers[0].checks.remove(0);
    assert_eq!(
        (check.health.as_str(), check.failures, check.fall),
        ("up", 2, 3)
    );
    assert_eq!(
        check.probes.last().unwrap().failure.as_deref(),
        Some("it is on fire")
    );
    assert!(check.probes[0].failure.is_none() && check.next_in_ms.unwrap() <= 1000);

    rig.run(Duration::from_secs(2), Some("it is on fire"));
    let cause = "out of the table: MISC_CHECK /bin/one: it is on fire";
    assert_eq!(
        rig.because().await,
        format!("{cause}; the table has it still")
    );
    rig.apply().await;
    assert_eq!(rig.because().await, cause);
    assert!(rig.look().await.to_string().contains(cause));
}

#[tokio::test]
async fn an_order_is_told_with_what_the_kernel_makes_of_it() {
    let mut rig = Rig::new();
    rig.run(Duration::from_secs(20), None);
    rig.apply().await;
    rig.connect(3);
    rig.act("10.0.0.1", Action::Drain);
    let drained = "no new connections: drained by order; 3 connections go on";
    let on_its_way = format!("{drained}; the table has weight 2 still");
    assert_eq!(rig.because().await, on_its_way);
    rig.apply().await;
    assert_eq!(rig.because().await, drained);
    assert_eq!(
        rig.look().await.real_servers[0].order.as_deref(),
        Some("drained")
    );
    rig.act("10.0.0.2", Action::Disable { drain: false });
    let server = rig.look().await;
    assert!(!server.has_quorum && server.sorry_server.unwrap().in_use);
    rig.act("10.0.0.2", Action::Enable);
    rig.act(
        "10.0.0.1",
        Action::Weight(Some(OrderedWeight::new(9).unwrap())),
    );
    rig.apply().await;
    assert_eq!(
        rig.because().await,
        "new connections with weight 9: by order, not 2"
    );
}

#[tokio::test]
async fn a_server_that_has_come_back_tells_how_long_its_weight_grows() {
    let slow = FILE
        .replace("lvs_sched rr", "lvs_sched wrr\n slow_start 60")
        .replace("weight 2", "weight 50");
    let mut rig = Rig::with(&slow);
    rig.run(Duration::from_secs(20), Some("no"));
    rig.run(Duration::from_secs(4), None);
    rig.apply().await;
    let server = rig.look().await.real_servers.remove(0);
    let left = server.slow_start_ms.unwrap();
    assert!((55_000..60_000).contains(&left), "{left}");
    assert_eq!(
        server.because,
        format!(
            "new connections with weight 1: it has come back, and weight 50 is due in {} s \
             (slow_start)",
            left / 1000
        )
    );
    assert_eq!((server.weight_wanted, server.weight), (Some(1), 50));
    rig.now += Duration::from_secs(30);
    rig.balancer.handle_timeout(rig.now);
    assert_eq!(rig.look().await.real_servers[0].weight_wanted, Some(25));
    rig.now += Duration::from_secs(30);
    rig.balancer.handle_timeout(rig.now);
    rig.apply().await;
    assert_eq!(
        rig.because().await,
        "new connections with weight 50: as in the file"
    );
}

#[tokio::test]
async fn who_is_up_without_a_quorum_makes_way_for_the_sorry_server() {
    let mut rig = Rig::with(&FILE.replace("sorry_server", "quorum 3\n sorry_server"));
    rig.act("10.0.0.2", Action::Disable { drain: false });
    rig.apply().await;
    assert_eq!(
        rig.because().await,
        "out of the table: the sorry server serves, since weight 2 is up and a quorum takes 3"
    );
}

#[tokio::test]
async fn what_the_kernel_has_not_and_what_nobody_knows_of_it_are_two_things() {
    let mut rig = Rig::new();
    rig.act("10.0.0.1", Action::Weight(Some(OrderedWeight::ZERO)));
    rig.act("10.0.0.2", Action::Weight(Some(OrderedWeight::ZERO)));
    let server = rig.look().await;
    assert_eq!((server.alive, server.has_quorum), (0, false));
    assert!(
        server
            .to_string()
            .contains("TCP 10.1.0.100:80 is not in the table")
    );
    let missing = "; the table has it not yet in TCP 10.1.0.100:80";
    assert!(rig.because().await.ends_with(missing));
    // A kernel that cannot be asked has nothing, as far as is known.
    let unasked = rig.known().virtual_servers(None).remove(0);
    assert_eq!(
        unasked.real_servers[0].because,
        "no new connections: drained by order"
    );
    assert_eq!(unasked.services[0].in_kernel, None);
}

#[tokio::test]
async fn what_the_kernel_refuses_is_told_where_it_belongs() {
    let mut rig = Rig::new();
    rig.apply().await;
    let service = ServiceKey::tcp(SERVICE.parse().unwrap());
    let destination = "10.0.0.1:8080".parse().unwrap();
    let settings = ipvs::DestinationSettings::default();
    let add = Change::AddDestination {
        service,
        destination,
        settings,
    };
    rig.table.refused.push(rig.kernel.change(add).unwrap_err());
    let server = rig.look().await;
    assert!(server.real_servers[0].because.contains("; refused: "));
    assert!(server.real_servers[1].refused.is_empty() && server.services[0].refused.is_empty());
}

#[tokio::test]
async fn why_is_asked_by_any_name() {
    let rig = Rig::new();
    rig.apply().await;
    let known = rig.known();
    let status = || Status {
        instances: Vec::new(),
        sync_groups: Vec::new(),
        sockets: Vec::new(),
        unknown_vrids: 0,
        virtual_servers: known.virtual_servers(None),
        ipvs_trouble: Some(String::from("it is away")),
    };
    for (name, count) in [
        ("10.1.0.100:80", 2),
        ("10.1.0.100", 2),
        ("10.0.0.2", 1),
        ("10.0.0.1:8080", 1),
        // The sorry server, which waits.
        ("10.0.0.9", 0),
        ("10.0.0.9:90", 0),
    ] {
        let why = Why::of(status(), &known.pools, name).unwrap();
        assert_eq!(why.virtual_servers[0].real_servers.len(), count, "{name}");
    }
    let why = Why::of(status(), &known.pools, "10.0.0.1").unwrap();
    assert_eq!(
        why.to_string(),
        "virtual server 10.1.0.100 80: TCP 10.1.0.100:80 by rr\n    \
         its quorum is there: weight 3 is up, a quorum is 1, hysteresis 0\n    \
         sorry server 10.0.0.9:90 waits\n    \
         real server 10.0.0.1:8080 is up\n        \
         new connections with weight 2: as in the file\n        \
         weight 2 in the file, 2 by its checks, 2 wanted in the table, no order\n        \
         MISC_CHECK /bin/one is up, 0 of 3 failures, next probe in 1.0 s\n\
         IPVS: it is away\n"
    );
    for unknown in ["10.0.0.3", "10.0.0.1:80", "10.0.0.9:80", "nobody"] {
        let refused = Why::of(status(), &known.pools, unknown).unwrap_err();
        assert_eq!(refused.there, ["10.1.0.100 80"], "{unknown}");
    }
}
