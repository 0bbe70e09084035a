//! The servers of a service, in the kernel's order.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::server::{Place, Server, ServerId, ServerSettings};

/// How long a removed server that nothing refers to can still be brought back: the kernel's
/// `IP_VS_DEST_TRASH_PERIOD`. The kernel looks once a minute and so may take a little longer.
const TRASH_PERIOD: Duration = Duration::from_secs(TRASH_PERIOD_SECS);
const TRASH_PERIOD_SECS: u64 = 120;

/// The servers of one service, newest first.
///
/// The order is the kernel's: a server is added at the front, an edit does not move it, and one
/// that is removed and added again comes to the front. Every scheduler walks the list from the
/// front, so a tie goes to the server added last. (keepalived adds in the order of its file: the
/// last `real_server` is the first here.)
///
/// A removed server is kept, off the list, while a connection, a persistence template or a
/// scheduler's memory refers to it, and for two minutes after. Adding the same address and port
/// in that time brings it back, with its handle, counters and overload mark.
///
/// Only a [`Service`](crate::Service) changes the list, because its scheduler has to be told.
#[derive(Debug, Clone, Default)]
pub struct Servers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Listed servers, the longest in the list first: a push at the end is the kernel's front.
    by_age: Vec<ServerId>,
    /// Listed and removed servers.
    by_address: BTreeMap<SocketAddr, ServerId>,
    idle: BTreeSet<(Instant, ServerId)>,
}

#[derive(Debug, Clone, Default)]
struct Slot {
    generation: u32,
    server: Option<Server>,
}

impl Servers {
    /// The listed servers, newest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Server> + Clone {
        self.by_age.iter().rev().filter_map(|id| self.get(*id))
    }

    /// How many servers are in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether no server is in the list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    /// The server of a handle, listed or removed; `None` once it is forgotten.
    #[must_use]
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        let slot = self.slots.get(index(id.slot))?;
        slot.server
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    /// The server of a handle if a scheduler may pick it, see [`Server::is_usable`].
    #[must_use]
    pub fn usable(&self, id: ServerId) -> Option<&Server> {
        self.get(id).filter(|server| server.is_usable())
    }

    /// The listed server with this address and port.
    #[must_use]
    pub fn find(&self, address: SocketAddr) -> Option<&Server> {
        self.known(address).filter(|server| server.is_listed())
    }

    /// The server before this one in the list, i.e. the one added next after it; `None` for the
    /// first, and for a server that is not in the list.
    #[must_use]
    pub fn previous(&self, id: ServerId) -> Option<ServerId> {
        self.by_age.get(self.age(id)? + 1).copied()
    }

    /// The place of a listed server counted from the back: 0 for the longest in the list.
    pub(crate) fn age(&self, id: ServerId) -> Option<usize> {
        match self.get(id)?.place {
            Place::Listed { age } => Some(age),
            Place::Removed | Place::Idle { .. } => None,
        }
    }

    /// The listed server of a place counted from the back.
    pub(crate) fn at_age(&self, age: usize) -> Option<&Server> {
        self.by_age.get(age).and_then(|id| self.get(*id))
    }

    /// The listed or removed server with this address and port; `None` once it is forgotten.
    #[must_use]
    pub fn known(&self, address: SocketAddr) -> Option<&Server> {
        self.by_address.get(&address).and_then(|id| self.get(*id))
    }

    pub(crate) fn get_mut(&mut self, id: ServerId) -> Option<&mut Server> {
        let slot = self.slots.get_mut(index(id.slot))?;
        slot.server
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// Puts a server at the front of the list: a removed one of the same address, which keeps
    /// its settings for the caller to replace, or a new one. The address must not be listed.
    pub(crate) fn add(&mut self, address: SocketAddr, settings: ServerSettings) -> ServerId {
        let id = match self.known(address).map(Server::id) {
            Some(id) => id,
            None => self.insert(address, settings),
        };
        let age = self.by_age.len();
        self.by_age.push(id);
        self.set_place(id, Place::Listed { age });
        id
    }

    fn insert(&mut self, address: SocketAddr, settings: ServerSettings) -> ServerId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer servers than addresses and ports")
        });
        let entry = self.slot_mut(slot);
        let id = ServerId {
            slot,
            generation: entry.generation,
        };
        entry.server = Some(Server::new(id, address, settings));
        self.by_address.insert(address, id);
        id
    }

    /// Takes a server off the list.
    pub(crate) fn remove(&mut self, id: ServerId, now: Instant) {
        let Some(age) = self.age(id) else { return };
        self.by_age.remove(age);
        for age in age..self.by_age.len() {
            if let Some(id) = self.by_age.get(age).copied() {
                self.set_place(id, Place::Listed { age });
            }
        }
        self.set_place(id, Place::Removed);
        self.released(id, now);
    }

    /// Starts the trash period of a removed server that nothing refers to any more.
    pub(crate) fn released(&mut self, id: ServerId, now: Instant) {
        let removed = self
            .get(id)
            .is_some_and(|server| server.place == Place::Removed && !server.is_referred_to());
        if removed {
            self.set_place(
                id,
                Place::Idle {
                    forget_at: now + TRASH_PERIOD,
                },
            );
        }
    }

    /// When the next removed server is due to be forgotten.
    pub(crate) fn next_forget_at(&self) -> Option<Instant> {
        self.idle.first().map(|(at, _)| *at)
    }

    /// Forgets the removed servers that are due, but for those that `remembered` holds on to,
    /// which get another trash period.
    pub(crate) fn forget(&mut self, now: Instant, remembered: impl Fn(ServerId) -> bool) {
        while let Some((at, id)) = self.idle.first().copied()
            && at <= now
        {
            if remembered(id) {
                // As many periods as a look at the end of each would have given it.
                let periods = (now - at).as_secs() / TRASH_PERIOD_SECS + 1;
                let forget_at = at + Duration::from_secs(periods * TRASH_PERIOD_SECS);
                self.set_place(id, Place::Idle { forget_at });
                continue;
            }
            self.idle.pop_first();
            let slot = self.slot_mut(id.slot);
            slot.generation = slot.generation.wrapping_add(1);
            if let Some(server) = slot.server.take() {
                self.by_address.remove(&server.address);
            }
            self.free.push(id.slot);
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "slot numbers are made by this list alone"
    )]
    fn slot_mut(&mut self, slot: u32) -> &mut Slot {
        &mut self.slots[index(slot)]
    }

    fn set_place(&mut self, id: ServerId, place: Place) {
        let Some(server) = self.get_mut(id) else {
            return;
        };
        let old = std::mem::replace(&mut server.place, place);
        if let Place::Idle { forget_at } = old {
            self.idle.remove(&(forget_at, id));
        }
        if let Place::Idle { forget_at } = place {
            self.idle.insert((forget_at, id));
        }
    }
}

/// A slot number as an index.
pub(crate) const fn index(slot: u32) -> usize {
    slot as usize
}
