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
    Event, Family, GroupOutput, Input, Links, Output, Received, Role, SyncGroup, Tracked,
    TrackerState, Vip, VirtualRouter, Vrid, router::is_news,
};

mod configure;
mod links;

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
    /// Those that the last change of configuration took away: what they still want done has to be
    /// done in their name.
    removed: BTreeMap<RouterId, VirtualRouter>,
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

    /// One of its routers, or one that the last change of configuration took away.
    #[must_use]
    pub fn router(&self, id: RouterId) -> Option<&VirtualRouter> {
        self.routers.get(&id).or_else(|| self.removed.get(&id))
    }

    /// All its routers, in the order in which they were added.
    pub fn routers(&self) -> impl Iterator<Item = (RouterId, &VirtualRouter)> {
        self.routers.iter().map(|(id, router)| (*id, router))
    }

    /// All its sync groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&Arc<str>, &SyncGroup)> {
        self.groups.iter()
    }

    /// The interfaces as it was told of them last; `None` before the first
    /// [`NodeInput::Links`].
    #[must_use]
    pub const fn links(&self) -> Option<&Links> {
        self.links.as_ref()
    }

    /// How many well-formed advertisements arrived for virtual routers that are not ours.
    #[must_use]
    pub const fn unknown_vrids(&self) -> u64 {
        self.unknown_vrids
    }
}

impl Node {
    /// Works off what is to be done until nothing follows from it any more.
    fn run(&mut self, now: Instant) {
        while let Some((id, input)) = self.work.pop_front() {
            let configured = matches!(input, Input::Configure(_));
            let mut rival_heard = false;
            if let Some(router) = self.router_mut(id) {
                router.handle(input, now);
            }
            while let Some(output) = self.router_mut(id).and_then(VirtualRouter::poll_output) {
                rival_heard |= matches!(output, Output::Event(Event::LowerPriorityReceived { .. }));
                self.push_output(id, output);
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
        let name = Arc::clone(name);
        self.drain_group(&name, id);
    }

    fn drain_group(&mut self, name: &Arc<str>, by: RouterId) {
        let poll = SyncGroup::poll_output;
        while let Some(output) = self.groups.get_mut(name).and_then(poll) {
            match output {
                GroupOutput::Order { member, order } => {
                    self.work.push_back((member, Input::Group(order)));
                }
                GroupOutput::RoleChanged { from, to } => {
                    let name = Arc::clone(name);
                    self.outputs
                        .push_back(NodeOutput::Group { name, by, from, to });
                }
            }
        }
    }

    fn router_mut(&mut self, id: RouterId) -> Option<&mut VirtualRouter> {
        self.routers
            .get_mut(&id)
            .or_else(|| self.removed.get_mut(&id))
    }

    fn push_output(&mut self, id: RouterId, output: Output) {
        if let Some(output) = self.keep_what_others_hold(id, output) {
            self.outputs.push_back(NodeOutput::Router { id, output });
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
                *other != id
                    && router.role() == Role::Master
                    && router.vips().iter().any(|held| held.same_address(vip))
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
}
