//! Tests to bit sets: whether each test of a population holds at each candle, 64 candles a word.
//!
//! Knows nothing of rules or trades. Work goes symbol by symbol and in groups of tests whose columns fit a budget,
//! tile of candles by tile, so that the columns of a tile stay in the cache while many tests look at them.

use super::{
    EvaluationError,
    cache::Weighed,
    columns::source_column,
    frame::Frame,
    guarded,
    indicator::{Column, lanes},
    plan::{Relation, Test},
    simd::{Predicate, Right, above_and_below, compare, widest},
};
use crate::market::{CandleSeries, resample};
use genome::{IndicatorKind, Operand, Series, Source, Timeframe};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// Outcome of a test at each candle.
pub(super) type Bits = Arc<[u64]>;
/// A column or bit set, or why it could not be computed.
pub(super) type Computed<T> = Result<T, EvaluationError>;

/// Words of a tile: 512 candles, 4 KiB a column.
const TILE_WORDS: usize = 8;
/// Most bytes of columns that are alive at once for one symbol, beside those that the caller keeps.
const GROUP_BYTES: usize = 64 << 20;

impl Weighed for Bits {
    fn bytes(&self) -> usize {
        size_of_val::<[u64]>(self)
    }
}

/// A column with what comparisons want to know of it.
#[derive(Debug)]
pub(super) struct Held {
    pub column: Column,
    /// From here on every value is defined.
    defined_from: usize,
}

impl Held {
    fn new(column: Column) -> Arc<Self> {
        let first = column.first_defined();
        let holes = widest(|| column.values()[first..].iter().fold(false, |any, v| any | v.is_nan()));
        let defined_from = if holes { column.len() } else { first };
        Arc::new(Self { column, defined_from })
    }
}

impl Weighed for Arc<Held> {
    fn bytes(&self) -> usize {
        self.column.heap_bytes()
    }
}

/// Columns by series.
pub(super) type Columns = BTreeMap<Series, Computed<Arc<Held>>>;

/// Computes columns of one frame in parallel: EMA and RSI of one timeframe many periods at once, the rest singly.
pub(super) fn compute_columns(frame: &Frame<'_>, wanted: &BTreeSet<Series>) -> Columns {
    let timeframes: BTreeSet<Timeframe> = wanted.iter().filter_map(|s| higher(frame, s)).collect();
    let timeframes: Vec<Timeframe> = timeframes.into_iter().collect();
    let resampled: Vec<Computed<CandleSeries>> =
        timeframes.par_iter().map(|&timeframe| guarded(|| Ok(resample::resample(frame.finest, timeframe)?))).collect();
    let candles: BTreeMap<Timeframe, Computed<CandleSeries>> = timeframes.into_iter().zip(resampled).collect();
    jobs(frame, wanted)
        .into_par_iter()
        .flat_map_iter(|job| {
            let Some(timeframe) = higher(frame, &job[0]) else { return run_job(&job, &frame.candles, None) };
            match &candles[&timeframe] {
                Ok(higher) => run_job(&job, higher, Some(&frame.candles)),
                Err(error) => job.iter().map(|series| (*series, Err(error.clone()))).collect(),
            }
        })
        .collect::<Vec<_>>()
        .into_iter()
        .collect()
}

/// The timeframe a series is computed on, where it is not the base timeframe.
fn higher(frame: &Frame<'_>, series: &Series) -> Option<Timeframe> {
    series.timeframe.filter(|t| *t != frame.candles.interval())
}

/// Whether many periods of it are computed at once.
fn in_lanes(series: &Series) -> bool {
    match series.source {
        Source::Indicator(i) => matches!(i.kind(), IndicatorKind::Ema | IndicatorKind::Rsi),
        Source::Price(_) => false,
    }
}

/// Series that are computed together: of one timeframe, and of one kind where that kind can.
fn jobs(frame: &Frame<'_>, wanted: &BTreeSet<Series>) -> Vec<Vec<Series>> {
    let mut together: BTreeMap<(Option<Timeframe>, IndicatorKind), Vec<Series>> = BTreeMap::new();
    let mut jobs = Vec::new();
    for series in wanted {
        match series.source {
            Source::Indicator(i) if in_lanes(series) => {
                together.entry((higher(frame, series), i.kind())).or_default().push(*series);
            }
            _ => jobs.push(vec![*series]),
        }
    }
    for series in together.into_values() {
        jobs.extend(series.chunks(lanes::LANES).map(<[Series]>::to_vec));
    }
    jobs
}

