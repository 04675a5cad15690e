//! A population on a window: everything its strategies look at, computed once; then each strategy by itself.
//!
//! Locks only while it plans. What is evaluated afterwards is immutable and shared.

use super::{
    Costs, DailyEquity, EvaluationError, Ledger, Outcome, Performance, SymbolRun, Trade, Wanted, Window,
    cache::Cache,
    conditions::{Bits, Held, compute_bits, compute_columns, series_of},
    equity::{self, Sleeve, Timeline},
    execution::{Atrs, SleeveRun, simulate},
    frame::Frame,
    guarded,
    ledger::{ClosedTrade, Digest},
    performance,
    plan::{Plan, Planner, Test, Vocabulary},
    signal::Signals,
    stake::Stake,
};
use genome::{Series, Strategy, Timeframe};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where something was computed: the identity of a symbol's candles, and the base timeframe.
type Place = (u128, Timeframe);

/// What populations leave for later ones.
#[derive(Debug)]
pub(super) struct Memory {
    bits: Cache<(Place, Test), Bits>,
    columns: Cache<(Place, Series), Arc<Held>>,
}

impl Memory {
    /// At most this many MiB: three parts in four for bit sets, which save the most a byte, the rest for columns.
    pub(super) fn new(cache_mb: usize) -> Self {
        let bytes = cache_mb << 20;
        Self { bits: Cache::new(bytes / 4 * 3), columns: Cache::new(bytes / 4) }
    }
}

impl Memory {
    /// What it holds, and how often that was of use.
    pub(super) fn in_use(&self) -> super::CacheUse {
        let ((bit_hits, bit_misses), (column_hits, column_misses)) = (self.bits.lookups(), self.columns.lookups());
        super::CacheUse {
            bytes: self.bits.bytes() + self.columns.bytes(),
            hits: bit_hits + column_hits,
            misses: bit_misses + column_misses,
        }
    }
}

pub(super) fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    // What is in the memory is whole even if a thread panicked beside it.
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A population with all that its strategies look at.
pub(super) struct Prepared<'a> {
    population: &'a [Strategy],
    window: &'a Window,
    costs: &'a Costs,
    plans: Vec<Result<Plan, EvaluationError>>,
    /// One for each vocabulary of the plans.
    markets: Vec<Result<Market<'a>, EvaluationError>>,
}

