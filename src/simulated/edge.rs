//! Planted edges: when a symbol drifts, which way, and how strongly.
//!
//! An edge looks only at closed candles and at the time, as a strategy could. It never sees what is to come. Edges of a
//! symbol look at its own candles; edges of the cross-section, named `rank_...`, at those of all.

use super::base_candle::BaseCandle;
use super::limits::{SpecError, within};
use candles::time::{DAY_MS, HOUR_MS};
use candles::{Interval, Symbol};
use serde::{Deserialize, Serialize};
use std::{collections::VecDeque, fmt, str::FromStr};

/// What makes a symbol drift. Every kind has two mirrored sides, so that no edge makes the market rise by itself.
///
/// The natural strategy of an edge holds the drift's direction exactly while it drifts: it enters at the open
/// after the signal and leaves when the drift ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum EdgeKind {
    /// After a close at least `deviations` population standard deviations below the mean of the last `lookback`
    /// closes (that is, below `bollinger_lower(lookback, deviations)`), the price drifts up over the next
    /// `hold` candles; above the upper band, down. A new signal starts the count again.
    #[allow(missing_docs)]
    MeanReversion { lookback: u32, deviations: f64, hold: u32 },
    /// After a close above the highest high of the `lookback` candles before it (above
    /// `donchian_upper(lookback)`), the price drifts up over the next `hold` candles; below the lowest low, down.
    /// A new signal starts the count again.
    #[allow(missing_docs)]
    Momentum { lookback: u32, hold: u32 },
    /// The price drifts up from `hour`:00 UTC for `hours` hours, and down for as long from twelve hours later.
    #[allow(missing_docs)]
    TimeOfDay { hour: u32, hours: u32 },
    /// After a candle with at least `multiple` times the mean volume of the `lookback` candles before it, the
    /// price drifts on in that candle's direction over the next `hold` candles.
    #[allow(missing_docs)]
    VolumeSpike { lookback: u32, multiple: f64, hold: u32 },
    /// The sign of a product: after a candle that rose on more than the mean volume of the `lookback` candles before it, or
    /// fell on less, the price drifts up over the next `hold` candles; after one that fell on more or rose on less, down.
    /// Neither the move nor the volume alone says anything.
    #[allow(missing_docs)]
    Product { lookback: u32, hold: u32 },
    /// Each day from 00:00 UTC, symbols that rose more over the last `days` days drift up against those that rose less:
    /// each in proportion to how far its rank is from the middle, and to its own deviation.
    #[allow(missing_docs)]
    RankMomentum { days: u32 },
    /// The same turned round: those that rose less drift up.
    #[allow(missing_docs)]
    RankReversal { days: u32 },
    /// The same by mean volume in coins of the last `days` days over that of the last `against` days: those whose volume
    /// grew drift up.
    #[allow(missing_docs)]
    RankVolume { days: u32, against: u32 },
}

