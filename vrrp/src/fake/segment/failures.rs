//! What goes wrong on a segment.

use std::{collections::VecDeque, time::Instant};

use super::{Conditions, LossCause, Port, Segment, State};

impl Segment {
    /// Sets how well all links carry that have no conditions of their own.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Sets how well one direction of one link carries; `None`: as the segment does.
    pub fn set_link(&mut self, from: Port, to: Port, conditions: Option<Conditions>) {
        match conditions {
            Some(conditions) => self.links.insert((from, to), conditions),
            None => self.links.remove(&(from, to)),
        };
    }

    /// Sets how many frames a port queues while it is frozen: [`Segment::RECEIVE_QUEUE`] unless set.
    pub fn set_receive_queue(&mut self, frames: usize) {
        self.receive_queue = frames;
    }

    /// How many frames a port queues while it is frozen.
    #[must_use]
    pub const fn receive_queue(&self) -> usize {
        self.receive_queue
    }

    /// Cuts the segment into parts that do not hear one another. Ports that are in none of them are
    /// a part together. What is under way still arrives.
    pub fn partition(&mut self, parts: &[&[Port]]) {
        self.heal();
        for (side, part) in (1..).zip(parts) {
            for port in *part {
                self.node(*port).side = side;
            }
        }
    }

    /// Ends [`Segment::partition`].
    pub fn heal(&mut self) {
        for node in &mut self.nodes {
            node.side = 0;
        }
    }

    /// Stops the node behind the port reading: what arrives waits in its receive queue, and what
    /// does not fit is lost. Nothing happens if it is unplugged.
    pub fn freeze(&mut self, port: Port) {
        let node = self.node(port);
        if matches!(node.state, State::Reading) {
            node.state = State::Frozen {
                queue: VecDeque::new(),
            };
        }
    }

    /// Lets the node read again: what waits in its receive queue is delivered at once, in order.
    /// Nothing happens if it is not frozen.
    pub fn thaw(&mut self, port: Port, now: Instant) {
        if !matches!(self.node(port).state, State::Frozen { .. }) {
            return;
        }
        let due: Vec<_> = self
            .under_way
            .range(..=(now, u64::MAX))
            .filter(|(_, arrival)| arrival.to == port)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            if let Some(arrival) = self.under_way.remove(&key) {
                // It is frozen still, so this only fills the queue.
                self.arrive(key.0, arrival);
            }
        }
        if let State::Frozen { queue } = std::mem::take(&mut self.node(port).state) {
            for (_, arrival) in queue {
                self.put_under_way(now, arrival);
            }
        }
    }

    /// Pulls the cable: nothing goes in or out, and what is under way to the node or in its receive
    /// queue is lost. It keeps its groups and addresses. Idempotent.
    pub fn unplug(&mut self, port: Port) {
        let node = self.node(port);
        node.cable += 1;
        if let State::Frozen { queue } = std::mem::replace(&mut node.state, State::Unplugged) {
            for (at, arrival) in queue {
                self.lose(at, arrival, LossCause::Unplugged);
            }
        }
    }

    /// Plugs the cable in again. Idempotent.
    pub fn plug(&mut self, port: Port) {
        let node = self.node(port);
        if matches!(node.state, State::Unplugged) {
            node.cable += 1;
            node.state = State::Reading;
        }
    }

    /// The node dies: unplugged, its groups and addresses gone. [`Segment::plug`] brings it back,
    /// as new.
    pub fn crash(&mut self, port: Port) {
        self.unplug(port);
        let node = self.node(port);
        node.groups.clear();
        node.addresses.clear();
    }
}
