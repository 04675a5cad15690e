//! What findings are made from: backtests, reduced to what is asked of them. Never runs one.

use crate::volatility_regime::{Volatility, trailing_percentile};
use candles::CandleSeries;
use candles::time::DAY_MS;
use engine::{DailyEquity, Ledger, Outcome, Trade, performance::t_statistic};

/// One backtest, as far as it is needed here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// Net returns by day.
    pub daily_returns: Vec<f64>,
    /// Trades entered by day, as many entries as days.
    pub trades_by_day: Vec<u32>,
    /// Student's t of the daily returns.
    pub t: Option<f64>,
    /// Last equity / first - 1.
    pub total_return: Option<f64>,
}

impl Run {
    /// Of a backtest with its ledger in a window that begins at `from_ms`.
    #[must_use]
    pub fn of(outcome: &Outcome, from_ms: i64) -> Self {
        let mut trades_by_day = vec![0; outcome.daily_returns.len()];
        let from_ms = first_whole_day_ms(outcome, from_ms);
        for trade in outcome.ledger.iter().flat_map(|l| &l.trades) {
            let day = day_of(trade.entry_time_ms) - day_of(from_ms);
            // Trades of a last day that is not whole are on no day that has a return.
            if let Some(count) = usize::try_from(day).ok().and_then(|day| trades_by_day.get_mut(day)) {
                *count += 1;
            }
        }
        Self {
            daily_returns: outcome.daily_returns.clone(),
            trades_by_day,
            t: outcome.performance.t_statistic,
            total_return: outcome.performance.total_return,
        }
    }

    /// Of stretches that are stored, one after the other, each by its equity at each 00:00 UTC and its trades:
    /// where nothing can be backtested again.
    #[must_use]
    pub fn of_stretches<'a>(stretches: impl IntoIterator<Item = (&'a [DailyEquity], &'a [Trade])>) -> Self {
        let (mut daily_returns, mut trades_by_day, mut growth) = (Vec::new(), Vec::new(), 1.0);
        for (equity, trades) in stretches {
            for pair in equity.windows(2).filter(|pair| pair[0].equity > 0.0) {
                let result = pair[1].equity / pair[0].equity - 1.0;
                let entered = trades.iter().filter(|t| (pair[0].time_ms..pair[1].time_ms).contains(&t.entry_time_ms));
                growth *= 1.0 + result;
                // Parts of days at the ends are no daily returns.
                if DailyEquity::day_return(pair[0], pair[1]).is_some() {
                    daily_returns.push(result);
                    trades_by_day.push(u32::try_from(entered.count()).unwrap_or(u32::MAX));
                }
            }
        }
        let total_return = (!daily_returns.is_empty()).then_some(growth - 1.0);
        Self { t: t_statistic(&daily_returns), daily_returns, trades_by_day, total_return }
    }
}

fn day_of(time_ms: i64) -> i64 {
    time_ms.div_euclid(DAY_MS)
}

/// The day of the first daily return, at 00:00 UTC, of a backtest in a window that begins at `from_ms`.
#[must_use]
pub fn first_whole_day_ms(outcome: &Outcome, from_ms: i64) -> i64 {
    let points = outcome.ledger.iter().flat_map(|ledger| &ledger.daily_equity).map(|point| point.time_ms);
    points.into_iter().find(|time_ms| time_ms.rem_euclid(DAY_MS) == 0).unwrap_or(from_ms)
}

/// Net profit of each trade as a fraction of the equity at the last midnight before it was closed.
#[must_use]
pub fn trade_returns(ledger: &Ledger) -> Vec<f64> {
    let equity = |time_ms: i64| {
        let before = ledger.daily_equity.partition_point(|e| e.time_ms <= time_ms);
        ledger.daily_equity.get(before.saturating_sub(1)).map(|e| e.equity).filter(|e| *e > 0.0)
    };
    ledger.trades.iter().filter_map(|t| Some(t.profit / equity(t.exit_time_ms)?)).collect()
}

/// Days that a day's volatility is compared with.
const REGIME_DAYS: usize = 30;

/// How volatile the day before each of `days` days from `from_ms` was, against the 30 days up to it. Never looks
/// ahead; `None` before there are as many days of candles.
#[must_use]
pub fn volatility_by_day(candles: &CandleSeries, from_ms: i64, days: usize) -> Vec<Option<Volatility>> {
    let Some(first) = candles.open_times_ms().first().map(|t| day_of(*t)) else { return vec![None; days] };
    let mut squares: Vec<(f64, u32)> = Vec::new();
    for (pair, time_ms) in candles.closes().windows(2).zip(candles.open_times_ms().iter().skip(1)) {
        let day = usize::try_from(day_of(*time_ms) - first).unwrap_or_default();
        if squares.len() <= day {
            squares.resize(day + 1, (0.0, 0));
        }
        squares[day].0 += (pair[1] / pair[0]).ln().powi(2);
        squares[day].1 += 1;
    }
    let realised: Vec<Option<f64>> =
        squares.iter().map(|(sum, count)| (*count > 0).then(|| (sum / f64::from(*count)).sqrt())).collect();
    let percentiles = trailing_percentile(&realised, REGIME_DAYS);
    let before = day_of(from_ms) - first - 1;
    let of = |day: usize| {
        let index = usize::try_from(before + day as i64).ok()?;
        percentiles.get(index).copied().flatten().map(Volatility::of)
    };
    (0..days).map(of).collect()
}

/// What the findings are made from. All runs but those of other symbols cover the same days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RobustnessInputs {
    /// The strategy itself.
    pub base: Run,
    /// Net profit of each trade as a fraction of equity, in order of entry.
    pub trade_returns: Vec<f64>,
    /// Evaluations ever counted; `None` where nobody counted.
    pub trials: Option<u64>,
    /// The strategy with one number moved, a run each.
    pub neighbours: Vec<Run>,
    /// The strategy on candles with noise, a run a draw.
    pub noisy: Vec<Run>,
    /// The strategy at higher costs, named.
    pub stressed: Vec<(String, Run)>,
    /// The strategy on symbols that were not searched, named.
    pub elsewhere: Vec<(String, Run)>,
    /// Volatility by day, against its own past; as many entries as days, or none.
    pub regimes: Vec<Option<Volatility>>,
}
