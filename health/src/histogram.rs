//! How long probes took.

use std::time::Duration;

const BUCKETS: usize = 32;

/// Counts spans by their size: each bucket reaches twice as far as the one before, from 1 µs to
/// more than half an hour. Longer ones are in the last. Counts stop at [`u32::MAX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
}

impl Histogram {
    /// Counts one.
    pub(crate) fn count(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let bits = usize::try_from(u64::BITS - micros.leading_zeros()).unwrap_or(BUCKETS);
        if let Some(count) = self.counts.get_mut(bits.min(BUCKETS - 1)) {
            *count = count.saturating_add(1);
        }
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().copied().map(u64::from).sum()
    }

    /// Each bucket's upper end, which is not in it, and its count; the last has no upper end.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u32)> {
        (0_u32..).zip(self.counts).map(|(index, count)| {
            let last = index as usize == BUCKETS - 1;
            let end = (!last).then(|| Duration::from_micros(1 << index));
            (end, count)
        })
    }

    /// A span that at least `per_mille` of 1000 of those counted are shorter than: at most twice
    /// too long. `None` if nothing was counted, or if it is in the bucket without an upper end.
    #[must_use]
    pub fn quantile(&self, per_mille: u16) -> Option<Duration> {
        let wanted = (self.total() * u64::from(per_mille.min(1000))).div_ceil(1000);
        let mut counted = 0;
        self.buckets()
            .find(|(_, count)| {
                counted += u64::from(*count);
                counted >= wanted.max(1)
            })
            .and_then(|(end, _)| end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_twice_too_long() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), None);
        for millis in 1..=100 {
            histogram.count(Duration::from_millis(millis));
        }
        assert_eq!(histogram.total(), 100);
        for (per_mille, exact) in [(500, 50), (990, 99)] {
            let exact = Duration::from_millis(exact);
            let bound = histogram.quantile(per_mille).unwrap();
            assert!(bound > exact && bound <= 2 * exact, "{bound:?}");
        }
    }

    #[test]
    fn the_ends_are_counted_too() {
        let mut histogram = Histogram::default();
        histogram.count(Duration::ZERO);
        assert_eq!(histogram.quantile(1000), Some(Duration::from_micros(1)));
        histogram.count(Duration::MAX);
        assert_eq!(histogram.quantile(1000), None);
        assert_eq!(histogram.total(), 2);
    }
}
