//! Numbers that a stranger cannot guess.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number that says nothing about those before and after it, for answers to be known by.
///
/// SipHash of a counter, under a key that the system chose for this process.
pub(crate) fn unpredictable() -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static NEXT: AtomicU64 = AtomicU64::new(0);

    KEY.hash_one(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The same in 16 bits, as protocols have room for.
pub(crate) fn unpredictable_u16() -> u16 {
    let [first, second, ..] = unpredictable().to_ne_bytes();
    u16::from_ne_bytes([first, second])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_differ() {
        let numbers: BTreeSet<u64> = (0..1000).map(|_| unpredictable()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
