//! All virtual routers and sync groups of a node, as one value.
//!
//! A [`Node`] hands what arrives to the router it is for, lets groups see how their members stand,
//! and changes from one configuration to another without touching what is in both. Like a
//! [`VirtualRouter`] it has no socket, clock or task: drain [`Node::poll_output`] after every call
//! that takes a time, then wait until [`Node::poll_timeout`].

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use crate::{
    ConfigError, ConfigProblem, Event, Family, GroupOutput, Input, Links, Output, Received, Role,
    RouterConfig, SyncGroup, Tracked, TrackerState, Vip, VirtualRouter, Vrid, router::is_news,
};

/// Which router of a node; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(u32);

impl RouterId {
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }
}

/// What happens to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeInput {
    /// The time of [`Node::poll_timeout`] has come; too early is harmless.
    Timeout,
    /// An advertisement arrived.
    Received {
        /// On this interface.
        interface: Arc<str>,
        /// The advertisement.
        received: Received,
    },
    /// The interfaces are so now.
    Links(Links),
    /// A condition that routers may track is so now.
    Tracker {
        /// The condition.
        tracked: Tracked,
        /// Its state.
        state: TrackerState,
    },
    /// Something for one router.
    Router {
        /// Which.
        id: RouterId,
        /// What.
        input: Input,
    },
    /// The node leaves for good.
    Stop,
}

/// What a node wants done, in the order in which it is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeOutput {
    /// By or for a router.
    Router {
        /// Which.
        id: RouterId,
        /// What.
        output: Output,
    },
    /// A sync group changed role as a whole.
    Group {
        /// Its name.
        name: Arc<str>,
        /// The member that made the difference.
        by: RouterId,
        /// The role it had.
        from: Role,
        /// The role it has.
        to: Role,
    },
    /// An advertisement arrived for a virtual router that is not ours. Told at most once a minute
    /// for each; [`Node::unknown_vrids`] counts them all.
    UnknownVrid {
        /// The interface it arrived on.
        interface: Arc<str>,
        /// The virtual router it is for.
        vrid: Vrid,
        /// Who sent it.
        from: IpAddr,
    },
}

/// What a change of configuration did to a router.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It is new.
    Added(RouterId),
    /// It goes on with other settings.
    Changed(RouterId),
    /// It is gone.
    Removed(RouterId, Arc<str>),
}

/// All virtual routers and sync groups of a node.
#[derive(Debug, Default)]
pub struct Node {
    routers: BTreeMap<RouterId, VirtualRouter>,
    groups: BTreeMap<Arc<str>, SyncGroup>,
    id_by_wire: BTreeMap<(Arc<str>, Family, Vrid), RouterId>,
    deadline_by_id: BTreeMap<RouterId, Instant>,
    deadlines: BTreeSet<(Instant, RouterId)>,
    states: BTreeMap<Tracked, TrackerState>,
    links: Option<Links>,
    next_id: u32,
    unknown_vrids: u64,
    unknown_told_at: BTreeMap<(Arc<str>, Family, Vrid), Option<Instant>>,
    work: VecDeque<(RouterId, Input)>,
    outputs: VecDeque<NodeOutput>,
}

impl Node {
    /// A node without routers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes these the routers of the node. Routers are recognised by name; one that is configured
    /// as before is not touched, one that is the same on the wire goes on with its new settings,
    /// and new ones start at once. Routers of one [`RouterConfig::sync_group`] are a group.
    ///
    /// # Errors
    /// A configuration contradicts itself or another one. Then nothing has changed.
    pub fn configure(
        &mut self,
        configs: Vec<RouterConfig>,
        now: Instant,
    ) -> Result<Vec<Change>, ConfigError> {
        let fresh = check(&configs)?;
        let mut old: BTreeMap<Arc<str>, RouterId> = self
            .routers()
            .map(|(id, router)| (Arc::clone(&router.config().name), id))
            .collect();
        let mut changes = Vec::new();
        let mut members: BTreeMap<Arc<str>, Vec<RouterId>> = BTreeMap::new();
        let mut starts = Vec::new();
        for (config, router) in configs.into_iter().zip(fresh) {
            let known = old.get(&config.name).copied();
            let same = known
                .and_then(|id| self.routers.get(&id))
                .map(VirtualRouter::config);
            let sync_group = config.sync_group.clone();
            let id = match (known, same) {
                (Some(id), Some(same)) if same.same_router(&config) => {
                    old.remove(&config.name);
                    if *same != config {
                        self.work
                            .push_back((id, Input::Configure(Box::new(config))));
                        changes.push(Change::Changed(id));
                    }
                    id
                }
                _ => {
                    let id = RouterId::new(self.next_id);
                    self.next_id += 1;
                    starts.push((id, router));
                    changes.push(Change::Added(id));
                    id
                }
            };
            if let Some(group) = sync_group {
                members.entry(group).or_default().push(id);
            }
        }
        for (name, id) in old {
            self.remove(id, now);
            changes.push(Change::Removed(id, name));
        }
        self.regroup(members);
        self.run(now);
        for (id, router) in starts {
            self.add(id, router, now);
        }
        Ok(changes)
    }