impl EdgeKind {
    /// Name in specs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanReversion { .. } => "mean_reversion",
            Self::Momentum { .. } => "momentum",
            Self::TimeOfDay { .. } => "time_of_day",
            Self::VolumeSpike { .. } => "volume_spike",
            Self::Product { .. } => "product",
            Self::RankMomentum { .. } => "rank_momentum",
            Self::RankReversal { .. } => "rank_reversal",
            Self::RankVolume { .. } => "rank_volume",
        }
    }

    /// Whether it ranks the symbols of a market.
    #[must_use]
    pub const fn ranks(self) -> bool {
        matches!(self, Self::RankMomentum { .. } | Self::RankReversal { .. } | Self::RankVolume { .. })
    }

    /// Days of closed candles that an edge of the cross-section looks at; 0 for others.
    #[must_use]
    pub const fn days(self) -> u32 {
        match self {
            // A change over n days is between n + 1 closes.
            Self::RankMomentum { days } | Self::RankReversal { days } => days + 1,
            Self::RankVolume { days, against } => {
                if days > against {
                    days
                } else {
                    against
                }
            }
            Self::MeanReversion { .. }
            | Self::Momentum { .. }
            | Self::TimeOfDay { .. }
            | Self::VolumeSpike { .. }
            | Self::Product { .. } => 0,
        }
    }

    /// Days after its listing from which an edge of the cross-section ranks a symbol: 30, or as many as it looks at.
    #[must_use]
    pub const fn listed_days(self) -> u32 {
        if self.days() > 30 { self.days() } else { 30 }
    }

    /// The ideal strategy of an edge of the cross-section on 4h candles, as text: linear weights of gross 1, set each day,
    /// over all symbols that the edge ranks. None for others.
    #[must_use]
    pub fn ideal_ranking(self) -> Option<String> {
        let change = |days: u32| format!("close / delay(close, {}) - 1", 6 * days);
        let score = match self {
            Self::RankMomentum { days } => change(days),
            Self::RankReversal { days } => format!("-({})", change(days)),
            Self::RankVolume { days, against } => {
                format!("mean(volume, {}) / mean(volume, {})", 6 * days, 6 * against)
            }
            Self::MeanReversion { .. }
            | Self::Momentum { .. }
            | Self::TimeOfDay { .. }
            | Self::VolumeSpike { .. }
            | Self::Product { .. } => {
                return None;
            }
        };
        let listed = self.listed_days();
        Some(format!(
            "4h; universe top 1000 by quote_volume(30d), listed {listed}d; score {score}; rebalance 1d; weights linear; gross 1"
        ))
    }

    fn lookback(self) -> usize {
        match self {
            Self::MeanReversion { lookback, .. }
            | Self::Momentum { lookback, .. }
            | Self::VolumeSpike { lookback, .. }
            | Self::Product { lookback, .. } => lookback as usize,
            Self::TimeOfDay { .. }
            | Self::RankMomentum { .. }
            | Self::RankReversal { .. }
            | Self::RankVolume { .. } => 0,
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for EdgeKind {
    type Err = String;
    /// A kind with its usual parameters.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mean_reversion" => Ok(Self::MeanReversion { lookback: 20, deviations: 2.0, hold: 12 }),
            "momentum" => Ok(Self::Momentum { lookback: 48, hold: 16 }),
            "time_of_day" => Ok(Self::TimeOfDay { hour: 13, hours: 4 }),
            "volume_spike" => Ok(Self::VolumeSpike { lookback: 20, multiple: 2.5, hold: 12 }),
            "product" => Ok(Self::Product { lookback: 20, hold: 1 }),
            "rank_momentum" => Ok(Self::RankMomentum { days: 14 }),
            "rank_reversal" => Ok(Self::RankReversal { days: 1 }),
            "rank_volume" => Ok(Self::RankVolume { days: 1, against: 20 }),
            _ => Err(format!(
                "unknown kind {text:?}; expected mean_reversion, momentum, time_of_day, volume_spike, product, \
                 rank_momentum, rank_reversal or rank_volume"
            )),
        }
    }
}

/// An edge planted on some symbols for some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeSpec {
    /// What makes the symbols drift.
    pub kind: EdgeKind,
    /// Interval of the candles the edge looks at. Edges of the cross-section look at days, whatever it is.
    pub interval: Interval,
    /// Symbols that have it; none named: all of the market.
    pub symbols: Vec<Symbol>,
    /// True annual Sharpe ratio of the natural strategy on one symbol, before costs, at constant notional,
    /// from daily returns x sqrt(365), while the edge is at full strength. Measured over 80 years
    /// (standard error 0.11) for 4, 6 and 10: time of day 3.9, 5.8, 9.6; volume spike 4.2, 6.2, 9.8; momentum,
    /// whose signals cluster, 3.7, 5.5, 8.8; mean reversion 3.9 for 4. Far above 10 the days' own spread in signals
    /// makes what can be measured fall short for every kind.
    ///
    /// Of an edge of the cross-section: that of [`EdgeKind::ideal_ranking`] over all of its symbols, before costs.
    /// Measured over 48 years on markets of 40 coins (standard error 0.15) for 2, 4 and 8: momentum 2.3, 4.3, 8.6; reversal
    /// 2.0, 3.9, 7.9; volume 2.1, 4.1, 8.0.
    pub sharpe: f64,
    /// First millisecond with the edge.
    pub start_ms: i64,
    /// Where full strength ends; `None` for never.
    pub end_ms: Option<i64>,
    /// From `end_ms` on, strength moves in a straight line to `residual` over this time.
    pub decay_ms: i64,
    /// What remains after the decay, as a fraction of full strength: 0 is nothing, negative turns the edge
    /// against those who trade it, as a crowded edge does.
    pub residual: f64,
}

impl EdgeSpec {
    /// An edge on 15m candles, at full strength for all time.
    #[must_use]
    pub fn lasting(kind: EdgeKind, symbols: Vec<Symbol>, sharpe: f64) -> Self {
        Self { kind, interval: Interval::M15, symbols, sharpe, start_ms: 0, end_ms: None, decay_ms: 0, residual: 0.0 }
    }

    /// Whether a symbol of the market has it.
    #[must_use]
    pub fn is_on(&self, symbol: &Symbol) -> bool {
        self.symbols.is_empty() || self.symbols.contains(symbol)
    }

    /// Strength at a time, as a fraction of full strength.
    #[must_use]
    pub fn level(&self, time_ms: i64) -> f64 {
        match self.end_ms {
            _ if time_ms < self.start_ms => 0.0,
            Some(end) if time_ms >= end.saturating_add(self.decay_ms) => self.residual,
            Some(end) if time_ms >= end => 1.0 + (self.residual - 1.0) * (time_ms - end) as f64 / self.decay_ms as f64,
            _ => 1.0,
        }
    }

