//! What is measured of each proxy.

use std::{process, time::Duration};

use anyhow::Context as _;
use clap::ValueEnum;
use takeover_benches::process::{group, memory_kib, processor};

use crate::{
    load::{self, Idle},
    origin::Origin,
    proxy::Proxy,
    report::Table,
};

/// Clients at a time.
const CLIENTS: usize = 64;
/// Connections that do nothing.
const IDLE: usize = 5_000;

/// A kind of load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A connection for each request.
    Connections,
    /// Requests on connections that are kept.
    Requests,
    /// Few streams as fast as they flow.
    Bulk,
    /// One request at a time.
    Latency,
    /// Connections that do nothing.
    Idle,
    /// UDP, which HAProxy does not carry.
    Datagrams,
}

/// What a throughput is called: itself, then what the proxy, and what all processes together spend
/// of processor time for each unit of it.
type Names = [&'static str; 3];

const CONNECTIONS: Names = ["connections/s", "  proxy, µs each", "  all, µs each"];
const REQUESTS: Names = ["requests/s", "  proxy, µs of each", "  all, µs of each"];
const BULK: Names = ["bulk, Gbit/s", "  proxy, µs/Gbit", "  all, µs/Gbit"];
const DATAGRAMS: Names = [
    "datagrams/s",
    "  proxy, µs both ways",
    "  all, µs both ways",
];

/// A round: the proxies that run, in the order in which they are measured.
pub(crate) struct Bench<'a> {
    pub(crate) proxies: &'a [Proxy],
    pub(crate) origin: &'a Origin,
    pub(crate) span: Duration,
    pub(crate) table: &'a mut Table,
}

impl Bench<'_> {
    /// Puts one kind of load on all proxies.
    pub(crate) async fn measure(&mut self, kind: Kind) -> anyhow::Result<()> {
        if kind == Kind::Latency {
            return self.latency().await;
        }
        for proxy in self.proxies {
            let (to, span) = (proxy.address(), self.span);
            let measured = match kind {
                Kind::Datagrams if !proxy.software().carries_datagrams() => Ok(()),
                Kind::Connections => {
                    let load = load::connect(to, CLIENTS, span);
                    self.throughput(CONNECTIONS, proxy, load).await
                }
                Kind::Requests => {
                    let load = load::ask(to, CLIENTS, span);
                    self.throughput(REQUESTS, proxy, load).await
                }
                Kind::Bulk => self.throughput(BULK, proxy, load::fetch(to, span)).await,
                Kind::Datagrams => {
                    let load = load::send(to, CLIENTS, span);
                    self.throughput(DATAGRAMS, proxy, load).await
                }
                Kind::Idle | Kind::Latency => self.idle(proxy).await,
            };
            measured.with_context(|| format!("{} under load", proxy.software()))?;
        }
        Ok(())
    }

    async fn throughput(
        &mut self,
        [rate, alone, whole]: Names,
        proxy: &Proxy,
        load: impl Future<Output = anyhow::Result<f64>>,
    ) -> anyhow::Result<()> {
        let others = [process::id(), self.origin.process()];
        let spent = || -> anyhow::Result<_> {
            let alone = ran(&group(proxy.process())?)?;
            Ok((alone, alone + ran(&others)?))
        };
        let before = spent()?;
        let count = load.await?;
        let after = spent()?;
        let software = proxy.software();
        let per_second = count / self.span.as_secs_f64();
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / count;
        self.table.add(rate, software, per_second);
        self.table.add(alone, software, each(after.0 - before.0));
        self.table.add(whole, software, each(after.1 - before.1));
        Ok(())
    }

    /// Round trips through each proxy, and to a server itself: by how much they are longer.
    async fn latency(&mut self) -> anyhow::Result<()> {
        let server = self.origin.addresses().first();
        let direct = *server.context("there are servers")?;
        let mut paths = vec![direct];
        paths.extend(self.proxies.iter().map(Proxy::address));
        let span = self.span * u32::try_from(paths.len())?;
        let trips = load::pace(&paths, span).await?;
        let (direct, through) = trips.split_first().context("there is a path")?;
        for (proxy, trips) in self.proxies.iter().zip(through) {
            for (name, percent) in [("added latency p50, µs", 50), ("added latency p99, µs", 99)]
            {
                let added = trips.at(percent) - direct.at(percent);
                self.table.add(name, proxy.software(), added);
            }
        }
        Ok(())
    }

    /// Resident memory for each connection that does nothing.
    async fn idle(&mut self, proxy: &Proxy) -> anyhow::Result<()> {
        let kib = || -> anyhow::Result<u64> {
            let processes = group(proxy.process())?.into_iter();
            let kib = processes.map(|process| memory_kib(&process.to_string(), "VmRSS"));
            kib.sum()
        };
        let before = kib()?;
        let idle = Idle::open(proxy.address(), IDLE).await?;
        let more = kib()?.saturating_sub(before);
        drop(idle);
        let each = more as f64 * 1024.0 / IDLE as f64;
        self.table
            .add("idle connection, bytes", proxy.software(), each);
        Ok(())
    }
}

fn ran(processes: &[u32]) -> anyhow::Result<Duration> {
    let ran = processes
        .iter()
        .map(|process| Ok(processor(&process.to_string())?.ran));
    ran.sum()
}