    /// Takes in what happens at `now`. Drain [`Node::poll_output`] afterwards.
    pub fn handle(&mut self, input: NodeInput, now: Instant) {
        match input {
            NodeInput::Timeout => {
                let due = ..=(now, RouterId(u32::MAX));
                self.work.extend(
                    self.deadlines
                        .range(due)
                        .map(|(_, id)| (*id, Input::Timeout)),
                );
            }
            NodeInput::Received {
                interface,
                received,
            } => {
                let wire = (interface, Family::of(received.from), received.advert.vrid());
                match self.id_by_wire.get(&wire) {
                    Some(id) => self.work.push_back((*id, Input::Advert(received))),
                    None => self.on_unknown(wire, received.from, now),
                }
            }
            NodeInput::Links(links) => self.on_links(links),
            NodeInput::Tracker { tracked, state } => {
                for id in self.routers.keys() {
                    let input = Input::Tracker {
                        tracked: tracked.clone(),
                        state,
                    };
                    self.work.push_back((*id, input));
                }
                self.states.insert(tracked, state);
            }
            NodeInput::Router { id, input } => self.work.push_back((id, input)),
            NodeInput::Stop => {
                self.work
                    .extend(self.routers.keys().map(|id| (*id, Input::Stop)));
            }
        }
        self.run(now);
    }

    /// The next thing to do, or `None` when all is said.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<NodeOutput> {
        self.outputs.pop_front()
    }

    /// When the node wants [`NodeInput::Timeout`]; `None` if it waits for nothing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// One of its routers.
    #[must_use]
    pub fn router(&self, id: RouterId) -> Option<&VirtualRouter> {
        self.routers.get(&id)
    }

    /// All its routers, in the order in which they were added.
    pub fn routers(&self) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        self.routers.iter().map(|(id, router)| (*id, router))
    }

    /// All its sync groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &SyncGroup)> {
        self.groups.iter()
    }

    /// How many well-formed advertisements arrived for virtual routers that are not ours.
    #[must_use]
    pub const fn unknown_vrids(&self) -> u64 {
        self.unknown_vrids
    }
}

impl Node {
    fn add(&mut self, id: RouterId, router: VirtualRouter, now: Instant) {
        let config = router.config();
        let wire = (Arc::clone(&config.interface), config.family(), config.vrid);
        self.id_by_wire.insert(wire, id);
        self.routers.insert(id, router);
        self.tell_states(id);
        if let Some(links) = &self.links {
            let input = self.link_input(id, links, &self.virtual_addresses());
            self.work.extend(input.map(|input| (id, input)));
        }
        self.work.push_back((id, Input::Start));
        self.run(now);
    }

    fn remove(&mut self, id: RouterId, now: Instant) {
        self.work.push_back((id, Input::Stop));
        self.run(now);
        self.routers.remove(&id);
        self.id_by_wire.retain(|_, known| *known != id);
        self.set_deadline(id, None);
    }

    fn regroup(&mut self, members: BTreeMap<Arc<str>, Vec<RouterId>>) {
        self.groups.retain(|name, _| members.contains_key(name));
        for (name, ids) in members {
            self.groups.entry(name).or_default().set_members(ids);
        }
    }

    /// Tells a router what is known of all that can be tracked.
    fn tell_states(&mut self, id: RouterId) {
        for (tracked, state) in &self.states {
            let input = Input::Tracker {
                tracked: tracked.clone(),
                state: *state,
            };
            self.work.push_back((id, input));
        }
        let Some(router) = self.routers.get(&id) else {
            return;
        };
        for tracker in &router.config().trackers {
            if let (Tracked::Interface(name), Some(links)) = (&tracker.tracked, &self.links) {
                let state = interface_state(links, name);
                let tracked = tracker.tracked.clone();
                self.work.push_back((id, Input::Tracker { tracked, state }));
            }
        }
    }

    /// Works off what is to be done until nothing follows from it any more.
    fn run(&mut self, now: Instant) {
        while let Some((id, input)) = self.work.pop_front() {
            let configured = matches!(input, Input::Configure(_));
            let Some(router) = self.routers.get_mut(&id) else {
                continue;
            };
            router.handle(input, now);
            let mut rival_heard = false;
            while let Some(output) = self
                .routers
                .get_mut(&id)
                .and_then(VirtualRouter::poll_output)
            {
                rival_heard |= matches!(output, Output::Event(Event::LowerPriorityReceived { .. }));
                if let Some(output) = self.keep_what_others_hold(id, output) {
                    self.outputs.push_back(NodeOutput::Router { id, output });
                }
            }
            if configured {
                self.tell_states(id);
            }
            let deadline = self.routers.get(&id).and_then(VirtualRouter::poll_timeout);
            self.set_deadline(id, deadline);
            self.tell_group(id, rival_heard);
        }
    }

