//! Tests to outcomes: at which candles each test of a population holds.
//!
//! Knows nothing of rules or trades. Work goes symbol by symbol and in groups of tests whose columns fit a budget,
//! tile of candles by tile, so that the columns of a tile stay in the cache while many tests look at them.

use super::{
    EvaluationError,
    columns::source_column_beside,
    computed::{Columns, Computed, Held, series_of},
    events::{Collector, Events},
    frame::Frame,
    guarded,
    indicator::lanes::WORD,
    plan::{self, Key, Relation, Vocabulary},
    readings,
    simd::{Predicate, Right, RightRanks, Wide, above_and_below, compare, order, rank},
    sources::{MAX_TILE_WORDS, Sources},
    way::{Way, higher, way},
};
use candles::{CandleSeries, resample};
use genome::{Series, Timeframe};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Most bytes of columns that are alive at once for one symbol, beside those that the caller keeps.
const GROUP_BYTES: usize = 32 << 20;

/// Computes columns of one frame in parallel.
pub(super) fn compute_columns(frame: &Frame<'_>, wanted: &BTreeSet<Series>) -> Columns {
    let timeframes: BTreeSet<Timeframe> = wanted.iter().filter_map(|s| higher(frame, s)).collect();
    let timeframes: Vec<Timeframe> = timeframes.into_iter().collect();
    let resampled: Vec<Computed<CandleSeries>> =
        timeframes.par_iter().map(|&timeframe| guarded(|| Ok(resample::resample(frame.finest, timeframe)?))).collect();
    let candles: BTreeMap<Timeframe, Computed<CandleSeries>> = timeframes.into_iter().zip(resampled).collect();
    let compute = |series: &Series| {
        guarded(|| {
            if series.across.is_some() {
                let values = frame.across.get(series).ok_or(EvaluationError::NoMarket(*series))?;
                return Ok(Held::new(readings::at_closes(values, &frame.candles)));
            }
            if let Some(model) = series.source.model()
                && !frame.readings.models.contains_key(&model)
            {
                return Err(EvaluationError::NoModel(*series));
            }
            let column = |candles| source_column_beside(&series.source, candles, frame.readings);
            let column = match higher(frame, series) {
                None => column(&frame.candles),
                Some(timeframe) => {
                    let higher = candles[&timeframe].as_ref().map_err(Clone::clone)?;
                    super::columns::project(&column(higher), higher, &frame.candles)
                }
            };
            Ok(Held::new(column))
        })
    };
    let wanted: Vec<Series> = wanted.iter().copied().collect();
    let computed: Vec<Computed<Arc<Held>>> = wanted.par_iter().map(compute).collect();
    wanted.into_iter().zip(computed).collect()
}

/// The series of a vocabulary, by number, that are computed as whole columns before tests look at them.
pub(super) fn whole_columns(frame: &Frame<'_>, vocabulary: &Vocabulary) -> Vec<bool> {
    vocabulary.series.iter().map(|series| matches!(way(frame, series), Way::Column)).collect()
}

/// Computes the outcomes of `tests`, which are in order, over one frame. Columns in `known` are not computed again;
/// `keep` gets those that were.
pub(super) fn compute_tests(
    frame: &Frame<'_>,
    vocabulary: &Vocabulary,
    tests: &[Key],
    known: &BTreeMap<Series, Arc<Held>>,
    keep: impl Fn(Columns),
) -> Vec<Computed<Events>> {
    let whole = whole_columns(frame, vocabulary);
    let most_columns = (GROUP_BYTES / (8 * frame.candles.len()).max(1)).max(2);
    // A few parts a thread even out; each computes the averages it looks at by itself.
    let parts = match rayon::current_num_threads() {
        1 => 1,
        threads => 2 * threads,
    };
    let mut results = Vec::with_capacity(tests.len());
    let mut rest = tests;
    while !rest.is_empty() {
        let (mut missing, mut columns) = (BTreeSet::new(), Columns::new());
        let mut taken = 0;
        while let Some(test) = rest.get(taken) {
            for series in series_of(*test).filter(|s| whole[*s]).map(|s| vocabulary.series[s]) {
                match known.get(&series) {
                    Some(column) => drop(columns.insert(series, Ok(Arc::clone(column)))),
                    None => drop(missing.insert(series)),
                }
            }
            if missing.len() > most_columns && taken > 0 {
                break;
            }
            taken += 1;
        }
        let (group, after) = rest.split_at(taken);
        rest = after;
        if !missing.is_empty() {
            let computed = compute_columns(frame, &missing);
            columns.extend(computed.iter().map(|(series, column)| (*series, column.clone())));
            keep(computed);
        }
        let computed: Vec<Vec<Computed<Events>>> = group
            .par_chunks(group.len().div_ceil(parts))
            .map(|part| evaluate(frame, vocabulary, part, &columns))
            .collect();
        results.extend(computed.into_iter().flatten());
    }
    results
}

