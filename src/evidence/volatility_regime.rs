//! Calm or rough: realised volatility against its own past. Never looks ahead: each percentile is within the
//! trailing values, the current one included.

use candles::CandleSeries;
use candles::time::{DAY_MS, HOUR_MS};
use serde::{Deserialize, Serialize};

/// Volatility compared with its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Volatility {
    Low,
    Middle,
    High,
}

impl Volatility {
    /// The third that a percentile (0 to 1) lies in.
    #[must_use]
    pub fn of(percentile: f64) -> Self {
        if percentile < 1.0 / 3.0 {
            Self::Low
        } else if percentile > 2.0 / 3.0 {
            Self::High
        } else {
            Self::Middle
        }
    }
}

/// sqrt(mean of r^2 over the last `window` returns); `None` before there are as many.
#[must_use]
pub fn realised_volatility(returns: &[f64], window: usize) -> Vec<Option<f64>> {
    let at = |end: usize| {
        let recent = (window > 0).then(|| (end + 1).checked_sub(window)).flatten().map(|from| &returns[from..=end])?;
        Some((recent.iter().map(|r| r * r).sum::<f64>() / window as f64).sqrt())
    };
    (0..returns.len()).map(at).collect()
}

/// Mid-rank of each value within the last `window` values, itself included, 0 to 1; `None` before there are as many.
#[must_use]
pub fn trailing_percentile(values: &[Option<f64>], window: usize) -> Vec<Option<f64>> {
    let at = |end: usize| {
        let now = values[end]?;
        let recent = (window > 0).then(|| (end + 1).checked_sub(window)).flatten().map(|from| &values[from..=end])?;
        let recent: Vec<f64> = recent.iter().copied().collect::<Option<_>>()?;
        Some(mid_rank(now, &recent))
    };
    (0..values.len()).map(at).collect()
}

/// Volatilities that differ by no more than this share of themselves are equal: the same moves in another order, or up
/// where they went down, differ by rounding.
const TIE: f64 = 1e-8;

/// (values below + half of the values equal) / values.
fn mid_rank(now: f64, values: &[f64]) -> f64 {
    let (least, most) = (now * (1.0 - TIE), now * (1.0 + TIE));
    let below = values.iter().filter(|v| **v < least).count();
    let equal = values.iter().filter(|v| (least..=most).contains(*v)).count();
    (below as f64 + 0.5 * equal as f64) / values.len() as f64
}

/// How rough an asset is, against its own last months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum VolatilityRegime {
    LowVolatility,
    Normal,
    HighVolatility,
    Extreme,
}

impl VolatilityRegime {
    /// Every regime, calmest first.
    pub const ALL: [Self; 4] = [Self::LowVolatility, Self::Normal, Self::HighVolatility, Self::Extreme];

    /// The regime of a percentile (0 to 100): low below 25, normal below 75, high below 95, extreme from there on.
    /// The schema holds the same bounds.
    #[must_use]
    pub fn of(percentile: f64) -> Self {
        match percentile {
            p if p < 25.0 => Self::LowVolatility,
            p if p < 75.0 => Self::Normal,
            p if p < 95.0 => Self::HighVolatility,
            _ => Self::Extreme,
        }
    }

    /// The name in Postgres, metrics and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LowVolatility => "low_volatility",
            Self::Normal => "normal",
            Self::HighVolatility => "high_volatility",
            Self::Extreme => "extreme",
        }
    }
}

impl std::str::FromStr for VolatilityRegime {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|regime| regime.name() == text);
        found.ok_or_else(|| format!("unknown regime {text:?}"))
    }
}

/// How regimes are told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolatilityRegimeConfig {
    /// Span of one realised volatility (hours).
    pub window_hours: u32,
    /// Realised volatilities that the newest is ranked within, one a day, itself included (days).
    pub history_days: u32,
    /// Of them, those that there must be (days).
    pub min_history_days: u32,
}