    fn tell_group(&mut self, id: RouterId, rival_heard: bool) {
        let Some(router) = self.routers.get(&id) else {
            return;
        };
        let Some(name) = &router.config().sync_group else {
            return;
        };
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        group.handle(id, router.standing(), router.told_role());
        if rival_heard {
            group.handle_rival(id);
        }
        while let Some(output) = group.poll_output() {
            match output {
                GroupOutput::Order { member, order } => {
                    self.work.push_back((member, Input::Group(order)));
                }
                GroupOutput::RoleChanged { from, to } => {
                    let name = Arc::clone(name);
                    self.outputs.push_back(NodeOutput::Group {
                        name,
                        by: id,
                        from,
                        to,
                    });
                }
            }
        }
    }

    /// An address that moved from one router to another in the configuration must not be removed
    /// by the old one after the new one has put it there.
    fn keep_what_others_hold(&self, id: RouterId, output: Output) -> Option<Output> {
        let Output::Release(vips) = output else {
            return Some(output);
        };
        let held_by_other = |vip: &Vip| {
            self.routers.iter().any(|(other, router)| {
                *other != id && router.role() == Role::Master && router.vips().contains(vip)
            })
        };
        if vips.iter().any(held_by_other) {
            let rest: Arc<[Vip]> = vips
                .iter()
                .filter(|vip| !held_by_other(vip))
                .cloned()
                .collect();
            return (!rest.is_empty()).then_some(Output::Release(rest));
        }
        Some(Output::Release(vips))
    }

    fn set_deadline(&mut self, id: RouterId, deadline: Option<Instant>) {
        let old = match deadline {
            Some(at) => self.deadline_by_id.insert(id, at),
            None => self.deadline_by_id.remove(&id),
        };
        if old != deadline {
            self.deadlines.extend(deadline.map(|at| (at, id)));
            if let Some(at) = old {
                self.deadlines.remove(&(at, id));
            }
        }
    }

    fn on_unknown(&mut self, wire: (Arc<str>, Family, Vrid), from: IpAddr, now: Instant) {
        self.unknown_vrids += 1;
        let (interface, _, vrid) = wire.clone();
        if is_news(self.unknown_told_at.entry(wire).or_default(), now) {
            self.outputs.push_back(NodeOutput::UnknownVrid {
                interface,
                vrid,
                from,
            });
        }
    }

    fn on_links(&mut self, links: Links) {
        let old = self.links.take();
        let virtual_addresses = self.virtual_addresses();
        for (id, router) in &self.routers {
            for tracker in &router.config().trackers {
                if let Tracked::Interface(name) = &tracker.tracked {
                    let state = interface_state(&links, name);
                    let tracked = tracker.tracked.clone();
                    self.work
                        .push_back((*id, Input::Tracker { tracked, state }));
                }
            }
            let input = self.link_input(*id, &links, &virtual_addresses);
            self.work.extend(input.map(|input| (*id, input)));
            if router.holds_addresses()
                && old
                    .as_ref()
                    .is_some_and(|old| lost(router.vips(), old, &links))
            {
                self.work.push_back((*id, Input::AddressesLost));
            }
        }
        self.links = Some(links);
    }

    /// The addresses that come and go and so are no primary addresses; an owner's are its own.
    fn virtual_addresses(&self) -> BTreeSet<IpAddr> {
        self.routers
            .values()
            .filter(|router| !router.config().priority.is_owner())
            .flat_map(|router| router.vips().iter().map(|vip| vip.address))
            .collect()
    }

    fn link_input(
        &self,
        id: RouterId,
        links: &Links,
        virtual_addresses: &BTreeSet<IpAddr>,
    ) -> Option<Input> {
        let config = self.routers.get(&id)?.config();
        let link = links.get(&config.interface);
        let is_virtual = |address| virtual_addresses.contains(&address);
        Some(Input::Link {
            running: link.is_some_and(|link| link.running),
            primary: link.and_then(|link| link.primary(config.family(), is_virtual)),
        })
    }
}

fn interface_state(links: &Links, name: &str) -> TrackerState {
    match links.get(name) {
        Some(link) if link.running => TrackerState::Up,
        _ => TrackerState::Down,
    }
}

/// Whether an address was there before and is not now.
fn lost(vips: &[Vip], old: &Links, new: &Links) -> bool {
    let has = |links: &Links, vip: &Vip| {
        let interface = vip.interface.as_deref();
        interface
            .and_then(|name| links.get(name))
            .is_some_and(|link| link.has(vip.address))
    };
    vips.iter().any(|vip| has(old, vip) && !has(new, vip))
}

/// Makes all routers, or tells what is wrong with one, or with two together.
fn check(configs: &[RouterConfig]) -> Result<Vec<VirtualRouter>, ConfigError> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    let mut wires: BTreeMap<_, &Arc<str>> = BTreeMap::new();
    for config in configs {
        let fail = |problem| ConfigError {
            name: Arc::clone(&config.name),
            problem,
        };
        if !names.insert(&config.name) {
            return Err(fail(ConfigProblem::SameName));
        }
        let wire = (&config.interface, config.family(), config.vrid);
        if let Some(other) = wires.insert(wire, &config.name) {
            return Err(fail(ConfigProblem::SameRouter {
                other: Arc::clone(other),
            }));
        }
    }
    configs.iter().cloned().map(VirtualRouter::new).collect()
}