/// For a word of candles: both sides defined; left above (or below) right.
#[derive(Clone, Copy, Default)]
struct Masks {
    defined: u64,
    after: u64,
}

/// What tests have in common that are neighbours: their sides.
struct Pair {
    left: usize,
    right: RightSide,
    looks_above: bool,
    looks_below: bool,
}

#[derive(Clone, Copy)]
enum RightSide {
    Source(usize),
    Constant(f64),
}

/// One test's outcome so far.
struct Answer {
    relation: Relation,
    outcome: Collector,
    /// Of the last candle of the tile before: whether both sides were defined, and whether the relation after a
    /// crossing held.
    before: Masks,
}

/// Words of a tile.
type Words = [u64; MAX_TILE_WORDS];

/// What is known of a pair in a tile, and room for a test's words.
#[derive(Default)]
struct TileBuffers {
    above: Words,
    below: Words,
    defined: Words,
    outcome: Words,
}

fn evaluate(frame: &Frame<'_>, vocabulary: &Vocabulary, part: &[Key], columns: &Columns) -> Vec<Computed<Events>> {
    let n = frame.candles.len();
    let mut sources = Sources::new(frame, vocabulary, part, columns);
    let words = n.div_ceil(WORD);
    let mut answers: Vec<Answer> = part.iter().map(|test| Answer::new(test.relation, words)).collect();
    let pairs: Vec<(usize, Computed<Pair>)> = part
        .chunk_by(|a, b| (a.left, a.right) == (b.left, b.right))
        .map(|tests| (tests.len(), Pair::new(tests, &sources)))
        .collect();
    let mut buffers = TileBuffers::default();
    for start in (0..n).step_by(sources.tile) {
        let candles = start..n.min(start + sources.tile);
        sources.advance(candles.clone());
        let mut rest = answers.as_mut_slice();
        for (tests, pair) in &pairs {
            let (own, after) = rest.split_at_mut(*tests);
            rest = after;
            if let Ok(pair) = pair {
                pair.tile(own, &mut sources, &candles, &mut buffers);
            }
        }
    }
    sources.finish();
    let mut outcomes = Vec::with_capacity(part.len());
    let mut answers = answers.into_iter();
    for (tests, pair) in pairs {
        let error = pair.err();
        let own = answers.by_ref().take(tests);
        outcomes.extend(own.map(|answer| error.clone().map_or_else(|| Ok(answer.outcome.finish()), Err)));
    }
    outcomes
}

impl Answer {
    fn new(relation: Relation, words: usize) -> Self {
        let seldom = matches!(relation, Relation::CrossesAbove | Relation::CrossesBelow);
        Self { relation, outcome: Collector::new(words, seldom), before: Masks::default() }
    }
}

impl Pair {
    /// Of tests that have their sides in common.
    fn new(tests: &[Key], sources: &Sources<'_>) -> Computed<Self> {
        let right = match tests[0].right {
            plan::Right::Series(series) => RightSide::Source(sources.place(series)?),
            plan::Right::Constant(constant) => RightSide::Constant(constant.get()),
        };
        Ok(Self {
            left: sources.place(tests[0].left)?,
            right,
            looks_above: tests.iter().any(|t| t.relation.looks_above()),
            looks_below: tests.iter().any(|t| !t.relation.looks_above()),
        })
    }

    fn tile(&self, tests: &mut [Answer], sources: &mut Sources<'_>, candles: &Range<usize>, buffers: &mut TileBuffers) {
        let (width, words) = (sources.width, candles.len().div_ceil(WORD));
        if !self.by_rank(sources, candles, buffers) && !self.whole(sources, candles, buffers) {
            for word in 0..words {
                self.exactly(sources, word, buffers);
            }
        }
        // Candles past the end are no candles.
        if !candles.len().is_multiple_of(WORD) {
            let last = (1 << (candles.len() % WORD)) - 1;
            for bits in [&mut buffers.defined, &mut buffers.above, &mut buffers.below] {
                bits[words - 1] &= last;
            }
        }
        width.run(Told { tests, buffers, words });
    }

    /// Finds above, below and defined by ranks, and by exact values where these are equal; false where there are none.
    fn by_rank(&self, sources: &mut Sources<'_>, candles: &Range<usize>, buffers: &mut TileBuffers) -> bool {
        let words = candles.len().div_ceil(WORD);
        let Some((left, mut defined_from)) = sources.ranks(self.left) else { return false };
        let right = match self.right {
            RightSide::Source(place) => {
                let Some((right, from)) = sources.ranks(place) else { return false };
                defined_from = defined_from.max(from);
                RightRanks::Values(right)
            }
            RightSide::Constant(constant) => RightRanks::Constant(rank(constant)),
        };
        let TileBuffers { above, below, defined, .. } = buffers;
        let (above, below, defined) = (&mut above[..words], &mut below[..words], &mut defined[..words]);
        defined.fill(u64::MAX);
        if candles.start < defined_from {
            let undefined = defined_from - candles.start;
            defined[..words.min(undefined / WORD)].fill(0);
            if let Some(first) = defined.get_mut(undefined / WORD) {
                *first = u64::MAX << (undefined % WORD);
            }
        }
        // Candles past the end are no candles.
        if !candles.len().is_multiple_of(WORD) {
            defined[words - 1] &= (1 << (candles.len() % WORD)) - 1;
        }
        if !order(sources.width, left, right, defined, above, below) {
            for word in 0..words {
                if buffers.defined[word] & !(buffers.above[word] | buffers.below[word]) != 0 {
                    self.exactly(sources, word, buffers);
                }
            }
        }
        true
    }

