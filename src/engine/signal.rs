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
    pub enter_long: Vec<u64>,
    pub enter_short: Vec<u64>,
    /// Either of them.
    pub enter: Vec<u64>,
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

impl Signals {
    /// Computes the signals of a plan over `n` candles, entries from candle `first` on, from its vocabulary's bits.
    /// Reuses the memory of the signals before.
    pub(super) fn compute(&mut self, plan: &Plan, bits: &[Bits], first: usize, n: usize) {
        let words = n.div_ceil(64);
        enter(&mut self.enter_long, plan.long.as_ref(), bits, words);
        enter(&mut self.enter_short, plan.short.as_ref(), bits, words);
        leave(&mut self.exit_long, plan.long.as_ref(), bits, words);
        leave(&mut self.exit_short, plan.short.as_ref(), bits, words);
        for &guard in &plan.guards {
            and(&mut self.enter_long, &bits[guard as usize]);
            and(&mut self.enter_short, &bits[guard as usize]);
        }
        self.enter.clear();
        for (w, (long, short)) in self.enter_long.iter_mut().zip(&mut self.enter_short).enumerate() {
            let in_window = match first.saturating_sub(64 * w) {
                0 => u64::MAX,
                before @ 1..64 => u64::MAX << before,
                _ => 0,
            };
            // When both sides signal, neither enters.
            // A rule without conditions holds everywhere, but not past the last candle.
            let candles = (n - 64 * w).min(64);
            let one = (*long ^ *short) & in_window & (u64::MAX >> (64 - candles));
            *long &= one;
            *short &= one;
            self.enter.push(one);
        }
    }
}

fn enter(out: &mut Vec<u64>, side: Option<&SidePlan>, bits: &[Bits], words: usize) {
    out.clear();
    out.resize(words, 0);
    let Some(side) = side else { return };
    evaluate(&side.entry, bits, out);
    if let Some((tests, needed)) = &side.confidence {
        for (w, out) in out.iter_mut().enumerate() {
            *out &= at_least(tests.iter().map(|&test| bits[test as usize][w]), *needed);
        }
    }
}

fn leave(out: &mut Vec<u64>, side: Option<&SidePlan>, bits: &[Bits], words: usize) {
    out.clear();
    if let Some(exit) = side.and_then(|side| side.exit.as_ref()) {
        out.resize(words, 0);
        evaluate(exit, bits, out);
    }
}

fn and(out: &mut [u64], bits: &[u64]) {
    for (out, bits) in out.iter_mut().zip(bits) {
        *out &= bits;
    }
}

/// Writes where `node` holds.
fn evaluate(node: &Node, bits: &[Bits], out: &mut [u64]) {
    match node {
        Node::Test(test) => out.copy_from_slice(&bits[*test as usize]),
        Node::All(nodes) => {
            out.fill(u64::MAX);
            combine(nodes, bits, out, |out, word| *out &= word);
        }
        Node::Any(nodes) => {
            out.fill(0);
            combine(nodes, bits, out, |out, word| *out |= word);
        }
    }
}

fn combine(nodes: &[Node], bits: &[Bits], out: &mut [u64], join: impl Fn(&mut u64, u64)) {
    let mut inner = Vec::new();
    for node in nodes {
        let words = if let Node::Test(test) = node {
            &bits[*test as usize][..]
        } else {
            inner.resize(out.len(), 0);
            evaluate(node, bits, &mut inner);
            &inner
        };
        for (out, &word) in out.iter_mut().zip(words) {
            join(out, word);
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
