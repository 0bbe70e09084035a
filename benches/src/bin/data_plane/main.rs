//! The user-space data plane side by side with HAProxy (TCP mode, splicing) and nginx (stream): the
//! same load through each in turn, on this machine.
//!
//! ```text
//! cargo run --release -p takeover-benches --bin data_plane -- [--rounds N] [--threads N]
//!     [--span-ms N] [--only connections,requests,bulk,latency,idle,datagrams]
//! ```
//!
//! In every round each kind of load goes through all of them, one right after the other and in
//! another order than in the round before; round trips are paced through all at the same time. So
//! what else the machine does meanwhile meets them alike, and the ratio of two figures of one round
//! says more than the figures. Clients, servers and the proxy share the machine: what the proxy
//! itself spends says what it could do alone.
//!
//! `data_plane soak` looks for what a million connections leave behind: see [`soak`].
//!
//! A proxy that is not installed is left out and named (Debian: `haproxy`, `nginx-light` with
//! `libnginx-mod-stream`). No root is needed; 12,000 descriptors are (`ulimit -n`).

#![expect(clippy::print_stdout, reason = "it is a program that reports")]

mod load;
mod measure;
mod origin;
mod proxy;
mod report;
mod soak;

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use clap::{Parser, Subcommand, ValueEnum as _};
use measure::{Bench, Kind};
use origin::Origin;
use proxy::{Proxy, Software};
use report::Table;
use soak::Soak;

/// Compares the user-space data plane with HAProxy and nginx.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often everything is measured; figures are medians.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Threads of each proxy.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    threads: NonZeroUsize,
    /// How long each kind of load lasts in a round, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    span_ms: u64,
    /// The kinds of load; all by default.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What else it does than compare, and what other processes of it are.
#[derive(Debug, Subcommand)]
enum Role {
    Soak(Soak),
    /// The clients of a soak.
    #[command(hide = true)]
    Clients {
        address: SocketAddr,
    },
    /// The servers.
    #[command(hide = true)]
    Origin,
    /// The data plane.
    #[command(hide = true)]
    Proxy {
        threads: NonZeroUsize,
        address: SocketAddr,
        servers: Vec<SocketAddr>,
    },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        None => compare(&arguments),
        Some(Role::Soak(soak)) => soak.run(),
        Some(Role::Clients { address }) => soak::obey(address),
        Some(Role::Origin) => origin::serve(),
        Some(Role::Proxy {
            threads,
            address,
            servers,
        }) => proxy::serve(threads, address, &servers),
    }
}

fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments {
        rounds, threads, ..
    } = *arguments;
    let kinds = match arguments.only.as_slice() {
        [] => Kind::value_variants(),
        some => some,
    };
    for software in Software::ALL.iter().filter(|it| !it.is_installed()) {
        println!("{software}: not installed, left out");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let origin = Origin::start()?;
    let mut table = Table::default();
    for round in 0..rounds {
        println!("round {} of {rounds}, {threads} thread(s) each", round + 1);
        let mut proxies = Software::ALL
            .into_iter()
            .filter(|it| it.is_installed())
            .map(|software| Proxy::start(software, threads, origin.addresses()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let first = round % proxies.len();
        proxies.rotate_left(first);
        let mut bench = Bench {
            proxies: &proxies,
            origin: &origin,
            span: Duration::from_millis(arguments.span_ms),
            table: &mut table,
        };
        for kind in kinds {
            runtime.block_on(bench.measure(*kind))?;
        }
    }
    println!("\nmedians of {rounds}:\n{table}");
    Ok(())
}
