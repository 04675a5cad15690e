//! What was computed over candles and may be asked for again, within a limit of bytes.
//!
//! Never changes a result: what is not here is computed anew. Locked only while a population is planned, not while
//! it is evaluated.

use foldhash::fast::FixedState;
use genome::Timeframe;
use std::{collections::HashMap, hash::Hash};

/// Something that knows how much memory it holds.
pub(super) trait Weighed {
    /// Bytes of heap memory.
    fn bytes(&self) -> usize;
}

/// Where something was computed: the identity of a symbol's candles, and the base timeframe.
pub(super) type Place = (u128, Timeframe);

/// Values by key and place; when they outgrow the limit, those that were not used for longest leave.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    limit_bytes: usize,
    bytes: usize,
    round: u64,
    hits: u64,
    misses: u64,
    /// A key is looked up once for all symbols of a window.
    entries: HashMap<K, Vec<Slot<V>>, FixedState>,
}

#[derive(Debug)]
struct Slot<V> {
    place: Place,
    used: u64,
    value: V,
}

impl<K: Hash + Eq, V: Weighed + Clone> Cache<K, V> {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, bytes: 0, round: 0, hits: 0, misses: 0, entries: HashMap::default() }
    }

    /// Counts look-ups from these numbers on.
    pub(super) fn count_from(&mut self, hits: u64, misses: u64) {
        (self.hits, self.misses) = (hits, misses);
    }

    /// Begins a round of use: what is looked up from now on is newer than what was before.
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    pub(super) fn get(&mut self, key: &K, place: Place) -> Option<V> {
        let mut found = None;
        self.get_all(key, &[place], |_, value| found = Some(value));
        found
    }

    /// Hands out what there is of a key, with the number of its place among `places`.
    pub(super) fn get_all(&mut self, key: &K, places: &[Place], mut found: impl FnMut(usize, V)) {
        let mut hits = 0;
        for slot in self.entries.get_mut(key).into_iter().flatten() {
            if let Some(number) = places.iter().position(|place| *place == slot.place) {
                slot.used = self.round;
                hits += 1;
                found(number, slot.value.clone());
            }
        }
        self.hits += hits;
        self.misses += (places.len() as u64).saturating_sub(hits);
    }

    /// Keeps a value, if it fits at all.
    pub(super) fn insert(&mut self, key: K, place: Place, value: V) {
        self.insert_all(key, std::iter::once((place, value)));
    }

    /// Keeps the values of a key, those that fit at all.
    pub(super) fn insert_all(&mut self, key: K, values: impl ExactSizeIterator<Item = (Place, V)>) {
        let slots = self.entries.entry(key).or_insert_with(|| Vec::with_capacity(values.len()));
        for (place, value) in values {
            let bytes = value.bytes();
            if bytes > self.limit_bytes {
                continue;
            }
            self.bytes += bytes;
            let slot = Slot { place, used: self.round, value };
            match slots.iter_mut().find(|other| other.place == place) {
                Some(old) => self.bytes -= std::mem::replace(old, slot).value.bytes(),
                None => slots.push(slot),
            }
        }
        if self.bytes > self.limit_bytes {
            self.evict();
        }
    }

    /// Drops the least recently used until a quarter of the limit is free, so that eviction is rare.
    fn evict(&mut self) {
        let slots = self.entries.values().flatten();
        let mut by_age: Vec<(u64, usize)> = slots.map(|slot| (slot.used, slot.value.bytes())).collect();
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
        self.entries.retain(|_, slots| {
            slots.retain(|slot| slot.used >= oldest_kept);
            !slots.is_empty()
        });
        self.bytes = self.entries.values().flatten().map(|slot| slot.value.bytes()).sum();
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
        let at = (7, Timeframe::M15);
        for key in 0..4 {
            cache.begin_round();
            cache.insert(key, at, 25);
        }
        cache.begin_round();
        assert_eq!(cache.get(&0, at), Some(25));
        cache.insert(4, at, 25);
        assert!(cache.bytes() <= 100);
        assert_eq!((cache.get(&0, at), cache.get(&1, at), cache.get(&4, at)), (Some(25), None, Some(25)));
        cache.insert(5, at, 101);
        assert_eq!(cache.get(&5, at), None, "larger than the whole limit");
        cache.insert(4, at, 10);
        let held = [0, 2, 3, 4].iter().filter_map(|k| cache.get(k, at)).sum::<u32>();
        assert_eq!(cache.bytes(), held as usize);
        let (hits, misses) = cache.lookups();
        assert!(hits >= 3 && misses >= 2 && hits + misses == 9, "{hits} {misses}");
    }

    #[test]
    fn places_are_kept_apart() {
        let mut cache = Cache::new(100);
        let places = [(7, Timeframe::M15), (7, Timeframe::H1), (8, Timeframe::M15)];
        cache.insert("a", places[0], 1);
        cache.insert("a", places[2], 3);
        let mut found = [None; 3];
        cache.get_all(&"a", &places, |number, value| found[number] = Some(value));
        assert_eq!(found, [Some(1), None, Some(3)]);
        cache.get_all(&"b", &places, |_, _| panic!("there is none"));
    }
}
