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
    indicator::{
        Column,
        lanes::{LANES, Stream},
    },
    plan::{Relation, Test},
    simd::{Predicate, Right, above_and_below, compare, widest},
};
use crate::market::{CandleSeries, resample};
use foldhash::fast::FixedState;
use genome::{IndicatorKind, Operand, PriceField, Series, Source, Timeframe};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry},
    ops::Range,
    sync::Arc,
};

/// Outcome of a test at each candle.
pub(super) type Bits = Arc<Vec<u64>>;
/// A column or bit set, or why it could not be computed.
pub(super) type Computed<T> = Result<T, EvaluationError>;

/// Bytes of columns in a tile: they stay in the second-level cache while all tests look at them.
const TILE_BYTES: usize = 1 << 20;
/// Most words of a tile.
const MAX_TILE_WORDS: usize = 16;
/// Most bytes of columns that are alive at once for one symbol, beside those that the caller keeps.
const GROUP_BYTES: usize = 32 << 20;

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

/// Computes columns of one frame in parallel.
pub(super) fn compute_columns(frame: &Frame<'_>, wanted: &BTreeSet<Series>) -> Columns {
    let timeframes: BTreeSet<Timeframe> = wanted.iter().filter_map(|s| higher(frame, s)).collect();
    let timeframes: Vec<Timeframe> = timeframes.into_iter().collect();
    let resampled: Vec<Computed<CandleSeries>> =
        timeframes.par_iter().map(|&timeframe| guarded(|| Ok(resample::resample(frame.finest, timeframe)?))).collect();
    let candles: BTreeMap<Timeframe, Computed<CandleSeries>> = timeframes.into_iter().zip(resampled).collect();
    let compute = |series: &Series| {
        guarded(|| {
            let column = match higher(frame, series) {
                None => source_column(&series.source, &frame.candles),
                Some(timeframe) => {
                    let higher = candles[&timeframe].as_ref().map_err(Clone::clone)?;
                    super::columns::project(&source_column(&series.source, higher), higher, &frame.candles)
                }
            };
            Ok(Held::new(column))
        })
    };
    let wanted: Vec<Series> = wanted.iter().copied().collect();
    let computed: Vec<Computed<Arc<Held>>> = wanted.par_iter().map(compute).collect();
    wanted.into_iter().zip(computed).collect()
}

/// The timeframe a series is computed on, where it is not the base timeframe.
fn higher(frame: &Frame<'_>, series: &Series) -> Option<Timeframe> {
    series.timeframe.filter(|t| *t != frame.candles.interval())
}

/// How the values of a series come about, tile by tile.
enum Way {
    /// They are candles' own.
    Price(PriceField),
    /// Many periods at once, while tests look at them.
    Ema(usize),
    Rsi(usize),
    /// A column computed before.
    Column,
}

