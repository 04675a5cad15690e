//! A simulated market as a value that answers for any window: candles and funding rates.
//!
//! Days are made on demand from stored day-start states and kept in a bounded cache, so what was asked before
//! changes the time an answer takes and nothing else. Never does I/O and never looks at a clock.

use super::base_candle::{BaseCandle, QUOTE_SCALE};
use super::limits::SpecError;
use super::path::{PathModel, State};
use super::planting;
use super::spec::MarketSpec;
use candles::time::DAY_MS;
use candles::{Candle, CandleSeries, FundingRate, Interval, Symbol, interval};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Base candles kept in memory (of all symbols together; about 80 bytes each).
const CACHED_CANDLES: usize = 1_000_000;
/// A market is never made further than this from its start: a guard against mistaken times.
const MAX_DAYS: i64 = 100 * 366;
const FUNDING_MS: i64 = 8 * 3_600_000;

/// Why a simulated market has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum MarketError {
    #[error("the simulated market has no symbol {0}")]
    UnknownSymbol(Symbol),
    #[error("the simulated market's finest interval is {base}; {asked} candles cannot be made from it")]
    TooFine { base: Interval, asked: Interval },
    #[error("{0} ms lies more than a century after the simulated market's start")]
    TooFar(i64),
}

/// A simulated market. Shared by reference between threads.
#[derive(Debug)]
pub struct SimulatedMarket {
    spec: MarketSpec,
    model: PathModel,
    base_ms: i64,
    made: Mutex<Made>,
}

/// What has been made so far.
#[derive(Debug)]
struct Made {
    /// State at the start of each day, as far as the market was ever asked for.
    states: Vec<State>,
    /// Days by number, with the time of their last use.
    days: BTreeMap<u64, (Rows, u64)>,
    uses: u64,
}

/// A day's base candles, a row a symbol, of those that were made.
type Rows = Vec<Option<Arc<[BaseCandle]>>>;

impl SimulatedMarket {
    /// A market that follows `spec`.
    ///
    /// # Errors
    /// A spec that cannot be.
    pub fn new(spec: MarketSpec) -> Result<Self, SpecError> {
        spec.validate()?;
        let drifts: Vec<f64> = spec.edges.iter().map(|edge| planting::drift(&spec, edge)).collect();
        let model = PathModel::new(&spec, &drifts);
        let made = Made { states: vec![model.initial_state()], days: BTreeMap::new(), uses: 0 };
        let base_ms = DAY_MS / model.per_day() as i64;
        Ok(Self { spec, model, base_ms, made: Mutex::new(made) })
    }

    /// What the market is made of.
    #[must_use]
    pub fn spec(&self) -> &MarketSpec {
        &self.spec
    }