    /// As [`Pair::by_rank`], by the values of two whole columns, or of one and a constant.
    fn whole(&self, sources: &Sources<'_>, candles: &Range<usize>, buffers: &mut TileBuffers) -> bool {
        let (width, words) = (sources.width, candles.len().div_ceil(WORD));
        let Some((left, mut defined_from)) = sources.whole(self.left) else { return false };
        let right = match self.right {
            RightSide::Source(place) => {
                let Some((right, from)) = sources.whole(place) else { return false };
                defined_from = defined_from.max(from);
                Right::Values(right)
            }
            RightSide::Constant(constant) => Right::Constant(constant),
        };
        let TileBuffers { above, below, defined, .. } = buffers;
        let (above, below, defined) = (&mut above[..words], &mut below[..words], &mut defined[..words]);
        if candles.start < defined_from {
            compare(width, Predicate::Ordered, left, right, defined);
        } else {
            defined.fill(u64::MAX);
        }
        match (self.looks_above, self.looks_below) {
            (true, true) => above_and_below(width, left, right, above, below),
            (true, false) => compare(width, Predicate::Above, left, right, above),
            _ => compare(width, Predicate::Below, left, right, below),
        }
        true
    }

    /// Finds above, below and defined in one word of the tile by exact values.
    #[cold]
    fn exactly(&self, sources: &mut Sources<'_>, word: usize, buffers: &mut TileBuffers) {
        let left = sources.exact(self.left, word);
        let right_values;
        let right = match self.right {
            RightSide::Source(place) => {
                right_values = sources.exact(place, word);
                Right::Values(&right_values)
            }
            RightSide::Constant(constant) => Right::Constant(constant),
        };
        let words = word..=word;
        compare(sources.width, Predicate::Above, &left, right, &mut buffers.above[words.clone()]);
        compare(sources.width, Predicate::Below, &left, right, &mut buffers.below[words.clone()]);
        compare(sources.width, Predicate::Ordered, &left, right, &mut buffers.defined[words]);
    }
}

/// What a tile's above, below and defined tell the tests.
struct Told<'a> {
    tests: &'a mut [Answer],
    buffers: &'a mut TileBuffers,
    words: usize,
}

impl Wide for Told<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let TileBuffers { above, below, defined, outcome } = self.buffers;
        let (defined, outcome) = (&defined[..self.words], &mut outcome[..self.words]);
        for test in self.tests {
            let after = if test.relation.looks_above() { &above[..self.words] } else { &below[..self.words] };
            test.before = test.relation.outcome(defined, after, test.before, outcome);
            test.outcome.add(outcome);
        }
    }
}

impl Relation {
    /// Writes the words of a tile to `out`: from where both sides are defined, and where what the relation looks at
    /// holds. Returns what the next tile must know of this one, as `before` was known of the one before.
    #[inline(always)]
    fn outcome(self, defined: &[u64], after: &[u64], before: Masks, out: &mut [u64]) -> Masks {
        // Each candle's neighbour before it: the word moved up by one, the last of the word before moved in.
        let earlier = |now: u64, before: u64| now << 1 | before >> 63;
        let masks = out.iter_mut().zip(defined.iter().zip(after));
        let mut before = before;
        let mut crossing = |defined: u64, after: u64| {
            let both = defined & earlier(defined, before.defined);
            let crossing = after & both & !earlier(after, before.after);
            before = Masks { defined, after };
            (both, crossing)
        };
        match self {
            Self::Above | Self::Below => masks.for_each(|(out, (_, &after))| *out = after),
            Self::AtMost | Self::AtLeast => masks.for_each(|(out, (&defined, &after))| *out = defined & !after),
            Self::CrossesAbove | Self::CrossesBelow => {
                masks.for_each(|(out, (&defined, &after))| *out = crossing(defined, after).1);
            }
            Self::NotCrossesAbove | Self::NotCrossesBelow => masks.for_each(|(out, (&defined, &after))| {
                let (both, crossing) = crossing(defined, after);
                *out = both & !crossing;
            }),
        }
        before
    }
}

impl Relation {
    /// Whether it is made of "above", not of "below".
    fn looks_above(self) -> bool {
        matches!(self, Self::Above | Self::AtMost | Self::CrossesAbove | Self::NotCrossesAbove)
    }
}
