//! What every backend does alike, whatever carries the packets: the same changes have the same
//! outcomes and leave the same table, and the same clients get to the same servers.
//!
//! A [`Subject`] is a backend with clients. The [`SCRIPTS`] tell step by step what has to happen
//! (`script` has their language); [`agrees_with_memory`] makes histories up and expects of each step
//! what the kernel in memory does.
//!
//! Clients never close: when a connection counts no more is what kernel and user space do
//! differently.

#![expect(
    clippy::panic,
    reason = "what is not as it has to be is a test that fails"
)]

mod histories;
mod memory;
mod script;
mod scripts;
mod traffic;

pub(crate) use histories::{agrees_with_memory, history};
pub(crate) use memory::Memory;
pub(crate) use script::play;
pub(crate) use scripts::SCRIPTS;
pub(crate) use traffic::Sockets;

use std::net::{IpAddr, Ipv4Addr};

use ipvs::{Endpoint, IpvsBackend, Protocol};

/// The addresses of one subject: those of 127.0.0.0/8 with a second number of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site(u8);

impl Site {
    const PORT: u16 = 8000;
    pub(crate) const SERVERS: u8 = 4;

    /// What the scripts expect of hashes is of these addresses.
    pub(crate) const OF_SCRIPTS: Self = Self(0);
    /// Others, for tests that run at the same time.
    pub(crate) const OF_HISTORIES: Self = Self(1);

    /// The virtual address and port.
    pub(crate) const fn vip(self) -> Endpoint {
        self.at(0, 100)
    }

    /// A real server, from 1.
    pub(crate) const fn server(self, number: u8) -> Endpoint {
        self.at(1, number)
    }

    /// Where a client connects from, but for the port.
    pub(crate) const fn client(self, number: u8) -> Endpoint {
        self.at(2, number)
    }

    const fn at(self, net: u8, host: u8) -> Endpoint {
        let address = Ipv4Addr::new(127, self.0, net, host);
        Endpoint::new(IpAddr::V4(address), Self::PORT)
    }

    /// The number of a server.
    fn number(self, server: Endpoint) -> Option<u8> {
        (1..=Self::SERVERS).find(|number| self.server(*number) == server)
    }
}

/// A backend, with clients that go through it.
pub(crate) trait Subject {
    fn site(&self) -> Site;

    fn backend(&self) -> &dyn IpvsBackend;

    /// Whether it counts connections, hashes as the kernel's IPVS and schedules on after a change
    /// where it was. Otherwise what it lists is compared without numbers of connections, scripts
    /// that need more than that are not for it, and made-up histories are those of the table alone.
    fn counts(&self) -> bool {
        true
    }

    /// A client's new connection, or first datagram of a new socket: which server answers it.
    async fn connect(&mut self, protocol: Protocol, client: u8) -> Option<u8>;

    /// More from the socket that the client opened last: which server answers.
    async fn again(&mut self, protocol: Protocol, client: u8) -> Option<u8>;
}
