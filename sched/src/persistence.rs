//! Persistence: a client keeps its server.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use crate::{
    server::{Server, ServerId},
    servers::index,
};

/// How long, and how finely, a service keeps its clients with their servers
/// (`ipvsadm -p TIMEOUT -M NETMASK`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Persistence {
    /// How long a client is remembered after its last connection began; longer than the 31 days
    /// that ipvsadm allows counts as 31 days.
    pub timeout: Duration,
    /// The bits of an IPv4 client's address that tell clients apart.
    pub netmask: Ipv4Addr,
    /// How many leading bits of an IPv6 client's address tell clients apart, 0 to 128.
    pub prefix: u8,
}

impl Persistence {
    /// Persistence of single clients for `timeout`.
    #[must_use]
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            netmask: Ipv4Addr::BROADCAST,
            prefix: 128,
        }
    }

    /// The same for IPv4 clients that agree in the bits of `netmask`, which need not be
    /// contiguous.
    #[must_use]
    pub const fn with_netmask(self, netmask: Ipv4Addr) -> Self {
        Self { netmask, ..self }
    }

    /// The same for IPv6 clients that agree in the `prefix` first bits; more than 128 is 128.
    #[must_use]
    pub const fn with_prefix(self, prefix: u8) -> Self {
        Self { prefix, ..self }
    }

    /// The network a client belongs to.
    #[must_use]
    pub fn network(&self, client: IpAddr) -> IpAddr {
        match client {
            IpAddr::V4(client) => (client & self.netmask).into(),
            IpAddr::V6(client) => {
                let host_bits = 128_u32.saturating_sub(self.prefix.into());
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                (client & Ipv6Addr::from_bits(mask)).into()
            }
        }
    }
}

/// `ipvsadm -p` takes up to this.
const MAX_TIMEOUT: Duration = Duration::from_secs(31 * 24 * 60 * 60);

/// How long a template that came due lives on while a connection made from it exists, in
/// seconds. From then on it is also the timeout to which a use of the template sets it, as in the
/// kernel.
const CONTROLLED_SECS: u64 = 60;

/// Names a template; valid until it expires, which it does not while a connection refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TemplateId(u32);

/// The persistence templates of a service: which network belongs to which server.
///
/// There is one for each network of clients, whatever the virtual addresses and ports of a
/// firewall-mark or all-ports service.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    slots: Vec<Option<Template>>,
    free: Vec<u32>,
    by_network: BTreeMap<IpAddr, TemplateId>,
    /// One entry for each template, at or before its true deadline.
    deadlines: BinaryHeap<Reverse<(Instant, TemplateId)>>,
}

/// A persistence template: a network of clients belongs to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remembered {
    /// The clients' addresses, without the bits that do not tell clients apart.
    pub network: IpAddr,
    /// Their server, which may have been removed.
    pub server: ServerId,
    /// When they are forgotten, if none of their connections is left then and none comes before.
    pub expires_at: Instant,
}

#[derive(Debug)]
struct Template {
    network: IpAddr,
    server: ServerId,
    timeout: Duration,
    expires_at: Instant,
    /// Connections made from it that still exist.
    connections: u32,
}

impl Templates {
    /// The template of a network, and its server.
    pub(crate) fn find(&self, network: IpAddr) -> Option<(TemplateId, ServerId)> {
        let id = *self.by_network.get(&network)?;
        self.get(id).map(|template| (id, template.server))
    }

    /// Makes the template of a network, which has none.
    pub(crate) fn insert(
        &mut self,
        network: IpAddr,
        server: ServerId,
        timeout: Duration,
        now: Instant,
    ) -> TemplateId {
        let timeout = timeout.min(MAX_TIMEOUT);
        let expires_at = now + timeout;
        let template = Template {
            network,
            server,
            timeout,
            expires_at,
            connections: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("four billion templates fill any memory")
        });
        let id = TemplateId(slot);
        if let Some(place) = self.slots.get_mut(index(slot)) {
            *place = Some(template);
        }
        self.by_network.insert(network, id);
        self.deadlines.push(Reverse((expires_at, id)));
        id
    }

    /// A connection was made from the template.
    pub(crate) fn use_for_connection(&mut self, id: TemplateId, now: Instant) {
        if let Some(template) = self.get_mut(id) {
            template.connections = template.connections.saturating_add(1);
            template.expires_at = template.expires_at.max(now + template.timeout);
        }
    }

    /// A connection made from the template is gone.
    pub(crate) fn release(&mut self, id: TemplateId) {
        if let Some(template) = self.get_mut(id) {
            template.connections = template.connections.saturating_sub(1);
        }
    }

    /// Lets the network have another template; this one stays until it expires.
    pub(crate) fn invalidate(&mut self, id: TemplateId) {
        if let Some(network) = self.get(id).map(|template| template.network)
            && self.by_network.get(&network) == Some(&id)
        {
            self.by_network.remove(&network);
        }
    }

    /// When [`Templates::expire`] should be called next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.peek().map(|Reverse((at, _))| *at)
    }

    /// Removes one template that is due by `now`, and returns its server and when it was due;
    /// `None` when no more is due.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(ServerId, Instant)> {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied()
            && at <= now
        {
            self.deadlines.pop();
            let Some(template) = self.get_mut(id) else {
                continue;
            };
            if template.connections > 0 {
                template.prolong_beyond(now);
            }
            let (server, expires_at) = (template.server, template.expires_at);
            if expires_at > now {
                self.deadlines.push(Reverse((expires_at, id)));
                continue;
            }
            self.invalidate(id);
            if let Some(place) = self.slots.get_mut(index(id.0)) {
                *place = None;
            }
            self.free.push(id.0);
            return Some((server, expires_at));
        }
        None
    }

    /// All of them, in no order to rely on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Remembered> + '_ {
        self.slots.iter().flatten().map(|template| Remembered {
            network: template.network,
            server: template.server,
            expires_at: template.expires_at,
        })
    }

    fn get(&self, id: TemplateId) -> Option<&Template> {
        self.slots.get(index(id.0))?.as_ref()
    }

    fn get_mut(&mut self, id: TemplateId) -> Option<&mut Template> {
        self.slots.get_mut(index(id.0))?.as_mut()
    }
}

impl Template {
    /// Prolongs a template that came due, as often as a look at each of its deadlines would have.
    fn prolong_beyond(&mut self, now: Instant) {
        if let Some(late) = now.checked_duration_since(self.expires_at) {
            let periods = late.as_secs() / CONTROLLED_SECS + 1;
            self.expires_at += Duration::from_secs(periods * CONTROLLED_SECS);
            self.timeout = Duration::from_secs(CONTROLLED_SECS);
        }
    }
}

/// Whether a template may still be used for its server.
pub(crate) const fn is_valid(server: &Server, expire_quiescent_template: bool) -> bool {
    server.is_listed() && !(expire_quiescent_template && server.weight() == 0)
}
