//! FULLNAT in step with the table.

use std::{ffi::OsString, sync::Arc};

use async_trait::async_trait;
use ipvs::{Counts, FullNat, NetfilterError, SourceNat, fake};

use super::*;

/// Source NAT that notes how many destinations are in the table whenever it is told something.
struct Witness {
    kernel: Kernel,
    nat: fake::SourceNat,
    seen: std::sync::Mutex<Vec<(&'static str, usize)>>,
}

impl Witness {
    fn new(kernel: &Kernel) -> Arc<Self> {
        Arc::new(Self {
            kernel: kernel.clone(),
            nat: fake::SourceNat::new(),
            seen: std::sync::Mutex::default(),
        })
    }

    async fn note(&self, what: &'static str) {
        let destinations = destinations(&self.kernel).await;
        self.seen.lock().unwrap().push((what, destinations));
    }

    fn seen(&self) -> Vec<(&'static str, usize)> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }

    /// How many connections are translated.
    fn translated(&self) -> usize {
        self.nat.installed().map_or(0, |it| it.translated.len())
    }
}

#[async_trait]
impl SourceNat for Witness {
    async fn install(&self, full_nat: &FullNat) -> Result<(), NetfilterError> {
        self.note("install").await;
        self.nat.install(full_nat).await
    }

    async fn remove(&self) -> Result<(), NetfilterError> {
        self.note("remove").await;
        self.nat.remove().await
    }
}

async fn destinations(kernel: &Kernel) -> usize {
    let table = kernel.snapshot().await.unwrap().table();
    let services = table.services.values();
    services.map(|service| service.destinations.len()).sum()
}

struct Rig {
    kernel: Kernel,
    nat: Arc<Witness>,
    machine: Arc<fake::Machine>,
    balancing: Balancing,
}

impl Rig {
    async fn new() -> Self {
        let kernel = Kernel::new();
        let nat = Witness::new(&kernel);
        let machine = Arc::new(fake::Machine::new());
        let means = Means {
            source_nat: Arc::clone(&nat) as _,
            machine: Arc::clone(&machine) as _,
            ..means(&kernel)
        };
        let policy = Policy::new(false, None, OsString::new());
        let balancing = started(means, false, Arc::new(ProcessRunner::new(policy))).await;
        Self {
            kernel,
            nat,
            machine,
            balancing,
        }
    }

    async fn configure(&self, text: &str) -> Result<(), BalanceError> {
        let result = self.balancing.configure(&config(text)).await;
        settle().await;
        result
    }

    fn forwards(&self) -> [Option<String>; 2] {
        ["net.ipv4.ip_forward", "net.ipv4.vs.conntrack"].map(|name| self.machine.value(name))
    }
}

fn set(value: &str) -> [Option<String>; 2] {
    [Some(value.to_owned()), Some(value.to_owned())]
}

#[tokio::test(start_paused = true)]
async fn sources_are_translated_before_a_server_is_there_and_until_it_has_left() {
    let rig = Rig::new().await;
    rig.configure(&server("NAT")).await.unwrap();
    assert_eq!((rig.nat.seen(), rig.forwards()), (vec![], set("0")));
    let two = server("FULLNAT").replace(
        "real_server",
        "real_server 10.0.0.2 80 {\nweight 1\n}\nreal_server",
    );
    rig.configure(&two).await.unwrap();
    assert_eq!(rig.nat.seen(), [("install", 1)]);
    assert_eq!(
        (rig.nat.translated(), destinations(&rig.kernel).await),
        (2, 2)
    );
    assert_eq!(rig.forwards(), set("1"));

    // One leaves, and has a connection until it is gone.
    let table = rig.kernel.snapshot().await.unwrap().table();
    let service = *table.services.keys().next().unwrap();
    let leaving = "10.0.0.2:80".parse().unwrap();
    let busy = Counts {
        active: 1,
        ..Counts::default()
    };
    assert!(rig.kernel.set_counts(service, leaving, busy));
    rig.configure(&server("FULLNAT")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (rig.nat.translated(), destinations(&rig.kernel).await),
        (2, 2)
    );
    assert!(rig.kernel.set_counts(service, leaving, Counts::default()));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        (rig.nat.translated(), destinations(&rig.kernel).await),
        (1, 1)
    );

    // Another way of forwarding needs no translation, although the server stays.
    rig.configure(&server("NAT")).await.unwrap();
    assert_eq!(
        (rig.nat.translated(), destinations(&rig.kernel).await),
        (0, 1)
    );
    rig.configure(&server("FULLNAT")).await.unwrap();
    rig.nat.seen();
    cleared(rig.balancing).await;
    assert_eq!(rig.nat.seen(), [("remove", 0)]);
    let machine = rig.machine;
    assert_eq!(machine.value("net.ipv4.vs.conntrack"), Some("0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn the_source_is_that_of_the_file_and_a_reload_changes_it_for_new_connections() {
    let rig = Rig::new().await;
    let from = |source: &str| {
        let line = format!("lb_kind FULLNAT\nfull_nat_source {source}");
        server("FULLNAT").replace("lb_kind FULLNAT", &line)
    };
    let sources = || {
        let installed = rig.nat.nat.installed().unwrap().translated.into_iter();
        let sources = installed.map(|it| it.source.map(|source| source.to_string()));
        sources.collect::<Vec<_>>()
    };
    rig.configure(&from("10.0.0.254")).await.unwrap();
    assert_eq!(sources(), [Some(String::from("10.0.0.254"))]);
    rig.configure(&from("10.0.0.250-254")).await.unwrap();
    assert_eq!(sources(), [Some(String::from("10.0.0.250-10.0.0.254"))]);
    rig.configure(&server("FULLNAT")).await.unwrap();
    assert_eq!(sources(), [None]);
    assert_eq!(rig.nat.seen().len(), 3);
    rig.configure(&server("NAT")).await.unwrap();
    assert_eq!(rig.nat.translated(), 0);
    cleared(rig.balancing).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_everything_as_it_was() {
    let rig = Rig::new().await;
    rig.configure(&server("NAT")).await.unwrap();
    let more = server("FULLNAT").replace("10.1.0.100", "10.1.0.101");
    rig.nat.nat.refuse();
    let error = rig.configure(&more).await.unwrap_err();
    assert!(error.to_string().contains("FULLNAT"), "{error}");
    assert_eq!((rig.nat.translated(), rig.forwards()), (0, set("0")));
    rig.machine.forbid();
    let error = rig.configure(&more).await.unwrap_err();
    assert!(error.to_string().contains("FULLNAT"), "{error}");
    assert_eq!(services(&rig.kernel).await, 1);
    cleared(rig.balancing).await;
}
