//! Machines with a node each, on one or two segments.

use std::{
    collections::{BTreeSet, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use vrrp::{
    Delivery, Destination, Event, Input, Link, LinkAddress, Links, Node, NodeInput, NodeOutput,
    Output, Role, RouterConfig, RouterId, Tracked, TrackerState, VirtualRouter,
    fake::{Frame, Port, Segment},
};

/// The name of the interface on a segment, and of the router there.
pub(crate) const INTERFACES: [&str; 2] = ["eth0", "eth1"];

/// A machine: what runs on it, and its kernel.
pub(crate) struct Machine {
    pub(crate) configs: Vec<RouterConfig>,
    /// What runs; `None` while it is stopped or dead.
    pub(crate) node: Option<Node>,
    pub(crate) frozen: bool,
    pub(crate) stopping: bool,
    /// Which part of the segments it is in.
    pub(crate) side: usize,
    pub(crate) ports: Vec<Port>,
    pub(crate) link_up: Vec<bool>,
    pub(crate) condition: TrackerState,
    /// By segment: whether the addresses of the router there are on the interface.
    pub(crate) holds: Vec<bool>,
    /// By segment: what the kernel has been asked to do and when it is done.
    work: Vec<VecDeque<(Instant, Work)>>,
    /// How long the kernel takes.
    pub(crate) kernel_takes: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Acquire(RouterId),
    Release,
    Announce,
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) segments: Vec<Segment>,
    pub(crate) machines: Vec<Machine>,
    /// What has happened, if anybody wants to know.
    pub(crate) story: Option<Vec<String>>,
    /// What must not happen and did.
    pub(crate) crime: Option<String>,
    pub(crate) role_changes: u64,
}

impl World {
    pub(crate) fn new(segments: usize, seed: u64) -> Self {
        #[expect(clippy::disallowed_methods, reason = "any time will do for a start")]
        let start = Instant::now();
        let segments = (0..segments as u64)
            .map(|number| Segment::new(seed.wrapping_mul(2) + number))
            .collect();
        Self {
            now: start,
            start,
            segments,
            machines: Vec::new(),
            story: None,
            crime: None,
            role_changes: 0,
        }
    }

    /// Adds a machine on which nothing runs yet.
    pub(crate) fn add(&mut self, configs: Vec<RouterConfig>, kernel_takes: Duration) {
        let count = self.segments.len();
        self.machines.push(Machine {
            configs,
            node: None,
            frozen: false,
            stopping: false,
            side: 0,
            ports: self.segments.iter_mut().map(Segment::attach).collect(),
            link_up: vec![true; count],
            condition: TrackerState::Up,
            holds: vec![false; count],
            work: vec![VecDeque::new(); count],
            kernel_takes,
        });
    }

    /// Starts what runs on a machine.
    pub(crate) fn boot(&mut self, machine: usize) {
        let family = self.machines[machine].configs[0].family();
        for (segment, port) in self.segments.iter_mut().zip(&self.machines[machine].ports) {
            segment.plug(*port);
            segment.join(*port, family.multicast_group());
        }
        let mut node = Node::new();
        let configs = self.machines[machine].configs.clone();
        node.handle(NodeInput::Links(self.links(machine)), self.now);
        let tracked = Tracked::Condition("web".into());
        let state = self.machines[machine].condition;
        node.handle(NodeInput::Tracker { tracked, state }, self.now);
        node.configure(configs, self.now).unwrap();
        self.machines[machine].node = Some(node);
        self.machines[machine].stopping = false;
        self.drain(machine);
    }

    /// The process is gone at once. Its addresses stay behind.
    pub(crate) fn kill(&mut self, machine: usize) {
        let machine = &mut self.machines[machine];
        machine.node = None;
        machine.frozen = false;
        machine.work.iter_mut().for_each(VecDeque::clear);
        for (segment, port) in self.segments.iter_mut().zip(&machine.ports) {
            segment.unplug(*port);
        }
    }

    /// The machine is gone at once.
    pub(crate) fn crash(&mut self, machine: usize) {
        self.kill(machine);
        self.machines[machine].holds.fill(false);
    }

    pub(crate) fn freeze(&mut self, machine: usize) {
        let machine = &mut self.machines[machine];
        machine.frozen = true;
        for (segment, port) in self.segments.iter_mut().zip(&machine.ports) {
            segment.freeze(*port);
        }
    }

    pub(crate) fn thaw(&mut self, machine: usize) {
        let machine = &mut self.machines[machine];
        machine.frozen = false;
        for (segment, port) in self.segments.iter_mut().zip(&machine.ports) {
            segment.thaw(*port, self.now);
        }
    }

    /// Takes a link down or brings it up, and the machine notices.
    pub(crate) fn set_link(&mut self, machine: usize, segment: usize, up: bool) {
        self.machines[machine].link_up[segment] = up;
        let port = self.machines[machine].ports[segment];
        match up {
            true => self.segments[segment].plug(port),
            false => self.segments[segment].unplug(port),
        }
        let links = self.links(machine);
        self.give(machine, NodeInput::Links(links));
    }

    /// Cuts every segment in parts by the sides of the machines.
    pub(crate) fn cut(&mut self) {
        for (place, segment) in self.segments.iter_mut().enumerate() {
            let part: Vec<_> = self
                .machines
                .iter()
                .filter(|machine| machine.side > 0)
                .map(|machine| machine.ports[place])
                .collect();
            segment.partition(&[&part]);
        }
    }

    /// Hands a node an input, if it runs.
    pub(crate) fn give(&mut self, machine: usize, input: NodeInput) {
        let now = self.now;
        if let Some(node) = &mut self.machines[machine].node {
            node.handle(input, now);
            self.drain(machine);
        }
    }

    /// Lets its node have another configuration.
    pub(crate) fn configure(&mut self, machine: usize) {
        let configs = self.machines[machine].configs.clone();
        let now = self.now;
        if let Some(node) = &mut self.machines[machine].node {
            node.configure(configs, now).unwrap();
            self.drain(machine);
        }
    }

    /// When something happens next.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let frames = self.segments.iter().filter_map(Segment::poll_timeout);
        let awake = self.machines.iter().filter(|machine| !machine.frozen);
        let own = awake.flat_map(|machine| {
            let timer = machine.node.as_ref().and_then(Node::poll_timeout);
            let work = machine
                .work
                .iter()
                .filter_map(|work| work.front().map(|(at, _)| *at));
            timer.into_iter().chain(work)
        });
        frames.chain(own).min()
    }

    /// Lets happen what is due: what arrives first, then what the kernel has done, then timers.
    pub(crate) fn step(&mut self) {
        for (place, name) in INTERFACES.iter().enumerate().take(self.segments.len()) {
            while let Some((port, frame)) = self.segments[place].poll_delivery(self.now) {
                let of_port = |machine: &Machine| machine.ports[place] == port;
                let machine = self.machines.iter().position(of_port).unwrap();
                let received = frame.decode().unwrap();
                let interface = (*name).into();
                self.give(
                    machine,
                    NodeInput::Received {
                        interface,
                        received,
                    },
                );
            }
        }
        for machine in 0..self.machines.len() {
            if !self.machines[machine].frozen {
                self.work_off(machine);
                let node = self.machines[machine].node.as_ref();
                let due = node.and_then(Node::poll_timeout);
                if due.is_some_and(|at| at <= self.now) {
                    self.give(machine, NodeInput::Timeout);
                }
            }
        }
    }

    /// The router of a machine on a segment, while it runs.
    pub(crate) fn router(&self, machine: usize, segment: usize) -> Option<&VirtualRouter> {
        let node = self.machines[machine].node.as_ref()?;
        node.routers().nth(segment).map(|(_, router)| router)
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let at = self.now - self.start;
            story.push(format!("{:>10.6} {}", at.as_secs_f64(), line()));
        }
    }

    fn links(&self, machine: usize) -> Links {
        let up = self.machines[machine].link_up.iter().zip(INTERFACES);
        up.zip(1_u32..)
            .map(|((up, name), index)| {
                let address = LinkAddress::usable(address(machine, index), 24);
                let mut link = Link::running(index, vec![address]);
                link.running = *up;
                (name.into(), link)
            })
            .collect()
    }

    fn drain(&mut self, machine: usize) {
        while let Some(output) = self.machines[machine]
            .node
            .as_mut()
            .and_then(Node::poll_output)
        {
            if let NodeOutput::Router { id, output } = output {
                self.do_for(machine, id, output);
            }
        }
    }

    fn do_for(&mut self, machine: usize, id: RouterId, output: Output) {
        let node = self.machines[machine].node.as_ref().unwrap();
        let router = node.router(id).unwrap();
        let name = router.config().interface.clone();
        let place = INTERFACES
            .iter()
            .position(|known| **known == *name)
            .unwrap();
        let work = match output {
            Output::Transmit { advert, delivery } => {
                let priority = advert.priority();
                self.tell(|| format!("{machine} {name} sends priority {priority}"));
                return self.send(machine, place, &advert, &delivery);
            }
            Output::Acquire(_) => Work::Acquire(id),
            Output::Release(_) => Work::Release,
            Output::Announce { .. } => Work::Announce,
            Output::Event(Event::RoleChanged { to, because, .. }) => {
                self.role_changes += 1;
                return self.tell(|| format!("{machine} {name} is {to}: {because}"));
            }
            _ => return,
        };
        let machine = &mut self.machines[machine];
        let queue = &mut machine.work[place];
        let idle_at = queue.back().map_or(self.now, |(at, _)| *at);
        let takes = match work {
            Work::Announce => Duration::ZERO,
            Work::Acquire(_) | Work::Release => machine.kernel_takes,
        };
        queue.push_back((idle_at.max(self.now) + takes, work));
    }

    fn send(
        &mut self,
        machine: usize,
        place: usize,
        advert: &vrrp::Advertisement,
        delivery: &Delivery,
    ) {
        let Destination::Group(group) = delivery.to else {
            return;
        };
        let frame = Frame::encode(
            advert,
            delivery.source,
            group,
            delivery.ttl,
            delivery.checksum,
        );
        let port = self.machines[machine].ports[place];
        self.segments[place].send(port, frame, self.now);
    }

    fn work_off(&mut self, machine: usize) {
        for (place, name) in INTERFACES.iter().enumerate().take(self.segments.len()) {
            let now = self.now;
            let due: Vec<_> = {
                let queue = &mut self.machines[machine].work[place];
                let due = queue.iter().take_while(|(at, _)| *at <= now).count();
                queue.drain(..due).collect()
            };
            for (_, work) in due {
                let holds = self.machines[machine].holds[place];
                match work {
                    Work::Acquire(id) => {
                        self.machines[machine].holds[place] = true;
                        self.tell(|| format!("{machine} {name} holds"));
                        let input = Input::Acquired;
                        self.give(machine, NodeInput::Router { id, input });
                    }
                    Work::Release => {
                        self.machines[machine].holds[place] = false;
                        self.tell(|| format!("{machine} {name} holds not"));
                    }
                    Work::Announce if holds => {}
                    Work::Announce => {
                        let crime = format!("{machine} announces what it does not have");
                        self.crime.get_or_insert(crime);
                    }
                }
            }
        }
        let machine = &mut self.machines[machine];
        if machine.stopping && machine.work.iter().all(VecDeque::is_empty) {
            machine.node = None;
            machine.stopping = false;
        }
    }
}

impl Machine {
    /// Whether it runs and reads on this segment.
    pub(crate) fn is_connected(&self, segment: usize) -> bool {
        self.node.is_some() && !self.frozen && !self.stopping && self.link_up[segment]
    }

    pub(crate) fn is_down(&self) -> bool {
        self.node.is_none()
    }
}

/// Whether a router takes part in the election.
pub(crate) fn is_able(router: &VirtualRouter) -> bool {
    matches!(router.role(), Role::Backup | Role::Master)
}

/// The address of a machine on the segment with this number, which is from 1.
pub(crate) fn address(machine: usize, segment: u32) -> IpAddr {
    let host = u8::try_from(10 + machine).unwrap();
    let network = u8::try_from(segment).unwrap();
    IpAddr::from([192, 0, network, host])
}

/// The parts that the machines are in.
pub(crate) fn sides(machines: &[Machine]) -> BTreeSet<usize> {
    machines.iter().map(|machine| machine.side).collect()
}
