//! Holds one address as long as this program runs, and hands it to the next node when it ends.
//!
//! Run it on two machines of one network, as root or with CAP_NET_RAW and CAP_NET_ADMIN:
//! `one_vip eth0 192.0.2.100/24 150` on one, `one_vip eth0 192.0.2.100/24 100` on the other.

use std::{env, sync::Arc};

use anyhow::{Context, Result};
use vrrp::{Priority, RouterConfig, Vrid, net::Kernel};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut words = env::args().skip(1);
    let mut word = |what| words.next().with_context(|| format!("tell me the {what}"));
    let interface = word("interface")?;
    let vip = word("address, as 192.0.2.100/24")?.parse()?;
    let priority = word("priority, 1 to 255")?.parse()?;

    let mut config = RouterConfig::new("service", &interface, Vrid::new(51)?, vec![vip]);
    config.priority = Priority::new(priority)?;

    let kernel = Kernel::connect().await?;
    let vips = kernel.vips();
    let node = vrrp::spawn(Arc::new(kernel), vips);
    let mut events = node.events();
    node.configure([config]).await?;

    loop {
        tokio::select! {
            happening = events.recv() => println!("{:?}", happening?),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    // The next node takes over within its skew time, and the address is gone from here.
    node.shutdown().await;
    Ok(())
}
