//! The cache of `lblc` and `lblcr`: what belongs to a virtual address.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::hash::{fold, hash_32};

const BITS: u32 = 10;
/// How often the cache is looked through.
const CHECK_INTERVAL: Duration = Duration::from_secs(CHECK_INTERVAL_SECS);
const CHECK_INTERVAL_SECS: u64 = 60;
/// Every how many checks all entries unused for the expiration time are dropped.
const FULL_CHECK_EVERY: u64 = 30;
/// Above this many entries, those unused for `CROWDED_EXPIRATION` are dropped at each check.
const MAX_ENTRIES: usize = 16_384;
const CROWDED_EXPIRATION: Duration = Duration::from_secs(6 * 60);
/// At this many entries no new one is made. Kernels before 2026 had no such limit, and could be
/// made to use any amount of memory.
const HARD_LIMIT: usize = 24_576;

/// A cache by virtual address, with the kernel's buckets, because what a check of a crowded
/// cache drops depends on their order.
#[derive(Debug)]
pub(super) struct Cache<T> {
    buckets: Vec<Vec<Entry<T>>>,
    len: usize,
    /// The bucket at which the last partial check ended.
    rover: usize,
    /// Checks since the last full one, that among them.
    checks: u64,
    check_at: Option<Instant>,
    expiration: Duration,
}

#[derive(Debug)]
struct Entry<T> {
    vip: IpAddr,
    used_at: Instant,
    value: T,
}

impl<T> Cache<T> {
    pub(super) fn new(expiration: Duration) -> Self {
        let buckets = std::iter::repeat_with(Vec::new).take(1 << BITS).collect();
        Self {
            buckets,
            len: 0,
            rover: 0,
            checks: 1,
            check_at: None,
            expiration,
        }
    }

    /// Starts the clock of the checks.
    pub(super) fn start(&mut self, now: Instant) {
        *self = Self::new(self.expiration);
        self.check_at = Some(now + CHECK_INTERVAL);
    }

    /// What is cached for `vip`, which is thereby used.
    pub(super) fn get_mut(&mut self, vip: IpAddr, now: Instant) -> Option<&mut T> {
        let bucket = self.buckets.get_mut(bucket(vip))?;
        let entry = bucket.iter_mut().find(|entry| entry.vip == vip)?;
        entry.used_at = now;
        Some(&mut entry.value)
    }

    /// Caches `value` for `vip`, which must not be in the cache; nothing if the cache is full.
    pub(super) fn insert(&mut self, vip: IpAddr, value: T, now: Instant) {
        if self.len < HARD_LIMIT
            && let Some(bucket) = self.buckets.get_mut(bucket(vip))
        {
            bucket.push(Entry {
                vip,
                used_at: now,
                value,
            });
            self.len += 1;
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flatten().map(|entry| &entry.value)
    }

    /// When the next check is due; an empty cache needs none.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.check_at.filter(|_| self.len > 0)
    }

    /// Does the checks that are due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(at) = self.check_at.filter(|at| *at <= now) {
            if self.len > 0 {
                self.check(at);
                self.check_at = Some(at + CHECK_INTERVAL);
            } else {
                // Of an empty cache a check only counts itself: any number are done at once.
                let more = (now - at).as_secs() / CHECK_INTERVAL_SECS;
                self.checks = (self.checks + more) % FULL_CHECK_EVERY + 1;
                self.check_at = Some(at + Duration::from_secs(CHECK_INTERVAL_SECS * (more + 1)));
            }
        }
    }

    fn check(&mut self, now: Instant) {
        if self.checks.is_multiple_of(FULL_CHECK_EVERY) {
            self.drop_unused(now, self.expiration, usize::MAX);
            self.checks = 1;
        } else if self.len <= MAX_ENTRIES {
            self.checks += 1;
        } else {
            let goal = ((self.len - MAX_ENTRIES) * 4 / 3).min(MAX_ENTRIES / 2);
            self.drop_unused(now, CROWDED_EXPIRATION, goal);
        }
    }

    /// Drops entries unused for `expiration`, bucket by bucket until `goal` are gone.
    fn drop_unused(&mut self, now: Instant, expiration: Duration, goal: usize) {
        let before = self.len;
        for _ in 0..self.buckets.len() {
            self.rover = (self.rover + 1) % self.buckets.len();
            let Some(bucket) = self.buckets.get_mut(self.rover) else {
                return;
            };
            let held = bucket.len();
            bucket.retain(|entry| now.saturating_duration_since(entry.used_at) < expiration);
            self.len -= held - bucket.len();
            if before - self.len >= goal {
                return;
            }
        }
    }
}

