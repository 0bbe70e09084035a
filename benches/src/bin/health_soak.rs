//! Checks 10,000 servers by TCP every 2 s, and measures what that costs the process that checks.
//!
//! ```text
//! cargo run --release -p takeover-benches --bin health_soak
//! ```
//!
//! The servers are addresses of 127.0.0.0/8; a child process accepts their connections, so that
//! only checking is measured. The second run has 1,000 servers that swallow packets: they share a
//! socket whose backlog is full. It needs no root and no more than the usual 1024 descriptors, and
//! fails if a bound is missed or a server misjudged. Run it on a machine that does nothing else.

#![expect(clippy::print_stdout, reason = "it is a program that reports")]

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    num::NonZeroUsize,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use health::{
    Ask, Check, CheckConfig, CheckReport, FleetHandle, Health, HealthProbe, Histogram, Target,
    TcpProbe,
};
use socket2::{Domain, Socket, Type};
use takeover_benches::process::{memory_kib, processor};

const SERVERS: u32 = 10_000;
const BLACK_HOLES: u32 = 1_000;
const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
/// First probes are spread over an interval; then black holes need three failures to be down, but
/// the first result decides at once.
const SETTLING: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);
/// Enough for the black holes, which take 500 at a time, and below the usual limit of descriptors.
const CONCURRENCY: NonZeroUsize = NonZeroUsize::new(768).expect("it is not zero");

const MOST_CPU: f64 = 0.5;
/// The histogram's buckets end at 16.4 ms and at 32.8 ms: this asks for the former.
const MOST_LATE: Duration = Duration::from_millis(20);
const MOST_MEMORY_KIB: u64 = 64 * 1024;
/// The probes' own, and a few of the process.
const MOST_DESCRIPTORS: usize = CONCURRENCY.get() + 32;

