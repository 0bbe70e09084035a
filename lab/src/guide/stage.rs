//! The network of a chapter's table, and what is done at its machines.

use std::collections::BTreeMap;

use super::{
    PATIENCE,
    chapter::{self, Command, Scene},
    shell::{Printed, Shell},
};
use crate::{Cable, Lab, Lan, Node};

/// Machines, networks and shells of one scene.
#[derive(Debug)]
pub(super) struct Stage {
    // In this order they are dropped: the shells before their nodes, the laboratory last.
    shells: BTreeMap<String, Shell>,
    nodes: BTreeMap<String, Node>,
    _cables: Vec<Cable>,
    _networks: BTreeMap<String, Lan>,
    _lab: Lab,
}

impl Stage {
    /// Builds it.
    #[track_caller]
    pub(super) fn build(name: &str, scene: &Scene) -> Self {
        let lab = Lab::new(name);
        let mut nodes = BTreeMap::new();
        let mut networks = BTreeMap::new();
        let mut cables = Vec::new();
        for card in scene.cards() {
            let node = nodes
                .entry(card.machine.clone())
                .or_insert_with(|| lab.node(&card.machine));
            let network = networks
                .entry(card.network.clone())
                .or_insert_with(|| lab.lan(&format!("network-{}", card.network)));
            let addresses: Vec<_> = card.addresses.iter().map(String::as_str).collect();
            cables.push(network.connect(node, &card.name, &addresses));
            if let Some(gateway) = &card.gateway {
                let route = format!("route add default via {gateway} dev {}", card.name);
                node.namespace().ip(&route);
            }
        }
        Self {
            shells: BTreeMap::new(),
            nodes,
            _cables: cables,
            _networks: networks,
            _lab: lab,
        }
    }

    /// Writes a file onto its machines.
    pub(super) fn write(&mut self, file: &chapter::File) -> Result<(), String> {
        let path = &file.path;
        let end = "END-OF-THE-FILE";
        let command = format!(
            "mkdir -p \"$(dirname {path})\" && cat >{path} <<'{end}'\n{}\n{end}",
            file.content.join("\n")
        );
        for machine in &file.machines {
            let printed = self.shell(machine)?.run(&command, PATIENCE)?;
            if printed.status != 0 {
                return Err(format!("{machine}: {}", printed.text));
            }
        }
        Ok(())
    }

    /// Types a command.
    pub(super) fn run(&mut self, command: &Command) -> Result<Printed, String> {
        self.shell(&command.machine)?.run(&command.text, PATIENCE)
    }

    fn shell(&mut self, machine: &str) -> Result<&mut Shell, String> {
        if !self.shells.contains_key(machine) {
            let node = self.nodes.get(machine);
            let node = node.ok_or_else(|| format!("there is no machine {machine}"))?;
            let shell = Shell::start(node);
            let shell = shell.map_err(|error| format!("a shell on {machine}: {error}"))?;
            self.shells.insert(machine.to_owned(), shell);
        }
        self.shells
            .get_mut(machine)
            .ok_or_else(|| format!("there is no shell on {machine}"))
    }
}
