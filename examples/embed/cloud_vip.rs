//! Holds an address that a cloud routes to one machine: the new master asks the cloud for it.
//!
//! Run it as root on two machines, each with the other one's address last, because clouds carry no
//! multicast: `cloud_vip http://192.0.2.9:8000 eth0 203.0.113.5/32 150 192.0.2.2`.

use std::{env, sync::Arc};

use anyhow::{Result, bail};
use vrrp::{Priority, RouterConfig, Transport, Unicast, Vrid, net::Kernel};

use self::cloud_api::CloudVips;

mod cloud_api;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [api, interface, address, priority, peer] = &words[..] else {
        bail!("tell me the API, the interface, the address, the priority and the other node");
    };
    let mut config = RouterConfig::new("cloud", interface, Vrid::new(51)?, vec![address.parse()?]);
    config.priority = Priority::new(priority.parse()?)?;
    config.transport = Transport::Unicast(Unicast::to([peer.parse()?]));

    let kernel = Kernel::connect().await?;
    let vips = CloudVips {
        api: api.clone(),
        interfaces: kernel.vips(),
    };
    let node = vrrp::spawn(Arc::new(kernel), Arc::new(vips));
    node.configure([config]).await?;
    tokio::signal::ctrl_c().await?;
    node.shutdown().await;
    Ok(())
}
