//! Where connections are kept: found by what they are and by a number.

#[expect(
    clippy::disallowed_types,
    reason = "looked up for each datagram and never walked through"
)]
use std::collections::HashMap;

use super::Entry;
use crate::plane::Flow;

/// The number of a connection that is remembered; of one that was forgotten it finds nothing, even
/// if another has its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FlowId {
    slot: u32,
    generation: u32,
}

#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "see there")]
pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_flow: HashMap<Flow, FlowId>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

impl Slots {
    pub(super) fn find(&self, flow: &Flow) -> Option<FlowId> {
        self.by_flow.get(flow).copied()
    }

    pub(super) fn get(&self, id: FlowId) -> Option<&Entry> {
        let slot = self.slots.get(index(id.slot))?;
        slot.entry
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(index(id.slot))?;
        slot.entry
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }

    /// Enters a connection whose flow is not known.
    pub(super) fn insert(&mut self, entry: Entry) -> FlowId {
        let flow = entry.flow;
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                entry: None,
            });
            u32::try_from(self.slots.len() - 1).expect("four billion connections fill any memory")
        });
        let mut id = FlowId {
            slot: place,
            generation: 0,
        };
        if let Some(slot) = self.slots.get_mut(index(place)) {
            id.generation = slot.generation;
            slot.entry = Some(entry);
        }
        self.by_flow.insert(flow, id);
        id
    }

    pub(super) fn remove(&mut self, id: FlowId) -> Option<Entry> {
        let slot = self.slots.get_mut(index(id.slot))?;
        let entry = slot.entry.take_if(|_| slot.generation == id.generation)?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.by_flow.remove(&entry.flow);
        Some(entry)
    }

    /// Those that are remembered, in no order to rely on.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter_map(|slot| slot.entry.as_ref())
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
