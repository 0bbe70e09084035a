use std::ffi::OsString;

use ipvs::{fake::Kernel, text::parse_table};

use super::*;
use crate::{
    conf::{MemoryEnvironment, Options, load},
    script::{
        fake::FakeRunner, notify::Limits, outcome::Outcome, run::ProcessRunner, security::Policy,
    },
};

const PATH: &str = "/etc/keepalived/keepalived.conf";

fn config(text: &str) -> Config {
    let machine = MemoryEnvironment::with_file(PATH, text);
    let loaded = load(PATH, &machine, &Options::default()).unwrap();
    loaded.config.unwrap()
}

fn server(method: &str) -> String {
    format!(
        "virtual_server 10.1.0.100 80 {{\nprotocol TCP\nlb_algo rr\nlb_kind {method}\n\
         real_server 10.0.0.1 80 {{\n}}\n}}\n"
    )
}

/// A kernel with a service of somebody else.
fn kernel() -> Kernel {
    let kernel = Kernel::new();
    let strange = parse_table("-A -u 10.9.9.9:53 -s rr\n").unwrap();
    for change in ipvs::plan(&ipvs::Table::default(), &strange) {
        kernel.change(change).unwrap();
    }
    kernel
}

async fn balancing(kernel: &Kernel, flush: bool) -> Balancing {
    // Nothing is run.
    let policy = Policy::new(false, None, OsString::new());
    with_runner(kernel, flush, Arc::new(ProcessRunner::new(policy))).await
}

async fn with_runner(kernel: &Kernel, flush: bool, runner: Arc<dyn Runner>) -> Balancing {
    let notifier = Notifier::start(Arc::clone(&runner), Limits::default());
    let backend = Arc::new(kernel.clone());
    let started = Balancing::start(backend, runner, notifier, flush).await;
    started.unwrap()
}

async fn services(kernel: &Kernel) -> usize {
    kernel.snapshot().await.unwrap().services.len()
}

async fn settle() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_configured_comes_and_goes_and_strangers_stay() {
    let kernel = kernel();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(&server("NAT"))).await.unwrap();
    settle().await;
    assert_eq!(services(&kernel).await, 2);
    balancing.shutdown().await;
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn lvs_flush_removes_what_others_left_and_at_the_end_if_it_is_asked_to() {
    let kernel = kernel();
    let flushing = balancing(&kernel, true).await;
    flushing.configure(&config(&server("NAT"))).await.unwrap();
    settle().await;
    assert_eq!(services(&kernel).await, 1);
    flushing.shutdown().await;

    let kernel = self::kernel();
    let flushing = balancing(&kernel, false).await;
    let text = format!("global_defs {{\nlvs_flush_on_stop\n}}\n{}", server("NAT"));
    flushing.configure(&config(&text)).await.unwrap();
    flushing.shutdown().await;
    assert_eq!(services(&kernel).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_carried_out_is_refused_and_all_goes_on() {
    let kernel = kernel();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(&server("NAT"))).await.unwrap();
    let refused = balancing.configure(&config(&server("FULLNAT"))).await;
    let error = refused.unwrap_err().to_string();
    assert!(
        error.contains("10.1.0.100 80") && error.contains("FULLNAT"),
        "{error}"
    );
    settle().await;
    assert_eq!(services(&kernel).await, 2);
    balancing.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn with_ha_suspend_nothing_is_checked_while_the_address_is_elsewhere() {
    let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Success));
    let balancing = with_runner(&kernel(), false, Arc::clone(&runner) as _).await;
    let text = "virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\nha_suspend\n\
                delay_loop 1\nreal_server 10.0.0.1 80 {\nMISC_CHECK {\nmisc_path /bin/true\n}\n}\n}\n";
    let minute = Duration::from_secs(60);
    balancing.configure(&config(text)).await.unwrap();
    tokio::time::sleep(minute).await;
    assert_eq!(runner.started(), [] as [&str; 0]);
    balancing.on_addresses(["10.1.0.100".parse().unwrap()].into());
    tokio::time::sleep(minute).await;
    let checks = runner.started().len();
    assert!((55..=61).contains(&checks), "{checks}");
    balancing.on_addresses(BTreeSet::new());
    settle().await;
    runner.journal();
    tokio::time::sleep(minute).await;
    assert_eq!(runner.started(), [] as [&str; 0]);
    balancing.shutdown().await;
}

/// The weight that the only real server has in the kernel; `None` if it is not there.
async fn weight(kernel: &Kernel) -> Option<u32> {
    let table = kernel.snapshot().await.unwrap().table();
    let service = parse_table("-A -t 10.1.0.100:80 -s rr\n").unwrap();
    let service = table
        .services
        .get(service.services.keys().next().unwrap())?;
    let destination = service.destinations.values().next();
    destination.map(|settings| settings.weight.get())
}

#[tokio::test(start_paused = true)]
async fn a_file_says_what_a_server_weighs_and_whether_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weight");
    let text = format!(
        "track_file F {{\nfile {}\ninit_file 4\n}}\n{}",
        path.display(),
        server("NAT").replace(
            "real_server 10.0.0.1 80 {\n",
            "real_server 10.0.0.1 80 {\nFILE_CHECK {\ntrack_file F\nweight 10\n}\n"
        )
    );
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(&text)).await.unwrap();
    settle().await;
    assert_eq!(weight(&kernel).await, Some(41));
    for (text, expected) in [("7", Some(71)), ("-1", Some(0)), ("down", None)] {
        std::fs::write(&path, text).unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(weight(&kernel).await, expected, "{text}");
    }
    std::fs::remove_file(&path).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(weight(&kernel).await, Some(1));
    balancing.shutdown().await;
}