impl VolatilityRegimeConfig {
    /// Whether every setting makes sense.
    ///
    /// # Errors
    /// The first key at fault and what is wrong with it.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let below = |key, value: u32, least: u32| {
            let why = format!("must be at least {least}, not {value}");
            if value < least { Err((key, why)) } else { Ok(()) }
        };
        below("window_hours", self.window_hours, 1)?;
        below("min_history_days", self.min_history_days, 2)?;
        below("history_days", self.history_days, self.min_history_days)
    }

    /// Candles that a classification looks back on, ms.
    #[must_use]
    pub fn look_back_ms(&self) -> i64 {
        i64::from(self.history_days) * DAY_MS + i64::from(self.window_hours) * HOUR_MS
    }
}

/// A regime with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolatilityRegimeReading {
    /// What it is.
    pub regime: VolatilityRegime,
    /// sqrt(sum of squared log returns of the window) x sqrt(365 days / window): annual (fraction).
    pub realised_volatility: f64,
    /// Its mid-rank within the last `history_days` values, one a day at this time of day, itself included (0 to 100).
    pub percentile: f64,
}

/// The regime at `at_ms`, from candles that had closed by then. `None` while too little of the past is known, or the
/// window has fewer than four fifths of its candles.
#[must_use]
pub fn classify(
    candles: &CandleSeries,
    at_ms: i64,
    config: &VolatilityRegimeConfig,
) -> Option<VolatilityRegimeReading> {
    let length_ms = candles.interval().fixed_ms()?;
    let window_ms = i64::from(config.window_hours) * HOUR_MS;
    let (opens, closes) = (candles.open_times_ms(), candles.closes());
    // Added up anew for each window: what a difference of running sums leaves is rounding where little moved.
    let squares: Vec<f64> = closes.windows(2).map(|pair| (pair[1] / pair[0]).ln().powi(2)).collect();
    let closed_by = |time_ms: i64| opens.partition_point(|open| open + length_ms <= time_ms);
    let volatility = |time_ms: i64| {
        let (from, to) = (closed_by(time_ms - window_ms), closed_by(time_ms));
        // The first candle of all has no return.
        let enough = from > 0 && 5 * (to - from) as i64 >= 4 * (window_ms / length_ms);
        enough.then(|| squares[from - 1..to - 1].iter().sum::<f64>().sqrt())
    };
    let now = volatility(at_ms)?;
    let past: Vec<f64> =
        (0..i64::from(config.history_days)).filter_map(|days_ago| volatility(at_ms - days_ago * DAY_MS)).collect();
    if past.len() < config.min_history_days as usize {
        return None;
    }
    let percentile = 100.0 * mid_rank(now, &past);
    let regime = VolatilityRegime::of(percentile);
    let realised_volatility = now * (365.0 * DAY_MS as f64 / window_ms as f64).sqrt();
    Some(VolatilityRegimeReading { regime, realised_volatility, percentile })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{assert_close, indices, numbers, read};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let v = read(include_str!("vectors/16_wfe_regime/regime.json"));
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let lengths = indices(&json!([input["w"], input["L"]]));
        let volatility = realised_volatility(&numbers(&input["r"]), lengths[0]);
        let percentiles = trailing_percentile(&volatility, lengths[1]);
        for (i, (volatility, percentile)) in volatility.iter().zip(&percentiles).enumerate() {
            for (ours, theirs) in [(volatility, &output["rv"][i]), (percentile, &output["pct"][i])] {
                assert_eq!(ours.is_none(), theirs.is_null());
                ours.inspect(|value| assert_close(*value, theirs));
            }
            let label = percentile.map(|p| match Volatility::of(p) {
                Volatility::Low => "low",
                Volatility::Middle => "mid",
                Volatility::High => "high",
            });
            assert_eq!(label, output["label"][i].as_str());
        }
    }

    #[test]
    fn the_future_changes_nothing() {
        let r: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 11) - 5.0).collect();
        let percentiles = |n: usize| trailing_percentile(&realised_volatility(&r[..n], 5), 10);
        assert_eq!(percentiles(60)[..40], percentiles(40));
        assert_eq!(percentiles(60)[..13], [None; 13]);
        assert_eq!(realised_volatility(&r, 0), vec![None; 60]);
    }

    fn config() -> VolatilityRegimeConfig {
        VolatilityRegimeConfig { window_hours: 24, history_days: 40, min_history_days: 20 }
    }

    fn market(moves: &[f64]) -> CandleSeries {
        hourly(moves.len() as i64 * 24, |hour| moves[hour as usize / 24])
    }

    fn moves(days: usize, last: f64) -> Vec<f64> {
        let mut moves: Vec<f64> = (0..days - 1).map(|day| 0.001 * (1.0 + (day * 7 % 10) as f64)).collect();
        moves.push(last);
        moves
    }

    #[test]
    fn regimes_go_by_the_rank_of_the_last_day() {
        for (last, expected) in [
            (0.0005, VolatilityRegime::LowVolatility),
            (0.0055, VolatilityRegime::Normal),
            (0.0095, VolatilityRegime::HighVolatility),
            (0.05, VolatilityRegime::Extreme),
        ] {
            let reading = classify(&market(&moves(41, last)), 41 * DAY_MS, &config()).unwrap();
            assert_eq!(reading.regime, expected, "{reading:?}");
            let annual = (1.0 + last).ln() * 24_f64.sqrt() * 365_f64.sqrt();
            assert!((reading.realised_volatility - annual).abs() < 1e-9, "{reading:?} {annual}");
        }
    }

    #[test]
    fn days_of_the_same_moves_in_another_order_are_equally_rough() {
        let market = hourly(41 * 24, |hour| 0.001 * (1 + (hour % 24 + 7 * (hour / 24)) % 24) as f64);
        let reading = classify(&market, 41 * DAY_MS, &config()).unwrap();
        assert_eq!((reading.percentile, reading.regime), (50.0, VolatilityRegime::Normal));
    }

    #[test]
    fn candles_that_close_later_change_nothing() {
        let calm = market(&moves(41, 0.0055));
        let mut later = moves(41, 0.0055);
        later.extend([0.2, 0.3, 0.4]);
        for at_ms in [41 * DAY_MS, 41 * DAY_MS - HOUR_MS / 2, 30 * DAY_MS + 5 * HOUR_MS] {
            assert_eq!(classify(&market(&later), at_ms, &config()), classify(&calm, at_ms, &config()));
        }
    }

    #[test]
    fn too_short_a_past_and_a_window_full_of_holes_have_no_regime() {
        assert_eq!(classify(&market(&moves(20, 0.01)), 20 * DAY_MS, &config()), None);
        assert!(classify(&market(&moves(22, 0.01)), 22 * DAY_MS, &config()).is_some());
        assert_eq!(classify(&market(&moves(41, 0.01)), 41 * DAY_MS + 6 * HOUR_MS, &config()), None);
    }

    /// Hourly candles from 1970 on whose moves are as large as told, up and down in turn.
    fn hourly(hours: i64, size: impl Fn(i64) -> f64) -> CandleSeries {
        let mut close = 100.0_f64;
        let candle = |hour: i64| {
            let open = close;
            close *= if hour % 2 == 0 { 1.0 + size(hour) } else { 1.0 / (1.0 + size(hour)) };
            let open_time_ms = hour * HOUR_MS;
            candles::Candle {
                open_time_ms,
                open,
                high: open.max(close),
                low: open.min(close),
                close,
                volume: 1.0,
                close_time_ms: open_time_ms + HOUR_MS - 1,
                quote_volume: close,
                trade_count: 1,
                taker_buy_volume: 0.5,
                taker_buy_quote_volume: 0.5 * close,
            }
        };
        CandleSeries::from_candles("1h".parse().unwrap(), &(0..hours).map(candle).collect::<Vec<_>>()).unwrap()
    }
}
