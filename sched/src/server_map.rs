//! What a scheduler remembers about each server.

use crate::{server::ServerId, servers::index};

/// A table from servers to values, in constant time and without hashing.
///
/// For the memory of a [`Scheduler`](crate::Scheduler) of your own. A handle of a server that
/// was forgotten finds nothing, even if its place in the table was given to another.
#[derive(Debug, Clone)]
pub struct ServerMap<T> {
    entries: Vec<Option<(u32, T)>>,
}

impl<T> Default for ServerMap<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
        }
    }
}

impl<T> ServerMap<T> {
    /// The value of `server`.
    #[must_use]
    pub fn get(&self, server: ServerId) -> Option<&T> {
        match self.entries.get(index(server.slot)) {
            Some(Some((generation, value))) if *generation == server.generation => Some(value),
            _ => None,
        }
    }

    /// The value of `server`, to change it.
    pub fn get_mut(&mut self, server: ServerId) -> Option<&mut T> {
        match self.entries.get_mut(index(server.slot)) {
            Some(Some((generation, value))) if *generation == server.generation => Some(value),
            _ => None,
        }
    }

    /// Sets the value of `server` and returns the one it had.
    pub fn insert(&mut self, server: ServerId, value: T) -> Option<T> {
        let place = index(server.slot);
        if place >= self.entries.len() {
            self.entries.resize_with(place + 1, || None);
        }
        let entry = self.entries.get_mut(place)?;
        same(entry.replace((server.generation, value)), server)
    }

    /// Forgets the value of `server` and returns it.
    pub fn remove(&mut self, server: ServerId) -> Option<T> {
        let entry = self.entries.get_mut(index(server.slot))?;
        entry
            .take_if(|(generation, _)| *generation == server.generation)
            .map(|(_, value)| value)
    }
}

fn same<T>(entry: Option<(u32, T)>, server: ServerId) -> Option<T> {
    entry
        .filter(|(generation, _)| *generation == server.generation)
        .map(|(_, value)| value)
}
