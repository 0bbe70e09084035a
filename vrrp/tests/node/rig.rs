//! A node, its interfaces, and a clock that counts from when a test begins.

use std::{
    iter,
    net::IpAddr,
    time::{Duration, Instant},
};

use vrrp::{
    Change, Checksum, ConfigError, Event, Family, Input, Link, LinkAddress, Links, Node, NodeInput,
    NodeOutput, Output, Priority, Received, Role, RouterConfig, RouterId, TTL, Tracked,
    TrackerState, Vip, VirtualRouter, Vrid,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const NOW: Duration = Duration::ZERO;
/// What a backup of priority 100 waits at an interval of a second.
pub(crate) const DOWN: Duration = Duration::from_micros(3_609_375);

pub(crate) struct Rig {
    pub(crate) node: Node,
    pub(crate) links: Links,
    origin: Instant,
}

impl Rig {
    /// A node with `eth0` (192.0.2.10) and `eth1` (198.51.100.10).
    pub(crate) fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
        let origin = Instant::now();
        let link = |index, address: &str| {
            let address = LinkAddress::usable(address.parse().unwrap(), 24);
            Link::running(index, vec![address])
        };
        let mut rig = Self {
            node: Node::new(),
            links: Links::from([
                ("eth0".into(), link(1, "192.0.2.10")),
                ("eth1".into(), link(2, "198.51.100.10")),
            ]),
            origin,
        };
        rig.tell_links(NOW);
        rig
    }

    pub(crate) fn configure(
        &mut self,
        configs: &[RouterConfig],
        at: Duration,
    ) -> Result<Vec<Change>, ConfigError> {
        self.node.configure(configs.to_vec(), self.origin + at)
    }

    /// Hands an input over and returns what follows.
    pub(crate) fn give(&mut self, input: NodeInput, at: Duration) -> Vec<Said> {
        self.node.handle(input, self.origin + at);
        self.said()
    }

    /// What the node has said since it was last asked.
    pub(crate) fn said(&mut self) -> Vec<Said> {
        let outputs: Vec<_> = iter::from_fn(|| self.node.poll_output()).collect();
        outputs
            .into_iter()
            .filter_map(|output| self.in_short(output))
            .collect()
    }

    pub(crate) fn tell_links(&mut self, at: Duration) -> Vec<Said> {
        self.give(NodeInput::Links(self.links.clone()), at)
    }

    pub(crate) fn track(&mut self, name: &str, state: TrackerState, at: Duration) -> Vec<Said> {
        let tracked = Tracked::Condition(name.into());
        self.give(NodeInput::Tracker { tracked, state }, at)
    }

    pub(crate) fn to(&mut self, name: &str, input: Input, at: Duration) -> Vec<Said> {
        let id = self.id(name);
        self.give(NodeInput::Router { id, input }, at)
    }

    /// An advertisement of this priority from another node for one of the routers.
    pub(crate) fn hear(&mut self, name: &str, priority: u8, at: Duration) -> Vec<Said> {
        let config = self.router(name).config();
        let advert = config.advertisement().unwrap();
        let received = Received::new(
            advert.with_priority(Priority::from_wire(priority)),
            neighbour(&config.interface),
            Family::V4.multicast_group(),
            TTL,
            Checksum::Message,
        );
        let interface = config.interface.clone();
        self.give(
            NodeInput::Received {
                interface,
                received,
            },
            at,
        )
    }

    /// Lets time pass, every address being acquired as asked.
    pub(crate) fn run(&mut self, until: Duration) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(at) = self.node.poll_timeout().map(|at| at - self.origin)
            && at <= until
        {
            let said = self.give(NodeInput::Timeout, at);
            all.extend(self.serve(said, at));
        }
        all
    }

    /// Lets time pass, no request for addresses being answered.
    pub(crate) fn run_without_service(&mut self, until: Duration) -> Vec<Said> {
        let mut all = Vec::new();
        while let Some(at) = self.node.poll_timeout().map(|at| at - self.origin)
            && at <= until
        {
            all.extend(self.give(NodeInput::Timeout, at));
        }
        all
    }

    /// Answers all requests for addresses with success.
    pub(crate) fn serve(&mut self, said: Vec<Said>, at: Duration) -> Vec<Said> {
        let mut all = Vec::new();
        for said in said {
            let asked = match &said {
                Said::Acquire(name, _) => Some(name.clone()),
                _ => None,
            };
            all.push(said);
            if let Some(name) = asked {
                all.extend(self.to(&name, Input::Acquired, at));
            }
        }
        all
    }

    pub(crate) fn id(&self, name: &str) -> RouterId {
        self.find(name).0
    }

    pub(crate) fn router(&self, name: &str) -> &VirtualRouter {
        self.find(name).1
    }

    pub(crate) fn roles(&self) -> Vec<Role> {
        self.node
            .routers()
            .map(|(_, router)| router.told_role())
            .collect()
    }

    fn find(&self, name: &str) -> (RouterId, &VirtualRouter) {
        self.node
            .routers()
            .find(|(_, router)| *router.config().name == *name)
            .unwrap()
    }

    fn in_short(&self, output: NodeOutput) -> Option<Said> {
        let (id, output) = match output {
            NodeOutput::Router { id, output } => (id, output),
            NodeOutput::Group { name, to, .. } => return Some(Said::Group(name.to_string(), to)),
            NodeOutput::UnknownVrid { vrid, .. } => return Some(Said::Unknown(vrid.as_u8())),
            _ => return None,
        };
        let router = self.node.router(id).expect("routers speak while they live");
        let name = router.config().name.to_string();
        Some(match output {
            Output::Transmit { advert, .. } => Said::Advert(name, advert.priority().as_u8()),
            Output::Acquire(vips) => Said::Acquire(name, addresses(&vips)),
            Output::Release(vips) => Said::Release(name, addresses(&vips)),
            Output::Announce { rounds, .. } => Said::Announce(name, rounds),
            Output::Event(Event::RoleChanged { to, .. }) => Said::Role(name, to),
            _ => return None,
        })
    }
}

