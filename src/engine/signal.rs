//! Rules to signals: lists of candles filtered and joined, or word operations on bits, 64 candles at a time.
//!
//! A signal at candle i is what was known at i's close; it can fill at the open of i + 1 at the earliest. Knows
//! nothing of positions, prices of fills or costs.

use super::{
    events::{Events, Set},
    plan::{Node, Plan, SidePlan},
};

/// Entry and exit signals of a strategy on one symbol.
///
/// Candles past the last one mean nothing. Where both sides signal an entry, neither enters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals<'a> {
    /// Empty where there is no such side.
    pub enter_long: Set<'a>,
    /// Empty where there is no such side.
    pub enter_short: Set<'a>,
    /// Empty where there is no exit rule.
    pub exit_long: Set<'a>,
    /// Empty where there is no exit rule.
    pub exit_short: Set<'a>,
}

/// Memory for what rules are made into, used for one strategy after another.
#[derive(Debug, Default)]
pub(super) struct SignalBuffers {
    sides: [[SetBuffer; 2]; 2],
}

/// Memory for one set.
#[derive(Debug, Default)]
struct SetBuffer {
    few: Vec<u32>,
    words: Vec<u64>,
}

impl SignalBuffers {
    /// The signals of a plan over `n` candles, from the outcomes of its vocabulary's tests.
    pub(super) fn signals<'a>(&'a mut self, plan: &Plan, tests: &'a [Events], n: usize) -> Signals<'a> {
        let words = n.div_ceil(64);
        let [[enter_long, exit_long], [enter_short, exit_short]] = &mut self.sides;
        let (long, short) = (plan.long.as_ref(), plan.short.as_ref());
        Signals {
            enter_long: enter(enter_long, long, &plan.guards, tests, words),
            enter_short: enter(enter_short, short, &plan.guards, tests, words),
            exit_long: leave(exit_long, long, tests, words),
            exit_short: leave(exit_short, short, tests, words),
        }
    }
}

/// How a buffer holds a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Few,
    Words,
}

impl SetBuffer {
    fn set(&self, form: Form) -> Set<'_> {
        match form {
            Form::Few => Set::Few(&self.few),
            Form::Words => Set::Words(&self.words),
        }
    }

    fn copy(&mut self, set: Set<'_>) -> Form {
        match set {
            Set::Few(few) => {
                self.few.clear();
                self.few.extend_from_slice(few);
                Form::Few
            }
            Set::Words(words) => {
                self.words.clear();
                self.words.extend_from_slice(words);
                Form::Words
            }
        }
    }

    /// Leaves what is in `set`, too.
    fn keep(&mut self, form: Form, set: Set<'_>) {
        match form {
            Form::Few => set.retain(&mut self.few),
            Form::Words => set.and(&mut self.words),
        }
    }

    /// Leaves the candles at which at least `needed` of `among` hold.
    fn keep_at_least(&mut self, form: Form, among: &[Set<'_>], needed: usize) {
        match form {
            Form::Few => self.few.retain(|&candle| among.iter().filter(|set| set.holds(candle)).count() >= needed),
            Form::Words => {
                let bits = |set: &Set<'_>| {
                    let mut bits = Vec::new();
                    set.write(self.words.len(), &mut bits);
                    bits
                };
                let bits: Vec<Vec<u64>> = among.iter().map(bits).collect();
                for (w, out) in self.words.iter_mut().enumerate() {
                    *out &= at_least(bits.iter().map(|bits| bits[w]), needed);
                }
            }
        }
    }
}

fn enter<'a>(
    buffer: &'a mut SetBuffer,
    side: Option<&SidePlan>,
    guards: &[u32],
    tests: &'a [Events],
    words: usize,
) -> Set<'a> {
    let Some(side) = side else { return Set::NONE };
    if guards.is_empty() && side.confidence.is_none() {
        return evaluate(&side.entry, tests, words, buffer);
    }
    let form = write(&side.entry, tests, words, buffer);
    if let Some((among, needed)) = &side.confidence {
        let among: Vec<Set<'_>> = among.iter().map(|&test| tests[test as usize].set()).collect();
        buffer.keep_at_least(form, &among, *needed);
    }
    for &guard in guards {
        buffer.keep(form, tests[guard as usize].set());
    }
    buffer.set(form)
}

fn leave<'a>(buffer: &'a mut SetBuffer, side: Option<&SidePlan>, tests: &'a [Events], words: usize) -> Set<'a> {
    side.and_then(|side| side.exit.as_ref()).map_or(Set::NONE, |exit| evaluate(exit, tests, words, buffer))
}

/// Where `node` holds: a test's own outcome, or what is made of several in `buffer`.
fn evaluate<'a>(node: &Node, tests: &'a [Events], words: usize, buffer: &'a mut SetBuffer) -> Set<'a> {
    if let Node::Test(test) = node {
        return tests[*test as usize].set();
    }
    let form = write(node, tests, words, buffer);
    buffer.set(form)
}

