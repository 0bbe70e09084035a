//! The user-space data plane side by side with HAProxy (TCP mode, splicing) and nginx (stream): the
//! same load through each in turn, one run after another, on this machine.
//!
//! ```text
//! cargo run --release -p takeover-benches --bin data_plane [ROUNDS] [THREADS]
//! ```
//!
//! Three rounds and one thread by default. Clients, servers and the proxy share the machine, so the
//! figure that says most is what the proxy itself spends: its processor time for each connection,
//! request and gigabyte. A proxy that is not installed is left out and named (Debian: `haproxy`,
//! `nginx-light` with `libnginx-mod-stream`). No root is needed; 12,000 descriptors are
//! (`ulimit -n`).

#![expect(clippy::print_stdout, reason = "it is a program that reports")]

mod load;
mod origin;
mod proxy;
mod report;

use std::{env, process::ExitCode, time::Duration};

use anyhow::Context;
use load::Idle;
use proxy::{Proxy, Software};
use report::{Figures, Table};
use takeover_benches::process::Processor;

/// How long each kind of load is measured.
const SPAN: Duration = Duration::from_secs(3);
/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Connections that do nothing.
const IDLE: usize = 5_000;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["origin"] => origin::serve()?,
        ["proxy", threads, servers @ ..] => proxy::serve(threads.parse()?, servers)?,
        rest => {
            let number = |at: usize, default: usize| {
                let number = rest.get(at).map(|text| text.parse());
                number.unwrap_or(Ok(default))
            };
            compare(number(0, 3)?, number(1, 1)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(rounds: usize, threads: usize) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let servers = origin::Origin::start()?;
    let mut table = Table::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}, {threads} thread(s) each");
        let server = servers.addresses().first().context("there are servers")?;
        let direct = runtime.block_on(load::pace(*server, SPAN))?;
        for software in Software::ALL {
            let Some(proxy) = Proxy::start(software, threads, servers.addresses())? else {
                println!("  {software}: not installed, left out");
                continue;
            };
            let figures = runtime
                .block_on(measure(&proxy, &direct))
                .with_context(|| format!("{software} under load"))?;
            println!("  {software:9} {figures}");
            table.add(software, figures);
        }
    }
    println!("\nmedians of {rounds}:\n{table}");
    Ok(())
}

async fn measure(proxy: &Proxy, direct: &load::Latencies) -> anyhow::Result<Figures> {
    let address = proxy.address();
    let spent = |before: Processor, after: Processor| (after.ran - before.ran).as_secs_f64();

    let before = proxy.processor()?;
    let connections = load::connect(address, CONNECTIONS, SPAN).await?;
    let connecting = proxy.processor()?;
    let requests = load::ask(address, CONNECTIONS, SPAN).await?;
    let asking = proxy.processor()?;
    let gigabytes = load::fetch(address, SPAN).await?;
    let fetching = proxy.processor()?;
    let paced = load::pace(address, SPAN).await?;

    let memory = proxy.memory_kib()?;
    let idle = Idle::open(address, IDLE).await?;
    let with_idle = proxy.memory_kib()?;
    drop(idle);

    let span = SPAN.as_secs_f64();
    Ok(Figures {
        connections_per_second: connections / span,
        connection_cpu_us: spent(before, connecting) * 1e6 / connections,
        requests_per_second: requests / span,
        request_cpu_us: spent(connecting, asking) * 1e6 / requests,
        gigabits_per_second: gigabytes * 8.0 / span,
        gigabyte_cpu_ms: spent(asking, fetching) * 1e3 / gigabytes,
        added_p50_us: paced.at(50) - direct.at(50),
        added_p99_us: paced.at(99) - direct.at(99),
        idle_bytes: (with_idle - memory) * 1024.0 / IDLE as f64,
    })
}