fn main() -> anyhow::Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some("serve") {
        serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let servers = Servers::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut kept = true;
    for black_holes in [0, BLACK_HOLES] {
        let measured = runtime.block_on(soak(&servers, black_holes))?;
        println!("{SERVERS} servers every {INTERVAL:?}, {black_holes} of them swallow packets:");
        kept &= measured.report();
    }
    Ok(match kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The process that accepts. It ends with its standard input.
struct Servers {
    process: Child,
    answering: u16,
    swallowing: u16,
}

impl Servers {
    fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().context("the child's output")?);
        Ok(Self {
            answering: port(&mut lines)?,
            swallowing: port(&mut lines)?,
            process,
        })
    }

    fn target(&self, number: u32, black_holes: u32) -> Target {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        let port = match number < black_holes {
            true => self.swallowing,
            false => self.answering,
        };
        Target::new(SocketAddr::V4(SocketAddrV4::new(address, port)))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

fn port(lines: &mut BufReader<ChildStdout>) -> anyhow::Result<u16> {
    let mut line = String::new();
    lines.read_line(&mut line)?;
    line.trim().parse().context("the child tells its ports")
}

fn serve() -> anyhow::Result<()> {
    let (answering, port) = listener(4096)?;
    println!("{port}");
    let (swallowing, port) = listener(0)?;
    // A listener whose backlog is full answers nobody; these stay in it.
    let full = (0..4).map(|_| -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        drop(socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()));
        Ok(socket)
    });
    let _full = full.collect::<io::Result<Vec<_>>>()?;
    println!("{port}");
    io::stdout().flush()?;
    thread::spawn(move || {
        while let Ok((mut client, _)) = answering.accept() {
            // The client closes first, as it does with a server that has something to say.
            client.read_to_end(&mut Vec::new()).ok();
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(swallowing);
    Ok(())
}

fn listener(backlog: i32) -> anyhow::Result<(Socket, u16)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    socket.listen(backlog)?;
    let address = socket.local_addr()?.as_socket().context("an address")?;
    Ok((socket, address.port()))
}

/// What checking cost.
struct Measured {
    cpu: f64,
    /// How long it wanted to run and others did, of the whole time.
    hindered: f64,
    probes_per_second: f64,
    /// The 99th percentile of how late probes began and of how long those took that ended by
    /// themselves: the upper end of its bucket.
    late: Option<Duration>,
    took: Option<Duration>,
    memory_kib: u64,
    descriptors: usize,
}

impl Measured {
    /// Says what was measured, and whether every bound was kept.
    fn report(&self) -> bool {
        println!("  probes a second        {:.0}", self.probes_per_second);
        println!("  99 % of probes took    < {:?}", self.took);
        let hindered = self.hindered * 100.0;
        println!("  waited for a processor {hindered:.1} % of the time");
        let bounds = [
            (
                self.cpu <= MOST_CPU,
                format!("CPU of one core        {:.1} %", self.cpu * 100.0),
            ),
            (
                self.late.is_some_and(|late| late <= MOST_LATE),
                format!("99 % of probes late by < {:?}", self.late),
            ),
            (
                self.memory_kib <= MOST_MEMORY_KIB,
                format!("most memory            {} KiB", self.memory_kib),
            ),
            (
                self.descriptors <= MOST_DESCRIPTORS,
                format!("most descriptors       {}", self.descriptors),
            ),
        ];
        for (kept, text) in &bounds {
            println!("  {text}{}", if *kept { "" } else { "  TOO MUCH" });
        }
        bounds.iter().all(|(kept, _)| *kept)
    }
}

async fn soak(servers: &Servers, black_holes: u32) -> anyhow::Result<Measured> {
    let fleet: FleetHandle<u32> = health::spawn(CONCURRENCY, 1);
    let probe: Arc<dyn HealthProbe> = Arc::new(TcpProbe::default());
    let asked = (0..SERVERS).map(|number| Ask {
        service: number,
        probe: Check::new(Arc::clone(&probe), servers.target(number, black_holes)),
        config: CheckConfig::plain(INTERVAL, TIMEOUT),
        start_delay: Duration::ZERO,
        warm_up: INTERVAL,
        known: None,
    });
    fleet.configure(asked).await?;
    tokio::time::sleep(SETTLING).await;

    let (began, spent_before) = (now(), processor("self")?);
    let before = reports(&fleet).await?;
    let mut descriptors = 0;
    while began.elapsed() < MEASURED {
        tokio::time::sleep(Duration::from_millis(250)).await;
        descriptors = descriptors.max(fs::read_dir("/proc/self/fd")?.count());
    }
    let after = reports(&fleet).await?;
    let (span, spent) = (began.elapsed().as_secs_f64(), processor("self")?);

    for report in &after {
        let number = report.services.first().context("a check without service")?;
        let expected = match *number < black_holes {
            true => Health::Down,
            false => Health::Up,
        };
        let failure = &report.last_failure;
        let health = report.standing.health;
        ensure!(
            health == expected,
            "server {number} is {health:?}: {failure:?}"
        );
    }
    fleet.shutdown().await;
    Ok(Measured {
        cpu: (spent.ran - spent_before.ran).as_secs_f64() / span,
        hindered: (spent.waited - spent_before.waited).as_secs_f64() / span,
        probes_per_second: (probes(&after) - probes(&before)) / span,
        late: all_but_a_hundredth(&before, &after, |report| &report.lateness),
        took: all_but_a_hundredth(&before, &after, |report| &report.latency),
        memory_kib: memory_kib("self", "VmHWM")?,
        descriptors,
    })
}

async fn reports(fleet: &FleetHandle<u32>) -> anyhow::Result<Vec<CheckReport<u32, Check>>> {
    fleet.reports().await.context("the fleet has ended")
}

fn probes(reports: &[CheckReport<u32, Check>]) -> f64 {
    let counts = reports.iter().map(|report| {
        let ended = report.counters.passed + report.counters.failed;
        u32::try_from(ended).unwrap_or(u32::MAX)
    });
    counts.map(f64::from).sum()
}

/// The upper end of the bucket that 99 of 100 are in or below, of those counted in between.
fn all_but_a_hundredth(
    before: &[CheckReport<u32, Check>],
    after: &[CheckReport<u32, Check>],
    histogram: impl Fn(&CheckReport<u32, Check>) -> &Histogram,
) -> Option<Duration> {
    let within = |end: Option<Duration>| -> u64 {
        let count = |reports: &[CheckReport<u32, Check>]| -> u64 {
            let buckets = reports
                .iter()
                .flat_map(|report| histogram(report).buckets());
            let buckets = buckets.filter(|(bucket, _)| match (bucket, end) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(bucket), Some(end)) => *bucket <= end,
            });
            buckets.map(|(_, count)| u64::from(count)).sum()
        };
        count(after).saturating_sub(count(before))
    };
    let total = within(None);
    let mut ends = histogram(after.first()?)
        .buckets()
        .filter_map(|(end, _)| end);
    ends.find(|end| within(Some(*end)) * 100 >= total * 99)
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn now() -> Instant {
    Instant::now()
}
