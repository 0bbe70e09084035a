use std::ffi::OsString;

use ipvs::{Table, fake::Kernel, text::parse_table};

use super::*;
use crate::{
    conf::{MemoryEnvironment, Options, load},
    script::{
        fake::FakeRunner, notify::Limits, outcome::Outcome, run::ProcessRunner, security::Policy,
    },
};

mod fifo;
mod restart;
mod stopping;
mod transaction;

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
    for change in ipvs::plan(&Table::default(), &strange) {
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
    started(means(kernel), flush, runner).await
}

/// What is there beside a kernel.
fn means(kernel: &Kernel) -> Means {
    Means {
        backend: Arc::new(kernel.clone()),
        source_nat: Arc::new(ipvs::fake::SourceNat::new()),
        machine: Arc::new(ipvs::fake::Machine::new()),
    }
}

async fn started(means: Means, flush: bool, runner: Arc<dyn Runner>) -> Balancing {
    keeping(means, flush, runner, None).await
}

/// Keeps what it knows there.
async fn keeping(
    means: Means,
    flush: bool,
    runner: Arc<dyn Runner>,
    state: Option<PathBuf>,
) -> Balancing {
    let notifier = Notifier::start(Arc::clone(&runner), Limits::default());
    let started = Balancing::start(means, runner, notifier, flush, state).await;
    started.unwrap()
}

fn ending(on_stop: OnStop) -> Ending {
    Ending {
        on_stop,
        drain_deadline: Duration::from_secs(60),
    }
}

/// Ends it as it ends if nothing is said.
async fn cleared(balancing: Balancing) {
    let ending = ending(OnStop::default());
    balancing.shutdown(ending, std::future::pending()).await;
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
    cleared(balancing).await;
    assert_eq!(services(&kernel).await, 1);
}

#[tokio::test(start_paused = true)]
async fn lvs_flush_removes_what_others_left_and_at_the_end_if_it_is_asked_to() {
    let kernel = kernel();
    let flushing = balancing(&kernel, true).await;
    flushing.configure(&config(&server("NAT"))).await.unwrap();
    settle().await;
    assert_eq!(services(&kernel).await, 1);
    cleared(flushing).await;

    let kernel = self::kernel();
    let flushing = balancing(&kernel, false).await;
    let text = format!("global_defs {{\nlvs_flush_on_stop\n}}\n{}", server("NAT"));
    flushing.configure(&config(&text)).await.unwrap();
    cleared(flushing).await;
    assert_eq!(services(&kernel).await, 0);
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
    cleared(balancing).await;
}

/// The weight that the only real server has in the kernel; `None` if it is not there.
async fn weight(kernel: &Kernel) -> Option<u32> {
    weights(kernel).await.first().map(|(_, weight)| *weight)
}

#[tokio::test(start_paused = true)]
async fn a_file_says_what_a_server_weighs_and_whether_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weight");
    let text = format!(
        "track_file F {{\nfile {}\n}}\n{}",
        path.display(),
        server("NAT").replace(
            "real_server 10.0.0.1 80 {\n",
            "real_server 10.0.0.1 80 {\nFILE_CHECK {\ntrack_file F\nweight 10\n}\n"
        )
    );
    std::fs::write(&path, "4").unwrap();
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
    cleared(balancing).await;
}

const CLIENT: Client = Client {
    uid: 1000,
    pid: Some(7),
};

const PAIR: &str = "virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
    real_server 10.0.0.1 80 {\n}\nreal_server 10.0.0.2 80 {\n}\n}\n";

async fn act(balancing: &Balancing, server: &str, action: Action) -> Result<String, String> {
    let which = Selection {
        real_server: server.parse().unwrap(),
        virtual_server: None,
    };
    let act = Act {
        which,
        action,
        client: CLIENT,
    };
    let done = balancing.act(act).await?;
    settle().await;
    Ok(done[0].to_string())
}

/// The real servers in the table, with their weights.
async fn weights(kernel: &Kernel) -> Vec<(String, u32)> {
    let snapshot = kernel.snapshot().await.unwrap();
    let to = "10.1.0.100:80".parse().unwrap();
    let service = snapshot.service(&ipvs::ServiceKey::tcp(to)).unwrap();
    let destinations = service.destinations.iter();
    let weights = destinations.map(|it| (it.key.to_string(), it.settings.weight.get()));
    let mut weights: Vec<_> = weights.collect();
    weights.sort();
    weights
}

fn both(first: u32, second: u32) -> Vec<(String, u32)> {
    [("10.0.0.1:80", first), ("10.0.0.2:80", second)]
        .map(|(server, weight)| (server.to_owned(), weight))
        .into()
}

