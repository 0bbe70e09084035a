//! What the directors say of themselves: their roles, and the real servers that they leave out.

use std::collections::{BTreeMap, BTreeSet};

use vrrp::Role;

use super::scenario::{Node, Server};

/// Those that are or were running.
#[derive(Debug, Default)]
pub(super) struct Directors(BTreeMap<Node, Director>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Director {
    state: State,
    /// The real servers that its checks have found down. It starts with all of them up.
    down: BTreeSet<Server>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running(Role),
    Stopping(Role),
    Stopped,
}

impl Directors {
    pub(super) fn power_on(&mut self, node: Node) {
        let state = State::Running(Role::Init);
        let down = BTreeSet::new();
        self.0.insert(node, Director { state, down });
    }

    pub(super) fn power_off(&mut self, node: Node) {
        self.0.remove(&node);
    }

    pub(super) fn stop(&mut self, node: Node) {
        if let Some(director) = self.0.get_mut(&node)
            && let State::Running(role) = director.state
        {
            director.state = State::Stopping(role);
        }
    }

    /// A line of a director that was cut off may come after its end: it is not heard.
    pub(super) fn on_role(&mut self, node: Node, new: Role) {
        if let Some(Director {
            state: State::Running(role) | State::Stopping(role),
            ..
        }) = self.0.get_mut(&node)
        {
            *role = new;
        }
    }

    pub(super) fn on_check(&mut self, node: Node, server: Server, is_up: bool) {
        if let Some(director) = self.0.get_mut(&node) {
            if is_up {
                director.down.remove(&server);
            } else {
                director.down.insert(server);
            }
        }
    }

    /// Takes the end of a director: with success, or how.
    ///
    /// # Errors
    /// It should not have ended, or not like this.
    pub(super) fn on_exit(&mut self, node: Node, end: Result<(), String>) -> Result<(), String> {
        let Some(director) = self.0.get_mut(&node) else {
            return Ok(());
        };
        match (std::mem::replace(&mut director.state, State::Stopped), end) {
            (State::Stopped, _) | (State::Stopping(_), Ok(())) => Ok(()),
            (State::Stopping(_), Err(how)) => Err(format!(
                "{node}'s director should have stopped with success but {how}"
            )),
            (State::Running(_), Ok(())) => Err(format!("{node}'s director has ended by itself")),
            (State::Running(_), Err(how)) => Err(format!("{node}'s director {how}")),
        }
    }

    /// What one is doing, in a word.
    pub(super) fn state(&self, node: Node) -> String {
        match self.0.get(&node).map(|director| director.state) {
            None => String::from("off"),
            Some(State::Running(role)) => role.to_string(),
            Some(State::Stopping(_)) => String::from("stopping"),
            Some(State::Stopped) => String::from("stopped"),
        }
    }

    /// Whose role does not fit.
    pub(super) fn wrong_role(&self, master: Node) -> Option<String> {
        self.0.iter().find_map(|(&node, director)| {
            let wanted = match node == master {
                true => Role::Master,
                false => Role::Backup,
            };
            match director.state {
                State::Stopped => None,
                State::Running(role) if role == wanted => None,
                State::Running(role) => Some(format!("{node} is {role} and should be {wanted}")),
                State::Stopping(_) => Some(format!("{node}'s director has not stopped")),
            }
        })
    }

    /// Which real server is in the pool of a director and should not be, or the other way round.
    pub(super) fn wrong_pool(&self, pool: &[Server]) -> Option<String> {
        let running = self
            .0
            .iter()
            .filter(|(_, director)| matches!(director.state, State::Running(_)));
        for (node, director) in running {
            for server in Server::ALL {
                match (director.down.contains(&server), pool.contains(&server)) {
                    (true, true) => {
                        return Some(format!("{node} does not send requests to {server}"));
                    }
                    (false, false) => {
                        return Some(format!("{node} still sends requests to {server}"));
                    }
                    (true, false) | (false, true) => {}
                }
            }
        }
        None
    }
}