fn run_job(job: &[Series], candles: &CandleSeries, base: Option<&CandleSeries>) -> Vec<(Series, Computed<Arc<Held>>)> {
    let computed = guarded(|| {
        let columns = match job[0].source {
            Source::Indicator(i) if job.len() > 1 => {
                let period = |series: &Series| match series.source {
                    Source::Indicator(i) => i.params()[0].get().round() as usize,
                    Source::Price(_) => 0,
                };
                let periods: Vec<usize> = job.iter().map(period).collect();
                match i.kind() {
                    IndicatorKind::Ema => lanes::ema(candles.closes(), &periods),
                    _ => lanes::rsi(candles.closes(), &periods),
                }
            }
            _ => job.iter().map(|series| source_column(&series.source, candles)).collect(),
        };
        let project = |column: Column| match base {
            Some(base) => super::columns::project(&column, candles, base),
            None => column,
        };
        Ok(columns.into_iter().map(|column| Held::new(project(column))).collect::<Vec<_>>())
    });
    match computed {
        Ok(columns) => job.iter().copied().zip(columns.into_iter().map(Ok)).collect(),
        Err(error) => job.iter().map(|series| (*series, Err(error.clone()))).collect(),
    }
}

/// The series a test looks at.
pub(super) fn series_of(test: &Test) -> impl Iterator<Item = Series> {
    let right = match test.right {
        Operand::Series(series) => Some(series),
        Operand::Constant(_) => None,
    };
    std::iter::once(test.left).chain(right)
}

/// Computes the bit sets of `tests` over one frame. Columns in `known` are not
/// computed again; `keep` gets those worth keeping.
pub(super) fn compute_bits(
    frame: &Frame<'_>,
    tests: &[Test],
    known: &BTreeMap<Series, Arc<Held>>,
    mut keep: impl FnMut(Columns),
) -> Vec<Computed<Bits>> {
    let mut order: Vec<usize> = (0..tests.len()).collect();
    order.sort_unstable_by_key(|&k| tests[k]);
    let most_columns = (GROUP_BYTES / (8 * frame.candles.len()).max(1)).max(2);
    let mut results: Vec<Option<Computed<Bits>>> = vec![None; tests.len()];
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut series = BTreeSet::new();
        let mut taken = 0;
        while let Some(&k) = rest.get(taken) {
            series.extend(series_of(&tests[k]));
            if series.len() > most_columns && taken > 0 {
                break;
            }
            taken += 1;
        }
        let (group, after) = rest.split_at(taken);
        rest = after;
        let mut columns = Columns::new();
        series.retain(|s| match known.get(s) {
            Some(column) => {
                columns.insert(*s, Ok(Arc::clone(column)));
                false
            }
            None => true,
        });
        columns.extend(compute_columns(frame, &series));
        let chunk = group.len().div_ceil(4 * rayon::current_num_threads()).max(1);
        let computed: Vec<Vec<Computed<Bits>>> =
            group.par_chunks(chunk).map(|part| evaluate(frame, part, tests, &columns)).collect();
        for (&k, bits) in group.iter().zip(computed.into_iter().flatten()) {
            results[k] = Some(bits);
        }
        // Columns that cost no more to compute than to read are not worth their memory.
        columns.retain(|series, _| !in_lanes(series) && !matches!(series.source, Source::Price(_)));
        keep(columns);
    }
    results.into_iter().map(|bits| bits.expect("every test is in a group")).collect()
}

/// Tests of one pair of sides on their way.
struct Pair<'a> {
    left: &'a Held,
    right: Operand,
    right_column: Option<&'a Held>,
    tests: Vec<Answer>,
}

/// One test's words so far.
struct Answer {
    relation: Relation,
    words: Bits,
    /// Of the last candle of the tile before: whether both sides were defined, and whether the relation after a
    /// crossing held.
    before: Masks,
}

impl Answer {
    fn out(&mut self, first_word: usize, words: usize) -> &mut [u64] {
        let all = Arc::get_mut(&mut self.words).expect("nobody shares the words before they are complete");
        &mut all[first_word..first_word + words]
    }
}

/// For a word of candles: both sides defined; left above (or below) right.
#[derive(Clone, Copy, Default)]
struct Masks {
    defined: u64,
    after: u64,
}

