//! Values that tests look at, tile of candles by tile: candles' own, columns, and averages computed on the way.
//!
//! Averages are computed for the tile at hand, and what is kept of them are ranks of four bytes, which tell above from below
//! wherever two of them differ; where they do not, the exact values are asked for. Knows nothing of tests.

use super::{
    EvaluationError,
    computed::{Columns, Computed, series_of},
    frame::Frame,
    indicator::lanes::{LANES, Stream, WORD},
    plan::{Key, Right, Vocabulary},
    simd::{Width, rank},
    way::{Way, prices, way},
};
use std::{cell::RefCell, ops::Range};

/// Bytes of averages in a tile: they stay in the second-level cache while all tests look at them.
const TILE_BYTES: usize = 1 << 19;
/// Most words of a tile.
pub(super) const MAX_TILE_WORDS: usize = 16;
/// That exact values of a word were not computed.
const NONE: u32 = u32::MAX;

/// Memory of tiles, of which no more is touched than was ever needed.
#[derive(Debug, Default)]
struct Memory {
    ranks: Vec<i32>,
    exact: Vec<[f64; WORD]>,
    slots: Vec<u32>,
}

thread_local! {
    /// What the thread used last: memory once touched is not touched anew for each symbol.
    static MEMORY: RefCell<Memory> = const {
        RefCell::new(Memory { ranks: Vec::new(), exact: Vec::new(), slots: Vec::new() })
    };
}

/// Where the values of a series are found.
#[derive(Clone, Copy, Debug)]
enum Place<'a> {
    /// Of all candles; from the candle on that is told all are defined.
    Whole {
        values: &'a [f64],
        defined_from: usize,
        ranks: Option<usize>,
    },
    Lane {
        stream: usize,
        lane: usize,
    },
}

