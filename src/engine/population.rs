//! A population on a window: everything its strategies look at, computed once; then each strategy by itself.
//!
//! Locks only while it plans. What is evaluated afterwards is immutable and shared.

use super::{
    DailyEquity, EvaluationError, Ledger, Outcome, Performance, SymbolRun, Terms, Trade, Wanted, Window,
    cache::{Cache, Place},
    computed::{Held, series_of},
    conditions::{compute_columns, compute_tests, whole_columns},
    equity::{Curves, Sleeve},
    events::Events,
    execution::{Atrs, Beginning, SleeveRun, simulate},
    frame::Frame,
    guarded,
    ledger::{ClosedTrade, Digest},
    performance::{self, Moments, MonthlyReturn},
    plan::{Key, Plan, Planner, Test, Vocabulary},
    signal::SignalBuffers,
    simd::Width,
    stake::Stake,
    tally::{Brief, Keep, Sums, Tally},
    timeline::Timeline,
};
use genome::{Series, Strategy};
use rayon::prelude::*;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What populations leave for later ones.
#[derive(Debug)]
pub(super) struct Memory {
    bits: Cache<Test, Events>,
    columns: Cache<Series, Arc<Held>>,
}

impl Memory {
    /// At most this many MiB: three parts in four for bit sets, which save the most a byte, the rest for columns.
    pub(super) fn new(cache_mb: usize) -> Self {
        let bytes = cache_mb << 20;
        Self { bits: Cache::new(bytes / 4 * 3), columns: Cache::new(bytes / 4) }
    }

