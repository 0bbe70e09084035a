//! What keepalived and `director` cost, side by side in one run: the start with a great table, a
//! reload with one change, checks of many servers, memory.
//!
//! ```sh
//! cargo build -p takeover-lab --bin in-guest
//! cargo build --release -p director --bin director
//! cargo bench -p takeover-lab --features guest --bench guest_director \
//!     --config "target.'cfg(all())'.runner=['target/debug/in-guest', '--only', 'guest']"
//! ```
//!
//! On a machine whose kernel has IPVS it can run as root without a runner; it is in network
//! namespaces of its own. keepalived logs as it does by default, to standard error, and so does
//! `director`.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "it measures, prints, and ends at the first surprise"
)]

use std::{
    fmt::Write as _,
    fs,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ipvs::{IpvsBackend as _, Snapshot, netlink::Kernel};
use lab::{Lab, Node, Process, Software, becomes_true, director};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::Signal,
    time::ClockId,
    unistd::SysconfVar,
};
use socket2::{Domain, Socket, Type};

const SERVICES: usize = 1000;
const REAL_SERVERS: usize = 10;
/// How often a start and a reload are measured, in turns.
const ROUNDS: usize = 7;
const BOTH: [Software; 2] = [Software::Keepalived, Software::Director];
/// More than any step takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Services whose real servers are checked every second.
const CHECKED_SERVICES: usize = 50;
const CHECKED_FOR: Duration = Duration::from_secs(30);
/// Where real servers that are checked listen.
const PORT: u16 = 8080;

fn main() {
    starts_and_reloads();
    checks();
}

fn starts_and_reloads() {
    let [before, after] = [1, 7].map(|weight| configuration(SERVICES, weight, ""));
    let mut starts = [const { Vec::new() }; 2];
    let mut reloads = [const { Vec::new() }; 2];
    let mut memory = [const { Vec::new() }; 2];
    let mut memory_after = [const { Vec::new() }; 2];
    for round in 0..ROUNDS {
        for (index, software) in BOTH.into_iter().enumerate() {
            let lab = Lab::new(&format!("start-{round}"));
            let node = lab.node(software_name(software));
            let began = Instant::now();
            let daemon = Daemon::start(&node, software, &before);
            daemon.wait_for_table(0);
            starts[index].push(began.elapsed().as_secs_f64() * 1e3);
            assert_complete(&snapshot(&node), 1);
            memory[index].push(daemon.memory());

            let read = daemon.process.log().len();
            node.write(CONFIGURATION, &after);
            let began = Instant::now();
            daemon.process.signal(Signal::SIGHUP);
            daemon.wait_for_table(read);
            reloads[index].push(began.elapsed().as_secs_f64() * 1e3);
            assert_complete(&snapshot(&node), 7);
            memory_after[index].push(daemon.memory());
        }
    }
    println!(
        "{SERVICES} virtual servers of {REAL_SERVERS} real servers, medians of {ROUNDS} rounds"
    );
    report("start until the table is complete", "ms", starts);
    report("reload with one change, until it is there", "ms", reloads);
    report("memory after the start (PSS)", "KiB", memory);
    report("memory after the reload (PSS)", "KiB", memory_after);
}