fn way(frame: &Frame<'_>, series: &Series) -> Way {
    if higher(frame, series).is_some() {
        return Way::Column;
    }
    match series.source {
        Source::Price(PriceField::Typical) => Way::Column,
        Source::Price(field) => Way::Price(field),
        Source::Indicator(i) => match (i.kind(), i.params()) {
            (IndicatorKind::Ema, [n]) => Way::Ema(n.get().round() as usize),
            (IndicatorKind::Rsi, [n]) => Way::Rsi(n.get().round() as usize),
            _ => Way::Column,
        },
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

/// Computes the bit sets of `tests`, which are in order, over one frame. Columns in `known` are not computed again;
/// `keep` gets those that were.
pub(super) fn compute_bits(
    frame: &Frame<'_>,
    tests: &[Test],
    known: &BTreeMap<Series, Arc<Held>>,
    keep: impl Fn(Columns),
) -> Vec<Computed<Bits>> {
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
            for series in series_of(test).filter(|s| matches!(way(frame, s), Way::Column)) {
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
        let computed: Vec<Vec<Computed<Bits>>> =
            group.par_chunks(group.len().div_ceil(parts)).map(|part| evaluate(frame, part, &columns)).collect();
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

/// Values of a series at the candles of a tile; from candle `defined_from` of the frame on all are defined.
#[derive(Clone, Copy)]
struct View<'a> {
    values: &'a [f64],
    defined_from: usize,
}

/// Where the values of a series are found.
#[derive(Clone, Copy)]
enum Place<'a> {
    Whole(View<'a>),
    Lane { stream: usize, lane: usize },
}

/// Everything that a part's tests look at.
struct Sources<'a> {
    closes: &'a [f64],
    numbers: HashMap<Series, Computed<usize>, FixedState>,
    places: Vec<Place<'a>>,
    streams: Vec<Stream>,
    /// Lane after lane the values of a tile, on a cache line's border; and where the first of each stream begins.
    tile: Vec<f64>,
    begins: Vec<usize>,
    stride: usize,
}

impl<'a> Sources<'a> {
    fn new(frame: &'a Frame<'_>, part: &[Test], columns: &'a Columns) -> Self {
        let candles = &*frame.candles;
        let (mut numbers, mut places, mut streams) = (HashMap::default(), Vec::new(), Vec::new());
        let (mut ema, mut rsi) = (Vec::new(), Vec::new());
        for series in part.iter().flat_map(series_of) {
            let Entry::Vacant(entry) = numbers.entry(series) else { continue };
            let whole = |values| Place::Whole(View { values, defined_from: 0 });
            let place = match way(frame, &series) {
                Way::Price(field) => Ok(whole(prices(candles, field))),
                Way::Ema(n) => {
                    ema.push((n, places.len()));
                    Ok(whole(&[]))
                }
                Way::Rsi(n) => {
                    rsi.push((n, places.len()));
                    Ok(whole(&[]))
                }
                Way::Column => match &columns[&series] {
                    Ok(held) => {
                        let (values, defined_from) = (held.column.values(), held.defined_from);
                        Ok(Place::Whole(View { values, defined_from }))
                    }
                    Err(error) => Err(error.clone()),
                },
            };
            entry.insert(place.map(|place| {
                places.push(place);
                places.len() - 1
            }));
        }
        let mut add = |wanted: Vec<(usize, usize)>, stream: fn(&[usize]) -> Stream| {
            for wanted in wanted.chunks(LANES) {
                let periods: Vec<usize> = wanted.iter().map(|(n, _)| *n).collect();
                for (lane, (_, place)) in wanted.iter().enumerate() {
                    places[*place] = Place::Lane { stream: streams.len(), lane };
                }
                streams.push(stream(&periods));
            }
        };
        add(ema, Stream::ema);
        add(rsi, Stream::rsi);
        let words = (TILE_BYTES / (512 * places.len()).max(1)).clamp(2, MAX_TILE_WORDS);
        let stride = 64 * words.min(candles.len().div_ceil(64)).max(1);
        let lanes: usize = streams.iter().map(Stream::len).sum();
        let tile = vec![0.0; lanes * stride + 8];
        let border = tile.as_ptr().align_offset(64).min(8);
        let begins = streams
            .iter()
            .scan(border, |next, stream| Some(std::mem::replace(next, *next + stream.len() * stride)))
            .collect();
        Self { closes: candles.closes(), numbers, places, streams, tile, begins, stride }
    }

    fn number(&self, series: &Series) -> Computed<usize> {
        self.numbers[series].clone()
    }

    /// Computes what is computed tile by tile.
    fn advance(&mut self, until: usize) {
        for (stream, &begin) in self.streams.iter_mut().zip(&self.begins) {
            stream.advance(self.closes, until, &mut self.tile[begin..], self.stride);
        }
    }

    /// The values at the candles last gone through, source by source.
    fn views(&self, candles: &Range<usize>) -> Vec<View<'_>> {
        let mut views = Vec::with_capacity(self.places.len());
        for place in &self.places {
            views.push(match *place {
                Place::Whole(whole) => View { values: &whole.values[candles.clone()], ..whole },
                Place::Lane { stream, lane } => View {
                    values: &self.tile[self.begins[stream] + lane * self.stride..][..candles.len()],
                    defined_from: self.streams[stream].defined_from(lane).unwrap_or(usize::MAX),
                },
            });
        }
        views
    }
}

fn prices(candles: &CandleSeries, field: PriceField) -> &[f64] {
    match field {
        PriceField::Open => candles.opens(),
        PriceField::High => candles.highs(),
        PriceField::Low => candles.lows(),
        PriceField::Close | PriceField::Typical => candles.closes(),
        PriceField::Volume => candles.volumes(),
    }
}

/// Tests of one pair of sides on their way.
struct Pair {
    left: usize,
    right: RightSide,
    tests: Vec<Answer>,
}

#[derive(Clone, Copy)]
enum RightSide {
    Source(usize),
    Constant(f64),
}

/// One test's words so far.
struct Answer {
    relation: Relation,
    words: Vec<u64>,
    /// Of the last candle of the tile before: whether both sides were defined, and whether the relation after a
    /// crossing held.
    before: Masks,
}

fn evaluate(frame: &Frame<'_>, part: &[Test], columns: &Columns) -> Vec<Computed<Bits>> {
    let n = frame.candles.len();
    let mut sources = Sources::new(frame, part, columns);
    let mut pairs: Vec<(usize, Computed<Pair>)> = part
        .chunk_by(|a, b| (a.left, a.right) == (b.left, b.right))
        .map(|chunk| {
            let Test { left, right, .. } = chunk[0];
            let pair = || {
                let right = match right {
                    Operand::Series(series) => RightSide::Source(sources.number(&series)?),
                    Operand::Constant(constant) => RightSide::Constant(constant.get()),
                };
                let answer = |test: &Test| Answer {
                    relation: test.relation,
                    words: Vec::with_capacity(n.div_ceil(64)),
                    before: Masks::default(),
                };
                Ok(Pair { left: sources.number(&left)?, right, tests: chunk.iter().map(answer).collect() })
            };
            (chunk.len(), pair())
        })
        .collect();
    for start in (0..n).step_by(sources.stride) {
        let candles = start..n.min(start + sources.stride);
        sources.advance(candles.end);
        let views = sources.views(&candles);
        for pair in pairs.iter_mut().filter_map(|(_, pair)| pair.as_mut().ok()) {
            pair.tile(&views, &candles);
        }
    }
    pairs
        .into_iter()
        .flat_map(|(tests, pair)| match pair {
            Ok(pair) => pair.tests.into_iter().map(|test| Ok(Arc::new(test.words))).collect::<Vec<_>>(),
            Err(error) => vec![Err(error); tests],
        })
        .collect()
}

impl Pair {
    fn tile(&mut self, views: &[View<'_>], candles: &Range<usize>) {
        let words = candles.len().div_ceil(64);
        let left = views[self.left];
        let (right, mut defined_from) = match self.right {
            RightSide::Source(number) => {
                let right = views[number];
                (Right::Values(right.values), right.defined_from)
            }
            RightSide::Constant(constant) => (Right::Constant(constant), 0),
        };
        defined_from = defined_from.max(left.defined_from);
        let (mut above, mut below) = ([0; MAX_TILE_WORDS], [0; MAX_TILE_WORDS]);
        let (above, below) = (&mut above[..words], &mut below[..words]);
        if let [test] = self.tests.as_mut_slice()
            && let Some(predicate) = test.relation.predicate()
        {
            compare(predicate, left.values, right, above);
            return test.words.extend_from_slice(above);
        }
        let mut defined = [u64::MAX; MAX_TILE_WORDS];
        let defined = &mut defined[..words];
        if candles.start < defined_from {
            compare(Predicate::Ordered, left.values, right, defined);
        }
        let looks_above = self.tests.iter().any(|t| t.relation.looks_above());
        let looks_below = self.tests.iter().any(|t| !t.relation.looks_above());
        match (looks_above, looks_below) {
            (true, true) => above_and_below(left.values, right, above, below),
            (true, false) => compare(Predicate::Above, left.values, right, above),
            _ => compare(Predicate::Below, left.values, right, below),
        }
        // Candles past the end are no candles.
        if !candles.len().is_multiple_of(64) {
            defined[words - 1] &= (1 << (candles.len() % 64)) - 1;
        }
        for test in &mut self.tests {
            let after = if test.relation.looks_above() { &*above } else { &*below };
            test.add(defined, after);
        }
    }
}

impl Answer {
    /// Adds a tile's words.
    fn add(&mut self, defined: &[u64], after: &[u64]) {
        // Each candle's neighbour before it: the word moved up by one, the last of the word before moved in.
        let earlier = |now: u64, before: u64| now << 1 | before >> 63;
        let masks = defined.iter().zip(after).map(|(&defined, &after)| Masks { defined, after });
        let mut before = self.before;
        let mut crossing = |now: Masks| {
            let defined = now.defined & earlier(now.defined, before.defined);
            let crossing = now.after & defined & !earlier(now.after, before.after);
            before = now;
            (defined, crossing)
        };
        match self.relation {
            Relation::Above | Relation::Below => self.words.extend_from_slice(after),
            Relation::AtMost | Relation::AtLeast => self.words.extend(masks.map(|now| now.defined & !now.after)),
            Relation::CrossesAbove | Relation::CrossesBelow => self.words.extend(masks.map(|now| crossing(now).1)),
            Relation::NotCrossesAbove | Relation::NotCrossesBelow => self.words.extend(masks.map(|now| {
                let (defined, crossing) = crossing(now);
                defined & !crossing
            })),
        }
        self.before = before;
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
}
