//! At which candles something holds: a list of them where they are few, else a bit for each, 64 candles a word.
//!
//! A crossing holds seldom. Its list is a tenth of its bits, and what looks at it goes from candle to candle instead of
//! word to word. Knows nothing of rules or trades.

use super::cache::Weighed;
use std::sync::Arc;

/// Candles at which a test holds, shared.
#[derive(Clone, Debug)]
pub(super) enum Events {
    /// Ascending.
    Few(Arc<[u32]>),
    /// Bit k of word w is candle 64 w + k. Bits past the last candle mean nothing.
    Words(Arc<Vec<u64>>),
}

/// [`Events`], or what was made of them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Set<'a> {
    Few(&'a [u32]),
    Words(&'a [u64]),
}

impl Default for Events {
    fn default() -> Self {
        Self::Few(Arc::default())
    }
}

impl Weighed for Events {
    fn bytes(&self) -> usize {
        match self {
            Self::Few(few) => size_of_val::<[u32]>(few),
            Self::Words(words) => 8 * words.capacity(),
        }
    }
}

impl Events {
    pub(super) fn set(&self) -> Set<'_> {
        match self {
            Self::Few(few) => Set::Few(few),
            Self::Words(words) => Set::Words(words),
        }
    }
}

impl<'a> Set<'a> {
    /// No candle.
    pub(super) const NONE: Self = Self::Few(&[]);

    /// Whether `candle` is among them.
    pub(super) fn holds(self, candle: u32) -> bool {
        match self {
            Self::Few(few) => few.binary_search(&candle).is_ok(),
            Self::Words(words) => is_set(words, candle as usize),
        }
    }

    /// Leaves those of `few` that are in this set, too.
    pub(super) fn retain(self, few: &mut Vec<u32>) {
        let mut kept = 0;
        // Each is written, and the next one over it where it does not count: no branch to be guessed.
        let mut keep = |few: &mut [u32], k: usize, holds: bool| {
            few[kept] = few[k];
            kept += usize::from(holds);
        };
        match self {
            Self::Words(words) => {
                for k in 0..few.len() {
                    let candle = few[k] as usize;
                    keep(few, k, is_set(words, candle));
                }
            }
            Self::Few(others) => {
                let mut at = 0;
                for k in 0..few.len() {
                    while others.get(at).is_some_and(|other| *other < few[k]) {
                        at += 1;
                    }
                    let holds = others.get(at) == Some(&few[k]);
                    keep(few, k, holds);
                }
            }
        }
        few.truncate(kept);
    }

    /// Clears the bits of `out` that are not in this set.
    pub(super) fn and(self, out: &mut [u64]) {
        match self {
            Self::Words(words) => out.iter_mut().zip(words).for_each(|(out, word)| *out &= word),
            Self::Few(few) => {
                let mut rest = few;
                for (w, out) in (0_u32..).zip(out) {
                    let mut mask = 0;
                    while let Some((&candle, after)) = rest.split_first()
                        && candle / 64 == w
                    {
                        mask |= 1_u64 << (candle % 64);
                        rest = after;
                    }
                    *out &= mask;
                }
            }
        }
    }

    /// Sets the bits of `out` that are in this set.
    pub(super) fn or(self, out: &mut [u64]) {
        match self {
            Self::Words(words) => out.iter_mut().zip(words).for_each(|(out, word)| *out |= word),
            Self::Few(few) => few.iter().for_each(|&candle| out[candle as usize / 64] |= 1 << (candle % 64)),
        }
    }

    /// The set as bits.
    pub(super) fn write(self, words: usize, out: &mut Vec<u64>) {
        out.clear();
        match self {
            Self::Words(own) => out.extend_from_slice(own),
            Self::Few(_) => {
                out.resize(words, 0);
                self.or(out);
            }
        }
    }

    /// Calls `see` with the first `most` candles from `from` on.
    pub(super) fn first(self, from: usize, most: usize, mut see: impl FnMut(usize)) {
        let mut cursor = Cursor::new(self);
        let mut from = from;
        for _ in 0..most {
            let Some(candle) = cursor.next(from) else { return };
            see(candle);
            from = candle + 1;
        }
    }
}

fn is_set(words: &[u64], candle: usize) -> bool {
    words.get(candle / 64).is_some_and(|word| word >> (candle % 64) & 1 != 0)
}

/// Reads a set in order: what is asked for never goes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    set: Set<'a>,
    /// Number of the first listed candle that was not passed.
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(set: Set<'a>) -> Self {
        Self { set, at: 0 }
    }

    /// The first candle of the set at or after `from`.
    #[inline(always)]
    pub(super) fn next(&mut self, from: usize) -> Option<usize> {
        match self.set {
            Set::Few(few) => loop {
                let candle = *few.get(self.at)? as usize;
                if candle >= from {
                    return Some(candle);
                }
                self.at += 1;
            },
            Set::Words(words) => {
                let mut w = from / 64;
                let mut word = words.get(w)? & (u64::MAX << (from % 64));
                while word == 0 {
                    w += 1;
                    word = *words.get(w)?;
                }
                Some(64 * w + word.trailing_zeros() as usize)
            }
        }
    }

    /// Whether `candle` is in the set.
    #[inline(always)]
    pub(super) fn holds(&mut self, candle: usize) -> bool {
        match self.set {
            Set::Few(_) => self.next(candle) == Some(candle),
            Set::Words(words) => is_set(words, candle),
        }
    }
}