/// Both at the same time, so that both have what the machine gives, and beside them what the kernel
/// alone takes for such a check.
fn checks() {
    let more = format!("TCP_CHECK {{\n connect_port {PORT}\n connect_timeout 2\n }}\n ");
    let text = configuration(CHECKED_SERVICES, 1, &more);
    let lab = Lab::new("checks");
    let all = CHECKED_SERVICES * REAL_SERVERS;
    let both = BOTH.map(|software| {
        let node = lab.node(software_name(software));
        node.namespace().ip("route add local 10.0.0.0/8 dev lo");
        let probes = answer(&node);
        let daemon = Daemon::start(&node, software, &text);
        daemon.wait_for_table(0);
        (daemon, probes)
    });
    let bare_connects = BareConnects::start(&lab);
    let look = || {
        both.each_ref()
            .map(|(daemon, probes)| (daemon.cpu(), probes.load(Ordering::Relaxed)))
    };
    // What they begin with is not counted.
    let has_begun = becomes_true(PATIENCE, || {
        look().iter().all(|(_, probes)| *probes > 2 * all)
    });
    assert!(has_begun, "no checks");
    let (before, bare_before) = (look(), bare_connects.look());
    thread::sleep(CHECKED_FOR);
    let (after, bare_after) = (look(), bare_connects.look());
    let used = [0, 1].map(|of| (after[of].0 - before[of].0) * 1e3);
    let made = [0, 1].map(|of| (after[of].1 - before[of].1) as f64);
    let each = [0, 1].map(|of| vec![used[of] * 1e3 / made[of]]);
    println!("{all} real servers, TCP_CHECK every second, for {CHECKED_FOR:?}, both at once");
    report("CPU time", "ms", used.map(|used| vec![used]));
    report("checks made", "", made.map(|made| vec![made]));
    report("CPU time of a check", "us", each);
    let bare = (bare_after.0 - bare_before.0) / (bare_after.1 - bare_before.1);
    println!(
        "{:42} {:8} us",
        "of a bare connect and close",
        bare.as_micros()
    );
    let memory = both.each_ref().map(|(daemon, _)| vec![daemon.memory()]);
    report("memory (PSS)", "KiB", memory);
}

/// Accepts every connection at any address of a node, and counts them, until the program ends.
fn answer(node: &Node) -> Arc<AtomicUsize> {
    let listen = || TcpListener::bind(("0.0.0.0", PORT)).expect("a free port");
    let listener = node.namespace().enter(listen);
    let probes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&probes);
    thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    probes
}

/// The system calls of a check and nothing else, as often as a daemon makes them: what no daemon
/// can be below.
struct BareConnects {
    /// The processor time that was used, and how many there were.
    told: Arc<Mutex<(Duration, u32)>>,
}

impl BareConnects {
    fn start(lab: &Lab) -> Self {
        let node = lab.node("bare");
        node.namespace().ip("route add local 10.0.0.0/8 dev lo");
        answer(&node);
        let told = Arc::new(Mutex::default());
        let tells = Arc::clone(&told);
        let pause = Duration::from_secs(1).div_f64((CHECKED_SERVICES * REAL_SERVERS) as f64);
        thread::spawn(move || {
            node.namespace().enter(|| {
                for made in 1.. {
                    connect_and_close();
                    let used = ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("a clock");
                    *tells.lock().expect("a plain value") = (used.into(), made);
                    thread::sleep(pause);
                }
            });
        });
        Self { told }
    }

    fn look(&self) -> (Duration, u32) {
        *self.told.lock().expect("a plain value")
    }
}

fn connect_and_close() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).expect("a socket");
    let server = SocketAddr::from(([10, 2, 0, 1], PORT));
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() == Some(nix::libc::EINPROGRESS) => {
            let mut waited = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            poll(&mut waited, PollTimeout::NONE).expect("a socket");
        }
        connected => connected.expect("a listener"),
    }
    let failed = socket.take_error().expect("a socket");
    assert!(failed.is_none(), "{failed:?}");
}

/// A file of so many virtual servers, in the midst of which one real server has this weight.
fn configuration(services: usize, weight: u32, check: &str) -> String {
    let mut text = String::new();
    for service in 0..services {
        let vip = format!("10.1.{}.{}", service / 250, service % 250 + 1);
        let head = "lb_algo wrr\n lb_kind NAT\n protocol TCP\n delay_loop 1";
        writeln!(text, "virtual_server {vip} 80 {{\n {head}").expect("memory");
        for server in 0..REAL_SERVERS {
            let (third, fourth) = (service / 25, service % 25 * REAL_SERVERS + server + 1);
            let weight = match (service, server) {
                (service, 5) if service == services / 2 => weight,
                _ => 1,
            };
            writeln!(
                text,
                " real_server 10.2.{third}.{fourth} 8080 {{\n  weight {weight}\n {check}}}"
            )
            .expect("memory");
        }
        text.push_str("}\n");
    }
    text
}

const CONFIGURATION: &str = "daemon.conf";

