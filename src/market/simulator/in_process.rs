//! A simulated market as an [`Exchange`], without HTTP: for demos, calibration and tests.
//!
//! Time is what the caller's function says; requests always succeed and cost nothing.

use super::lives::{listed, status};
use crate::exchange::{METRICS_REACH_MS, METRICS_ROWS, Metric, MetricRow, RateLimit, SymbolInfo};
use crate::{Exchange, ExchangeError, ExchangeInfo};
use async_trait::async_trait;
use candles::time::MINUTE_MS;
use candles::{Candle, FundingRate, Interval, MarketKind, Symbol, Ticker, interval};
use simulated::{MarketError, Metrics, PremiumCandle, SimulatedMarket};
use std::{fmt, sync::Arc};

const HOST: &str = "simulated market";

/// A simulated market seen through the exchange's interface. Both markets (`spot`, `um`) trade at the same prices.
#[derive(Clone)]
pub struct InProcessExchange {
    market: Arc<SimulatedMarket>,
    now_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl fmt::Debug for InProcessExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessExchange").field("now_ms", &(self.now_ms)()).finish_non_exhaustive()
    }
}

impl InProcessExchange {
    /// An exchange whose clock is `now_ms` (UTC ms), which should never go back.
    pub fn new(market: Arc<SimulatedMarket>, now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { market, now_ms: Arc::new(now_ms) }
    }
}

#[async_trait]
impl Exchange for InProcessExchange {
    async fn server_time_ms(&self, _market: MarketKind) -> Result<i64, ExchangeError> {
        Ok((self.now_ms)())
    }

    async fn klines(
        &self,
        ticker: &Ticker,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let limit = limit.min(self.max_klines(ticker.market)) as usize;
        let mut candles = self
            .market
            .seen(&ticker.symbol, interval, (from_ms, to_ms), (self.now_ms)(), |_, candle| Some(candle))
            .map_err(|error| refused(ticker.market, error))?;
        candles.truncate(limit);
        Ok(candles)
    }

    fn max_klines(&self, market: MarketKind) -> u32 {
        match market {
            MarketKind::Spot => 1000,
            MarketKind::Um => 1500,
        }
    }

    async fn exchange_info(&self, market: MarketKind) -> Result<ExchangeInfo, ExchangeError> {
        let limit = match market {
            MarketKind::Spot => 6000,
            MarketKind::Um => 2400,
        };
        let (now_ms, start_ms) = ((self.now_ms)(), self.market.spec().start_ms);
        let symbols = listed(&self.market, now_ms).map(|s| {
            let (base, quote) = assets(&s.symbol);
            SymbolInfo {
                symbol: s.symbol.clone(),
                status: status(market, s, now_ms).to_owned(),
                base_asset: base.to_owned(),
                quote_asset: quote.to_owned(),
                listed_ms: Some(s.listed_ms.unwrap_or(start_ms)),
                tick_size: Some(1.0 / 10f64.powi(s.price_decimals as i32)),
                step_size: Some(1.0 / 10f64.powi(s.volume_decimals as i32)),
            }
        });
        Ok(ExchangeInfo {
            server_time_ms: now_ms,
            rate_limits: vec![RateLimit { kind: "REQUEST_WEIGHT".to_owned(), interval_s: 60, limit }],
            symbols: symbols.collect(),
        })
    }

    async fn premium_klines(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        to_ms: i64,
        limit: u32,
    ) -> Result<Vec<Candle>, ExchangeError> {
        let to_ms = to_ms.min((self.now_ms)()).saturating_add(1);
        let rows = self.market.premium(symbol, interval, from_ms, to_ms);
        let mut rows: Vec<Candle> = rows
            .map_err(|error| refused(MarketKind::Um, error))?
            .into_iter()
            .map(|row| premium_candle(interval, &row))
            .collect();
        rows.truncate(limit as usize);
        Ok(rows)
    }

    async fn metric(
        &self,
        symbol: &Symbol,
        metric: Metric,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<MetricRow>, ExchangeError> {
        let rows = metric_rows(&self.market, symbol, metric, (from_ms, to_ms), (self.now_ms)());
        let mut rows = rows.map_err(|error| refused(MarketKind::Um, error))?;
        rows.truncate(METRICS_ROWS as usize);
        Ok(rows)
    }

    async fn funding_rates(
        &self,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<FundingRate>, ExchangeError> {
        let to_ms = to_ms.min((self.now_ms)());
        let mut rates =
            self.market.funding_rates(symbol, from_ms, to_ms).map_err(|error| refused(MarketKind::Um, error))?;
        rates.truncate(1000);
        Ok(rates)
    }
}

/// How long after its stamp a row of metrics is shown, ms. Of the real exchange nobody here knows.
const METRICS_APPEAR_MS: i64 = 2 * MINUTE_MS;
/// Decimals of ratios in answers; archives have more.
const RATIO_DECIMALS: i32 = 4;

/// Rows of a part of the metrics stamped in `[from_ms, to_ms]`, as far as they are shown at `now_ms`.
pub(super) fn metric_rows(
    market: &SimulatedMarket,
    symbol: &Symbol,
    metric: Metric,
    (from_ms, to_ms): (i64, i64),
    now_ms: i64,
) -> Result<Vec<MetricRow>, MarketError> {
    let (from_ms, to_ms) = (from_ms.max(now_ms - METRICS_REACH_MS), to_ms.min(now_ms - METRICS_APPEAR_MS));
    let rows = market.metric_rows(symbol, from_ms.saturating_sub(1), to_ms)?;
    let scale = 10f64.powi(RATIO_DECIMALS);
    let values = |m: &Metrics| match metric {
        Metric::OpenInterest => vec![m.open_interest, m.open_interest_value],
        other => vec![(m.ratios[other.columns().start - 2] * scale).round() / scale],
    };
    Ok(rows.iter().map(|m| MetricRow { time_ms: m.time_ms, values: values(m) }).collect())
}

/// A candle of the premium index as the exchange shows it: counts of samples, no volume.
pub(super) fn premium_candle(interval: Interval, row: &PremiumCandle) -> Candle {
    let close_time_ms = interval::close_time_ms(interval, row.open_time_ms);
    Candle {
        open_time_ms: row.open_time_ms,
        open: row.open,
        high: row.high,
        low: row.low,
        close: row.close,
        volume: 0.0,
        close_time_ms,
        quote_volume: 0.0,
        // One every five seconds.
        trade_count: (close_time_ms + 1 - row.open_time_ms).unsigned_abs() / 5_000,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    }
}

/// Base and quote asset of a symbol's name.
pub(super) fn assets(symbol: &Symbol) -> (&str, &str) {
    let name = symbol.as_str();
    let quote =
        ["USDT", "USDC", "BTC", "ETH", "USD", "EUR"].into_iter().find(|q| name.len() > q.len() && name.ends_with(q));
    quote.map_or((name, ""), |q| (&name[..name.len() - q.len()], q))
}

fn refused(market: MarketKind, error: MarketError) -> ExchangeError {
    match error {
        MarketError::UnknownSymbol(symbol) => ExchangeError::UnknownSymbol { market, symbol: symbol.to_string() },
        other => {
            let message = other.to_string();
            ExchangeError::InvalidRequest { host: HOST.to_owned(), status: 400, code: -1120, message }
        }
    }
}
