//! Tests to outcomes: at which candles each test of a population holds.
//!
//! Knows nothing of rules or trades. Work goes symbol by symbol and in groups of tests whose columns fit a budget,
//! tile of candles by tile, so that the columns of a tile stay in the cache while many tests look at them.

use super::{
    EvaluationError,
    cache::Weighed,
    columns::source_column_beside,
    events::{Collector, Events},
    frame::Frame,
    guarded,
    indicator::{
        Column,
        lanes::{LANES, Stream},
    },
    plan::{self, Key, Relation, Vocabulary},
    readings,
    simd::{Predicate, Right, above_and_below, compare},
    way::{Way, higher, prices, way},
};
use candles::{CandleSeries, resample};
use genome::{Series, Timeframe};
use rayon::prelude::*;
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

/// A column or a test's outcome, or why it could not be computed.
pub(super) type Computed<T> = Result<T, EvaluationError>;

/// Bytes of columns in a tile: they stay in the second-level cache while all tests look at them.
const TILE_BYTES: usize = 1 << 20;
/// Most words of a tile.
const MAX_TILE_WORDS: usize = 16;
/// Most bytes of columns that are alive at once for one symbol, beside those that the caller keeps.
const GROUP_BYTES: usize = 32 << 20;

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
        let holes = column.values()[first..].iter().fold(false, |any, v| any | v.is_nan());
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

thread_local! {
    /// The tile that the thread used last: memory once touched is not touched anew for each symbol.
    static TILE: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

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

/// The series a test looks at, by number.
pub(super) fn series_of(key: Key) -> impl Iterator<Item = usize> {
    let right = match key.right {
        plan::Right::Series(series) => Some(series as usize),
        plan::Right::Constant(_) => None,
    };
    std::iter::once(key.left as usize).chain(right)
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
    /// Places by number of the series; `None` for those that the part does not look at.
    numbers: Vec<Option<Computed<usize>>>,
    places: Vec<Place<'a>>,
    streams: Vec<Stream>,
    /// Lane after lane the values of a tile, on a cache line's border; and where the first of each stream begins.
    tile: Vec<f64>,
    begins: Vec<usize>,
    stride: usize,
}

impl<'a> Sources<'a> {
    fn new(frame: &'a Frame<'_>, vocabulary: &Vocabulary, part: &[Key], columns: &'a Columns) -> Self {
        let candles = &*frame.candles;
        let mut numbers = vec![None; vocabulary.series.len()];
        let (mut places, mut streams) = (Vec::new(), Vec::new());
        let (mut ema, mut rsi) = (Vec::new(), Vec::new());
        for number in part.iter().copied().flat_map(series_of) {
            if numbers[number].is_some() {
                continue;
            }
            let series = &vocabulary.series[number];
            let whole = |values| Place::Whole(View { values, defined_from: 0 });
            let place = match way(frame, series) {
                Way::Price(field) => Ok(whole(prices(candles, field).unwrap_or_default())),
                Way::Ema(n) => {
                    ema.push((n, places.len()));
                    Ok(whole(&[]))
                }
                Way::Rsi(n) => {
                    rsi.push((n, places.len()));
                    Ok(whole(&[]))
                }
                Way::Column => match &columns[series] {
                    Ok(held) => {
                        let (values, defined_from) = (held.column.values(), held.defined_from);
                        Ok(Place::Whole(View { values, defined_from }))
                    }
                    Err(error) => Err(error.clone()),
                },
            };
            numbers[number] = Some(place.map(|place| {
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
        let mut tile = TILE.take();
        tile.resize(tile.len().max(lanes * stride + 8), 0.0);
        let border = tile.as_ptr().align_offset(64).min(8);
        let begins = streams
            .iter()
            .scan(border, |next, stream| Some(std::mem::replace(next, *next + stream.len() * stride)))
            .collect();
        Self { closes: candles.closes(), numbers, places, streams, tile, begins, stride }
    }

    /// The place of a series that the part looks at.
    fn place(&self, series: u32) -> Computed<usize> {
        self.numbers[series as usize]
            .clone()
            .unwrap_or_else(|| Err(EvaluationError::Invalid("a series is missing".into())))
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

/// What is known of a pair in a tile, and buffers for a test's words.
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
    let words = n.div_ceil(64);
    let mut answers: Vec<Answer> = part.iter().map(|test| Answer::new(test.relation, words)).collect();
    let pairs: Vec<(usize, Computed<Pair>)> = part
        .chunk_by(|a, b| (a.left, a.right) == (b.left, b.right))
        .map(|tests| (tests.len(), Pair::new(tests, &sources)))
        .collect();
    let mut buffers = TileBuffers::default();
    for start in (0..n).step_by(sources.stride) {
        let candles = start..n.min(start + sources.stride);
        sources.advance(candles.end);
        let views = sources.views(&candles);
        let mut rest = answers.as_mut_slice();
        for (tests, pair) in &pairs {
            let (own, after) = rest.split_at_mut(*tests);
            rest = after;
            if let Ok(pair) = pair {
                pair.tile(own, &views, &candles, &mut buffers);
            }
        }
    }
    TILE.set(sources.tile);
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

    fn tile(&self, tests: &mut [Answer], views: &[View<'_>], candles: &Range<usize>, buffers: &mut TileBuffers) {
        let words = candles.len().div_ceil(64);
        let left = views[self.left];
        let (right, mut defined_from) = match self.right {
            RightSide::Source(number) => {
                let right = views[number];
                (Right::Values(right.values), right.defined_from)
            }
            RightSide::Constant(constant) => (Right::Constant(constant), 0),
        };
        let TileBuffers { above, below, defined, outcome } = buffers;
        if let [test] = tests
            && let Some(predicate) = test.relation.predicate()
        {
            return test.outcome.add(words, outcome, |out| compare(predicate, left.values, right, out));
        }
        let (above, below, defined) = (&mut above[..words], &mut below[..words], &mut defined[..words]);
        defined_from = defined_from.max(left.defined_from);
        if candles.start < defined_from {
            compare(Predicate::Ordered, left.values, right, defined);
        } else {
            defined.fill(u64::MAX);
        }
        match (self.looks_above, self.looks_below) {
            (true, true) => above_and_below(left.values, right, above, below),
            (true, false) => compare(Predicate::Above, left.values, right, above),
            _ => compare(Predicate::Below, left.values, right, below),
        }
        // Candles past the end are no candles.
        if !candles.len().is_multiple_of(64) {
            defined[words - 1] &= (1 << (candles.len() % 64)) - 1;
        }
        for test in tests {
            let after = if test.relation.looks_above() { &*above } else { &*below };
            let (relation, before) = (test.relation, &mut test.before);
            test.outcome.add(words, outcome, |out| *before = relation.outcome(defined, after, *before, out));
        }
    }
}

impl Relation {
    /// Writes the words of a tile to `out`: from where both sides are defined, and where what the relation looks at
    /// holds. Returns what the next tile must know of this one, as `before` was known of the one before.
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
