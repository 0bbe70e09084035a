//! Randomness that is the same for the same seed.

use std::time::Duration;

use super::Probability;

/// SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom Number Generators*, 2014).
///
/// Written out because a seed that once found a bug has to find it again in years: a library's
/// sequence may change with its version.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit`, both included.
    const fn up_to(&mut self, limit: u64) -> u64 {
        ((self.next() as u128 * (limit as u128 + 1)) >> 64) as u64
    }

    /// Whether something happens that does with this probability.
    pub(super) const fn happens(&mut self, probability: Probability) -> bool {
        self.up_to(Probability::MILLION as u64 - 1) < probability.as_per_million() as u64
    }

    /// A span from zero to `longest` (at most 584 years), both included, in nanoseconds.
    pub(super) fn span(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.up_to(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        assert_eq!(
            [random.next(), random.next(), random.next()],
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
            ],
        );
    }

    #[test]
    fn never_never_happens_and_always_always_does() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| !random.happens(Probability::NEVER)));
        assert!((0..1000).all(|_| random.happens(Probability::ALWAYS)));
    }

    #[test]
    fn one_in_five_happens_about_that_often() {
        let mut random = Random::new(7);
        let often = (0..10_000)
            .filter(|_| random.happens(Probability::percent(20)))
            .count();
        assert!((1_850..2_150).contains(&often), "{often} of 10000");
    }

    #[test]
    fn spans_reach_both_ends_and_pass_neither() {
        let mut random = Random::new(3);
        let longest = Duration::from_nanos(3);
        let spans: Vec<_> = (0..100).map(|_| random.span(longest)).collect();
        assert_eq!(spans.iter().min(), Some(&Duration::ZERO));
        assert_eq!(spans.iter().max(), Some(&longest));
        assert_eq!(random.span(Duration::ZERO), Duration::ZERO);
        assert!(random.span(Duration::MAX) <= Duration::from_nanos(u64::MAX));
    }
}