    /// An empty one that goes on counting look-ups.
    pub(super) fn after(cache_mb: usize, before: super::CacheUse) -> Self {
        let mut memory = Self::new(cache_mb);
        memory.bits.count_from(before.hits, before.misses);
        memory
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

/// Memory that a thread uses for one strategy after another.
#[derive(Debug, Default)]
pub(super) struct ScratchBuffers {
    buffers: SignalBuffers,
    /// By strategy and symbol.
    runs: Vec<SleeveRun>,
    curves: Curves,
}

/// A population with all that its strategies look at.
pub(super) struct Prepared<'a> {
    width: Width,
    population: &'a [Strategy],
    window: &'a Window,
    terms: &'a Terms,
    plans: Vec<Result<Plan, EvaluationError>>,
    /// One for each vocabulary of the plans.
    markets: Vec<Result<Market<'a>, EvaluationError>>,
}

/// What the strategies of one base timeframe look at.
struct Market<'a> {
    /// By symbol.
    frames: Vec<Frame<'a>>,
    /// By symbol and number of the test.
    bits: Vec<Vec<Events>>,
    /// By symbol and number of the ATR.
    atrs: Vec<Vec<Arc<Held>>>,
    /// Tests that could not be computed on some symbol.
    failed: BTreeMap<u32, EvaluationError>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(
        width: Width,
        population: &'a [Strategy],
        window: &'a Window,
        terms: &'a Terms,
        memory: &Mutex<Memory>,
    ) -> Self {
        let mut planner = Planner::new(window.interval());
        let plans = population.iter().map(|strategy| planner.plan(strategy, &terms.costs.slippage)).collect();
        {
            let mut memory = lock(memory);
            memory.bits.begin_round();
            memory.columns.begin_round();
        }
        let markets = planner.vocabularies.iter().map(|v| guarded(|| Market::new(width, v, window, memory))).collect();
        Self { width, population, window, terms, plans, markets }
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

    /// What strategy `k` did on one symbol.
    fn run(
        &self,
        k: usize,
        symbol: usize,
        buffers: &mut SignalBuffers,
        beginning: Beginning,
        run: &mut SleeveRun,
    ) -> Result<(), EvaluationError> {
        let (plan, market) = self.planned(k)?;
        let frame = &market.frames[symbol];
        let signals = buffers.signals(plan, &market.bits[symbol], frame.candles.len());
        let atrs = Atrs::new(&plan.atrs, |number| market.atrs[symbol][number as usize].column.values());
        simulate(&self.population[k].risk, self.terms, frame, signals, atrs, beginning, run);
        Ok(())
    }

    /// Tells what the strategies of a range did, one after another in `scratch`, by their numbers in it. Those that
    /// cannot be evaluated harm no others.
    pub(super) fn outcomes(
        &self,
        strategies: Range<usize>,
        timelines: &[Option<Timeline<'_>>],
        wanted: Wanted,
        scratch: &mut ScratchBuffers,
        mut tell: impl FnMut(usize, Result<Outcome, EvaluationError>),
    ) {
        let symbols = self.window.symbols().len();
        let capital = self.terms.initial_capital / symbols as f64;
        let ScratchBuffers { buffers, runs, curves } = scratch;
        runs.resize_with(strategies.len() * symbols, SleeveRun::default);
        let mut failed: Vec<Option<EvaluationError>> = vec![None; strategies.len()];
        // A large population keeps all threads busy by itself; of a small one each symbol is a thread's.
        let apart = self.population.len() < 4 * rayon::current_num_threads();
        let keep = match wanted {
            // What sleeves simulated apart come to together is added up afterwards, of their trades.
            _ if wanted.ledger || apart => Keep::Trades,
            Wanted { summary_only: true, .. } => Keep::Count,
            _ => Keep::Briefs,
        };
        let sleeve =
            |k: usize, s: usize, before: Option<&SleeveRun>, buffers: &mut SignalBuffers, run: &mut SleeveRun| {
                let mut tally = before.map_or(Tally::default(), |run| Tally::after(&run.tally));
                tally.digest.symbol(&self.window.symbols()[s].symbol);
                guarded(|| self.run(k, s, buffers, Beginning { capital, tally, keep }, run))
            };
        if apart {
            for (k, runs) in strategies.clone().zip(runs.chunks_mut(symbols)) {
                let run = |(s, run)| sleeve(k, s, None, &mut SignalBuffers::default(), run);
                failed[k - strategies.start] = runs.par_iter_mut().enumerate().map(run).find_map_first(Result::err);
                self.chain(runs);
            }
        } else {
            // Symbol by symbol, so that a symbol's candles stay in the cache.
            for s in 0..symbols {
                for (j, failed) in failed.iter_mut().enumerate().filter(|(_, failed)| failed.is_none()) {
                    let (before, runs) = runs[j * symbols..].split_at_mut(s);
                    *failed = sleeve(strategies.start + j, s, before.last(), buffers, &mut runs[0]).err();
                }
            }
        }
        for (j, (failed, runs)) in failed.into_iter().zip(runs.chunks(symbols)).enumerate() {
            tell(
                j,
                match failed {
                    Some(error) => Err(error),
                    None => guarded(|| self.outcome(strategies.start + j, runs, timelines, capital, wanted, curves)),
                },
            );
        }
    }

    /// Tallies of sleeves that were simulated apart, each going on from the one before.
    fn chain(&self, runs: &mut [SleeveRun]) {
        let (mut digest, mut sums) = (Digest::new(0), Sums::default());
        for (run, data) in runs.iter_mut().zip(self.window.symbols()) {
            digest.symbol(&data.symbol);
            for t in &run.records.trades {
                digest.trade(t.side, [t.entry_time_ms, t.exit_time_ms], [t.entry_price, t.exit_price]);
                sums.add(t);
            }
            (run.tally.digest, run.tally.sums_so_far) = (digest, sums);
        }
    }

    /// What strategy `k` did, whose sleeves did `runs`.
    fn outcome(
        &self,
        k: usize,
        runs: &[SleeveRun],
        timelines: &[Option<Timeline<'_>>],
        capital: f64,
        wanted: Wanted,
        curves: &mut Curves,
    ) -> Result<Outcome, EvaluationError> {
        let (plan, market) = self.planned(k)?;
        let digest = runs.last().map_or(Digest::new(0), |run| run.tally.digest);
        let first: f64 = runs.iter().map(|_| capital).sum();
        let last: f64 = runs.iter().map(|run| run.last_equity).sum();
        let timeline = timelines[plan.vocabulary]
            .as_ref()
            .ok_or_else(|| EvaluationError::Invalid("its timeframe has no candles".to_owned()))?;
        if !wanted.summary_only || wanted.ledger {
            let runs = runs.iter().enumerate();
            let sleeves: Vec<Sleeve<'_>> =
                runs.map(|(symbol, run)| Sleeve { symbol, holdings: &run.holdings, capital }).collect();
            curves.read(self.width, &sleeves, timeline, wanted.per_symbol && !wanted.summary_only);
        }
        let performance = |of: Range<usize>, curve: usize, sums: &Sums, first: f64, last: f64| {
            let runs = &runs[of.clone()];
            let counted = |count: fn(&Tally) -> u32| runs.iter().map(|run| count(&run.tally)).sum();
            let (total_trades, end_of_window_trades) = (counted(|t| t.trades), counted(|t| t.end_of_window_trades));
            let summary = Performance::summary(first, last, total_trades, end_of_window_trades);
            if wanted.summary_only {
                return summary;
            }
            let profits = runs.iter().flat_map(|run| run.records.briefs.iter().map(|trade| trade.profit));
            let account = performance::Account {
                first_equity: first,
                last_equity: last,
                elapsed_ms: timeline.elapsed_ms(),
                returns: curves.moments(curve),
                max_drawdown: curves.drawdown(curve),
                sums,
                profits: Moments::of_profits(total_trades as usize, sums.profit, profits),
                won: counted(|t| t.won),
                bars: runs.iter().map(|run| run.tally.bars).sum(),
                candles: timeline.candles[of].iter().sum(),
                monthly_returns: monthly_returns(curves, curve, timeline),
            };
            Performance::of(account, summary)
        };
        let per_symbol = if wanted.per_symbol {
            let one =
                |(s, run): (usize, &SleeveRun)| performance(s..s + 1, s, &run.tally.sums, capital, run.last_equity);
            runs.iter().enumerate().map(one).collect()
        } else {
            Vec::new()
        };
        let sums = runs.last().map_or_else(Sums::default, |run| run.tally.sums_so_far);
        let performance = performance(0..runs.len(), runs.len(), &sums, first, last);
        let (mut daily_returns, mut stake) = (Vec::new(), None);
        if !wanted.summary_only {
            daily_returns = curves.returns(runs.len());
            let trades: Vec<&[Brief]> = runs.iter().map(|run| run.records.briefs.as_slice()).collect();
            stake = Stake::of(&trades, runs.iter().map(|run| run.tally.full_losses).sum(), first);
        }
        let ledger = wanted.ledger.then(|| Ledger {
            trades: in_order(market, runs),
            daily_equity: curves.daily(runs.len(), timeline),
            holdings: runs.iter().zip(&market.frames).map(|(run, frame)| run.told(frame)).collect(),
        });
        Ok(Outcome { performance, per_symbol, daily_returns, stake, trades_digest: digest.value(), ledger })
    }

    /// What strategy `k` did on one symbol, candle by candle.
    pub(super) fn symbol_run(&self, k: usize, symbol: usize) -> Result<SymbolRun, EvaluationError> {
        let (_, market) = self.planned(k)?;
        let frame = &market.frames[symbol];
        let capital = self.terms.initial_capital / market.frames.len() as f64;
        let mut run = SleeveRun::default();
        let beginning = Beginning { capital, tally: Tally::default(), keep: Keep::Trades };
        self.run(k, symbol, &mut SignalBuffers::default(), beginning, &mut run)?;
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
        Ok(SymbolRun { trades: run.records.trades.iter().map(|t| t.with_symbol(frame.symbol)).collect(), equity })
    }
}

/// All trades in order of entry; at one time in order of the symbols.
fn in_order(market: &Market<'_>, runs: &[SleeveRun]) -> Vec<Trade> {
    let with_symbol = |(run, frame): (&SleeveRun, &Frame<'_>)| -> Vec<Trade> {
        run.records.trades.iter().map(|trade: &ClosedTrade| trade.with_symbol(frame.symbol)).collect()
    };
    let mut all: Vec<Trade> = runs.iter().zip(&market.frames).flat_map(with_symbol).collect();
    all.sort_by_key(|trade| trade.entry_time_ms);
    all
}

/// A curve's returns of calendar months, the parts of months at the window's ends included.
fn monthly_returns(curves: &Curves, curve: usize, timeline: &Timeline<'_>) -> Vec<MonthlyReturn> {
    let of = |&(month, begin, end): &(_, usize, usize)| {
        let return_fraction = curves.equity(curve, end) / curves.equity(curve, begin) - 1.0;
        return_fraction.is_finite().then_some(MonthlyReturn { month, return_fraction })
    };
    let mut months = Vec::with_capacity(timeline.months.len());
    months.extend(timeline.months.iter().filter_map(of));
    months
}

impl<'a> Market<'a> {
    fn new(
        width: Width,
        vocabulary: &Vocabulary,
        window: &'a Window,
        memory: &Mutex<Memory>,
    ) -> Result<Self, EvaluationError> {
        let frames: Vec<Frame<'a>> = window
            .symbols()
            .par_iter()
            .map(|data| Frame::new(width, data, window.from_ms(), vocabulary.timeframe))
            .collect::<Result<_, _>>()?;
        let places: Vec<Place> = window.identities().iter().map(|&identity| (identity, vocabulary.timeframe)).collect();
        let (bits, failed) = tested(&frames, &places, vocabulary, memory);
        let atrs = frames.iter().zip(&places).map(|(frame, &place)| atrs(frame, place, vocabulary, memory));
        let atrs = atrs.collect::<Result<_, _>>()?;
        Ok(Self { frames, bits, atrs, failed })
    }
}

/// The outcomes of a vocabulary's tests, by symbol: from memory, or computed and left there. And the tests that could
/// not be computed on some symbol.
fn tested(
    frames: &[Frame<'_>],
    places: &[Place],
    vocabulary: &Vocabulary,
    memory: &Mutex<Memory>,
) -> (Vec<Vec<Events>>, BTreeMap<u32, EvaluationError>) {
    let (tests, keys) = (&vocabulary.tests, &vocabulary.keys);
    let mut found: Vec<Vec<Option<Events>>> = vec![vec![None; tests.len()]; frames.len()];
    {
        let mut memory = lock(memory);
        for (number, test) in tests.iter().enumerate() {
            memory.bits.get_all(test, places, |symbol, events| found[symbol][number] = Some(events));
        }
    }
    // In one order for all symbols, so that tests of one column are neighbours.
    let mut order: Vec<u32> = Vec::new();
    if found.iter().flatten().any(Option::is_none) {
        order.extend(0..u32::try_from(tests.len()).unwrap_or(u32::MAX));
        order.sort_unstable_by_key(|&number| keys[number as usize].order());
    }
    let compute = |symbol: usize| -> Vec<(u32, Result<Events, EvaluationError>)> {
        let missing = |number: &&u32| found[symbol][**number as usize].is_none();
        let numbers: Vec<u32> = order.iter().filter(missing).copied().collect();
        let tests: Vec<Key> = numbers.iter().map(|&number| keys[number as usize]).collect();
        let whole = whole_columns(&frames[symbol], vocabulary);
        let wanted: BTreeSet<usize> = tests.iter().copied().flat_map(series_of).filter(|s| whole[*s]).collect();
        let mut columns: BTreeMap<Series, Arc<Held>> = BTreeMap::new();
        if !wanted.is_empty() {
            let mut memory = lock(memory);
            for series in wanted.into_iter().map(|s| vocabulary.series[s]) {
                if let Some(column) = memory.columns.get(&series, places[symbol]) {
                    columns.insert(series, column);
                }
            }
        }
        let computed = compute_tests(&frames[symbol], vocabulary, &tests, &columns, |new| {
            let mut memory = lock(memory);
            for (series, column) in new {
                if let Ok(column) = column {
                    memory.columns.insert(series, places[symbol], column);
                }
            }
        });
        numbers.into_iter().zip(computed).collect()
    };
    let computed: Vec<Vec<(u32, Result<Events, EvaluationError>)>> =
        (0..frames.len()).into_par_iter().with_max_len(1).map(compute).collect();
    let mut failed = BTreeMap::new();
    let mut memory = lock(memory);
    // All are in one order, so that a test's outcomes on all symbols are met at once.
    let mut computed: Vec<_> = computed.into_iter().map(|computed| computed.into_iter().peekable()).collect();
    let mut new: Vec<(Place, Events)> = Vec::new();
    for &number in &order {
        for ((computed, found), &place) in computed.iter_mut().zip(&mut found).zip(places) {
            match computed.next_if(|(k, _)| *k == number) {
                Some((_, Ok(events))) => {
                    new.push((place, events.clone()));
                    found[number as usize] = Some(events);
                }
                Some((_, Err(error))) => drop(failed.insert(number, error)),
                None => {}
            }
        }
        if !new.is_empty() {
            memory.bits.insert_all(tests[number as usize], new.drain(..));
        }
    }
    let whole = |found: Vec<Option<Events>>| found.into_iter().map(Option::unwrap_or_default).collect();
    (found.into_iter().map(whole).collect(), failed)
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
        known.extend(vocabulary.atrs.iter().filter_map(|s| Some((*s, memory.columns.get(s, place)?))));
    }
    let missing: BTreeSet<Series> = vocabulary.atrs.iter().copied().filter(|s| !known.contains_key(s)).collect();
    for (series, column) in compute_columns(frame, &missing) {
        known.insert(series, column?);
    }
    Ok(vocabulary.atrs.iter().map(|series| Arc::clone(&known[series])).collect())
}
