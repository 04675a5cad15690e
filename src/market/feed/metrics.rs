//! Open interest and ratios from the exchange, of the last days alone: what archives do not have yet.
//!
//! Asks for stamps that are missing, and takes a row no earlier than the stated delay after its stamp. Never rounds what
//! an archive has: see `ReadingTable`.

use super::{Feed, FeedError, FundingFreshness};
use crate::cache::{METRICS_COLUMNS, METRICS_DELAY_MS, MergeReport, Provenance, ReadingTable};
use crate::exchange::{METRICS_EVERY_MS, METRICS_REACH_MS, METRICS_ROWS, Metric};
use candles::stored::Part;
use candles::time::HOUR_MS;
use candles::{MarketKind, Symbol};
use std::collections::BTreeMap;

/// A row this old that lacks a value is taken without it; a newer one may only be late.
const LATE_MS: i64 = HOUR_MS;

impl Feed {
    /// Brings metrics of `um` symbols that are stamped in `[from_ms, to_ms)` and missing, as far back as the exchange answers
    /// for them and up to now.
    pub async fn refresh_metrics(&self, symbols: &[Symbol], from_ms: i64, to_ms: i64) -> Vec<FundingFreshness> {
        let now = self.exchange.server_time_ms(MarketKind::Um).await;
        let mut all = Vec::with_capacity(symbols.len());
        for symbol in symbols {
            let mut merged = MergeReport::default();
            let error = match now.clone() {
                Ok(now_ms) => self.refresh_metrics_of(symbol, (from_ms, to_ms), now_ms, &mut merged).await.err(),
                Err(e) => Some(e.into()),
            };
            let range = self.cache.readings_range_ms(symbol, Part::Metrics).await.ok().flatten();
            let MergeReport { added, replaced, .. } = merged;
            all.push(FundingFreshness {
                symbol: symbol.clone(),
                newest_ms: range.map(|(_, newest_ms)| newest_ms),
                added,
                replaced,
                error: error.map(|e| e.to_string()),
            });
        }
        all
    }

    async fn refresh_metrics_of(
        &self,
        symbol: &Symbol,
        (from_ms, to_ms): (i64, i64),
        now_ms: i64,
        merged: &mut MergeReport,
    ) -> Result<(), FeedError> {
        // Stamps asked for: the first one at or after the start, the last one that is known by now.
        let first_ms = -(-from_ms.max(now_ms - METRICS_REACH_MS)).div_euclid(METRICS_EVERY_MS) * METRICS_EVERY_MS;
        let last_ms = (now_ms - METRICS_DELAY_MS).min(to_ms.saturating_sub(1));
        let known_ms = (first_ms - METRICS_EVERY_MS + METRICS_DELAY_MS, now_ms + 1);
        let stored = self.cache.load_readings(symbol, Part::Metrics, known_ms.0, known_ms.1).await?;
        let mut next_ms = first_ms;
        while next_ms <= last_ms {
            if has_stamp(&stored, next_ms) {
                next_ms += METRICS_EVERY_MS;
                continue;
            }
            // No wider than what is missing, nor than one answer, whichever end of it the exchange counts from.
            let page = (0..METRICS_ROWS).map(|n| next_ms + n * METRICS_EVERY_MS).take_while(|ms| *ms <= last_ms);
            let end_ms = page.filter(|ms| !has_stamp(&stored, *ms)).last().unwrap_or(next_ms);
            let table = self.metrics_between(symbol, next_ms, end_ms, now_ms).await?;
            if !table.is_empty() {
                let provenance = Provenance { source: self.source.clone(), fetched_at_ms: now_ms };
                *merged += self.cache.merge_readings(symbol, &table, &provenance, None).await?;
            }
            next_ms = end_ms + METRICS_EVERY_MS;
        }
        Ok(())
    }

    /// The rows stamped in `[from_ms, to_ms]`, of which five requests bring a part each.
    async fn metrics_between(
        &self,
        symbol: &Symbol,
        from_ms: i64,
        to_ms: i64,
        now_ms: i64,
    ) -> Result<ReadingTable, FeedError> {
        let mut rows: BTreeMap<i64, Vec<Option<f64>>> = BTreeMap::new();
        for metric in Metric::ALL {
            for row in self.exchange.metric(symbol, metric, from_ms, to_ms).await? {
                // What was not asked for, or is off the grid, would be another row than the archives have.
                if !(from_ms..=to_ms).contains(&row.time_ms) || row.time_ms % METRICS_EVERY_MS != 0 {
                    continue;
                }
                let values = rows.entry(row.time_ms).or_insert_with(|| vec![None; METRICS_COLUMNS.len()]);
                for (at, value) in metric.columns().zip(row.values) {
                    values[at] = Some(value).filter(|v| v.is_finite() && *v >= 0.0);
                }
            }
        }
        rows.retain(|time_ms, values| values.iter().all(Option::is_some) || time_ms + LATE_MS <= now_ms);
        rows.retain(|_, values| values.iter().any(Option::is_some));
        let known = rows.into_iter().map(|(time_ms, values)| (time_ms + METRICS_DELAY_MS, values));
        Ok(ReadingTable::from_rows(Part::Metrics, known.collect()))
    }
}

/// Whether a row of that stamp is stored; sources may stamp it some seconds apart.
fn has_stamp(stored: &ReadingTable, stamp_ms: i64) -> bool {
    let (known_ms, apart_ms) = (stamp_ms + METRICS_DELAY_MS, METRICS_EVERY_MS / 2);
    let at = stored.times_ms().partition_point(|t| *t <= known_ms - apart_ms);
    stored.times_ms().get(at).is_some_and(|t| *t < known_ms + apart_ms)
}