/// Everything that a part's tests look at.
pub(super) struct Sources<'a> {
    pub width: Width,
    closes: &'a [f64],
    /// Places by number of the series; `None` for those that the part does not look at.
    numbers: Vec<Option<Computed<usize>>>,
    places: Vec<Place<'a>>,
    streams: Vec<Stream>,
    /// Column after column the ranks of a tile, on a cache line's border: lanes of the streams, then what they are
    /// compared with. And where the first of each stream begins.
    memory: Memory,
    begins: Vec<usize>,
    /// By place: where its ranks begin, and from which candle on they are defined; `None` where they are not to be
    /// had or only looking at the exact ones tells.
    views: Vec<Option<(usize, usize)>>,
    /// Candles of a tile, how far apart its columns begin, and the candles last gone through.
    pub tile: usize,
    stride: usize,
    candles: Range<usize>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(frame: &'a Frame<'_>, vocabulary: &Vocabulary, part: &[Key], columns: &'a Columns) -> Self {
        let candles = &*frame.candles;
        let mut numbers = vec![None; vocabulary.series.len()];
        let (mut places, mut streams) = (Vec::new(), Vec::new());
        let (mut ema, mut rsi) = (Vec::new(), Vec::new());
        for number in part.iter().copied().flat_map(series_of) {
            if numbers[number].is_some() {
                continue;
            }
            let series = &vocabulary.series[number];
            let whole = |values, defined_from| Place::Whole { values, defined_from, ranks: None };
            let place = match way(frame, series) {
                Way::Price(field) => Ok(whole(prices(candles, field).unwrap_or_default(), 0)),
                Way::Ema(n) => {
                    ema.push((n, places.len()));
                    Ok(whole(&[], 0))
                }
                Way::Rsi(n) => {
                    rsi.push((n, places.len()));
                    Ok(whole(&[], 0))
                }
                Way::Column => match &columns[series] {
                    Ok(held) => Ok(whole(held.column.values(), held.defined_from)),
                    Err(error) => Err(error.clone()),
                },
            };
            numbers[number] = Some(place.map(|place| {
                places.push(place);
                places.len() - 1
            }));
        }
        let mut add = |mut wanted: Vec<(usize, usize)>, stream: fn(&[usize]) -> Stream| {
            // Neighbours have their seeds at about the same candle.
            wanted.sort_unstable();
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
        let mut sources = Self {
            width: frame.width,
            closes: candles.closes(),
            numbers,
            places,
            streams,
            memory: Memory::default(),
            begins: Vec::new(),
            views: Vec::new(),
            tile: 0,
            stride: 0,
            candles: 0..0,
        };
        let also = sources.compared_with_lanes(part);
        let lanes: usize = sources.streams.iter().map(Stream::len).sum();
        let words = (TILE_BYTES / (4 * WORD * (lanes + also.len())).max(1)).clamp(2, MAX_TILE_WORDS);
        sources.tile = WORD * words.min(candles.len().div_ceil(WORD)).max(1);
        // A cache line more, so that columns do not begin in one set of the cache.
        sources.stride = sources.tile + 16;
        sources.lay_out(&also, lanes);
        sources
    }

    /// Places of whole columns that are compared with averages.
    fn compared_with_lanes(&self, part: &[Key]) -> Vec<usize> {
        let mut also = Vec::new();
        for test in part {
            let Right::Series(right) = test.right else { continue };
            let (Ok(left), Ok(right)) = (self.place(test.left), self.place(right)) else { continue };
            for (one, other) in [(left, right), (right, left)] {
                if matches!(self.places[one], Place::Lane { .. }) && matches!(self.places[other], Place::Whole { .. }) {
                    also.push(other);
                }
            }
        }
        also.sort_unstable();
        also.dedup();
        also
    }

    /// Finds memory for a tile, and a place in it for each column.
    fn lay_out(&mut self, also: &[usize], lanes: usize) {
        let mut memory = MEMORY.take();
        let needed = (lanes + also.len()) * self.stride + 16;
        memory.ranks.resize(memory.ranks.len().max(needed), 0);
        let mut next = memory.ranks.as_ptr().align_offset(64).min(16);
        for stream in &self.streams {
            self.begins.push(next);
            next += stream.len() * self.stride;
        }
        for &place in also {
            if let Place::Whole { ranks, .. } = &mut self.places[place] {
                *ranks = Some(next);
                next += self.stride;
            }
        }
        self.memory = memory;
    }

    /// Gives the memory back for what comes next.
    pub(super) fn finish(self) {
        MEMORY.set(self.memory);
    }

    /// The place of a series that the part looks at.
    pub(super) fn place(&self, series: u32) -> Computed<usize> {
        self.numbers[series as usize]
            .clone()
            .unwrap_or_else(|| Err(EvaluationError::Invalid("a series is missing".into())))
    }

    /// Computes what is computed tile by tile, for the next tile.
    pub(super) fn advance(&mut self, candles: Range<usize>) {
        let Memory { ranks: tile, exact, slots } = &mut self.memory;
        exact.clear();
        slots.clear();
        for (stream, &begin) in self.streams.iter_mut().zip(&self.begins) {
            stream.advance(self.width, self.closes, candles.end, &mut tile[begin..], self.stride);
        }
        for place in &self.places {
            if let Place::Whole { values, ranks: Some(begin), .. } = place {
                for (out, value) in tile[*begin..][..candles.len()].iter_mut().zip(&values[candles.clone()]) {
                    *out = rank(*value);
                }
            }
        }
        self.candles = candles;
        let view = |place: &Place<'_>| match *place {
            Place::Whole { ranks, defined_from, values } => {
                Some((ranks?, defined_from)).filter(|_| defined_from < values.len())
            }
            Place::Lane { stream, lane } => {
                let defined_from = self.streams[stream].defined_from(lane)?;
                Some((self.begins[stream] + lane * self.stride, defined_from))
            }
        };
        self.views.clear();
        self.views.extend(self.places.iter().map(view));
    }

    /// The values of a whole column at the candles of the tile, and from which candle on they are defined; `None` of an
    /// average.
    pub(super) fn whole(&self, place: usize) -> Option<(&'a [f64], usize)> {
        match self.places[place] {
            Place::Whole { values, defined_from, .. } => Some((&values[self.candles.clone()], defined_from)),
            Place::Lane { .. } => None,
        }
    }

    /// Ranks at the candles of the tile, in whole words whose end may mean nothing, and from which candle on they
    /// are defined; `None` where they are not to be had or only looking at the exact ones tells.
    #[inline]
    pub(super) fn ranks(&self, place: usize) -> Option<(&[i32], usize)> {
        let (begin, defined_from) = self.views[place]?;
        let words = self.candles.len().div_ceil(WORD);
        Some((&self.memory.ranks[begin..][..WORD * words], defined_from))
    }

    /// Exact values at the candles of a word of the tile; what is past its end means nothing.
    pub(super) fn exact(&mut self, place: usize, word: usize) -> [f64; WORD] {
        let (stream, lane) = match self.places[place] {
            Place::Whole { values, .. } => {
                let from = self.candles.start + word * WORD;
                let mut out = [f64::NAN; WORD];
                let values = &values[from..self.candles.end.min(from + WORD)];
                out[..values.len()].copy_from_slice(values);
                return out;
            }
            Place::Lane { stream, lane } => (stream, lane),
        };
        // Once for all that ask: where a market stands still, everything is equal.
        let Memory { exact, slots, .. } = &mut self.memory;
        slots.resize(self.streams.len() * LANES * MAX_TILE_WORDS, NONE);
        let slot = &mut slots[(stream * LANES + lane) * MAX_TILE_WORDS + word];
        if *slot == NONE {
            *slot = exact.len() as u32;
            let mut values = [f64::NAN; WORD];
            self.streams[stream].exact(self.closes, word, lane, &mut values);
            exact.push(values);
        }
        exact[*slot as usize]
    }
}
