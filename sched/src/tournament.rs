//! The best of many servers without looking at each: a tournament tree.
//!
//! Each leaf is a server's rank, each inner node the better of its two children, so the root is
//! the choice and a change of one rank replays only the matches on its way up. A tie goes to the
//! server added later, which is the one the kernel meets first when it walks its list.

use std::cmp::Ordering;

/// How good a server is: the smaller `load` / `weight`, the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rank {
    pub(crate) load: u64,
    pub(crate) weight: u32,
}

impl Rank {
    /// Worse than any usable server.
    pub(crate) const UNUSABLE: Self = Self { load: 1, weight: 0 };

    /// Whether this is strictly better, compared as the kernel does: by cross multiplication.
    pub(crate) fn is_better_than(self, other: Self) -> bool {
        self.compare(other) == Ordering::Less
    }

    fn compare(self, other: Self) -> Ordering {
        let mine = u128::from(self.load) * u128::from(other.weight);
        mine.cmp(&(u128::from(other.load) * u128::from(self.weight)))
    }
}

/// A tournament among the servers of a list, by their age: 0 for the longest in the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tournament {
    /// The root is node 1, the children of node *n* are 2*n* and 2*n* + 1, and the second half
    /// are the leaves. Node 0 is unused.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Node {
    rank: Rank,
    age: u32,
}

impl Node {
    const EMPTY: Self = Self {
        rank: Rank::UNUSABLE,
        age: 0,
    };

    fn winner(older: Self, newer: Self) -> Self {
        if older.rank.is_better_than(newer.rank) {
            older
        } else {
            newer
        }
    }
}

impl Tournament {
    /// A tournament of these ranks, the oldest server's first.
    pub(crate) fn rebuild(&mut self, ranks: impl ExactSizeIterator<Item = Rank>) {
        let leaves = ranks.len().next_power_of_two();
        self.nodes.clear();
        self.nodes.resize(2 * leaves, Node::EMPTY);
        for ((leaf, age), rank) in self.nodes.iter_mut().skip(leaves).zip(0..).zip(ranks) {
            *leaf = Node { rank, age };
        }
        for node in (1..leaves).rev() {
            self.replay(node);
        }
    }

    /// Sets the rank of the server of this age, which may be one more than there are.
    pub(crate) fn set(&mut self, age: usize, rank: Rank) {
        if age >= self.leaves() {
            let leaves = self.nodes.iter().skip(self.leaves());
            let mut ranks: Vec<_> = leaves.map(|leaf| leaf.rank).collect();
            ranks.resize(age + 1, Rank::UNUSABLE);
            self.rebuild(ranks.into_iter());
        }
        let mut node = self.leaves() + age;
        let age = u32::try_from(age).expect("fewer servers than addresses and ports");
        if let Some(leaf) = self.nodes.get_mut(node) {
            *leaf = Node { rank, age };
        }
        while node > 1 {
            node /= 2;
            if !self.replay(node) {
                break;
            }
        }
    }

    /// The best server's age and rank; `None` if no server is usable.
    pub(crate) fn best(&self) -> Option<(usize, Rank)> {
        let root = self.node(1);
        (root.rank.weight > 0).then_some((root.age as usize, root.rank))
    }

    /// The first server after `from` in the kernel's order (so with a lower age; `None` for
    /// the front of the list) whose rank is at least as good as `wanted`.
    pub(crate) fn next(&self, from: Option<usize>, wanted: Rank) -> Option<usize> {
        let good = |node: usize| !wanted.is_better_than(self.node(node).rank);
        let leaves = self.leaves();
        let mut node = match from {
            // Up, until there is a good subtree of older servers beside the way.
            Some(age) => {
                let mut node = leaves + age;
                while node > 1 && !(node % 2 == 1 && good(node - 1)) {
                    node /= 2;
                }
                if node <= 1 {
                    return None;
                }
                node - 1
            }
            None => 1,
        };
        if !good(node) {
            return None;
        }
        // Down, to its newest good server.
        while node < leaves {
            node = if good(2 * node + 1) {
                2 * node + 1
            } else {
                2 * node
            };
        }
        Some(node - leaves)
    }

    /// Decides one match again; whether its winner changed.
    fn replay(&mut self, node: usize) -> bool {
        let winner = Node::winner(self.node(2 * node), self.node(2 * node + 1));
        match self.nodes.get_mut(node) {
            Some(place) => std::mem::replace(place, winner) != winner,
            None => false,
        }
    }

    fn node(&self, node: usize) -> Node {
        self.nodes.get(node).copied().unwrap_or(Node::EMPTY)
    }

    const fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_root_is_what_a_walk_from_the_newest_finds(
            ranks in proptest::collection::vec((0_u64..8, 0_u32..4), 1..40),
            changes in proptest::collection::vec((0_usize..40, 0_u64..8, 0_u32..4), 0..40),
            wanted in 1_u32..4,
        ) {
            let mut ranks: Vec<_> =
                ranks.into_iter().map(|(load, weight)| rank(load, weight)).collect();
            let mut tournament = Tournament::default();
            for (age, rank) in ranks.iter().enumerate() {
                tournament.set(age, *rank);
            }
            for (age, load, weight) in changes {
                let age = age % ranks.len();
                ranks[age] = rank(load, weight);
                tournament.set(age, ranks[age]);
            }
            let mut rebuilt = Tournament::default();
            rebuilt.rebuild(ranks.iter().copied());

            let mut best: Option<(usize, Rank)> = None;
            for (age, rank) in ranks.iter().enumerate().rev().filter(|(_, rank)| rank.weight > 0) {
                if best.is_none_or(|(_, best)| rank.is_better_than(best)) {
                    best = Some((age, *rank));
                }
            }
            prop_assert_eq!(tournament.best(), best);
            prop_assert_eq!(rebuilt.best(), best);

            let wanted = Rank { load: 1, weight: wanted };
            for from in [None].into_iter().chain((0..ranks.len()).map(Some)) {
                let walked = (0..from.unwrap_or(ranks.len()))
                    .rev()
                    .find(|age| !wanted.is_better_than(ranks[*age]));
                prop_assert_eq!(tournament.next(from, wanted), walked);
            }
        }
    }

    fn rank(load: u64, weight: u32) -> Rank {
        if weight == 0 {
            Rank::UNUSABLE
        } else {
            Rank { load, weight }
        }
    }
}