/// Writes where `node` holds to `buffer`.
fn write(node: &Node, tests: &[Events], words: usize, buffer: &mut SetBuffer) -> Form {
    match node {
        Node::Test(test) => buffer.copy(tests[*test as usize].set()),
        Node::All(nodes) => all(nodes, tests, words, buffer),
        Node::Any(nodes) => any(nodes, tests, words, buffer),
    }
}

/// Candles of a test that has a list of them.
fn listed<'a>(node: &Node, tests: &'a [Events]) -> Option<&'a [u32]> {
    match node {
        Node::Test(test) => match tests[*test as usize].set() {
            Set::Few(few) => Some(few),
            Set::Words(_) => None,
        },
        _ => None,
    }
}

fn all(nodes: &[Node], tests: &[Events], words: usize, buffer: &mut SetBuffer) -> Form {
    // From the shortest list on nothing but its candles is looked at.
    let lists = nodes.iter().enumerate().filter_map(|(k, node)| Some((listed(node, tests)?.len(), k)));
    let first = lists.min().map_or(0, |(_, k)| k);
    let Some(node) = nodes.get(first) else {
        buffer.words.clear();
        buffer.words.resize(words, u64::MAX);
        return Form::Words;
    };
    let form = write(node, tests, words, buffer);
    let mut inner = SetBuffer::default();
    for (_, node) in nodes.iter().enumerate().filter(|(k, _)| *k != first) {
        buffer.keep(form, evaluate(node, tests, words, &mut inner));
    }
    form
}

fn any(nodes: &[Node], tests: &[Events], words: usize, buffer: &mut SetBuffer) -> Form {
    let listed_candles: Option<usize> = nodes.iter().map(|node| Some(listed(node, tests)?.len())).sum();
    if listed_candles.is_some_and(|candles| candles <= words) {
        buffer.few.clear();
        buffer.few.extend(nodes.iter().filter_map(|node| listed(node, tests)).flatten());
        buffer.few.sort_unstable();
        buffer.few.dedup();
        return Form::Few;
    }
    buffer.words.clear();
    buffer.words.resize(words, 0);
    let mut inner = SetBuffer::default();
    for node in nodes {
        evaluate(node, tests, words, &mut inner).or(&mut buffer.words);
    }
    Form::Words
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

    type Holds = fn(bool, bool, bool) -> bool;

    /// Every combination of three tests, as lists and as bits, against candle by candle.
    #[test]
    fn rules_hold_where_their_tests_say() {
        const WORDS: usize = 3;
        let outcomes = [[1_u64 << 3 | 1 << 63, 1, 1 << 9], [u64::MAX, 5, 0], [1 << 3, u64::MAX << 60, 1 << 9 | 1]];
        let list = |words: &[u64; WORDS]| -> Vec<u32> {
            (0..192).filter(|c| words[*c as usize / 64] >> (c % 64) & 1 != 0).collect()
        };
        for forms in 0..8 {
            let tests: Vec<Events> = outcomes
                .iter()
                .enumerate()
                .map(|(k, words)| match forms >> k & 1 {
                    0 => Events::Words(words.to_vec().into()),
                    _ => Events::Few(list(words).into()),
                })
                .collect();
            let [a, b, c] = [Node::Test(0), Node::Test(1), Node::Test(2)];
            let (all, any) = (
                |nodes: &[&Node]| Node::All(nodes.iter().copied().cloned().collect()),
                |nodes: &[&Node]| Node::Any(nodes.iter().copied().cloned().collect()),
            );
            let rules: Vec<(Node, Holds)> = vec![
                (a.clone(), |a, _, _| a),
                (all(&[&a, &b]), |a, b, _| a && b),
                (any(&[&a, &b, &c]), |a, b, c| a || b || c),
                (all(&[&b, &any(&[&a, &c])]), |a, b, c| b && (a || c)),
                (any(&[&all(&[&a, &b]), &all(&[&c, &b])]), |a, b, c| b && (a || c)),
                (all(&[]), |_, _, _| true),
                (any(&[]), |_, _, _| false),
            ];
            for (node, holds) in rules {
                for (guards, confidence) in [
                    (vec![], None),
                    (vec![1], None),
                    (vec![], Some((vec![0, 1, 2], 2))),
                    (vec![2], Some((vec![0, 1], 1))),
                ] {
                    let mut buffer = SetBuffer { few: vec![7; 9], words: vec![u64::MAX; 9] };
                    let side = SidePlan { entry: node.clone(), confidence: confidence.clone(), exit: None };
                    let set = enter(&mut buffer, Some(&side), &guards, &tests, WORDS);
                    for candle in 0..192_u32 {
                        let of = |k: usize| outcomes[k][candle as usize / 64] >> (candle % 64) & 1 != 0;
                        let expected = holds(of(0), of(1), of(2))
                            && guards.iter().all(|g| of(*g as usize))
                            && confidence.as_ref().is_none_or(|(among, needed)| {
                                among.iter().filter(|k| of(**k as usize)).count() >= *needed
                            });
                        assert_eq!(set.holds(candle), expected, "{node:?} at {candle}, forms {forms}");
                    }
                }
            }
        }
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
