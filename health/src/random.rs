//! Numbers that look random and are the same for the same seed.

use std::time::Duration;

/// The `index`-th number of the SplitMix64 sequence that starts at `seed` (Steele, Lea, Flood:
/// *Fast Splittable Pseudorandom Number Generators*, 2014).
///
/// Indexed, so that nobody has to keep a state.
pub(crate) const fn number(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The part of `whole` (at most 584 years) that `fraction` is of 2^64.
pub(crate) fn part(whole: Duration, fraction: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let nanos = ((u128::from(nanos) * u128::from(fraction)) >> 64) as u64;
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        assert_eq!(
            [0, 1, 2].map(|index| number(1_234_567, index)),
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
            ],
        );
    }

    #[test]
    fn a_part_is_less_than_the_whole() {
        let whole = Duration::from_secs(10);
        assert_eq!(part(whole, 0), Duration::ZERO);
        assert_eq!(part(whole, 1 << 63), Duration::from_secs(5));
        assert!(part(whole, u64::MAX) < whole);
    }
}