    /// Checks every value, for a market of this base interval; `has` says which symbols it has.
    pub(crate) fn validate(&self, base: Interval, has: impl Fn(&Symbol) -> bool) -> Result<(), SpecError> {
        if let Some(unknown) = self.symbols.iter().find(|s| !has(s)) {
            return Err(SpecError::EdgeSymbol(unknown.clone()));
        }
        if self.kind.ranks() && self.symbols.len() == 1 {
            return Err(SpecError::EdgeAlone(self.kind.name()));
        }
        let edge = if self.kind.ranks() { Interval::D1 } else { self.interval };
        let lengths = (base.fixed_ms(), edge.fixed_ms());
        let fits = matches!(lengths, (Some(b), Some(e)) if e % b == 0);
        if !fits || edge > Interval::D1 {
            return Err(SpecError::EdgeInterval { edge, base });
        }
        within("an edge's sharpe", self.sharpe, 0.0, 100.0, "0 to 100")?;
        within("an edge's decay_ms", self.decay_ms as f64, 0.0, 1e15, "0 or more")?;
        within("an edge's residual", self.residual, -2.0, 2.0, "-2 to 2")?;
        match self.kind {
            EdgeKind::MeanReversion { lookback, deviations, hold } => {
                counts(lookback, hold)?;
                within("an edge's deviations", deviations, 0.1, 4.0, "0.1 to 4")
            }
            EdgeKind::Momentum { lookback, hold } | EdgeKind::Product { lookback, hold } => counts(lookback, hold),
            EdgeKind::TimeOfDay { hour, hours } => {
                within("an edge's hour", f64::from(hour), 0.0, 23.0, "0 to 23")?;
                within("an edge's hours", f64::from(hours), 1.0, 12.0, "1 to 12")
            }
            EdgeKind::VolumeSpike { lookback, multiple, hold } => {
                counts(lookback, hold)?;
                within("an edge's multiple", multiple, 1.0, 20.0, "1 to 20")
            }
            EdgeKind::RankMomentum { days } | EdgeKind::RankReversal { days } => days_back(days),
            EdgeKind::RankVolume { days, against } => {
                days_back(days)?;
                within(
                    "an edge's against",
                    f64::from(against),
                    f64::from(days) + 1.0,
                    365.0,
                    "more than its days, to 365",
                )
            }
        }
    }
}

impl FromStr for EdgeSpec {
    type Err = SpecError;
    /// `KIND:SYMBOL[+SYMBOL...]:SHARPE[:FROM[:TO[:DECAY_DAYS[:RESIDUAL]]]]`, on 15m candles; `all` in place of symbols;
    /// FROM and TO are dates (`2025-01-31`, 00:00 UTC), an empty one leaves that side open.
    fn from_str(text: &str) -> Result<Self, SpecError> {
        let wrong = |why: String| SpecError::EdgeText { text: text.to_owned(), why };
        let parts: Vec<&str> = text.split(':').collect();
        let (&[kind, symbols, sharpe], rest) = parts.split_at(parts.len().min(3)) else {
            return Err(wrong("it has fewer than three parts".to_owned()));
        };
        if rest.len() > 4 {
            return Err(wrong("it has more than seven parts".to_owned()));
        }
        let number =
            |name: &str, text: &str| text.parse::<f64>().map_err(|_| wrong(format!("{name} {text:?} is not a number")));
        let date = |text: &str| {
            let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d");
            let date = date.map_err(|_| wrong(format!("{text:?} is not a date such as 2025-01-31")))?;
            Ok(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis())
        };
        let part = |i: usize| rest.get(i).copied().filter(|text| !text.is_empty());
        let symbols = match symbols {
            "all" => Vec::new(),
            named => named.split('+').map(str::parse).collect::<Result<Vec<Symbol>, _>>().map_err(wrong)?,
        };
        let mut edge = Self::lasting(kind.parse().map_err(wrong)?, symbols, number("Sharpe ratio", sharpe)?);
        edge.start_ms = part(0).map_or(Ok(0), date)?;
        edge.end_ms = part(1).map(date).transpose()?;
        edge.decay_ms = (part(2).map_or(Ok(0.0), |days| number("decay", days))? * 86_400_000.0) as i64;
        edge.residual = part(3).map_or(Ok(0.0), |left| number("residual", left))?;
        Ok(edge)
    }
}

fn days_back(days: u32) -> Result<(), SpecError> {
    within("an edge's days", f64::from(days), 1.0, 365.0, "1 to 365")
}

