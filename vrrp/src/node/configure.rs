//! How a node comes from one configuration to another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use super::{Change, Node, NodeOutput, RouterId};
use crate::{ConfigError, ConfigProblem, Input, RouterConfig, VirtualRouter};

impl Node {
    /// Whether [`configure`](Self::configure) would take these.
    ///
    /// # Errors
    /// A configuration contradicts itself or another one.
    pub fn check(configs: &[RouterConfig]) -> Result<(), ConfigError> {
        check(configs).map(drop)
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
        let said_before = self.outputs.len();
        let mut old: BTreeMap<Arc<str>, RouterId> = self
            .routers()
            .map(|(id, router)| (Arc::clone(&router.config().name), id))
            .collect();
        let mut changes = Vec::new();
        let mut members: BTreeMap<Arc<str>, Vec<RouterId>> = BTreeMap::new();
        let mut added = BTreeMap::new();
        let mut changed = Vec::new();
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
                        changed.push((id, Input::Configure(Box::new(config))));
                        changes.push(Change::Changed(id));
                    }
                    id
                }
                _ => {
                    let id = RouterId::new(self.next_id);
                    self.next_id += 1;
                    added.insert(id, router);
                    changes.push(Change::Added(id));
                    id
                }
            };
            if let Some(group) = sync_group {
                members.entry(group).or_default().push(id);
            }
        }
        self.remove(old.values().copied().collect(), now);
        changes.extend(old.into_iter().map(|(name, id)| Change::Removed(id, name)));
        let starts: Vec<_> = added.keys().map(|id| (*id, Input::Start)).collect();
        self.add(added);
        self.regroup(members);
        self.work.extend(changed);
        self.run(now);
        self.tell_links();
        self.work.extend(starts);
        self.run(now);
        // What was given up early may be what another one holds in the end.
        let said: Vec<_> = self.outputs.drain(said_before..).collect();
        for output in said {
            match output {
                NodeOutput::Router { id, output } => self.push_output(id, output),
                NodeOutput::Group { .. } | NodeOutput::UnknownVrid { .. } => {
                    self.outputs.push_back(output);
                }
            }
        }
        Ok(changes)
    }

    fn add(&mut self, routers: BTreeMap<RouterId, VirtualRouter>) {
        for (id, router) in routers {
            let config = router.config();
            let wire = (Arc::clone(&config.interface), config.family(), config.vrid);
            self.id_by_wire.insert(wire, id);
            self.routers.insert(id, router);
            self.tell_states(id);
        }
    }

    fn remove(&mut self, ids: BTreeSet<RouterId>, now: Instant) {
        self.work.extend(ids.iter().map(|id| (*id, Input::Stop)));
        self.run(now);
        self.id_by_wire.retain(|_, known| !ids.contains(known));
        self.removed.clear();
        for id in ids {
            self.removed.extend(self.routers.remove_entry(&id));
            self.set_deadline(id, None);
        }
    }

    fn regroup(&mut self, members: BTreeMap<Arc<str>, Vec<RouterId>>) {
        self.groups.retain(|name, _| members.contains_key(name));
        for (name, ids) in members {
            let first = ids.first().copied();
            self.groups
                .entry(Arc::clone(&name))
                .or_default()
                .set_members(ids);
            if let Some(by) = first {
                self.drain_group(&name, by);
            }
        }
    }
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
