//! Announcements: one packet socket for all interfaces.

use std::{io, net::IpAddr};

use socket2::{Domain, Socket, Type};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task,
};
use tracing::debug;

use super::{decode::Interface, frames, sys};
use crate::Vip;

/// A socket that sends whole frames and receives none.
#[derive(Debug)]
pub(super) struct Announcer(AsyncFd<Socket>);

impl Announcer {
    /// Opens the socket, which takes CAP_NET_RAW.
    pub(super) fn open() -> io::Result<Self> {
        // Without a protocol nothing is received.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        sys::register(socket, Interest::WRITABLE).map(Self)
    }

    /// Announces one address on an interface; waits while the interface's queue is full.
    ///
    /// An interface that is not an Ethernet has nobody to announce to.
    pub(super) async fn announce(&self, vip: &Vip, interface: &Interface) -> io::Result<()> {
        // Hundreds of announcements in a row let the other tasks of the thread run in between.
        task::consume_budget().await;
        let Some(mac) = interface.mac else {
            debug!(%vip, "not announced: the interface is no Ethernet");
            return Ok(());
        };
        match vip.address {
            IpAddr::V4(address) => {
                let frame = frames::gratuitous_arp(mac, address);
                self.send(&frame, interface, frames::ETHERTYPE_ARP).await
            }
            IpAddr::V6(address) => {
                let frame = frames::neighbour_advertisement(mac, address, interface.forwards_ipv6);
                self.send(&frame, interface, frames::ETHERTYPE_IPV6).await
            }
        }
    }

    async fn send(&self, frame: &[u8], interface: &Interface, ethertype: u16) -> io::Result<()> {
        let to = sys::link_layer_address(interface.index, ethertype);
        self.0
            .async_io(Interest::WRITABLE, |socket| socket.send_to(frame, &to))
            .await?;
        Ok(())
    }
}