fn evaluate(frame: &Frame<'_>, part: &[usize], tests: &[Test], columns: &Columns) -> Vec<Computed<Bits>> {
    let n = frame.candles.len();
    let words = n.div_ceil(64);
    let column = |series: &Series| match &columns[series] {
        Ok(column) => Ok(&**column),
        Err(error) => Err(error.clone()),
    };
    let same_pair = |a: &&usize, b: &&usize| (tests[**a].left, tests[**a].right) == (tests[**b].left, tests[**b].right);
    let mut pairs: Vec<(usize, Computed<Pair<'_>>)> = part
        .chunk_by(|a, b| same_pair(&a, &b))
        .map(|chunk| {
            let Test { left, right, .. } = tests[chunk[0]];
            let pair = || {
                let right_column = match &right {
                    Operand::Series(series) => Some(column(series)?),
                    Operand::Constant(_) => None,
                };
                let answer = |&k: &usize| Answer {
                    relation: tests[k].relation,
                    words: std::iter::repeat_n(0, words).collect(),
                    before: Masks::default(),
                };
                Ok(Pair { left: column(&left)?, right, right_column, tests: chunk.iter().map(answer).collect() })
            };
            (chunk.len(), pair())
        })
        .collect();
    for first_word in (0..words).step_by(TILE_WORDS) {
        let candles = 64 * first_word..n.min(64 * (first_word + TILE_WORDS));
        for pair in pairs.iter_mut().filter_map(|(_, pair)| pair.as_mut().ok()) {
            pair.tile(first_word, candles.clone());
        }
    }
    pairs
        .into_iter()
        .flat_map(|(tests, pair)| match pair {
            Ok(pair) => pair.tests.into_iter().map(|test| Ok(test.words)).collect::<Vec<_>>(),
            Err(error) => vec![Err(error); tests],
        })
        .collect()
}

impl Pair<'_> {
    fn tile(&mut self, first_word: usize, candles: Range<usize>) {
        let words = candles.len().div_ceil(64);
        let defined_from = self.left.defined_from.max(self.right_column.map_or(0, |c| c.defined_from));
        let left = &self.left.column.values()[candles.clone()];
        let right = match (self.right_column, self.right) {
            (Some(held), _) => Right::Values(&held.column.values()[candles.clone()]),
            (None, Operand::Constant(constant)) => Right::Constant(constant.get()),
            (None, Operand::Series(_)) => return,
        };
        if let [test] = self.tests.as_mut_slice()
            && let Some(predicate) = test.relation.predicate()
        {
            return compare(predicate, left, right, test.out(first_word, words));
        }
        let mut defined = [u64::MAX; TILE_WORDS];
        if candles.start < defined_from {
            compare(Predicate::Ordered, left, right, &mut defined[..words]);
        }
        let (mut above, mut below) = ([0; TILE_WORDS], [0; TILE_WORDS]);
        let looks_above = self.tests.iter().any(|t| t.relation.looks_above());
        let looks_below = self.tests.iter().any(|t| !t.relation.looks_above());
        match (looks_above, looks_below) {
            (true, true) => above_and_below(left, right, &mut above[..words], &mut below[..words]),
            (true, false) => compare(Predicate::Above, left, right, &mut above[..words]),
            _ => compare(Predicate::Below, left, right, &mut below[..words]),
        }
        // Candles past the end are no candles.
        if !candles.len().is_multiple_of(64) {
            defined[words - 1] &= (1 << (candles.len() % 64)) - 1;
        }
        for test in &mut self.tests {
            let after = if test.relation.looks_above() { &above } else { &below };
            let (relation, mut before) = (test.relation, test.before);
            for ((out, &defined), &after) in test.out(first_word, words).iter_mut().zip(&defined).zip(after) {
                let now = Masks { defined, after };
                *out = relation.holds(now, before);
                before = now;
            }
            test.before = before;
        }
    }
}

impl Relation {
    /// The comparison, where no candle before matters.
    fn predicate(self) -> Option<Predicate> {
        match self {
            Self::Above => Some(Predicate::Above),
            Self::Below => Some(Predicate::Below),
            Self::AtLeast => Some(Predicate::AtLeast),
            Self::AtMost => Some(Predicate::AtMost),
            _ => None,
        }
    }

    /// Whether it is made of "above", not of "below".
    fn looks_above(self) -> bool {
        matches!(self, Self::Above | Self::AtMost | Self::CrossesAbove | Self::NotCrossesAbove)
    }

    /// The relation at each candle of a word, whose masks are `now`, after a word with masks `before`.
    fn holds(self, now: Masks, before: Masks) -> u64 {
        // Each candle's neighbour before it: the word moved up by one, the last of the word before moved in.
        let earlier = |now: u64, before: u64| now << 1 | before >> 63;
        match self {
            Self::Above | Self::Below => now.after,
            Self::AtMost | Self::AtLeast => now.defined & !now.after,
            _ => {
                let defined_before = earlier(now.defined, before.defined);
                let crossing = now.after & defined_before & !earlier(now.after, before.after);
                match self {
                    Self::CrossesAbove | Self::CrossesBelow => crossing,
                    _ => now.defined & defined_before & !crossing,
                }
            }
        }
    }
}