/// What a node says, in short; events other than changes of role are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Advert(String, u8),
    Acquire(String, Vec<IpAddr>),
    Release(String, Vec<IpAddr>),
    Announce(String, u8),
    Role(String, Role),
    Group(String, Role),
    Unknown(u8),
}

pub(crate) fn advert(name: &str, priority: u8) -> Said {
    Said::Advert(name.to_owned(), priority)
}

pub(crate) fn acquire(name: &str, hosts: &[u8]) -> Said {
    Said::Acquire(
        name.to_owned(),
        hosts.iter().map(|host| ip(*host)).collect(),
    )
}

pub(crate) fn release(name: &str, hosts: &[u8]) -> Said {
    Said::Release(
        name.to_owned(),
        hosts.iter().map(|host| ip(*host)).collect(),
    )
}

pub(crate) fn announce(name: &str, rounds: u8) -> Said {
    Said::Announce(name.to_owned(), rounds)
}

pub(crate) fn role(name: &str, role: Role) -> Said {
    Said::Role(name.to_owned(), role)
}

pub(crate) fn group(name: &str, role: Role) -> Said {
    Said::Group(name.to_owned(), role)
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// 192.0.2.HOST.
pub(crate) fn ip(host: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, host])
}

pub(crate) fn vip(host: u8) -> Vip {
    Vip::new(ip(host), 24).unwrap()
}

/// A router on `eth0` with addresses 192.0.2.HOST.
pub(crate) fn router(name: &str, vrid: u8, hosts: &[u8]) -> RouterConfig {
    let vips = hosts.iter().map(|host| vip(*host)).collect();
    RouterConfig::new(name, "eth0", Vrid::new(vrid).unwrap(), vips)
}

/// The same as a member of group G.
pub(crate) fn member(name: &str, vrid: u8, interface: &str) -> RouterConfig {
    let mut config = router(name, vrid, &[100 + vrid]);
    config.interface = interface.into();
    config.sync_group = Some("G".into());
    config
}

pub(crate) fn neighbour(interface: &str) -> IpAddr {
    match interface {
        "eth0" => [192, 0, 2, 11].into(),
        _ => [198, 51, 100, 11].into(),
    }
}

fn addresses(vips: &[Vip]) -> Vec<IpAddr> {
    vips.iter().map(|vip| vip.address).collect()
}
