//! Keeps the servers that answer in a file that nginx includes.
//!
//! `proxy_pool POOL.rules UPSTREAMS.conf`: the rules are what `ipvsadm -Sn` would write.

use std::{collections::BTreeSet, env, fs, net::SocketAddr, num::NonZeroUsize};
use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use health::{Ask, Check, CheckConfig, Connect, Health, HealthProbe, Target, TcpProbe};
use ipvs::{Ownership, ReconcilePolicy, Removal, fake::Kernel, text::parse_table};

use self::upstreams::Upstreams;

mod upstreams;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [rules, file] = &words[..] else {
        bail!("tell me the file with the rules and the file to write");
    };
    let text = fs::read_to_string(rules).with_context(|| rules.clone())?;
    let wanted = parse_table(&text).map_err(|errors| anyhow!("{rules}: {errors:?}"))?;

    let second = Duration::from_secs(1);
    let probe: Arc<dyn HealthProbe> = Arc::new(TcpProbe::new(Connect::default()));
    let services = wanted.services.values();
    let servers: BTreeSet<_> = services.flat_map(|it| it.destinations.keys()).collect();
    let asks = servers.into_iter().map(|server| {
        let target = Target::new(SocketAddr::new(server.address, server.port));
        Ask {
            service: *server,
            probe: Check::new(Arc::clone(&probe), target),
            config: CheckConfig::plain(second, second),
            start_delay: Duration::ZERO,
            warm_up: Duration::ZERO,
            known: None,
        }
    });
    let fleet = health::spawn(NonZeroUsize::MAX, 0);
    fleet.configure(asks).await?;

    let backend = Upstreams {
        file: file.into(),
        table: Kernel::new(),
    };
    let table = ipvs::spawn(
        Arc::new(backend),
        ReconcilePolicy::default(),
        Ownership::default(),
    );
    let mut health = fleet.snapshot();
    loop {
        let now = health.borrow_and_update().clone();
        let mut pool = wanted.clone();
        for service in pool.services_mut() {
            service
                .destinations
                .retain(|server, _| now.health(server) != Health::Down);
        }
        table.set(pool, Removal::AtOnce);
        tokio::select! {
            changed = health.changed() => changed?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
    }
}
