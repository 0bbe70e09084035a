//! Who leads? An election among processes that have no address to share and are not root.
//!
//! `leader 127.0.0.1 150 127.0.0.2` and `leader 127.0.0.2 100 127.0.0.1`: the own address, the
//! priority, the others' addresses.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::{env, net::IpAddr, sync::Arc};

use anyhow::{Context, Result, bail};
use tokio::sync::watch;
use vrrp::{
    Advertiser, AdvertiserError, Family, LinkAddress, Links, Network, Priority, RouterConfig,
    Transport, Unicast, Vrid, fake,
};

use self::udp_advertiser::UdpAdvertiser;

mod udp_advertiser;

struct Udp {
    address: IpAddr,
    /// A machine in memory: the address that is shared is there alone.
    host: fake::Host,
}

impl Network for Udp {
    fn links(&self) -> watch::Receiver<Links> {
        self.host.links()
    }

    fn open(&self, _: &str, _: Family) -> Result<Arc<dyn Advertiser>, AdvertiserError> {
        Ok(Arc::new(UdpAdvertiser::open(self.address)?))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<_> = env::args().skip(1).collect();
    let [address, priority, others @ ..] = &words[..] else {
        bail!("tell me the own address, the priority and the others' addresses");
    };
    let (address, vip) = (address.parse()?, "192.0.2.100/32".parse()?);
    let others: Result<Vec<IpAddr>, _> = others.iter().map(|other| other.parse()).collect();
    let mut config = RouterConfig::new("leader", "udp", Vrid::new(51)?, vec![vip]);
    config.priority = Priority::new(priority.parse()?)?;
    config.transport = Transport::Unicast(Unicast::to(others?));

    let host = fake::Host::new();
    host.add_interface("udp", &fake::Lan::new(0), [LinkAddress::usable(address, 8)]);
    let vips = fake::Vips::on(&host);
    let node = vrrp::spawn(Arc::new(Udp { address, host }), Arc::new(vips));
    node.configure([config]).await?;
    let mut role = node.role("leader").context("it was just configured")?;
    loop {
        println!("{:?}", *role.borrow_and_update());
        role.changed().await?;
    }
}
