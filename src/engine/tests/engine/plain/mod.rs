//! A second backtest, deliberately plain: candle by candle, one vector of truth values a condition, no cache, no bit
//! sets, no skipping, nothing shared. It exists to be compared with the engine, trade for trade and bit for bit.
//!
//! It takes indicator columns from the engine: those are checked against vectors of their own.

pub(crate) mod performance;
mod signal;
mod trader;

use candles::{CandleSeries, resample};
use engine::{DailyEquity, EvaluationError, SymbolRun, Terms, Window};
use genome::Strategy;
use std::borrow::Cow;

/// Trades and equity, candle by candle, of one strategy's sleeve on the window's symbol number `symbol`.
pub(crate) fn simulate_symbol(
    strategy: &Strategy,
    window: &Window,
    symbol: usize,
    terms: &Terms,
) -> Result<SymbolRun, EvaluationError> {
    let data = &window.symbols()[symbol];
    if strategy.timeframe < window.interval() {
        return Err(EvaluationError::TimeframeTooFine { strategy: strategy.timeframe, window: window.interval() });
    }
    let base: Cow<'_, CandleSeries> = if strategy.timeframe == window.interval() {
        Cow::Borrowed(&data.candles)
    } else {
        Cow::Owned(resample::resample(&data.candles, strategy.timeframe)?)
    };
    let all = data.finer.iter().chain([&data.candles]).map(AsRef::as_ref);
    let finer: Vec<&CandleSeries> =
        all.filter(|candles: &&CandleSeries| candles.interval() < strategy.timeframe).collect();
    let first = base.open_times_ms().partition_point(|&t| t < window.from_ms());
    let market = trader::Market { symbol: &data.symbol, candles: &base, first, finer: &finer, funding: &data.funding };
    let mut columns = signal::Columns::new(&base, &data.candles);
    let atrs = signal::Atrs::new(strategy, &terms.costs.slippage, &mut columns)?;
    let signals = signal::Signals::new(strategy, first, &atrs, &mut columns)?;
    let capital = terms.initial_capital / window.symbols().len() as f64;
    let run = trader::trade(&strategy.risk, terms, market, &signals, &atrs, capital);
    let times = (first..base.len()).map(|i| base.close_time_ms(i) + 1);
    let equity = times.zip(run.equity).map(|(time_ms, equity)| DailyEquity { time_ms, equity }).collect();
    Ok(SymbolRun { trades: run.trades, equity })
}

/// Equity of all sleeves together: at every time at which a candle of any symbol closes, the sum of what each sleeve
/// was worth at its own latest close.
pub(crate) fn total_equity(window: &Window, runs: &[SymbolRun], initial_capital: f64) -> Vec<DailyEquity> {
    let mut times: Vec<i64> = runs.iter().flat_map(|run| run.equity.iter().map(|e| e.time_ms)).collect();
    times.sort_unstable();
    times.dedup();
    let capital = initial_capital / window.symbols().len() as f64;
    let at = |run: &SymbolRun, time_ms: i64| {
        let known = run.equity.partition_point(|e| e.time_ms <= time_ms);
        known.checked_sub(1).map_or(capital, |i| run.equity[i].equity)
    };
    times
        .into_iter()
        .map(|time_ms| DailyEquity { time_ms, equity: runs.iter().map(|run| at(run, time_ms)).sum() })
        .collect()
}