fn counts(lookback: u32, hold: u32) -> Result<(), SpecError> {
    within("an edge's lookback", f64::from(lookback), 2.0, 1_000.0, "2 to 1000")?;
    within("an edge's hold", f64::from(hold), 1.0, 1_000.0, "1 to 1000")
}

/// What an edge remembers of the candles so far.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct EdgeState {
    /// (high, low, close or volume) of the last candles.
    seen: VecDeque<(f64, f64, f64)>,
    open: f64,
    high: f64,
    low: f64,
    volume: f64,
    /// 1, 0 or -1; of an edge of the cross-section the day's tilt.
    pub(crate) direction: f64,
    remaining: u32,
}

impl EdgeState {
    /// Direction of the drift in the candle that opens at `time_ms`: 1, 0 or -1; of the cross-section a tilt.
    pub(crate) fn direction(&self, kind: EdgeKind, time_ms: i64) -> f64 {
        let EdgeKind::TimeOfDay { hour, hours } = kind else { return self.direction };
        let now = time_ms.rem_euclid(DAY_MS) / HOUR_MS;
        let since = |from: u32| (now - i64::from(from)).rem_euclid(24) < i64::from(hours);
        if since(hour) {
            1.0
        } else if since(hour + 12) {
            -1.0
        } else {
            0.0
        }
    }

    /// Takes a base candle in; `closes` says that it ends a candle of the edge's interval.
    pub(crate) fn observe(&mut self, kind: EdgeKind, candle: &BaseCandle, closes: bool) {
        let lookback = kind.lookback();
        if lookback == 0 {
            return;
        }
        if self.open == 0.0 {
            (self.open, self.high, self.low) = (candle.open, candle.high, candle.low);
        }
        self.high = self.high.max(candle.high);
        self.low = self.low.min(candle.low);
        self.volume += candle.volume as f64;
        if !closes {
            return;
        }
        let signal = self.signal(kind, candle.close, lookback);
        let last = if matches!(kind, EdgeKind::VolumeSpike { .. } | EdgeKind::Product { .. }) {
            self.volume
        } else {
            candle.close
        };
        self.seen.push_back((self.high, self.low, last));
        if self.seen.len() > lookback {
            self.seen.pop_front();
        }
        (self.open, self.volume) = (0.0, 0.0);
        if signal != 0.0 {
            self.direction = signal;
            self.remaining = match kind {
                EdgeKind::MeanReversion { hold, .. }
                | EdgeKind::Momentum { hold, .. }
                | EdgeKind::VolumeSpike { hold, .. }
                | EdgeKind::Product { hold, .. } => hold,
                EdgeKind::TimeOfDay { .. }
                | EdgeKind::RankMomentum { .. }
                | EdgeKind::RankReversal { .. }
                | EdgeKind::RankVolume { .. } => 0,
            };
        } else {
            self.remaining = self.remaining.saturating_sub(1);
            if self.remaining == 0 {
                self.direction = 0.0;
            }
        }
    }

    /// The signal at this close: 1, 0 or -1. `seen` holds the candles before this one.
    fn signal(&self, kind: EdgeKind, close: f64, lookback: usize) -> f64 {
        match kind {
            EdgeKind::MeanReversion { deviations, .. } => {
                // The band of the last `lookback` closes, this one included: one fewer from before.
                if self.seen.len() + 1 < lookback {
                    return 0.0;
                }
                let before = self.seen.iter().skip(self.seen.len() + 1 - lookback);
                let closes = || before.clone().map(|c| c.2).chain([close]);
                let mean = closes().sum::<f64>() / lookback as f64;
                let variance = closes().map(|c| (c - mean).powi(2)).sum::<f64>() / lookback as f64;
                let band = deviations * variance.sqrt();
                if close < mean - band {
                    1.0
                } else if close > mean + band {
                    -1.0
                } else {
                    0.0
                }
            }
            EdgeKind::Momentum { .. } if self.seen.len() == lookback => {
                let high = self.seen.iter().map(|c| c.0).fold(f64::MIN, f64::max);
                let low = self.seen.iter().map(|c| c.1).fold(f64::MAX, f64::min);
                if close > high {
                    1.0
                } else if close < low {
                    -1.0
                } else {
                    0.0
                }
            }
            EdgeKind::VolumeSpike { multiple, .. } if self.seen.len() == lookback => {
                let mean = self.seen.iter().map(|c| c.2).sum::<f64>() / lookback as f64;
                if self.volume >= multiple * mean && close != self.open { (close - self.open).signum() } else { 0.0 }
            }
            EdgeKind::Product { .. } if self.seen.len() == lookback => {
                let mean = self.seen.iter().map(|c| c.2).sum::<f64>() / lookback as f64;
                let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
                sign(close - self.open) * sign(self.volume - mean)
            }
            _ => 0.0,
        }
    }
}