/// What the strategies of one base timeframe look at.
struct Market<'a> {
    /// By symbol.
    frames: Vec<Frame<'a>>,
    /// By symbol and number of the test.
    bits: Vec<Vec<Bits>>,
    /// By symbol and number of the ATR.
    atrs: Vec<Vec<Arc<Held>>>,
    /// Tests that could not be computed on some symbol.
    failed: BTreeMap<u32, EvaluationError>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(
        population: &'a [Strategy],
        window: &'a Window,
        costs: &'a Costs,
        memory: &Mutex<Memory>,
    ) -> Self {
        let mut planner = Planner::new(window.interval());
        let plans = population.iter().map(|strategy| planner.plan(strategy, &costs.slippage)).collect();
        {
            let mut memory = lock(memory);
            memory.bits.begin_round();
            memory.columns.begin_round();
        }
        let markets = planner.vocabularies.iter().map(|v| guarded(|| Market::new(v, window, memory))).collect();
        Self { population, window, costs, plans, markets }
    }

    /// The timeline of each vocabulary's frames.
    pub(super) fn timelines(&self) -> Vec<Option<Timeline<'_>>> {
        let (from_ms, to_ms) = (self.window.from_ms(), self.window.to_ms());
        self.markets
            .iter()
            .map(|market| market.as_ref().ok().map(|market| Timeline::new(&market.frames, from_ms, to_ms)))
            .collect()
    }

    /// Strategy `k`'s plan and market.
    fn planned(&self, k: usize) -> Result<(&Plan, &Market<'a>), EvaluationError> {
        let plan = self.plans[k].as_ref().map_err(Clone::clone)?;
        let market = self.markets[plan.vocabulary].as_ref().map_err(Clone::clone)?;
        if !market.failed.is_empty()
            && let Some(error) = plan.uses.iter().find_map(|test| market.failed.get(test))
        {
            return Err(error.clone());
        }
        Ok((plan, market))
    }

    fn run(
        &self,
        k: usize,
        plan: &Plan,
        market: &Market<'_>,
        symbol: usize,
        signals: &mut Signals,
        capital: f64,
    ) -> SleeveRun {
        let frame = &market.frames[symbol];
        signals.compute(plan, &market.bits[symbol], frame.first, frame.candles.len());
        let atrs = Atrs::new(&plan.atrs, |number| market.atrs[symbol][number as usize].column.values());
        simulate(&self.population[k].risk, self.costs, frame, signals, atrs, capital)
    }

    /// What strategy `k` did.
    pub(super) fn outcome(
        &self,
        k: usize,
        timelines: &[Option<Timeline<'_>>],
        initial_capital: f64,
        wanted: Wanted,
    ) -> Result<Outcome, EvaluationError> {
        let (plan, market) = self.planned(k)?;
        let symbols = market.frames.len();
        let capital = initial_capital / symbols as f64;
        // A large population keeps all threads busy by itself.
        let together = if self.population.len() < 4 * rayon::current_num_threads() { 1 } else { symbols };
        let runs: Vec<SleeveRun> = (0..symbols)
            .into_par_iter()
            .with_min_len(together)
            .map_init(Signals::default, |signals, s| self.run(k, plan, market, s, signals, capital))
            .collect();
        let mut digest = Digest::new(0);
        for (run, frame) in runs.iter().zip(&market.frames) {
            digest.symbol(frame.symbol);
            run.trades.iter().for_each(|trade| digest.trade(trade));
        }
        let trades: Vec<&[ClosedTrade]> = runs.iter().map(|run| run.trades.as_slice()).collect();
        let first: f64 = runs.iter().map(|_| capital).sum();
        let last: f64 = runs.iter().map(|run| run.last_equity).sum();
        let sleeves: Vec<Sleeve<'_>> =
            runs.iter().enumerate().map(|(symbol, run)| Sleeve { symbol, holdings: &run.holdings, capital }).collect();
        let timeline = timelines[plan.vocabulary]
            .as_ref()
            .ok_or_else(|| EvaluationError::Invalid("its timeframe has no candles".to_owned()))?;
        let performance = |sleeves: &[Sleeve<'_>], trades: &[&[ClosedTrade]], first: f64, last: f64| {
            if wanted.summary_only {
                return (Performance::summary(first, last, trades), Vec::new(), Vec::new());
            }
            let daily = equity::daily(sleeves, timeline);
            let account = performance::Account {
                first_equity: first,
                last_equity: last,
                daily: &daily,
                months: &timeline.months,
                max_drawdown: equity::max_drawdown(sleeves, timeline),
                trades,
                candles: sleeves.iter().map(|s| timeline.candles[s.symbol]).sum(),
            };
            let (performance, returns) = Performance::of(&account);
            (performance, returns, daily)
        };
        let per_symbol = if wanted.per_symbol {
            let one = |s: usize| performance(&sleeves[s..=s], &trades[s..=s], capital, runs[s].last_equity).0;
            (0..symbols).map(one).collect()
        } else {
            Vec::new()
        };
        let (performance, daily_returns, mut daily_equity) = performance(&sleeves, &trades, first, last);
        let ledger = wanted.ledger.then(|| {
            if wanted.summary_only {
                daily_equity = equity::daily(&sleeves, timeline);
            }
            Ledger { trades: self.in_order(market, &trades), daily_equity }
        });
        let stake = if wanted.summary_only { None } else { Stake::of(&trades, first) };
        Ok(Outcome { performance, per_symbol, daily_returns, stake, trades_digest: digest.value(), ledger })
    }

    /// All trades in order of entry; at one time in order of the symbols.
    fn in_order(&self, market: &Market<'_>, trades: &[&[ClosedTrade]]) -> Vec<Trade> {
        let with_symbol = |(trades, frame): (&&[ClosedTrade], &Frame<'_>)| -> Vec<Trade> {
            trades.iter().map(|trade| trade.with_symbol(frame.symbol)).collect()
        };
        let mut all: Vec<Trade> = trades.iter().zip(&market.frames).flat_map(with_symbol).collect();
        all.sort_by_key(|trade| trade.entry_time_ms);
        all
    }

    /// What strategy `k` did on one symbol, candle by candle.
    pub(super) fn symbol_run(
        &self,
        k: usize,
        symbol: usize,
        initial_capital: f64,
    ) -> Result<SymbolRun, EvaluationError> {
        let (plan, market) = self.planned(k)?;
        let frame = &market.frames[symbol];
        let capital = initial_capital / market.frames.len() as f64;
        let run = self.run(k, plan, market, symbol, &mut Signals::default(), capital);
        let mut holdings = run.holdings.iter().peekable();
        let mut held = None;
        let equity = (frame.first..frame.candles.len()).map(|i| {
            while let Some(next) = holdings.next_if(|h| h.candle <= i) {
                held = Some(next);
            }
            let equity = held.map_or(capital, |h| h.equity(frame.candles.closes()[i]));
            DailyEquity { time_ms: frame.candles.close_time_ms(i) + 1, equity }
        });
        let equity = equity.collect();
        Ok(SymbolRun { trades: run.trades.iter().map(|t| t.with_symbol(frame.symbol)).collect(), equity })
    }
}