#[tokio::test(start_paused = true)]
async fn an_operators_order_reaches_the_kernel_and_outlives_a_reload() {
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(PAIR)).await.unwrap();
    let told = act(&balancing, "10.0.0.1", Action::Drain).await;
    let named = "10.0.0.1:80 of VS 10.1.0.100 80";
    assert_eq!(told, Ok(format!("{named}: drained (before: no order)")));
    assert_eq!(weights(&kernel).await, both(0, 1));
    balancing.configure(&config(PAIR)).await.unwrap();
    settle().await;
    assert_eq!(weights(&kernel).await, both(0, 1));
    let told = act(&balancing, "10.0.0.1", Action::Undrain).await;
    assert_eq!(told, Ok(format!("{named}: no order (before: drained)")));
    assert_eq!(weights(&kernel).await, both(1, 1));

    let refused = act(&balancing, "10.0.0.3", Action::Drain)
        .await
        .unwrap_err();
    assert!(refused.ends_with(&format!(
        "there are {named}, 10.0.0.2:80 of VS 10.1.0.100 80"
    )));
    assert_eq!(weights(&kernel).await, both(1, 1));
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn the_weight_of_a_server_that_comes_back_grows_in_the_kernel() {
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    let slow = PAIR.replace("lb_algo rr", "lb_algo wrr\nslow_start 100");
    let slow = slow.replace("10.0.0.1 80 {", "10.0.0.1 80 {\nweight 50");
    balancing.configure(&config(&slow)).await.unwrap();
    act(&balancing, "10.0.0.1", Action::Drain).await.unwrap();
    act(&balancing, "10.0.0.1", Action::Undrain).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..=10 {
        seen.push(weights(&kernel).await[0].1);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(seen, [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn one_address_and_port_is_served_by_tcp_and_by_udp() {
    let dns = |protocol: &str| {
        format!(
            "virtual_server 10.1.0.100 53 {{\nprotocol {protocol}\nlb_algo rr\nlb_kind NAT\n\
             real_server 127.0.0.1 53 {{\nTCP_CHECK {{\n}}\n}}\n}}\n"
        )
    };
    let both = config(&format!("{}{}", dns("TCP"), dns("UDP")));
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&both).await.unwrap();
    settle().await;
    assert_eq!(services(&kernel).await, 2);

    let named = "10.1.0.100 53 UDP";
    let act = Act {
        which: Selection {
            real_server: "127.0.0.1".parse().unwrap(),
            virtual_server: Some(named.to_owned()),
        },
        action: Action::Drain,
        client: CLIENT,
    };
    let done = balancing.act(act).await.unwrap();
    let [done] = &done[..] else {
        panic!("{done:?}");
    };
    let told = format!("127.0.0.1:53 of VS {named}: drained (before: no order)");
    assert_eq!(done.to_string(), told);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn who_is_disabled_goes_at_once_or_once_its_connections_are_gone() {
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(PAIR)).await.unwrap();
    settle().await;
    let client = |port| {
        let from = format!("192.0.2.7:{port}").parse().unwrap();
        ipvs::fake::Flow::tcp(from, "10.1.0.100:80".parse().unwrap())
    };
    let flows = [client(1), client(2)];
    for flow in flows {
        kernel.connect(flow).unwrap();
    }
    let drain = Action::Disable { drain: true };
    act(&balancing, "10.0.0.1", drain).await.unwrap();
    assert_eq!(weights(&kernel).await, both(0, 1), "it has a connection");
    let (known, backend) = balancing.look().await.unwrap();
    let snapshot = backend.snapshot().await.unwrap();
    let told = known.virtual_servers(Some(&snapshot))[0].real_servers[0]
        .because
        .clone();
    assert_eq!(
        told,
        "out of the table: disabled by order; it leaves once 1 connection is gone"
    );
    for flow in flows {
        kernel.send(flow).unwrap();
        kernel.close(flow).unwrap();
    }
    kernel.advance(Duration::from_secs(3600));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(weights(&kernel).await, both(0, 1)[1..]);
    act(&balancing, "10.0.0.1", Action::Enable).await.unwrap();
    assert_eq!(weights(&kernel).await, both(1, 1));

    kernel.connect(client(3)).unwrap();
    kernel.connect(client(4)).unwrap();
    let at_once = Action::Disable { drain: false };
    act(&balancing, "10.0.0.2", at_once).await.unwrap();
    assert_eq!(weights(&kernel).await, both(1, 0)[..1]);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_gently_is_cut_by_an_order_to_go_at_once() {
    let kernel = Kernel::new();
    let balancing = balancing(&kernel, false).await;
    balancing.configure(&config(PAIR)).await.unwrap();
    settle().await;
    for port in [1, 2] {
        let from = format!("192.0.2.7:{port}").parse().unwrap();
        let flow = ipvs::fake::Flow::tcp(from, "10.1.0.100:80".parse().unwrap());
        kernel.connect(flow).unwrap();
    }
    for server in ["10.0.0.1", "10.0.0.2"] {
        let drain = Action::Disable { drain: true };
        act(&balancing, server, drain).await.unwrap();
    }
    assert_eq!(weights(&kernel).await, both(0, 0));
    let at_once = Action::Disable { drain: false };
    act(&balancing, "10.0.0.1", at_once).await.unwrap();
    settle().await;
    assert_eq!(weights(&kernel).await, both(0, 0)[1..]);
    cleared(balancing).await;
}

#[tokio::test(start_paused = true)]
async fn a_forced_check_looks_now() {
    let runner = FakeRunner::new(|_| (Duration::ZERO, Outcome::Success));
    let balancing = with_runner(&Kernel::new(), false, Arc::clone(&runner) as _).await;
    let text = "virtual_server 10.1.0.100 80 {\nprotocol TCP\nlb_algo rr\nlb_kind NAT\n\
                delay_loop 600\nreal_server 10.0.0.1 80 {\nMISC_CHECK {\nwarmup 0\n\
                misc_path /bin/true\n}\n}\n}\n";
    balancing.configure(&config(text)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runner.started().len(), 1);
    let told = act(&balancing, "10.0.0.1:80", Action::Probe).await.unwrap();
    assert_eq!(told, "10.0.0.1:80 of VS 10.1.0.100 80: its check looks now");
    assert_eq!(runner.started().len(), 1);
    cleared(balancing).await;
}

mod full_nat;
mod independence;
