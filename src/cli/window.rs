//! Options that name candles and costs, and the window they come to. Reads the cache, fetches nothing.

use super::{
    CliError, Context,
    input::{distinct, time_ms},
};
use crate::usecases::portfolio::{MarketSpan, beside_the_market, beside_the_readings, load_panel};
use crate::usecases::window::load_symbol;
use anyhow::Context as _;
use candles::quality::{self, QualityPolicy};
use candles::time::DAY_MS;
use candles::{CandleSeries, Coverage, Interval, MarketKind, Symbol, SymbolCoverage, Ticker};
use chrono::{DateTime, SecondsFormat};
use clap::Args;
use engine::{Costs, Slippage, SymbolWindow, Terms, Window};
use genome::{AnyStrategy, Strategy};
use portfolio::{Execution, PortfolioTerms};
use serde::Serialize;
use std::sync::Arc;

/// Breaks of one symbol that are told; `sg-ai data verify` has all.
const MAX_BREAKS: usize = 5;

/// Which candles, and what trading costs.
#[derive(Args, Clone, Debug)]
pub(crate) struct WindowArgs {
    /// Symbols, separated by commas; a strategy that ranks the market takes all there are instead
    #[arg(long, value_name = "SYMBOLS", value_delimiter = ',')]
    symbols: Vec<Symbol>,
    /// Candles: 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d
    #[arg(long, value_name = "INTERVAL", default_value = "15m")]
    interval: Interval,
    /// First candle that may be traded: a date (UTC midnight) or a time such as 2024-04-01T12:00:00Z
    // Optional, because a command may ask for neither in some of its forms.
    #[arg(long, value_name = "TIME", required = true, value_parser = time_ms)]
    from: Option<i64>,
    /// End, exclusive: a date (UTC midnight) or a time
    #[arg(long, value_name = "TIME", required = true, value_parser = time_ms)]
    to: Option<i64>,
    /// Market: spot or um
    #[arg(long, value_name = "MARKET", default_value = "spot")]
    market: MarketKind,
    /// Days before --from whose candles warm indicators up
    #[arg(long, value_name = "DAYS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=3650))]
    warm_up_days: u32,
    /// Fee as a fraction of notional, each side [default: its venue's, costs.spot_fee_fraction or um_fee_fraction]
    #[arg(long, value_name = "FRACTION", value_parser = fraction)]
    fee: Option<f64>,
    /// Fixed slippage in basis points of the price [default: costs.slippage]
    #[arg(long, value_name = "BPS", value_parser = basis_points)]
    slippage_bps: Option<f64>,
}

/// The window as results name it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct WindowNames {
    market: MarketKind,
    symbols: Vec<Symbol>,
    interval: Interval,
    from: String,
    to: String,
    fee_fraction: f64,
    slippage: Slippage,
    /// By symbol: what there is of the candles that were asked for.
    candles: Vec<SymbolCoverage>,
}

impl WindowArgs {
    /// Interval of the candles.
    #[must_use]
    pub(crate) const fn interval(&self) -> Interval {
        self.interval
    }

    /// The symbols, in order.
    #[must_use]
    pub(crate) fn symbols(&self) -> &[Symbol] {
        &self.symbols
    }

    /// The same dates and candles for other symbols.
    #[must_use]
    pub(crate) fn with_symbols(&self, symbols: Vec<Symbol>) -> Self {
        Self { symbols, ..self.clone() }
    }

    /// The same symbols and candles at other dates, UTC ms.
    #[must_use]
    pub(crate) fn with_dates(&self, from_ms: i64, to_ms: i64) -> Self {
        Self { from: Some(from_ms), to: Some(to_ms), ..self.clone() }
    }

    /// Capital and costs: those of the configuration where no option says otherwise.
    #[must_use]
    pub(crate) fn terms(&self, ctx: &Context) -> Terms {
        let set = ctx.config().costs.of(self.market);
        let costs = Costs {
            fee_fraction: self.fee.unwrap_or(set.fee_fraction),
            slippage: self.slippage_bps.map_or(set.slippage, |bps| Slippage::Fixed { bps }),
            ..set
        };
        Terms { initial_capital: ctx.config().engine.initial_capital, costs, ..Terms::default() }
    }

    /// Capital, costs and execution of a portfolio: those of the configuration where no option says otherwise.
    #[must_use]
    pub(crate) fn portfolio_terms(&self, realistic: bool, ctx: &Context) -> PortfolioTerms {
        let Terms { initial_capital, costs, fill_on } = self.terms(ctx);
        let plain = Execution { borrow_rate_per_year: costs.borrow_rate_per_year, ..Execution::default() };
        let execution = if realistic { ctx.config().portfolio.execution } else { plain };
        PortfolioTerms { initial_capital, costs, execution, fill_on }
    }

    /// What to call the window in results.
    #[must_use]
    pub(crate) fn names(&self, window: &Window, costs: &Costs) -> WindowNames {
        let of = |s: &SymbolWindow| SymbolCoverage { symbol: s.symbol.clone(), coverage: self.coverage(&s.candles) };
        WindowNames {
            market: self.market,
            symbols: self.symbols.clone(),
            interval: self.interval,
            from: iso(self.dates_ms().0),
            to: iso(self.dates_ms().1),
            fee_fraction: costs.fee_fraction,
            slippage: costs.slippage,
            candles: window.symbols().iter().map(of).collect(),
        }
    }

    /// Which market.
    #[must_use]
    pub(crate) const fn market(&self) -> MarketKind {
        self.market
    }

