//! What a reader sees beside a strategy's curve and trades: buy and hold, how far each trade was ahead and behind, the series
//! of its rules over the candles.
//!
//! Computed from cached candles alone. Decides nothing and stores nothing.

use candles::{CandleSeries, Symbol, Ticker};
use engine::{DailyEquity, Side, Trade, columns};
use genome::{Scale, Source, Strategy};
use http::{Excursion, RuleSeries};
use market::CandleCache;
use std::collections::BTreeMap;
use store::Strategy as StoredStrategy;

/// Candles of the symbols that a strategy trades.
pub(crate) type BySymbol = BTreeMap<Symbol, CandleSeries>;

/// Cached candles of a strategy's symbols over a span; of a symbol whose candles cannot be read there are none.
pub(crate) async fn of_symbols(
    cache: &CandleCache,
    strategy: &StoredStrategy,
    (from_ms, to_ms): (i64, i64),
) -> BySymbol {
    let mut found = BySymbol::new();
    for symbol in &strategy.symbols {
        let ticker = Ticker::of(strategy.market, symbol);
        let loaded = cache.load(&ticker, strategy.timeframe, from_ms, to_ms).await;
        found.insert(symbol.clone(), loaded.unwrap_or_else(|_| CandleSeries::new(strategy.timeframe)));
    }
    found
}

/// Buy and hold of all symbols in equal parts at each point of a curve, worth at first what the curve is; empty where a symbol
/// has no candle. A symbol that begins later is held in cash until then.
pub(crate) fn benchmark(candles: &BySymbol, curve: &[DailyEquity]) -> Vec<f64> {
    let Some(first) = curve.first() else { return Vec::new() };
    let held: Vec<(&CandleSeries, f64)> = candles
        .values()
        .filter_map(|series| {
            let begin = series.open_times_ms().partition_point(|open_ms| *open_ms < first.time_ms);
            series.opens().get(begin).map(|open| (series, *open))
        })
        .collect();
    if held.is_empty() || held.len() < candles.len() {
        return Vec::new();
    }
    let growth = |(series, bought): &(&CandleSeries, f64), at_ms: i64| {
        // The last candle that opened before: at 00:00 that is the one that has just closed.
        let closed = series.open_times_ms().partition_point(|open_ms| *open_ms < at_ms);
        let known = closed.checked_sub(1).filter(|i| series.open_times_ms()[*i] >= first.time_ms);
        known.map_or(1.0, |i| series.closes()[i] / bought)
    };
    let mean = |at_ms: i64| held.iter().map(|one| growth(one, at_ms)).sum::<f64>() / held.len() as f64;
    curve.iter().map(|point| first.equity * mean(point.time_ms)).collect()
}

/// How far each trade was ahead and behind; `None` where the candles of its time are not cached.
pub(crate) fn excursions(candles: &BySymbol, trades: &[Trade]) -> Vec<Option<Excursion>> {
    trades.iter().map(|trade| excursion(candles.get(&trade.symbol)?, trade)).collect()
}

fn excursion(series: &CandleSeries, trade: &Trade) -> Option<Excursion> {
    let at = |time_ms: i64| series.open_times_ms().partition_point(|open_ms| *open_ms < time_ms);
    // An exit at an open has the time of a candle in which nothing was held any more.
    let held = at(trade.entry_time_ms)..at(trade.exit_time_ms);
    if held.is_empty() || trade.entry_price <= 0.0 {
        return None;
    }
    let high = series.highs()[held.clone()].iter().copied().fold(f64::MIN, f64::max) / trade.entry_price - 1.0;
    let low = series.lows()[held].iter().copied().fold(f64::MAX, f64::min) / trade.entry_price - 1.0;
    let (best, worst) = match trade.side {
        Side::Long => (high, low),
        Side::Short => (-low, -high),
    };
    Some(Excursion { best: best.max(0.0), worst: worst.min(0.0) })
}