fn bucket(vip: IpAddr) -> usize {
    hash_32(fold(vip), BITS) as usize
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn entries_unused_for_the_expiration_time_are_dropped_by_the_thirtieth_check() {
        let (start, mut cache) = cache(Duration::from_secs(600));
        cache.insert(vip(1), (), start);
        cache.insert(vip(2), (), start);
        cache.handle_timeout(start + minutes(29));
        assert_eq!(
            cache.len, 2,
            "unused for long, but only every thirtieth check looks"
        );
        assert!(cache.get_mut(vip(2), start + minutes(29)).is_some());
        cache.handle_timeout(start + minutes(30));
        assert_eq!(cache.len, 1);
        assert!(cache.get_mut(vip(1), start + minutes(30)).is_none());
        cache.handle_timeout(start + minutes(59));
        assert_eq!(cache.len, 1);
        cache.handle_timeout(start + minutes(60));
        assert_eq!(cache.len, 0);
        assert_eq!(cache.poll_timeout(), None, "an empty cache wakes nobody");
    }

    #[test]
    fn a_crowded_cache_drops_what_was_unused_for_six_minutes_up_to_its_goal() {
        let (start, mut cache) = cache(minutes(24 * 60));
        let surplus = 3_000;
        for number in 0..MAX_ENTRIES + surplus {
            cache.insert(vip(number), (), start);
        }
        cache.handle_timeout(start + minutes(5));
        assert_eq!(cache.len, MAX_ENTRIES + surplus);
        cache.handle_timeout(start + minutes(6));
        let dropped = MAX_ENTRIES + surplus - cache.len;
        let bucket = dropped - surplus * 4 / 3;
        assert!(
            bucket < 40,
            "stops after the bucket in which the goal is reached: {bucket}"
        );
        cache.handle_timeout(start + minutes(7));
        assert_eq!(
            MAX_ENTRIES + surplus - cache.len,
            dropped,
            "no longer crowded"
        );
    }

    #[test]
    fn no_entry_is_made_at_the_hard_limit() {
        let (start, mut cache) = cache(minutes(24 * 60));
        for number in 0..HARD_LIMIT + 10 {
            cache.insert(vip(number), (), start);
        }
        assert_eq!(cache.len, HARD_LIMIT);
        assert!(cache.get_mut(vip(HARD_LIMIT), start).is_none());
    }

    #[test]
    fn checks_missed_by_an_empty_cache_count_as_if_they_had_been_made() {
        for idle in [0, 1, 28, 29, 30, 31, 1_000] {
            let (start, mut cache) = cache(Duration::ZERO);
            let filled_at = start + minutes(idle) + Duration::from_secs(30);
            cache.handle_timeout(filled_at);
            cache.insert(vip(1), (), filled_at);
            let full_check_at = start + minutes((idle / 30 + 1) * 30);
            cache.handle_timeout(full_check_at - Duration::from_secs(1));
            assert_eq!(cache.len, 1, "idle for {idle} minutes");
            cache.handle_timeout(full_check_at);
            assert_eq!(cache.len, 0, "idle for {idle} minutes");
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "an arbitrary origin of virtual time"
    )]
    fn cache(expiration: Duration) -> (Instant, Cache<()>) {
        let start = Instant::now();
        let mut cache = Cache::new(expiration);
        cache.start(start);
        (start, cache)
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn vip(number: usize) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()).into()
    }
}
