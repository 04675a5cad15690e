//! Candles and funding payments that the exchange revised: found in the cache, and noted in the store.
//!
//! A merge that replaces candles, or payments, keeps the month's former content: the two are compared here. Says nothing
//! of who rested on them.

use anyhow::Context as _;
use candles::Ticker;
use candles::stored::Part;
use market::CandleCache;
use market::cache::{CacheError, content_sha256, funding_sha256, readings_sha256};
use market::snapshot::{
    MonthChange, PaymentRevision, ReadingRevision, Revision, compare, revised_payments, revised_readings,
};
use serde::Serialize;
use store::{MAX_REVISION_DETAIL, NewRevision, RevisionRow, Store};

/// Candles, or funding payments, of one stored month that are not what they were.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub(crate) struct Change {
    #[serde(flatten)]
    pub(crate) ticker: Ticker,
    pub(crate) part: Part,
    pub(crate) month: String,
    pub(crate) old_sha256: String,
    pub(crate) new_sha256: String,
    /// Which candles, in time order.
    pub(crate) candles: Vec<Revision>,
    /// Which payments, in time order.
    pub(crate) payments: Vec<PaymentRevision>,
    /// Which readings, in time order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) readings: Vec<ReadingRevision>,
}

impl Change {
    /// How many candles, payments or readings differ.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        (self.candles.len() + self.payments.len() + self.readings.len()) as u64
    }

    /// Times of what differs, in order, UTC ms.
    pub(crate) fn times_ms(&self) -> impl DoubleEndedIterator<Item = i64> {
        let payments = self.payments.iter().map(|p| p.time_ms);
        self.candles.iter().map(|r| r.open_time_ms).chain(payments).chain(self.readings.iter().map(|r| r.time_ms))
    }

    /// Times of the first and the last that differ, UTC ms.
    pub(crate) fn range_ms(&self) -> Option<(i64, i64)> {
        self.times_ms().next().zip(self.times_ms().next_back())
    }
}

/// The former contents of stored months, as changes to what is stored now: those whose hash `wanted` takes.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn changes(cache: &CandleCache, wanted: impl Fn(&str) -> bool) -> Result<Vec<Change>, CacheError> {
    let mut found = Vec::new();
    for former in cache.superseded().await? {
        if !wanted(&former.content_sha256) {
            continue;
        }
        let (mut candles, mut payments, mut readings) = (Vec::new(), Vec::new(), Vec::new());
        let new_sha256 = match former.part {
            Part::Candles(interval) => {
                let Some(before) = cache.load_superseded(&former).await? else { continue };
                let after = cache.load_month(&former.ticker, interval, &former.month).await?;
                // A month that was evicted meanwhile is not one that lost its candles.
                let MonthChange::Revised { candles: revised, .. } = compare(&before, &after) else { continue };
                if after.is_empty() {
                    continue;
                }
                candles = revised;
                content_sha256(&after)
            }
            Part::Funding => {
                let Some(before) = cache.load_superseded_funding(&former).await? else { continue };
                let after = cache.load_funding_month(&former.ticker.symbol, &former.month).await?;
                payments = revised_payments(&before, &after);
                if payments.is_empty() {
                    continue;
                }
                funding_sha256(&after)
            }
            part @ (Part::Premium | Part::Metrics) => {
                let Some(before) = cache.load_superseded_readings(&former).await? else { continue };
                let after = cache.reading_month(&former.ticker.symbol, part, &former.month).await?;
                readings = revised_readings(&before, &after);
                if readings.is_empty() {
                    continue;
                }
                readings_sha256(&after)
            }
        };
        found.push(Change {
            ticker: former.ticker,
            part: former.part,
            month: former.month,
            old_sha256: former.content_sha256,
            new_sha256,
            candles,
            payments,
            readings,
        });
    }
    Ok(found)
}

/// Stores changes as revisions; those that are not dealt with yet.
///
/// # Errors
/// When the store does not answer.
pub(crate) async fn record(store: &Store, changes: &[Change]) -> anyhow::Result<Vec<RevisionRow>> {
    let mut open = Vec::new();
    for change in changes.iter().cloned() {
        let (first_open_ms, last_open_ms) = change.range_ms().context("a revision without a candle or payment")?;
        let most = |n: usize| n.min(MAX_REVISION_DETAIL);
        let detail = match change.part {
            Part::Candles(_) => serde_json::to_value(&change.candles[..most(change.candles.len())])?,
            Part::Funding => serde_json::to_value(&change.payments[..most(change.payments.len())])?,
            Part::Premium | Part::Metrics => serde_json::to_value(&change.readings[..most(change.readings.len())])?,
        };
        let count = change.count();
        let new = NewRevision {
            market: change.ticker.market,
            symbol: change.ticker.symbol,
            part: change.part,
            month: change.month,
            old_sha256: change.old_sha256,
            new_sha256: change.new_sha256,
            count,
            first_open_ms,
            last_open_ms,
            detail,
        };
        let (row, _) = store.record_revision(&new).await?;
        open.extend(Some(row).filter(|row| row.handled_at.is_none()));
    }
    Ok(open)
}