/// Gathers the words of a test, tile after tile, as a list for as long as that is smaller.
#[derive(Debug)]
pub(super) struct Collector {
    /// Words of a whole column, and those that were added.
    total: usize,
    seen: usize,
    /// Candles listed, and room for more: what is past the count means nothing.
    few: Vec<u32>,
    listed: usize,
    /// Once it is not a list: those of the whole column.
    words: Option<Vec<u64>>,
}

impl Collector {
    /// For a column of `total` words; `seldom` tells that a list is worth trying.
    pub(super) fn new(total: usize, seldom: bool) -> Self {
        let (few, words) = if seldom { (vec![0; total / 2 + 64], None) } else { (Vec::new(), Some(vec![0; total])) };
        Self { total, seen: 0, few, listed: 0, words }
    }

    /// Adds the next words, in which no bit is set past the last candle.
    #[inline(always)]
    pub(super) fn add(&mut self, words: &[u64]) {
        let seen = self.seen;
        self.seen += words.len();
        if let Some(bits) = &mut self.words {
            bits[seen..seen + words.len()].copy_from_slice(words);
            return;
        }
        self.list(seen, words);
        // Two listed candles take as much as one word.
        if self.listed > self.total {
            self.list_no_more();
        }
    }

    #[cold]
    fn list_no_more(&mut self) {
        let mut bits = Vec::new();
        Set::Few(&self.few[..self.listed]).write(self.total, &mut bits);
        self.words = Some(bits);
    }

    #[inline(always)]
    fn list(&mut self, seen: usize, words: &[u64]) {
        /// Written without a branch, whether they are there or not; more in a word are rare.
        const AT_ONCE: usize = 2;
        let mut listed = self.listed;
        for (w, &word) in words.iter().enumerate() {
            let base = (64 * (seen + w)) as u32;
            if self.few.len() < listed + 64 {
                self.few.resize(listed + 128, 0);
            }
            let places = &mut self.few[listed..listed + 64];
            let mut rest = word;
            for place in &mut places[..AT_ONCE] {
                *place = base + (rest.trailing_zeros() & 63);
                rest &= rest.wrapping_sub(1);
            }
            let mut more = AT_ONCE;
            while rest != 0 {
                places[more] = base + rest.trailing_zeros();
                rest &= rest - 1;
                more += 1;
            }
            listed += word.count_ones() as usize;
        }
        self.listed = listed;
    }

    pub(super) fn finish(self) -> Events {
        match self.words {
            Some(words) => Events::Words(words.into()),
            None => Events::Few(self.few[..self.listed].into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(words: &[u64], tile: usize) -> Events {
        let mut collector = Collector::new(words.len(), true);
        for tile in words.chunks(tile) {
            collector.add(tile);
        }
        collector.finish()
    }

    fn candles(set: Set<'_>) -> Vec<usize> {
        let mut found = Vec::new();
        set.first(0, usize::MAX, |candle| found.push(candle));
        found
    }

    #[test]
    fn lists_and_bits_say_the_same() {
        let seldom = [1 << 5 | 1 << 63, 0, 0, 1, 1 << 40, 0, 0, 0];
        let often = [u64::MAX, 0, 3, 0, 1 << 9, 0, 0, 1];
        for words in [seldom, often] {
            let events = collected(&words, 3);
            let list: Vec<usize> = (0..512).filter(|c| words[c / 64] >> (c % 64) & 1 != 0).collect();
            assert_eq!(matches!(events, Events::Few(_)), words == seldom);
            assert_eq!(candles(events.set()), list);
            let short: Vec<u32> = list.iter().map(|&c| c as u32).collect();
            for set in [events.set(), Set::Few(&short), Set::Words(&words)] {
                assert_eq!(candles(set), list);
                let mut bits = Vec::new();
                set.write(8, &mut bits);
                assert_eq!(bits, words);
                assert!((0..512).all(|c| set.holds(c) == list.contains(&(c as usize))));
                let mut bits = vec![0xFF00_0000_0000_00FF; 8];
                set.and(&mut bits);
                assert!(bits.iter().zip(&words).all(|(a, b)| *a == b & 0xFF00_0000_0000_00FF));
                let mut some: Vec<u32> = (0..512).step_by(5).collect();
                set.retain(&mut some);
                assert_eq!(some, short.iter().copied().filter(|c| c % 5 == 0).collect::<Vec<_>>());
                let mut cursor = Cursor::new(set);
                for from in (0..600).step_by(7) {
                    assert_eq!(cursor.next(from), list.iter().copied().find(|c| *c >= from));
                    assert_eq!(cursor.holds(from + 2), list.contains(&(from + 2)));
                }
            }
        }
    }
}