    /// All candles of a symbol that open in `[from_ms, to_ms)` while it is listed, whether or not they lie in some clock's
    /// future.
    /// The market's first candle of a week or month may hold only the part since the market's start.
    ///
    /// # Errors
    /// An unknown symbol, an interval finer than the base, or a time a century away.
    pub fn candles(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<CandleSeries, MarketError> {
        let index = self.check(symbol, interval)?;
        let mut series = CandleSeries::new(interval);
        let first_ms = first_open(interval, from_ms);
        if to_ms <= first_ms {
            return Ok(series);
        }
        let end_ms = interval::next_open_time_ms(interval, interval::open_time_ms(interval, to_ms - 1));
        self.check_reach(end_ms)?;
        let mut merger = Merger::new(interval, self.units(index));
        self.for_each(index, first_ms, end_ms, |open_ms, candle| merger.push(open_ms, &candle));
        for candle in merger.finish() {
            // Generated candles are ascending and possible by construction; one that is not would be left out.
            let pushed = series.push(&candle);
            debug_assert_eq!(pushed, Ok(()));
        }
        Ok(series)
    }

    /// Funding payments of a symbol in `[from_ms, to_ms]` while it is listed, every eight hours from 00:00 UTC.
    ///
    /// # Errors
    /// An unknown symbol or a time a century away.
    pub fn funding_rates(&self, symbol: &Symbol, from_ms: i64, to_ms: i64) -> Result<Vec<FundingRate>, MarketError> {
        let index = self.check(symbol, Interval::Mo1)?;
        self.check_reach(to_ms)?;
        let seed = self.spec.seed.child("funding", 0).child(symbol.as_str(), 0);
        let (listed_ms, end_ms) = self.life(index);
        let (from_ms, to_ms) = (from_ms.max(listed_ms), to_ms.min(end_ms.saturating_sub(1)));
        let first = from_ms.div_euclid(FUNDING_MS);
        Ok((first..=to_ms.div_euclid(FUNDING_MS))
            .filter(|n| n * FUNDING_MS >= from_ms)
            .map(|n| {
                let noise: f64 = seed.stream("rate", n as u64).sample(StandardNormal);
                let rate = (0.0001 + 0.00008 * noise).clamp(-0.003, 0.003);
                FundingRate { time_ms: n * FUNDING_MS, rate: (rate * 1e8).round() / 1e8 }
            })
            .collect())
    }

    /// What a symbol's candles look like at `now_ms`: those that open in `[from_ms, to_ms]` and not after now, the
    /// newest with what has happened of it so far. Each base candle passes through `keep` first, with its open time,
    /// which may change it or leave it out.
    pub fn seen(
        &self,
        symbol: &Symbol,
        interval: Interval,
        (from_ms, to_ms): (i64, i64),
        now_ms: i64,
        mut keep: impl FnMut(i64, BaseCandle) -> Option<BaseCandle>,
    ) -> Result<Vec<Candle>, MarketError> {
        let index = self.check(symbol, interval)?;
        let to_ms = to_ms.min(now_ms);
        if to_ms < from_ms {
            return Ok(Vec::new());
        }
        self.check_reach(to_ms)?;
        let first_ms = first_open(interval, from_ms);
        let end_ms = interval::next_open_time_ms(interval, interval::open_time_ms(interval, to_ms));
        let mut merger = Merger::new(interval, self.units(index));
        let mut take = |open_ms: i64, candle| {
            if let Some(candle) = keep(open_ms, candle) {
                merger.push(open_ms, &candle);
            }
        };
        let open_base_ms = now_ms - now_ms.rem_euclid(self.base_ms);
        let (listed_ms, delisted_ms) = self.life(index);
        self.for_each(index, first_ms, end_ms.min(open_base_ms), &mut take);
        if open_base_ms >= first_ms.max(listed_ms)
            && open_base_ms < end_ms.min(delisted_ms)
            && let Some((open_ms, candle)) = self.partial(index, now_ms)
        {
            take(open_ms, candle);
        }
        Ok(merger.finish())
    }

    pub(super) fn check(&self, symbol: &Symbol, interval: Interval) -> Result<usize, MarketError> {
        let index = self.spec.index_of(symbol).ok_or_else(|| MarketError::UnknownSymbol(symbol.clone()))?;
        if interval < self.spec.base {
            return Err(MarketError::TooFine { base: self.spec.base, asked: interval });
        }
        Ok(index)
    }

    /// What of the base candle that holds `now_ms` has happened by then; `None` where nothing has.
    fn partial(&self, index: usize, now_ms: i64) -> Option<(i64, BaseCandle)> {
        let since = now_ms - self.spec.start_ms;
        let day = u64::try_from(since.div_euclid(DAY_MS)).ok()?;
        let into_day = since.rem_euclid(DAY_MS);
        let (candle, into) = (into_day / self.base_ms, into_day % self.base_ms);
        let steps = (into * self.model.steps() as i64 / self.base_ms) as usize;
        if steps == 0 {
            return None;
        }
        let state = self.state(day);
        let partial = self.model.partial(day, &state, candle as usize, steps, index)?;
        Some((now_ms - into, partial))
    }

    /// Open time of a symbol's first candle, and the time from which it has none.
    pub(super) fn life(&self, index: usize) -> (i64, i64) {
        let symbol = &self.spec.symbols[index];
        (symbol.listed_ms.unwrap_or(self.spec.start_ms), symbol.delisted_ms.unwrap_or(i64::MAX))
    }

    pub(super) fn check_reach(&self, end_ms: i64) -> Result<(), MarketError> {
        let far = end_ms.saturating_sub(self.spec.start_ms) > MAX_DAYS * DAY_MS;
        if far { Err(MarketError::TooFar(end_ms)) } else { Ok(()) }
    }

    fn units(&self, index: usize) -> Units {
        Units { volume: 10f64.powi(self.spec.symbols[index].volume_decimals as i32) }
    }

    /// Calls `visit` with each base candle that opens in `[from_ms, end_ms)`.
    fn for_each(&self, index: usize, from_ms: i64, end_ms: i64, mut visit: impl FnMut(i64, BaseCandle)) {
        let start = self.spec.start_ms;
        let (listed_ms, delisted_ms) = self.life(index);
        let end_ms = end_ms.min(delisted_ms);
        let mut at = from_ms.max(listed_ms);
        while at < end_ms {
            let day = (at - start).div_euclid(DAY_MS);
            let day_ms = start + day * DAY_MS;
            let row = self.day(day as u64, index);
            let first = ((at - day_ms) + self.base_ms - 1) / self.base_ms;
            let last = ((end_ms - day_ms) + self.base_ms - 1) / self.base_ms;
            let last = (last as usize).min(row.len());
            for (i, candle) in row.iter().enumerate().take(last).skip(first as usize) {
                visit(day_ms + i as i64 * self.base_ms, *candle);
            }
            at = day_ms + DAY_MS;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Made> {
        // Every step below leaves `Made` whole, so a panic elsewhere while it was held harms nothing.
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self, day: u64) -> State {
        let mut made = self.lock();
        self.reach(&mut made, day);
        made.states[day as usize].clone()
    }

    /// Makes days until the state at the start of `day` is known.
    fn reach(&self, made: &mut Made, day: u64) {
        while (made.states.len() as u64) <= day {
            let next = made.states.len() as u64 - 1;
            self.make(made, next);
        }
    }

    fn day(&self, day: u64, index: usize) -> Arc<[BaseCandle]> {
        let mut made = self.lock();
        self.reach(&mut made, day);
        made.uses += 1;
        let now = made.uses;
        if let Some((rows, used)) = made.days.get_mut(&day) {
            *used = now;
            if let Some(row) = &rows[index] {
                return Arc::clone(row);
            }
        }
        // Of a day whose beginning is known, what is asked for is made alone.
        let row: Arc<[BaseCandle]> = self.model.day_of(day, &made.states[day as usize], index).into();
        self.rows(&mut made, day)[index] = Some(Arc::clone(&row));
        row
    }

    /// Makes the last day whose beginning is known, and stores what follows from it.
    fn make(&self, made: &mut Made, day: u64) {
        let (candles, end) = self.model.day(day, &made.states[day as usize]);
        made.states.push(end);
        let rows = self.rows(made, day);
        for (row, candles) in rows.iter_mut().zip(candles.symbols) {
            *row = Some(candles.into());
        }
    }

    /// Where a day's rows are kept; makes room for them.
    fn rows<'a>(&self, made: &'a mut Made, day: u64) -> &'a mut Rows {
        let symbols = self.spec.symbols.len();
        let most = (CACHED_CANDLES / (self.model.per_day() * symbols)).max(2);
        if made.days.len() >= most
            && !made.days.contains_key(&day)
            && let Some(oldest) = made.days.iter().min_by_key(|(_, (_, used))| *used).map(|(day, _)| *day)
        {
            made.days.remove(&oldest);
        }
        let used = made.uses;
        &mut made.days.entry(day).or_insert_with(|| (vec![None; symbols], used)).0
    }
}

/// A symbol's smallest units.
#[derive(Clone, Copy, Debug)]
struct Units {
    volume: f64,
}

impl Units {
    fn candle(self, interval: Interval, open_time_ms: i64, c: &BaseCandle) -> Candle {
        Candle {
            open_time_ms,
            open: c.open,
            high: c.high,
            low: c.low,
            close: c.close,
            volume: c.volume as f64 / self.volume,
            close_time_ms: interval::close_time_ms(interval, open_time_ms),
            quote_volume: c.quote as f64 / QUOTE_SCALE,
            trade_count: c.trades,
            taker_buy_volume: c.taker as f64 / self.volume,
            taker_buy_quote_volume: c.taker_quote as f64 / QUOTE_SCALE,
        }
    }
}

/// Merges base candles, pushed in time order, into candles of an interval.
struct Merger {
    interval: Interval,
    units: Units,
    done: Vec<Candle>,
    /// Open time, next open time and content of the candle being merged.
    open: Option<(i64, i64, BaseCandle)>,
}

impl Merger {
    fn new(interval: Interval, units: Units) -> Self {
        Self { interval, units, done: Vec::new(), open: None }
    }

    fn push(&mut self, open_ms: i64, candle: &BaseCandle) {
        match &mut self.open {
            Some((_, next_ms, merged)) if open_ms < *next_ms => merged.extend(candle),
            _ => {
                self.close();
                let at = interval::open_time_ms(self.interval, open_ms);
                self.open = Some((at, interval::next_open_time_ms(self.interval, at), *candle));
            }
        }
    }

    fn close(&mut self) {
        if let Some((at, _, merged)) = self.open.take() {
            self.done.push(self.units.candle(self.interval, at, &merged));
        }
    }

    fn finish(mut self) -> Vec<Candle> {
        self.close();
        self.done
    }
}

/// Open time of the first candle that opens at or after `from_ms`.
fn first_open(interval: Interval, from_ms: i64) -> i64 {
    let open_ms = interval::open_time_ms(interval, from_ms);
    if open_ms < from_ms { interval::next_open_time_ms(interval, open_ms) } else { open_ms }
}
