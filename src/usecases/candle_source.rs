//! Where candles come from: refreshed where the exchange answers, cached where it does not.
//!
//! Never decides what to do with them.

use super::holds::Holds;
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::{Interval, MarketKind, Symbol, Ticker, interval};
use chrono::DateTime;
use market::download::Downloader;
use market::{CandleCache, Feed};
use std::sync::Arc;
use store::{FeedStatus, Store};

/// What reads candles.
#[derive(Clone)]
pub(crate) struct CandleSource {
    pub(crate) market: MarketKind,
    pub(crate) cache: CandleCache,
    pub(crate) feed: Arc<Feed>,
    /// Brings by archives what is missing in bulk.
    pub(crate) downloader: Arc<Downloader>,
    /// What is worked with, and stays meanwhile.
    pub(crate) holds: Holds,
    /// When candles are good enough to be evidence.
    pub(crate) quality: QualityPolicy,
    /// Where it is noted how fresh they are.
    pub(crate) store: Store,
}

impl CandleSource {
    /// The exchange's time, UTC ms; where it does not answer, the newest candle in the cache stands for it.
    ///
    /// # Errors
    /// When the exchange does not answer and nothing is cached either.
    pub(crate) async fn market_now_ms(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        candles: Interval,
    ) -> anyhow::Result<i64> {
        let error = match self.feed.exchange().server_time_ms(market).await {
            Ok(now_ms) => return Ok(now_ms),
            Err(error) => error,
        };
        let mut newest_ms = None;
        for symbol in symbols {
            newest_ms = newest_ms.max(self.cache.newest_close_ms(&Ticker::of(market, symbol), candles).await?);
        }
        newest_ms
            .with_context(|| format!("the exchange does not tell its time ({error}) and there are no cached candles"))
    }

    /// Brings the cache up to the newest closed candle of each symbol and returns the newest time that all of them
    /// have reached: the end of the candle up to which everything is known, on the interval's grid.
    ///
    /// A symbol that the exchange does not answer for counts as far as its cached candles go.
    ///
    /// # Errors
    /// When a symbol has no candle at all: there is nothing to work on.
    pub(crate) async fn refresh(
        &self,
        market: MarketKind,
        symbols: &[Symbol],
        candles: Interval,
        from_ms: i64,
    ) -> anyhow::Result<i64> {
        self.downloader.bring_bulk(market, symbols, candles, from_ms).await;
        let report = self.feed.refresh(market, symbols, candles, from_ms).await;
        if market == MarketKind::Um {
            for row in self.feed.refresh_funding(symbols, from_ms, false).await {
                if let Some(error) = &row.error {
                    tracing::warn!(symbol = %row.symbol, error, "no fresh funding rates; going on with cached ones");
                }
            }
        }
        let mut newest_ms = i64::MAX;
        for row in &report {
            let status = FeedStatus {
                market,
                symbol: row.symbol.clone(),
                interval: candles,
                newest_close_ms: row.newest_close_ms,
                exchange_time_ms: row.exchange_time_ms,
                gaps: row.gaps.len() as u64,
                error: row.error.clone(),
                // The store sets it.
                refreshed_at: DateTime::UNIX_EPOCH,
            };
            self.store.record_feed(&status).await?;
            if let Some(error) = &row.error {
                tracing::warn!(symbol = %row.symbol, error, "no fresh candles; going on with cached ones");
            }
            let close_ms = row.newest_close_ms.with_context(|| {
                let why = row.error.as_deref().unwrap_or("the exchange has none");
                format!("there are no {candles} candles of {} to work on: {why}", row.symbol)
            })?;
            newest_ms = newest_ms.min(close_ms + 1);
        }
        Ok(interval::open_time_ms(candles, newest_ms))
    }
}
