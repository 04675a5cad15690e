//! How many candles there are of those that were asked for: in a window, and before it to warm indicators up.

use crate::{CandleSeries, Symbol, interval, quality::count_between};
use serde::{Deserialize, Serialize};

/// Candles of one symbol, by count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// In the window.
    pub candles: u64,
    /// That the window has room for and that are not there.
    pub missing_candles: u64,
    /// Before the window, from where warm-up begins.
    pub warm_up_candles: u64,
    /// Of the warm-up that was asked for and that are not there: indicators begin later, or with less to look back on.
    pub missing_warm_up_candles: u64,
}

impl Coverage {
    /// Of candles in a window `[from_ms, to_ms)` whose warm-up begins at `warm_up_from_ms`.
    #[must_use]
    pub fn of(candles: &CandleSeries, warm_up_from_ms: i64, from_ms: i64, to_ms: i64) -> Self {
        let count = |from_ms: i64, to_ms: i64| {
            let first = |time_ms| interval::first_open_time_ms(candles.interval(), time_ms);
            let expected = count_between(candles.interval(), first(from_ms), first(to_ms));
            let there = candles.slice(from_ms, to_ms).len() as u64;
            (there, expected.saturating_sub(there))
        };
        // A window that ends within a candle has no room for it.
        let whole_to_ms = interval::open_time_ms(candles.interval(), to_ms);
        let (inside, missing_candles) = count(from_ms, whole_to_ms.max(from_ms));
        let (warm_up_candles, missing_warm_up_candles) = count(warm_up_from_ms, from_ms);
        Self { candles: inside, missing_candles, warm_up_candles, missing_warm_up_candles }
    }

    /// What is missing, in words; `None` where nothing is.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        let (missing, warm_up) = (self.missing_candles, self.missing_warm_up_candles);
        let of = |missing: u64, there: u64, where_: &str| {
            (missing > 0).then(|| format!("{missing} of {} candles {where_} are missing", missing + there))
        };
        let parts = [
            of(missing, self.candles, "in the window"),
            of(warm_up, self.warm_up_candles, "before it, which warm indicators up,"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", and "))
    }
}

/// The candles of one symbol of a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolCoverage {
    /// Whose.
    pub symbol: Symbol,
    /// How many.
    #[serde(flatten)]
    pub coverage: Coverage,
}

impl SymbolCoverage {
    /// What is missing of a window's symbols, in words; `None` where nothing is.
    #[must_use]
    pub fn shortfall(all: &[Self]) -> Option<String> {
        let each = all.iter().filter_map(|s| s.coverage.shortfall().map(|missing| format!("{}: {missing}", s.symbol)));
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| each.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candle, Interval, time::DAY_MS};

    const HOUR_MS: i64 = 3_600_000;

    fn hours(from_ms: i64, count: i64) -> CandleSeries {
        let candle = |k: i64| Candle {
            open_time_ms: from_ms + k * HOUR_MS,
            open: 1.0,
            high: 1.0,
            low: 1.0,
            close: 1.0,
            volume: 1.0,
            close_time_ms: from_ms + (k + 1) * HOUR_MS - 1,
            quote_volume: 1.0,
            trade_count: 1,
            taker_buy_volume: 0.5,
            taker_buy_quote_volume: 0.5,
        };
        CandleSeries::from_candles(Interval::H1, &(0..count).map(candle).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_is_missing_before_and_in_the_window_is_counted_apart() {
        let candles = hours(2 * DAY_MS, 60);
        let found = Coverage::of(&candles, DAY_MS, 3 * DAY_MS, 5 * DAY_MS);
        let expected = Coverage { candles: 36, missing_candles: 12, warm_up_candles: 24, missing_warm_up_candles: 24 };
        assert_eq!(found, expected);
        let said = found.shortfall().unwrap();
        assert!(
            said.contains("12 of 48 candles in the window") && said.contains("24 of 48 candles before it"),
            "{said}"
        );
        let whole = Coverage::of(&candles, 2 * DAY_MS, 3 * DAY_MS, 4 * DAY_MS);
        assert_eq!(whole.shortfall(), None);
        let of = |name: &str, coverage| SymbolCoverage { symbol: name.parse().unwrap(), coverage };
        let both = [of("BTCUSDT", whole), of("ETHUSDT", found)];
        assert_eq!(SymbolCoverage::shortfall(&both), Some(format!("ETHUSDT: {said}")));
        assert_eq!(SymbolCoverage::shortfall(&both[..1]), None);
        // Ends that lie within a candle.
        let found = Coverage::of(&candles, 2 * DAY_MS, 3 * DAY_MS + 1, 4 * DAY_MS + 1);
        assert_eq!((found.candles, found.missing_candles), (23, 0));
    }
}
