//! A scheduler of one's own: clients are sent to a server of their own network while there is one.
//!
//! `near_first 10.1.0.1:80 10.2.0.1:80 -- 10.2.0.7 10.1.0.9`: the servers, and clients that connect.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::{env, net::IpAddr, time::Instant};

use anyhow::{Context, Result};
use sched::{Arrival, Flags, Flow, Rules, Scheduler, ServerId, ServerSettings, Servers, Service};

#[derive(Debug)]
struct NearFirst;

impl Scheduler for NearFirst {
    fn name(&self) -> &str {
        "near-first"
    }

    /// The nearest, and of those the one with the fewest connections.
    fn pick(&mut self, arrival: &Arrival, _: Flags, servers: &Servers) -> Option<ServerId> {
        let client = arrival.flow.client.ip();
        let usable = servers.iter().filter(|server| server.is_usable());
        let order =
            |server: &&sched::Server| (!near(client, server.address().ip()), server.connections());
        usable.min_by_key(order).map(sched::Server::id)
    }
}

/// Whether both are of one /16.
fn near(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => one.octets()[..2] == other.octets()[..2],
        _ => false,
    }
}

fn main() -> Result<()> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever has the loop has the clock"
    )]
    let now = Instant::now();
    let mut service = Service::with_scheduler(Box::new(NearFirst), Rules::default(), now);
    let mut words = env::args().skip(1);
    for server in words.by_ref().take_while(|word| word != "--") {
        service.add_server(
            server.parse()?,
            ServerSettings::new(1).with_thresholds(2, 1),
            now,
        )?;
    }
    for client in words {
        let flow = Flow::tcp(
            format!("{client}:40000").parse()?,
            "192.0.2.100:80".parse()?,
        );
        let pick = service
            .connect(&Arrival::new(flow, now, 0))
            .context("no server is usable")?;
        println!("{client} -> {}", pick.address);
    }
    Ok(())
}