    /// Begin and end, exclusive, UTC ms; 0 where the command did not need one.
    #[must_use]
    pub(crate) fn dates_ms(&self) -> (i64, i64) {
        (self.from.unwrap_or_default(), self.to.unwrap_or_default())
    }

    /// # Errors
    /// When the window is empty.
    pub(crate) fn check_dates(&self) -> Result<(), CliError> {
        let (from_ms, to_ms) = self.dates_ms();
        if from_ms >= to_ms {
            return Err(CliError::Usage("--from must be before --to".into()));
        }
        Ok(())
    }

    /// First candle that warms up, UTC ms.
    pub(crate) fn first_ms(&self) -> i64 {
        self.dates_ms().0.saturating_sub(i64::from(self.warm_up_days) * DAY_MS)
    }

    pub(crate) fn coverage(&self, candles: &CandleSeries) -> Coverage {
        let (from_ms, to_ms) = self.dates_ms();
        Coverage::of(candles, self.first_ms(), from_ms, to_ms)
    }

    /// The window, from cached candles.
    ///
    /// # Errors
    /// When the options contradict each other, or the cache lacks what they ask for.
    pub(crate) async fn load(&self, ctx: &Context) -> Result<Window, CliError> {
        self.check_dates()?;
        if self.symbols.is_empty() {
            return Err(CliError::Usage("--symbols is required: which symbols is the strategy to trade?".into()));
        }
        distinct("--symbols", &self.symbols)?;
        let cache = ctx.cache_to_read()?;
        let (first_ms, (from_ms, to_ms)) = (self.first_ms(), self.dates_ms());
        let mut symbols = Vec::with_capacity(self.symbols.len());
        for symbol in &self.symbols {
            let span = (first_ms, to_ms);
            let ticker = Ticker::of(self.market, symbol);
            let loaded = load_symbol(&cache, &ticker, self.interval, span).await.context("candle cache")?;
            if let Some(missing) = self.coverage(&loaded.candles).shortfall().filter(|_| !loaded.candles.is_empty()) {
                tracing::warn!("{symbol}: {missing}");
            }
            self.warn_of_breaks(symbol, &loaded.candles, &ctx.config().market.quality);
            symbols.push(SymbolWindow {
                market: self.market,
                symbol: loaded.symbol,
                candles: Arc::new(loaded.candles),
                finer: loaded.finer.into_iter().map(Arc::new).collect(),
                funding: loaded.funding.into(),
                readings: Arc::default(),
                across: Arc::default(),
            });
        }
        let window = Window::new(from_ms, to_ms, symbols).with_context(|| {
            format!(
                "the cache in {} cannot give {} {} candles for these dates; `sg-ai data import DIR` adds dumps",
                cache.dir().display(),
                self.market,
                self.interval
            )
        })?;
        Ok(window)
    }

    /// The window, with what the strategy's rules see beside its candles: readings of the futures market, and values of the
    /// whole market where the strategy has a universe.
    ///
    /// # Errors
    /// As [`WindowArgs::load`].
    pub(crate) async fn load_for(&self, strategy: &Strategy, ctx: &Context) -> Result<Window, CliError> {
        let window = self.load(ctx).await?;
        let cache = ctx.cache_to_read()?;
        let window = beside_the_readings(&cache, window, strategy, self.dates_ms().1).await?;
        let models = ctx.models()?;
        let asked = models.asked(&AnyStrategy::from(strategy.clone()), self.market).map_err(CliError::usage)?;
        let window = models.beside_window(&asked, window).await?;
        let Some(universe) = strategy.universe else { return Ok(window) };
        let span = MarketSpan { market: self.market, interval: self.interval, to_ms: self.dates_ms().1 };
        let whole = load_panel(&cache, span, strategy.timeframe, ctx.instruments()?).await?;
        let whole = models.beside_market(&asked, whole, i64::MIN).await?;
        Ok(beside_the_market(&window, &whole.panel, universe, strategy)?)
    }

    /// Says so where prices are not all of one instrument in one unit: what is earned across such a break is none.
    fn warn_of_breaks(&self, symbol: &Symbol, candles: &CandleSeries, policy: &QualityPolicy) {
        for found in quality::breaks(candles, self.dates_ms().1, policy).into_iter().take(MAX_BREAKS) {
            tracing::warn!("{symbol} at {}: {}; `sg-ai data verify` tells more", iso(found.from_ms), found.detail);
        }
    }
}

/// `2024-04-01T00:00:00Z`.
pub(crate) fn iso(time_ms: i64) -> String {
    DateTime::from_timestamp_millis(time_ms).map_or_else(String::new, |t| t.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn fraction(text: &str) -> Result<f64, String> {
    within(text, 0.0, 0.1, "a fraction such as 0.0004")
}

fn basis_points(text: &str) -> Result<f64, String> {
    within(text, 0.0, 1000.0, "basis points such as 2")
}

fn within(text: &str, min: f64, max: f64, what: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("expected {what}"))?;
    if (min..=max).contains(&value) { Ok(value) } else { Err(format!("must be {min} to {max}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(iso(1_711_972_800_000), "2024-04-01T12:00:00Z");
    }

    #[test]
    fn costs_are_bounded() {
        assert_eq!(fraction("0.0004"), Ok(0.0004));
        assert!(fraction("4").is_err() && fraction("-0.1").is_err() && fraction("NaN").is_err());
        assert!(basis_points("x").unwrap_err().contains("basis points"));
    }
}
