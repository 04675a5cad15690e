//! Which stored series a command on the candle cache is about.

use crate::cli::CliError;
use anyhow::Context as _;
use candles::{Interval, MarketKind, Symbol};
use clap::Args;
use market::CandleCache;
use market::cache::{Coverage, ValuesCoverage};

/// Which stored series; everything where nothing is said.
#[derive(Args, Clone, Debug)]
pub(super) struct Selection {
    /// Symbols, separated by commas [default: all]
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// Market: spot or um [default: both]
    #[arg(long, value_name = "MARKET")]
    market: Option<MarketKind>,
    /// Intervals, separated by commas [default: all]
    #[arg(long, value_name = "INTERVALS", value_delimiter = ',')]
    intervals: Vec<Interval>,
}

impl Selection {
    /// Whether nothing was said.
    pub(super) fn is_everything(&self) -> bool {
        self.symbols.is_empty() && self.market.is_none() && self.intervals.is_empty()
    }

    /// The stored series that are meant.
    pub(super) async fn coverage(&self, cache: &CandleCache) -> Result<Vec<Coverage>, CliError> {
        let mut all = cache.coverage().await.context("candle cache")?;
        all.retain(|c| {
            (self.symbols.is_empty() || self.symbols.contains(&c.ticker.symbol))
                && self.market.is_none_or(|market| market == c.ticker.market)
                && (self.intervals.is_empty() || self.intervals.contains(&c.interval))
        });
        Ok(all)
    }

    /// The stored funding and readings that are meant; none where intervals were said, which they do not have.
    pub(super) async fn values(&self, cache: &CandleCache) -> Result<Vec<ValuesCoverage>, CliError> {
        if !self.intervals.is_empty() {
            return Ok(Vec::new());
        }
        let mut all = cache.values_coverage().await.context("candle cache")?;
        all.retain(|v| {
            (self.symbols.is_empty() || self.symbols.contains(&v.ticker.symbol))
                && self.market.is_none_or(|market| market == v.ticker.market)
        });
        Ok(all)
    }
}