impl<'a> Market<'a> {
    fn new(vocabulary: &Vocabulary, window: &'a Window, memory: &Mutex<Memory>) -> Result<Self, EvaluationError> {
        let frames: Vec<Frame<'a>> = window
            .symbols()
            .par_iter()
            .map(|data| Frame::new(data, window.from_ms(), vocabulary.timeframe))
            .collect::<Result<_, _>>()?;
        let mut market = Self { frames, bits: Vec::new(), atrs: Vec::new(), failed: BTreeMap::new() };
        for (frame, &identity) in market.frames.iter().zip(window.identities()) {
            let place = (identity, vocabulary.timeframe);
            market.bits.push(bits(frame, place, vocabulary, memory, &mut market.failed));
            market.atrs.push(atrs(frame, place, vocabulary, memory)?);
        }
        Ok(market)
    }
}

/// The bit sets of a vocabulary's tests: from memory, or computed and left there.
fn bits(
    frame: &Frame<'_>,
    place: Place,
    vocabulary: &Vocabulary,
    memory: &Mutex<Memory>,
    failed: &mut BTreeMap<u32, EvaluationError>,
) -> Vec<Bits> {
    let nothing: Bits = Arc::new([]);
    let (mut bits, mut missing, mut tests) = (Vec::new(), Vec::new(), Vec::new());
    let mut columns: BTreeMap<Series, Arc<Held>> = BTreeMap::new();
    {
        let mut memory = lock(memory);
        for (number, test) in vocabulary.tests.iter().enumerate() {
            bits.push(memory.bits.get(&(place, *test)).unwrap_or_else(|| {
                missing.push(number);
                tests.push(*test);
                Arc::clone(&nothing)
            }));
        }
        for series in tests.iter().flat_map(series_of) {
            if let Some(column) = memory.columns.get(&(place, series)) {
                columns.insert(series, column);
            }
        }
    }
    let computed = compute_bits(frame, &tests, &columns, |new| {
        let mut memory = lock(memory);
        for (series, column) in new {
            if let Ok(column) = column {
                memory.columns.insert((place, series), column);
            }
        }
    });
    let mut memory = lock(memory);
    for (number, computed) in missing.into_iter().zip(computed) {
        match computed {
            Ok(computed) => {
                memory.bits.insert((place, vocabulary.tests[number]), Arc::clone(&computed));
                bits[number] = computed;
            }
            Err(error) => {
                failed.insert(u32::try_from(number).unwrap_or(u32::MAX), error);
            }
        }
    }
    bits
}

/// The ATR columns that risk plans and slippage look at.
fn atrs(
    frame: &Frame<'_>,
    place: Place,
    vocabulary: &Vocabulary,
    memory: &Mutex<Memory>,
) -> Result<Vec<Arc<Held>>, EvaluationError> {
    let mut known: BTreeMap<Series, Arc<Held>> = BTreeMap::new();
    {
        let mut memory = lock(memory);
        known.extend(vocabulary.atrs.iter().filter_map(|s| Some((*s, memory.columns.get(&(place, *s))?))));
    }
    let missing: BTreeSet<Series> = vocabulary.atrs.iter().copied().filter(|s| !known.contains_key(s)).collect();
    for (series, column) in compute_columns(frame, &missing) {
        known.insert(series, column?);
    }
    Ok(vocabulary.atrs.iter().map(|series| Arc::clone(&known[series])).collect())
}
