//! Balances TCP connections over the servers that answer, without root.
//!
//! `tcp_pool LISTEN SERVER...`, all of them ADDRESS:PORT. A server that does not answer gets no
//! connections until it does again.

use std::{env, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use health::{Ask, Check, CheckConfig, Connect, Health, HealthProbe, Target, TcpProbe};
use ipvs::userspace::{Config, UserspaceBackend};
use ipvs::{DestinationSettings, Forwarding, ServiceKey, ServiceSettings, Table};
use ipvs::{Ownership, ReconcilePolicy, Removal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words = env::args().skip(1).map(|word| word.parse().context(word));
    let addresses: Vec<SocketAddr> = words.collect::<Result<_>>()?;
    let (listen, servers) = addresses.split_first().context("an address to listen on")?;

    let second = Duration::from_secs(1);
    let probe: Arc<dyn HealthProbe> = Arc::new(TcpProbe::new(Connect::default()));
    let asks = servers.iter().map(|server| Ask {
        service: *server,
        probe: Check::new(Arc::clone(&probe), Target::new(*server)),
        config: CheckConfig::plain(second, second),
        start_delay: Duration::ZERO,
        warm_up: Duration::ZERO,
        known: None,
    });
    let fleet = health::spawn(NonZeroUsize::MAX, 0);
    fleet.configure(asks).await?;

    let plane = UserspaceBackend::start(Config::default())?;
    let (policy, nothing) = (ReconcilePolicy::default(), Ownership::default());
    let table = ipvs::spawn(Arc::new(plane), policy, nothing);
    let service = ServiceKey::tcp((*listen).into());
    let mut health = fleet.snapshot();
    loop {
        let now = health.borrow_and_update().clone();
        let up = |server: &&SocketAddr| now.health(server) == Health::Up;
        let mut pool = Table::default();
        pool.add_service(service, ServiceSettings::default())?;
        for server in servers.iter().filter(up) {
            let settings = DestinationSettings::new(Forwarding::Masquerade);
            pool.add_destination(service, (*server).into(), settings)?;
        }
        table.set(pool, Removal::AtOnce);
        tokio::select! {
            changed = health.changed() => changed?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
