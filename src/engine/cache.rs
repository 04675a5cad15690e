//! What was computed over candles and may be asked for again, within a limit of bytes.
//!
//! Never changes a result: what is not here is computed anew. Locked only while a population is planned, not while
//! it is evaluated.

use foldhash::fast::FixedState;
use std::{collections::HashMap, hash::Hash};

/// Something that knows how much memory it holds.
pub(super) trait Weighed {
    /// Bytes of heap memory.
    fn bytes(&self) -> usize;
}

/// Values by key; when they outgrow the limit, those that were not used for longest leave.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    limit_bytes: usize,
    bytes: usize,
    round: u64,
    hits: u64,
    misses: u64,
    entries: HashMap<K, (u64, V), FixedState>,
}

impl<K: Hash + Eq, V: Weighed + Clone> Cache<K, V> {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, round: 0, hits: 0, misses: 0, entries: HashMap::default() }
    }

    /// Begins a round of use: what is looked up from now on is newer than what was before.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        let Some((used, value)) = self.entries.get_mut(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        *used = self.round;
        Some(value.clone())
    }

    /// Keeps a value, if it fits at all.
    pub(super) fn insert(&mut self, key: K, value: V) {
        let bytes = value.bytes();
        if bytes > self.limit_bytes {
            return;
        }
        self.bytes += bytes;
        if let Some((_, old)) = self.entries.insert(key, (self.round, value)) {
            self.bytes -= old.bytes();
        }
        if self.bytes > self.limit_bytes {
            self.evict();
        }
    }

    /// Drops the least recently used until a quarter of the limit is free, so that eviction is rare.
    fn evict(&mut self) {
        let mut by_age: Vec<(u64, usize)> = self.entries.values().map(|(used, v)| (*used, v.bytes())).collect();
        by_age.sort_unstable();
        let (mut left, mut oldest_kept) = (self.bytes, 0);
        for (used, bytes) in by_age {
            if left <= self.limit_bytes / 4 * 3 {
                break;
            }
            left -= bytes;
            oldest_kept = used + 1;
        }
        // A round leaves whole: its values are of one age.
        self.entries.retain(|_, (used, _)| *used >= oldest_kept);
        self.bytes = self.entries.values().map(|(_, v)| v.bytes()).sum();
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Look-ups that found something, and those that did not.
    pub(super) fn lookups(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for u32 {
        fn bytes(&self) -> usize {
            *self as usize
        }
    }

    #[test]
    fn the_limit_holds_and_the_least_recently_used_leave_first() {
        let mut cache = Cache::new(100);
        for key in 0..4 {
            cache.begin_round();
            cache.insert(key, 25);
        }
        cache.begin_round();
        assert_eq!(cache.get(&0), Some(25));
        cache.insert(4, 25);
        assert!(cache.bytes() <= 100);
        assert_eq!((cache.get(&0), cache.get(&1), cache.get(&4)), (Some(25), None, Some(25)));
        cache.insert(5, 101);
        assert_eq!(cache.get(&5), None, "larger than the whole limit");
        cache.insert(4, 10);
        let held = [0, 2, 3, 4].iter().filter_map(|k| cache.get(k)).sum::<u32>();
        assert_eq!(cache.bytes(), held as usize);
        let (hits, misses) = cache.lookups();
        assert!(hits >= 3 && misses >= 2 && hits + misses == 9, "{hits} {misses}");
    }
}
