//! A probe of one's own: a replica that is too far behind its primary has failed.
//!
//! `replica_lag 5 192.0.2.1:7000 192.0.2.2:7000`: a replica says how many seconds it is behind to
//! whoever connects, and five are too many.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::{env, num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use health::{
    Ask, Check, CheckConfig, FleetEvent, HealthProbe, ProbeError, Success, Target, async_trait,
};
use tokio::{io::AsyncReadExt as _, net::TcpStream};

struct Lag {
    limit_seconds: u32,
}

#[async_trait]
impl HealthProbe for Lag {
    async fn probe(&self, target: &Target) -> Result<Success, ProbeError> {
        let mut text = String::new();
        let stream = TcpStream::connect(target.address).await;
        let mut stream = stream.map_err(ProbeError::other)?.take(16);
        let read = stream.read_to_string(&mut text).await;
        read.map_err(ProbeError::other)?;
        match text.trim().parse::<u32>() {
            Ok(lag) if lag <= self.limit_seconds => Ok(Success::default()),
            Ok(lag) => Err(ProbeError::other(format!("it is {lag} s behind"))),
            Err(_) => Err(ProbeError::other(format!("it says {text:?}"))),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let limit = words
        .next()
        .context("tell me how many seconds are too many")?;
    let limit_seconds = limit.parse()?;
    let probe: Arc<dyn HealthProbe> = Arc::new(Lag { limit_seconds });
    let second = Duration::from_secs(1);
    let targets: Result<Vec<_>, _> = words.map(|word| word.parse()).collect();
    let asks = targets?.into_iter().map(|address| Ask {
        service: address,
        probe: Check::new(Arc::clone(&probe), Target::new(address)),
        config: CheckConfig::plain(second, second),
        start_delay: Duration::ZERO,
        warm_up: Duration::ZERO,
        known: None,
    });
    let fleet = health::spawn(NonZeroUsize::MAX, 0);
    let mut events = fleet.events();
    fleet.configure(asks).await?;
    loop {
        if let FleetEvent::Changed {
            service,
            to,
            because,
            ..
        } = events.recv().await?
        {
            let because = because.map(|cause| format!(": {cause}"));
            println!("{service} {to:?}{}", because.unwrap_or_default());
        }
    }
}
