//! A million short connections beside ten thousand idle ones: nothing may be left of them.
//!
//! The data plane is in this process, clients and servers are in two others, so that memory and
//! descriptors are the data plane's alone. Where a process may not have the twenty thousand that ten
//! thousand connections take, the lab's guest may (`in-guest` of the lab is its runner; a million
//! connections take most of an hour in it):
//!
//! ```sh
//! in-guest --deadline 7200 bash -c 'ulimit -n 60000; target/release/data_plane soak'
//! ```

mod clients;

use std::{fs, num::NonZeroUsize, time::Duration};

use anyhow::{Context as _, ensure};
use clap::Args;
use ipvs::{Change, ChangeOutcome, IpvsBackend as _, TimeoutChange, userspace::UserspaceBackend};
use takeover_benches::process::memory_kib;
use tokio::time::{sleep, timeout};

use self::clients::{CONCURRENCY, Clients, Ends};
use crate::{origin::Origin, proxy};

pub(crate) use self::clients::obey;

/// In how many parts the short connections are made; after each it is looked at what is held.
const PARTS: u32 = 10;
/// How much more memory may be held after the last part than after the first, for each connection in
/// between. The smallest allocation that could be forgotten takes four times as much.
const BYTES_A_CONNECTION: u64 = 4;
/// What an allocator may keep whatever happens.
const SLACK_KIB: u64 = 1024;
/// After this long a connection that has ended on both sides is forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// Soaks the data plane: descriptors are as before in the end, memory does not grow with the number
/// of connections that were, and every one is accounted for, or it fails.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// Short connections: each asks once.
    #[arg(long, default_value_t = 1_000_000)]
    connections: u32,
    /// Idle connections, from before the first short one until after the last; each asks at the
    /// beginning and at the end.
    #[arg(long, default_value_t = 10_000)]
    idle: u32,
}

impl Soak {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.soak())
    }

    async fn soak(&self) -> anyhow::Result<()> {
        let origin = Origin::start()?;
        let address = proxy::free_address()?;
        let plane = proxy::data_plane(NonZeroUsize::MIN, address, origin.addresses()).await?;
        keep_idle_ones(&plane).await?;
        self.ensure_descriptors(&plane)?;
        let mut watch = Watch {
            plane: &plane,
            clients: Clients::start(address)?,
            connected: Ends::default(),
        };

        let part = self.connections / PARTS;
        watch.connect(&format!("short {part}"))?;
        let before = watch.tell("warmed up", 0).await?;
        watch.connect(&format!("idle {}", self.idle))?;
        let with_idle = watch.tell("idle ones opened", self.idle).await?;
        let mut parts = Vec::new();
        for number in 1..=PARTS {
            watch.connect(&format!("short {part}"))?;
            let stage = format!("{} short ones", number * part);
            parts.push(watch.tell(&stage, self.idle).await?);
        }
        let asked = watch.clients.command("ask")?;
        ensure!(
            asked == Ends::answered(self.idle),
            "idle connections are lost: {asked}"
        );
        watch.clients.command("close")?;
        let after = watch.tell("all closed", 0).await?;
        watch.connect(&format!("idle {}", self.idle))?;
        let again = watch.tell("idle ones once more", self.idle).await?;

        watch.judge()?;
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(());
        };
        ensure!(
            last.descriptors == with_idle.descriptors && after.descriptors == before.descriptors,
            "descriptors are left"
        );
        let made = u64::from(part * (PARTS - 1));
        let allowed = SLACK_KIB + made * BYTES_A_CONNECTION / 1024;
        let grown = last.memory_kib.saturating_sub(first.memory_kib);
        ensure!(
            grown <= allowed,
            "memory is left: {grown} KiB, {allowed} are allowed"
        );
        // An allocator keeps what it once had, for others.
        let kept = again.memory_kib.saturating_sub(last.memory_kib);
        ensure!(
            kept <= allowed,
            "idle connections left {kept} KiB, {allowed} are allowed"
        );
        println!("nothing is left: {made} connections took {grown} KiB, {allowed} are allowed");
        Ok(())
    }

    fn ensure_descriptors(&self, plane: &UserspaceBackend) -> anyhow::Result<()> {
        // A connection counts a little longer than its client knows of it.
        let needed = usize::try_from(self.idle)? + 4 * CONCURRENCY;
        let limit = plane.limits().connections;
        ensure!(
            limit >= needed,
            "{needed} connections at a time need more descriptors than a process may have here, \
             which is enough for {limit}: raise the limit (ulimit -n {})",
            2 * needed + 4096
        );
        Ok(())
    }
}

/// The default ends a connection that is idle for 15 minutes, and a slow machine takes longer.
async fn keep_idle_ones(plane: &UserspaceBackend) -> anyhow::Result<()> {
    let longest = TimeoutChange {
        tcp: Some(TimeoutChange::MAX),
        ..TimeoutChange::default()
    };
    let outcomes = plane.apply(&[Change::SetTimeouts(longest)]).await?;
    ensure!(outcomes.iter().all(ChangeOutcome::is_done), "{outcomes:?}");
    Ok(())
}

/// What the process holds at a moment.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    memory_kib: u64,
}

/// A data plane and its clients, and what has become of their connections.
struct Watch<'a> {
    plane: &'a UserspaceBackend,
    clients: Clients,
    connected: Ends,
}

impl Watch<'_> {
    /// Has the clients open connections.
    fn connect(&mut self, command: &str) -> anyhow::Result<()> {
        self.connected += self.clients.command(command)?;
        Ok(())
    }

    /// What is held once so many connections are left.
    async fn tell(&self, stage: &str, left: u32) -> anyhow::Result<Held> {
        let left = usize::try_from(left)?;
        let forgotten = async {
            while self.plane.carried() != left {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = timeout(PATIENCE, forgotten).await;
        in_time.with_context(|| format!("{} are carried, not {left}", self.plane.carried()))?;
        let held = Held {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            memory_kib: memory_kib("self", "VmRSS")?,
        };
        println!(
            "{stage:24} {:6} descriptors {:8} KiB",
            held.descriptors, held.memory_kib
        );
        Ok(held)
    }

    /// Whether every connection was answered, and is counted so.
    fn judge(&self) -> anyhow::Result<()> {
        let (ends, tally) = (self.connected, self.plane.tally());
        println!("clients: {ends}\n{tally:?}");
        ensure!(ends.failed() == 0, "connections have failed");
        ensure!(
            tally.accepted == ends.answered && tally.served == ends.answered,
            "connections are not accounted for"
        );
        Ok(())
    }
}
