//! The premium index from the exchange: only what has closed, and no earlier than then.

use super::{FUNDING_REREAD_MS, Feed, FeedError, FundingFreshness};
use crate::cache::{MergeReport, Provenance, ReadingTable};
use candles::stored::Part;
use candles::{Interval, MarketKind, Symbol, interval};

impl Feed {
    /// Brings the premium index of `um` symbols at the closes of candles of `interval` that open from `from_ms` on, up to
    /// now; with `again` what is cached is read again, too, so that a revision is noticed.
    pub async fn refresh_premium(
        &self,
        symbols: &[Symbol],
        interval: Interval,
        from_ms: i64,
        again: bool,
    ) -> Vec<FundingFreshness> {
        let now = self.exchange.server_time_ms(MarketKind::Um).await;
        let mut all = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let done = match now.clone() {
                Ok(now_ms) => self.refresh_premium_of(symbol, interval, from_ms, now_ms, again).await,
                Err(e) => Err(e.into()),
            };
            let range = self.cache.readings_range_ms(symbol, Part::Premium).await.ok().flatten();
            let (merged, error) = done.map_or_else(|e| (MergeReport::default(), Some(e.to_string())), |m| (m, None));
            let MergeReport { added, replaced, .. } = merged;
            all.push(FundingFreshness {
                symbol: symbol.clone(),
                newest_ms: range.map(|(_, newest_ms)| newest_ms),
                added,
                replaced,
                error,
            });
        }
        all
    }

    async fn refresh_premium_of(
        &self,
        symbol: &Symbol,
        interval: Interval,
        from_ms: i64,
        now_ms: i64,
        again: bool,
    ) -> Result<MergeReport, FeedError> {
        let mut next_ms = match self.cache.readings_range_ms(symbol, Part::Premium).await? {
            // The first reading is known one candle after it begins.
            Some((oldest, newest)) if !again && oldest <= from_ms + FUNDING_REREAD_MS => {
                from_ms.max(newest - FUNDING_REREAD_MS)
            }
            _ => from_ms,
        };
        let mut merged = MergeReport::default();
        while next_ms <= now_ms {
            let limit = self.exchange.max_klines(MarketKind::Um);
            let rows = self.exchange.premium_klines(symbol, interval, next_ms, now_ms, limit).await?;
            let newest_ms = rows.iter().map(|c| c.open_time_ms).max();
            let on_grid = |open_ms: i64| interval::open_time_ms(interval, open_ms) == open_ms;
            let known = rows.iter().filter(|c| c.open_time_ms >= next_ms && on_grid(c.open_time_ms));
            let known = known.map(|c| (interval::next_open_time_ms(interval, c.open_time_ms), vec![Some(c.close)]));
            let table =
                ReadingTable::from_rows(Part::Premium, known.filter(|(known_ms, _)| *known_ms <= now_ms).collect());
            if !table.is_empty() {
                let provenance = Provenance { source: self.source.clone(), fetched_at_ms: now_ms };
                merged += self.cache.merge_readings(symbol, &table, &provenance, None).await?;
            }
            match newest_ms.map(|ms| interval::next_open_time_ms(interval, interval::open_time_ms(interval, ms))) {
                Some(after_ms) if after_ms > next_ms => next_ms = after_ms,
                _ => break,
            }
        }
        Ok(merged)
    }
}
