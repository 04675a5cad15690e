//! Rules to signals: word operations on the bit sets of tests, 64 candles at a time.
//!
//! A signal at candle i is what was known at i's close; it can fill at the open of i + 1 at the earliest. Knows
//! nothing of positions, prices of fills or costs.

use super::{
    conditions::Bits,
    plan::{Node, Plan, SidePlan},
};

/// Entry and exit signals, a bit for every candle.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Empty where there is no such side.
    pub enter_long: Vec<u64>,
    /// Empty where there is no such side.
    pub enter_short: Vec<u64>,
    /// Either of them, where there are both.
    either: Vec<u64>,
    /// Empty where there is no exit rule.
    pub exit_long: Vec<u64>,
    /// Empty where there is no exit rule.
    pub exit_short: Vec<u64>,
}

/// Whether the bit of candle `i` is set.
pub(super) fn is_set(words: &[u64], i: usize) -> bool {
    words.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 != 0)
}

/// First set bit at or after `from`.
pub(super) fn next_set(words: &[u64], from: usize) -> Option<usize> {
    let mut w = from / 64;
    let mut word = words.get(w)? & (u64::MAX << (from % 64));
    while word == 0 {
        w += 1;
        word = *words.get(w)?;
    }
    Some(64 * w + word.trailing_zeros() as usize)
}

/// Set bits in order.
pub(super) fn set_bits(words: &[u64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(w, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| 64 * w + rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(bit)
        })
    })
}

impl Signals {
    /// Computes the signals of a plan over `n` candles, entries from candle `first` on, from its vocabulary's bits.
    /// Reuses the memory of the signals before.
    pub(super) fn compute(&mut self, plan: &Plan, bits: &[Bits], first: usize, n: usize) {
        let words = n.div_ceil(64);
        let entries = [(&mut self.enter_long, &plan.long), (&mut self.enter_short, &plan.short)];
        for (out, side) in entries {
            enter(out, side.as_ref(), bits, words);
            for &guard in &plan.guards {
                and(out, &bits[guard as usize]);
            }
            clip(out, first, n);
        }
        leave(&mut self.exit_long, plan.long.as_ref(), bits, words);
        leave(&mut self.exit_short, plan.short.as_ref(), bits, words);
        self.either.clear();
        if plan.long.is_some() && plan.short.is_some() {
            // When both sides signal, neither enters.
            self.either.extend(self.enter_long.iter_mut().zip(&mut self.enter_short).map(|(long, short)| {
                let one = *long ^ *short;
                *long &= one;
                *short &= one;
                one
            }));
        }
    }

    /// Entries of either side.
    pub(super) fn enter(&self) -> &[u64] {
        match (self.enter_long.is_empty(), self.enter_short.is_empty()) {
            (_, true) => &self.enter_long,
            (true, _) => &self.enter_short,
            _ => &self.either,
        }
    }
}

/// Leaves the bits of candles from `first` on and before `n`: a rule without conditions holds everywhere, but not
/// past the last candle.
fn clip(words: &mut [u64], first: usize, n: usize) {
    let before = (first / 64).min(words.len());
    words[..before].fill(0);
    if let Some(word) = words.get_mut(before) {
        *word &= u64::MAX << (first % 64);
    }
    if !n.is_multiple_of(64)
        && let Some(word) = words.last_mut()
    {
        *word &= (1 << (n % 64)) - 1;
    }
}

fn enter(out: &mut Vec<u64>, side: Option<&SidePlan>, bits: &[Bits], words: usize) {
    out.clear();
    let Some(side) = side else { return };
    evaluate(&side.entry, bits, words, out);
    if let Some((tests, needed)) = &side.confidence {
        for (w, out) in out.iter_mut().enumerate() {
            *out &= at_least(tests.iter().map(|&test| bits[test as usize][w]), *needed);
        }
    }
}

fn leave(out: &mut Vec<u64>, side: Option<&SidePlan>, bits: &[Bits], words: usize) {
    out.clear();
    if let Some(exit) = side.and_then(|side| side.exit.as_ref()) {
        evaluate(exit, bits, words, out);
    }
}

fn and(out: &mut [u64], bits: &[u64]) {
    for (out, bits) in out.iter_mut().zip(bits) {
        *out &= bits;
    }
}

fn or(out: &mut [u64], bits: &[u64]) {
    for (out, bits) in out.iter_mut().zip(bits) {
        *out |= bits;
    }
}

/// Writes where `node` holds to `out`, which is empty.
fn evaluate(node: &Node, bits: &[Bits], words: usize, out: &mut Vec<u64>) {
    let (nodes, all) = match node {
        Node::Test(test) => return out.extend_from_slice(&bits[*test as usize]),
        Node::All(nodes) => (nodes, true),
        Node::Any(nodes) => (nodes, false),
    };
    let join: fn(&mut [u64], &[u64]) = if all { and } else { or };
    let Some((first, rest)) = nodes.split_first() else {
        return out.resize(words, if all { u64::MAX } else { 0 });
    };
    evaluate(first, bits, words, out);
    let mut inner = Vec::new();
    for node in rest {
        if let Node::Test(test) = node {
            join(out, &bits[*test as usize]);
        } else {
            inner.clear();
            evaluate(node, bits, words, &mut inner);
            join(out, &inner);
        }
    }
}

/// Bits at which at least `needed` of at most 31 words are set: a counter of five bits beside each candle.
fn at_least(words: impl Iterator<Item = u64>, needed: usize) -> u64 {
    let mut count = [0_u64; 5];
    for word in words {
        let mut carry = word;
        for bit in &mut count {
            (*bit, carry) = (*bit ^ carry, *bit & carry);
        }
    }
    // Compared from the highest bit down: above as soon as a bit is set that `needed` lacks.
    let (mut above, mut equal) = (0, u64::MAX);
    for (k, &bit) in count.iter().enumerate().rev() {
        if needed >> k & 1 == 0 {
            above |= equal & bit;
            equal &= !bit;
        } else {
            equal &= bit;
        }
    }
    if needed >> count.len() == 0 { above | equal } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_set_bit_is_found_across_words() {
        let words = [1 << 5, 0, 1 << 63];
        assert_eq!((next_set(&words, 0), next_set(&words, 5), next_set(&words, 6)), (Some(5), Some(5), Some(191)));
        assert_eq!((next_set(&words, 192), next_set(&[], 0)), (None, None));
        assert!(is_set(&words, 191) && !is_set(&words, 190) && !is_set(&words, 1000));
    }

    #[test]
    fn counters_count() {
        let words: Vec<u64> = (0..16_u64).map(|k| u64::MAX << (4 * k)).collect();
        for needed in 0..=17 {
            let bits = at_least(words.iter().copied(), needed);
            for candle in 0..64 {
                let held = words.iter().filter(|w| **w >> candle & 1 != 0).count();
                assert_eq!(bits >> candle & 1 != 0, held >= needed, "{needed} at {candle}");
            }
        }
        assert_eq!(at_least(words.into_iter(), 33), 0);
    }
}
