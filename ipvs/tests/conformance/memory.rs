//! The kernel in memory, with simulated clients.

use std::collections::BTreeMap;

use ipvs::{
    Endpoint, IpvsBackend, Protocol,
    fake::{Flow, Kernel},
};

use super::{Site, Subject};

#[derive(Debug)]
pub(crate) struct Memory {
    site: Site,
    kernel: Kernel,
    flows: BTreeMap<(Protocol, u8), Flow>,
    next_port: u16,
}

impl Memory {
    pub(crate) fn new(site: Site) -> Self {
        let kernel = Kernel::new();
        // The kernel in the guest has all schedulers but this one.
        kernel.unload("twos".parse().expect("a name"));
        Self {
            site,
            kernel,
            flows: BTreeMap::new(),
            next_port: 1024,
        }
    }
}

impl Subject for Memory {
    fn site(&self) -> Site {
        self.site
    }

    fn backend(&self) -> &dyn IpvsBackend {
        &self.kernel
    }

    async fn connect(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        let from = Endpoint::new(self.site.client(client).address, self.next_port);
        self.next_port += 1;
        let flow = Flow {
            protocol,
            client: from,
            to: self.site.vip(),
        };
        self.flows.insert((protocol, client), flow);
        let connection = self.kernel.connect(flow).ok()?;
        self.site.number(connection.destination)
    }

    async fn again(&mut self, protocol: Protocol, client: u8) -> Option<u8> {
        let flow = self.flows.get(&(protocol, client))?;
        let connection = match protocol {
            // Each datagram may be a first one.
            Protocol::Udp => self.kernel.connect(*flow),
            Protocol::Tcp | Protocol::Sctp => self.kernel.send(*flow),
        };
        let connection = connection.ok()?;
        self.site.number(connection.destination)
    }
}