struct Daemon {
    node: Node,
    software: Software,
    process: Process,
}

impl Daemon {
    fn start(node: &Node, software: Software, text: &str) -> Self {
        let file = node.write(CONFIGURATION, text);
        let mut command = match software {
            Software::Keepalived => {
                let mut command = Command::new("keepalived");
                command.args(["--dont-fork", "--log-console", "--no-syslog"]);
                for option in ["-p", "-r", "-c", "-b"] {
                    command.arg(option).arg(node.path(&format!("pid{option}")));
                }
                command
            }
            Software::Director => {
                let mut command = Command::new(director());
                command.arg("run").env(
                    "RUST_LOG",
                    // One line more, when the table is as it shall be.
                    "info,director::run::balancing=debug",
                );
                command
            }
        };
        command.arg("-f").arg(file);
        let process = node.spawn("daemon", command);
        Self {
            node: node.clone(),
            software,
            process,
        }
    }

    /// Waits until it says that the table is as it shall be. To look at the table itself costs the
    /// guest's one processor more than a reload does.
    fn wait_for_table(&self, read: usize) {
        let done = match self.software {
            Software::Keepalived => "Activating BFD healthchecker",
            Software::Director => "event=Converged",
        };
        let log = || self.process.log();
        let is_done = becomes_true(PATIENCE, || {
            log().get(read..).is_some_and(|log| log.contains(done))
        });
        assert!(is_done, "{}: {}", self.node.name(), log());
    }

    /// The processes of it, as lines of `/proc/PID/stat` behind the name.
    fn processes(&self) -> Vec<(String, Vec<String>)> {
        let group = self.process.id().to_string();
        let all = fs::read_dir("/proc").expect("processes").flatten();
        let found = all.filter_map(|entry| {
            let pid = entry.file_name().into_string().ok()?;
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (_, fields) = stat.rsplit_once(") ")?;
            let fields: Vec<_> = fields.split(' ').map(str::to_owned).collect();
            (fields.get(2) == Some(&group)).then_some((pid, fields))
        });
        found.collect()
    }

    /// Processor time so far, in seconds.
    fn cpu(&self) -> f64 {
        let ticks: f64 = self
            .processes()
            .iter()
            .flat_map(|(_, fields)| fields.iter().skip(11).take(2))
            .map(|ticks| ticks.parse::<f64>().expect("a number"))
            .sum();
        let per_second = nix::unistd::sysconf(SysconfVar::CLK_TCK)
            .ok()
            .flatten()
            .expect("it is known");
        ticks / per_second as f64
    }

    /// Its share of memory (PSS), in KiB.
    fn memory(&self) -> f64 {
        let of = |pid: &str| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text
                .lines()
                .find(|line| line.starts_with("Pss:"))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        };
        let processes = self.processes();
        processes.iter().filter_map(|(pid, _)| of(pid)).sum()
    }
}

const fn software_name(software: Software) -> &'static str {
    match software {
        Software::Keepalived => "keepalived",
        Software::Director => "director",
    }
}

fn snapshot(node: &Node) -> Snapshot {
    node.namespace().enter(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let kernel = Kernel::connect().await.expect("a kernel with IPVS");
            kernel.snapshot().await.expect("a table")
        })
    })
}

fn assert_complete(table: &Snapshot, weight: u32) {
    let destinations = table
        .services
        .iter()
        .flat_map(|service| &service.destinations);
    let weights: Vec<u32> = destinations
        .map(|destination| destination.settings.weight.get())
        .collect();
    assert_eq!(weights.len(), SERVICES * REAL_SERVERS);
    assert!(
        weight == 1 || weights.contains(&weight),
        "the change is missing"
    );
}

/// A line with the medians of both and their ratio.
fn report(what: &str, unit: &str, samples: [Vec<f64>; 2]) {
    let [keepalived, director] = samples.map(|mut samples| {
        samples.sort_by(f64::total_cmp);
        samples[samples.len() / 2]
    });
    println!(
        "{what:42} keepalived {keepalived:8.0} {unit}  director {director:8.0} {unit}  ratio {:.2}",
        director / keepalived
    );
}