/// The series of a strategy's rules at the candles from `skip` on, and the names of those that candles of one symbol do not
/// give. Those before `skip` are what they warm up on.
pub(crate) fn rule_series(strategy: &Strategy, candles: &CandleSeries, skip: usize) -> (Vec<RuleSeries>, Vec<String>) {
    let (mut shown, mut not_shown) = (Vec::new(), Vec::new());
    for series in strategy.series() {
        let published = series.source.is_of_market() || series.source.model().is_some();
        // A price of the strategy's own candles is on the chart already.
        let is_drawn = series.timeframe.is_none()
            && matches!(&series.source, Source::Price(field) if field.scale() == Scale::Price);
        if is_drawn && series.across.is_none() {
            continue;
        }
        let column =
            (!published && series.across.is_none()).then(|| columns::compute_column(&series, candles, candles));
        match column {
            Some(Ok(column)) => {
                // Six or seven digits are more than a chart can show.
                let values = column.values()[skip..].iter().map(|v| v.is_finite().then_some(*v as f32));
                let scale = match series.source.scale() {
                    Scale::Price => "price".to_owned(),
                    scale => format!("{scale:?}"),
                };
                shown.push(RuleSeries { name: series.to_string(), scale, values: values.collect() });
            }
            _ => not_shown.push(series.to_string()),
        }
    }
    (shown, not_shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::{Candle, Interval};
    use engine::ExitReason;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    /// Hourly candles from day 1 on whose opens are these, each closing at the next one's open, one above and below it.
    fn hourly(opens: &[f64]) -> CandleSeries {
        let candle = |(i, pair): (usize, &[f64])| Candle {
            open_time_ms: DAY_MS + i as i64 * HOUR_MS,
            open: pair[0],
            high: pair[0].max(pair[1]) + 1.0,
            low: pair[0].min(pair[1]) - 1.0,
            close: pair[1],
            volume: 1.0,
            close_time_ms: DAY_MS + (i as i64 + 1) * HOUR_MS - 1,
            quote_volume: 0.0,
            trade_count: 0,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        };
        let all: Vec<Candle> = opens.windows(2).enumerate().map(candle).collect();
        CandleSeries::from_candles(Interval::H1, &all).unwrap()
    }

    fn by_symbol(all: &[(&str, CandleSeries)]) -> BySymbol {
        all.iter().map(|(symbol, series)| (symbol.parse().unwrap(), series.clone())).collect()
    }

    #[test]
    fn buy_and_hold_is_the_mean_of_what_each_symbol_became() {
        let point = |day: i64, equity| DailyEquity { time_ms: day * DAY_MS, equity };
        let up: Vec<f64> = (0..=48).map(|i| 100.0 + f64::from(i)).collect();
        let flat = vec![50.0; 49];
        let candles = by_symbol(&[("AUSDT", hourly(&up)), ("BUSDT", hourly(&flat))]);
        let curve = [point(1, 1000.0), point(2, 1.0), point(3, 1.0)];
        // (124 / 100 + 1) / 2 and (148 / 100 + 1) / 2.
        assert_eq!(benchmark(&candles, &curve), [1000.0, 1120.0, 1240.0]);
        assert_eq!(benchmark(&candles, &[]), [0.0; 0]);
        // Nothing of a symbol is cached: a mean of the others would be another benchmark.
        let with_none = by_symbol(&[("AUSDT", hourly(&up)), ("BUSDT", CandleSeries::new(Interval::H1))]);
        assert_eq!(benchmark(&with_none, &curve), [0.0; 0]);
    }

    #[test]
    fn excursions_are_those_of_the_candles_in_which_it_was_held() {
        let trade = |side, entry_hour: i64, exit_ms| Trade {
            symbol: "AUSDT".parse().unwrap(),
            side,
            entry_time_ms: DAY_MS + entry_hour * HOUR_MS,
            entry_price: 100.0,
            exit_time_ms: exit_ms,
            exit_price: 100.0,
            quantity: 1.0,
            profit: 0.0,
            return_fraction: 0.0,
            fees: 0.0,
            slippage: 0.0,
            funding: 0.0,
            risk: None,
            exit_reason: ExitReason::Rule,
            bars: 1,
        };
        let candles = by_symbol(&[("AUSDT", hourly(&[100.0, 109.0, 90.0, 100.0, 200.0]))]);
        let of = |trade: Trade| {
            excursions(&candles, &[trade])[0].map(|e| (format!("{:.2}", e.best), format!("{:.2}", e.worst)))
        };
        let told = |best: &str, worst: &str| Some((best.to_owned(), worst.to_owned()));
        // Out at the open of the fourth candle, which rises to 201: that is not seen.
        assert_eq!(of(trade(Side::Long, 0, DAY_MS + 3 * HOUR_MS)), told("0.10", "-0.11"));
        assert_eq!(of(trade(Side::Short, 0, DAY_MS + 3 * HOUR_MS)), told("0.11", "-0.10"));
        // Out within the fourth candle.
        assert_eq!(of(trade(Side::Long, 3, DAY_MS + 4 * HOUR_MS - 1)), told("1.01", "-0.01"));
        assert_eq!(of(trade(Side::Long, 40, DAY_MS + 41 * HOUR_MS)), None);
    }

    #[test]
    fn series_of_rules_are_those_of_the_engine_from_the_first_candle_shown_on() {
        let opens: Vec<f64> = (0..40).map(|i| 100.0 + f64::from(i % 7)).collect();
        let candles = hourly(&opens);
        let strategy: Strategy = "1h; long when close > sma(3) and rsi(5) < 30".parse().unwrap();
        let (shown, not_shown) = rule_series(&strategy, &candles, 10);
        assert_eq!(not_shown, [""; 0], "the close is on the chart already");
        let names: Vec<(&str, &str)> = shown.iter().map(|s| (s.name.as_str(), s.scale.as_str())).collect();
        assert_eq!(names, [("sma(3)", "price"), ("rsi(5)", "Percent")]);
        let mean = candles.closes()[8..=10].iter().sum::<f64>() / 3.0;
        assert!((f64::from(shown[0].values[0].unwrap()) - mean).abs() < 1e-4);
        assert_eq!(shown[0].values.len(), candles.len() - 10);
    }
}
