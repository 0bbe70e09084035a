//! What makes one table of nftables of another.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    found::Found,
    ruleset::{MAPS, REFUSED, Ruleset, base},
};

/// The commands, which `nft` carries out all or none of; empty if there is nothing to do. What is as
/// it has to be is not touched.
///
/// `before` is what the kernel holds of what is `found`.
pub(super) fn commands(table: &str, found: &Found, before: &Ruleset, after: &Ruleset) -> String {
    let mut out = Lines {
        table,
        text: String::new(),
    };
    let anew = Found::default();
    let none = Ruleset::default();
    if after.ways.is_empty() {
        // Nothing of ours stays behind.
        if *found != anew {
            out.no_table();
        }
        return out.text;
    }
    let (found, before) = if found.has_base() {
        (found, before)
    } else {
        out.base();
        (&anew, &none)
    };
    out.change(found, before, after);
    out.text
}

struct Lines<'a> {
    table: &'a str,
    text: String,
}

impl Lines<'_> {
    fn line(&mut self, command: &str, of: &str, rest: &str) {
        let table = self.table;
        let written = writeln!(self.text, "{command} inet {table} {of} {rest}");
        written.expect("a string takes whatever is written to it");
    }

    /// `nft` removes only what is there, so it is added first.
    fn no_table(&mut self) {
        let table = self.table;
        let none = format!("add table inet {table}\ndelete table inet {table}\n");
        self.text.push_str(&none);
    }

    /// The table without services.
    fn base(&mut self) {
        self.no_table();
        let table = self.table;
        let empty = format!("add table inet {table}\n");
        self.text.push_str(&empty);
        for (map, kind, _) in MAPS {
            self.line("add map", map, &format!("{{ type {kind} : verdict; }}"));
            let known = format!("{map}{REFUSED}");
            self.line("add set", &known, &format!("{{ type {kind}; }}"));
        }
        for (chain, hook, _) in base() {
            self.line("add chain", chain, &format!("{{ {hook} }}"));
        }
        for (chain, _, rules) in base() {
            for rule in rules {
                self.line("add rule", chain, &rule);
            }
        }
    }

    fn change(&mut self, found: &Found, before: &Ruleset, after: &Ruleset) {
        let fixed: BTreeSet<_> = base().into_iter().map(|(name, ..)| name).collect();
        let there = found.chains.iter().map(String::as_str);
        let there: Vec<_> = there.filter(|it| !fixed.contains(it)).collect();
        let misplaced = misplaced(&there, after);
        let kept = |name: &str| {
            after.chains.contains_key(name) && !misplaced.contains(name) && there.contains(&name)
        };
        let same = |name: &str| kept(name) && before.chains.get(name) == after.chains.get(name);

        // Nothing may lead to what is removed.
        for ((set, key), chain) in &found.elements {
            let map = set.strip_suffix(REFUSED).unwrap_or(set);
            let way = after
                .ways
                .iter()
                .find(|((it, of), _)| *it == map && of == key);
            let right = way.is_some_and(|(_, to)| set != map || (to == chain && kept(chain)));
            if !right {
                self.line("delete element", set, &format!("{{ {key} }}"));
            }
        }
        for name in there.iter().filter(|it| !same(it)) {
            self.line("flush chain", name, "");
        }
        for name in there.iter().filter(|it| !kept(it)) {
            self.line("delete chain", name, "");
        }
        for set in &found.sets {
            let of_services = set.strip_suffix(REFUSED).unwrap_or(set);
            let is_fixed = MAPS.iter().any(|(map, ..)| *map == of_services);
            if !is_fixed && !after.clients.contains_key(set) {
                self.line("delete set", set, "");
            }
        }

        for (set, kind) in &after.clients {
            if !found.sets.contains(set) {
                self.line("add set", set, &format!("{{ {kind} }}"));
            }
        }
        let destinations = after.order.iter();
        let services = after.ways.values();
        let in_order: Vec<_> = destinations.chain(services).collect();
        for name in in_order.iter().filter(|it| !kept(it)) {
            self.line("add chain", name, "");
        }
        for name in in_order.iter().filter(|it| !same(it)) {
            for rule in after.chains.get(*name).into_iter().flatten() {
                self.line("add rule", name, rule);
            }
        }
        for ((map, key), chain) in &after.ways {
            let there = |set: &str| found.elements.get(&(set.to_owned(), key.clone()));
            if !(there(map) == Some(chain) && kept(chain)) {
                self.line("add element", map, &format!("{{ {key} : goto {chain} }}"));
            }
            let known = format!("{map}{REFUSED}");
            if there(&known).is_none() {
                self.line("add element", &known, &format!("{{ {key} }}"));
            }
        }
    }
}

/// The chains of destinations that have to be made anew, so that their order tells the age of the
/// destinations: a new chain is the last.
fn misplaced<'a>(there: &[&str], after: &'a Ruleset) -> BTreeSet<&'a str> {
    let place = |name: &str| there.iter().position(|it| *it == name);
    let mut misplaced = BTreeSet::new();
    for service in after.ways.values() {
        let prefix = format!("{service}-to-");
        let of_service = after.order.iter().filter(|it| it.starts_with(&prefix));
        let mut last = Some(0);
        for name in of_service {
            let at = place(name);
            last = match (last, at) {
                (Some(last), Some(at)) if at >= last => Some(at),
                _ => None,
            };
            if last.is_none() && at.is_some() {
                misplaced.insert(name.as_str());
            }
        }
    }
    misplaced
}
