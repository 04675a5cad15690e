//! What a simulated market is made of: symbols, volatility, planted edges. Values and their validation.
//!
//! Never draws a random number and never computes a price.

use super::edge::EdgeSpec;
use super::limits::{SpecError, within};
use candles::time::DAY_MS;
use candles::{Interval, Symbol};
use genome::random::Seed;
use serde::{Deserialize, Serialize};

/// One symbol of a simulated market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SymbolSpec {
    /// Name.
    pub symbol: Symbol,
    /// Price at the market's start.
    pub initial_price: f64,
    /// Standard deviation of a year's returns as a fraction: 0.6 is 60 %.
    pub annual_volatility: f64,
    /// Decimals of the price grid (tick 0.01 is 2). A price below 1,000 ticks is quoted more finely.
    pub price_decimals: u32,
    /// Decimals of volumes.
    pub volume_decimals: u32,
    /// Mean base volume of a day.
    pub daily_volume: f64,
    /// Open time of its first candle, UTC ms; `None` for the market's start.
    #[serde(default)]
    pub listed_ms: Option<i64>,
    /// From here on it has no candles, UTC ms; `None` for never.
    #[serde(default)]
    pub delisted_ms: Option<i64>,
    /// From here on its volume halves every [`FADING_MS`], UTC ms: it dies slowly. Its price stays as fair as before.
    #[serde(default)]
    pub fades_ms: Option<i64>,
}

/// Time in which the volume of a symbol halves that dies slowly.
pub const FADING_MS: i64 = 14 * DAY_MS;

impl SymbolSpec {
    /// A symbol at a realistic level; names that are not known get a middling altcoin's figures.
    #[must_use]
    pub fn named(symbol: &Symbol) -> Self {
        let (initial_price, annual_volatility, price_decimals, volume_decimals, daily_volume) = match symbol.as_str() {
            "BTCUSDT" => (65_000.0, 0.55, 2, 5, 25_000.0),
            "ETHUSDT" => (3_200.0, 0.70, 2, 4, 400_000.0),
            "SOLUSDT" => (150.0, 0.90, 2, 3, 4_000_000.0),
            "ARBUSDT" => (1.1, 0.95, 4, 1, 60_000_000.0),
            "BNBUSDT" => (580.0, 0.60, 2, 3, 300_000.0),
            "XRPUSDT" => (0.55, 0.80, 4, 0, 400_000_000.0),
            _ => (20.0, 0.85, 3, 2, 2_000_000.0),
        };
        Self {
            symbol: symbol.clone(),
            initial_price,
            annual_volatility,
            price_decimals,
            volume_decimals,
            daily_volume,
            listed_ms: None,
            delisted_ms: None,
            fades_ms: None,
        }
    }

    /// Whether it is traded at a time: from its listing on, until it is delisted. `start_ms` is the market's.
    #[must_use]
    pub fn is_traded(&self, start_ms: i64, time_ms: i64) -> bool {
        self.listed_ms.unwrap_or(start_ms) <= time_ms && self.delisted_ms.is_none_or(|end| time_ms < end)
    }

    /// Mean base volume of a day at a time.
    pub(crate) fn volume_at(&self, time_ms: i64) -> f64 {
        match self.fades_ms {
            Some(from_ms) if time_ms > from_ms => {
                self.daily_volume * (-((time_ms - from_ms) as f64) / FADING_MS as f64).exp2()
            }
            _ => self.daily_volume,
        }
    }

    /// Decimals of the grid at a price: the symbol's own, or more where the price has fallen below 1,000 ticks.
    pub fn decimals_at(&self, price: f64) -> u32 {
        let mut decimals = self.price_decimals;
        while decimals < 8 && price * 10f64.powi(decimals as i32) < 1_000.0 {
            decimals += 1;
        }
        decimals
    }

    /// The nearest price on the grid.
    pub fn on_grid(&self, price: f64) -> f64 {
        let grid = 10f64.powi(self.decimals_at(price) as i32);
        ((price * grid).round() / grid).max(1.0 / grid)
    }
}

/// How volatility moves: log-volatility is a sum of three AR(1) processes, one of them common to all symbols.
///
/// `sd` is the stationary standard deviation of log-volatility, `hours` the time in which a deviation falls to 1/e.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct VolatilitySpec {
    pub common_sd: f64,
    pub common_hours: f64,
    pub slow_sd: f64,
    pub slow_hours: f64,
    pub fast_sd: f64,
    pub fast_hours: f64,
    /// Swing of volatility over the day (peak 15:00 UTC) as a fraction of its mean.
    pub daily_swing: f64,
    /// Degrees of freedom of the Student-t shocks; above 2. The smaller, the fatter the tails.
    pub tail_degrees: f64,
}

impl Default for VolatilitySpec {
    fn default() -> Self {
        Self {
            common_sd: 0.30,
            common_hours: 96.0,
            slow_sd: 0.25,
            slow_hours: 48.0,
            fast_sd: 0.30,
            fast_hours: 2.0,
            daily_swing: 0.25,
            tail_degrees: 4.0,
        }
    }
}

