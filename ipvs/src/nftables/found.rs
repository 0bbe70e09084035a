//! What the table of nftables is, as `nft -j list table` tells it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Instant,
};

use serde_json::Value;

use super::ruleset::{MAPS, REFUSED, Ruleset, base};
use crate::{
    Change, Counts, DestinationState, ServiceState, Snapshot, Statistics, Traffic,
    text::parse_words,
};

/// A chain's rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rule {
    comment: Option<String>,
    packets: u64,
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// In the order in which they were made.
    pub(super) chains: Vec<String>,
    /// Sets and maps.
    pub(super) sets: BTreeSet<String>,
    /// The set or map, the key, and the chain that it leads to.
    pub(super) elements: BTreeMap<(String, String), String>,
    rules: BTreeMap<String, Vec<Rule>>,
}

impl Found {
    /// `None`: that is not what `nft` writes.
    pub(super) fn read(json: &str) -> Option<Self> {
        let listed: Value = serde_json::from_str(json).ok()?;
        let mut found = Self::default();
        for object in listed.get("nftables")?.as_array()? {
            found.add(object)?;
        }
        Some(found)
    }

    fn add(&mut self, object: &Value) -> Option<()> {
        let text = |of: &Value, key: &str| of.get(key)?.as_str().map(str::to_owned);
        if let Some(chain) = object.get("chain") {
            self.chains.push(text(chain, "name")?);
        } else if let Some(set) = object.get("map").or_else(|| object.get("set")) {
            let name = text(set, "name")?;
            let is_of_services = MAPS
                .iter()
                .any(|(map, ..)| name.strip_suffix(REFUSED).unwrap_or(&name) == *map);
            if is_of_services {
                let elements = set.get("elem").and_then(Value::as_array);
                for element in elements.into_iter().flatten() {
                    let (key, target) = element_of(element);
                    self.elements.insert((name.clone(), key), target);
                }
            }
            self.sets.insert(name);
        } else if let Some(rule) = object.get("rule") {
            let counter = rule.get("expr").and_then(Value::as_array);
            let mut counter = counter.into_iter().flatten();
            let counter = counter.find_map(|it| it.get("counter")?.get("packets")?.as_u64());
            let rules = self.rules.entry(text(rule, "chain")?).or_default();
            rules.push(Rule {
                comment: text(rule, "comment"),
                packets: counter.unwrap_or_default(),
            });
        }
        Some(())
    }

    /// Whether a table of others has this name.
    pub(super) fn is_foreign(&self) -> bool {
        let is_empty = self.chains.is_empty() && self.sets.is_empty();
        !is_empty && !self.chains.iter().any(|it| it == "dispatch")
    }

    /// Whether what does not depend on services is there as it has to be.
    pub(super) fn has_base(&self) -> bool {
        let count = |name: &str| self.rules.get(name).map_or(0, Vec::len);
        let mut chains = base().into_iter();
        let mut maps = MAPS.iter();
        chains.all(|(name, _, rules)| {
            self.chains.iter().any(|it| it == name) && count(name) == rules.len()
        }) && maps.all(|(map, ..)| {
            self.sets.contains(*map) && self.sets.contains(&format!("{map}{REFUSED}"))
        })
    }

    /// The services that are there as they have to be. The others are not told of: who wants them
    /// adds them, which makes them anew.
    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = Snapshot::default();
        if !self.has_base() {
            return snapshot;
        }
        for (chain, rule) in self.saved() {
            let Some(Change::AddService { service, settings }) = change(rule) else {
                continue;
            };
            let mut state = ServiceState::new(service, settings);
            state.statistics = counted(rule.packets);
            let prefix = format!("{chain}-to-");
            for (_, rule) in self.saved().filter(|(it, _)| it.starts_with(&prefix)) {
                let of_destination = change(rule);
                if let Some(Change::AddDestination {
                    service: owner,
                    destination,
                    settings,
                }) = of_destination
                    && owner == service
                {
                    let mut it = DestinationState::new(destination, settings);
                    (it.statistics, it.counts) = (counted(rule.packets), Counts::ZERO);
                    state.destinations.insert(0, it);
                }
            }
            let alone = Snapshot {
                services: vec![state],
                ..Snapshot::default()
            };
            if self.is_as(&Ruleset::of(&alone, now)) {
                snapshot.services.extend(alone.services);
            }
        }
        snapshot
    }

    /// Every chain with the rule of it that tells what it is.
    fn saved(&self) -> impl Iterator<Item = (&String, &Rule)> {
        self.chains.iter().filter_map(|chain| {
            let rules = self.rules.get(chain)?;
            let rule = rules.iter().find(|it| it.comment.is_some())?;
            Some((chain, rule))
        })
    }

    /// Whether all of it is here. What rules do is not looked at, but how many there are.
    fn is_as(&self, ruleset: &Ruleset) -> bool {
        let mut chains = ruleset.chains.iter();
        let mut ways = ruleset.ways.iter();
        chains.all(|(name, rules)| {
            self.rules
                .get(name)
                .is_some_and(|it| it.len() == rules.len())
        }) && ruleset.clients.keys().all(|it| self.sets.contains(it))
            && ways.all(|((map, key), chain)| {
                let element = |set: String| self.elements.get(&(set, key.clone()));
                element((*map).to_owned()) == Some(chain)
                    && element(format!("{map}{REFUSED}")).is_some()
            })
    }
}

fn change(rule: &Rule) -> Option<Change> {
    let words: Vec<_> = rule.comment.as_deref()?.split_whitespace().collect();
    parse_words(&words).ok()
}

fn counted(connections: u64) -> Statistics {
    Statistics {
        total: Traffic {
            connections,
            ..Traffic::ZERO
        },
        rate: Traffic::ZERO,
    }
}

/// The key of an element in our words, and the chain that it leads to.
fn element_of(element: &Value) -> (String, String) {
    let (key, verdict) = match element.as_array().map(Vec::as_slice) {
        Some([key, verdict]) => (key, Some(verdict)),
        _ => (element, None),
    };
    let parts = match key.get("concat").and_then(Value::as_array) {
        Some(parts) => parts.iter().map(word).collect::<Vec<_>>(),
        None => vec![word(key)],
    };
    let target = verdict.and_then(|it| it.get("goto")?.get("target")?.as_str());
    (parts.join(" . "), target.unwrap_or_default().to_owned())
}

/// An address can be written in several ways.
fn word(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match text.parse::<IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => text,
    }
}