impl VolatilitySpec {
    /// Stationary variance of log-volatility.
    pub(crate) fn log_variance(&self) -> f64 {
        self.common_sd.powi(2) + self.slow_sd.powi(2) + self.fast_sd.powi(2)
    }
}

/// A whole market. Two equal specs give the same candles to the bit, whatever is asked in which order;
/// a symbol's candles do not depend on which other symbols the market has, but through edges of the cross-section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarketSpec {
    /// Root of all randomness.
    pub seed: Seed,
    /// First candle's open time, UTC ms; a 00:00 UTC.
    pub start_ms: i64,
    /// Finest interval that is generated; coarser ones are resampled from it. At most `1h`.
    pub base: Interval,
    /// Steps of the price path inside one base candle. Extremes inside a step are sampled exactly,
    /// so this sets how lifelike a candle's shape is, not how honest its high and low are.
    pub steps_per_candle: u32,
    /// Share of each symbol's variance that comes from the factor common to all, 0 to 1.
    pub common_factor_share: f64,
    /// How volatility moves.
    pub volatility: VolatilitySpec,
    /// The symbols.
    pub symbols: Vec<SymbolSpec>,
    /// Planted edges; none means that no strategy has an expected gross profit.
    pub edges: Vec<EdgeSpec>,
}

impl MarketSpec {
    /// A market without an edge: 15m base candles, these symbols at their usual levels.
    #[must_use]
    pub fn noise(seed: Seed, start_ms: i64, symbols: &[Symbol]) -> Self {
        Self {
            seed,
            start_ms,
            base: Interval::M15,
            steps_per_candle: 5,
            common_factor_share: 0.4,
            volatility: VolatilitySpec::default(),
            symbols: symbols.iter().map(SymbolSpec::named).collect(),
            edges: Vec::new(),
        }
    }

    /// Position of a symbol in `symbols`.
    pub(crate) fn index_of(&self, symbol: &Symbol) -> Option<usize> {
        self.symbols.iter().position(|s| s.symbol == *symbol)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first value that cannot be.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.symbols.is_empty() {
            return Err(SpecError::NoSymbols);
        }
        if self.start_ms < 0 || self.start_ms % DAY_MS != 0 {
            return Err(SpecError::Start(self.start_ms));
        }
        if self.base > Interval::H1 {
            return Err(SpecError::Base(self.base));
        }
        within("steps_per_candle", f64::from(self.steps_per_candle), 1.0, 1_000.0, "1 to 1000")?;
        within("common_factor_share", self.common_factor_share, 0.0, 1.0, "0 to 1")?;
        let v = &self.volatility;
        for (what, sd) in [("common_sd", v.common_sd), ("slow_sd", v.slow_sd), ("fast_sd", v.fast_sd)] {
            within(what, sd, 0.0, 1.0, "0 to 1")?;
        }
        for (what, h) in [("common_hours", v.common_hours), ("slow_hours", v.slow_hours), ("fast_hours", v.fast_hours)]
        {
            within(what, h, 0.01, 100_000.0, "0.01 to 100000")?;
        }
        within("daily_swing", v.daily_swing, 0.0, 0.9, "0 to 0.9")?;
        within("tail_degrees", v.tail_degrees, 2.1, 1_000.0, "2.1 to 1000")?;
        for (i, s) in self.symbols.iter().enumerate() {
            if self.symbols[..i].iter().any(|other| other.symbol == s.symbol) {
                return Err(SpecError::Twice(s.symbol.clone()));
            }
            within(&format!("initial_price of {}", s.symbol), s.initial_price, 1e-4, 1e7, "0.0001 to 10000000")?;
            within(&format!("annual_volatility of {}", s.symbol), s.annual_volatility, 0.0, 3.0, "0 to 3")?;
            within(&format!("price_decimals of {}", s.symbol), f64::from(s.price_decimals), 0.0, 8.0, "0 to 8")?;
            within(&format!("volume_decimals of {}", s.symbol), f64::from(s.volume_decimals), 0.0, 8.0, "0 to 8")?;
            within(&format!("daily_volume of {}", s.symbol), s.daily_volume, 1e-3, 1e11, "0.001 to 1e11")?;
            let (start_ms, listed_ms) = (self.start_ms, s.listed_ms.unwrap_or(self.start_ms));
            if listed_ms < start_ms {
                return Err(SpecError::ListedBefore { symbol: s.symbol.clone(), listed_ms, start_ms });
            }
            if let Some(delisted_ms) = s.delisted_ms.filter(|end| *end <= listed_ms) {
                return Err(SpecError::DelistedBefore { symbol: s.symbol.clone(), delisted_ms, listed_ms });
            }
        }
        let has = |symbol: &Symbol| self.index_of(symbol).is_some();
        self.edges.iter().try_for_each(|edge| edge.validate(self.base, has))
    }
}
