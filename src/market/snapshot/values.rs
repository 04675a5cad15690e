//! Funding and readings in snapshots: their months by content, and what differs between two snapshots, value by value.
//!
//! Never a copy of them, as of candles.

use super::{Snapshot, SnapshotError};
use crate::cache::{CacheError, CandleCache, MonthValues, ReadingRow, ReadingTable, Superseded, ValuesMonth};
use candles::stored::Part;
use candles::{FundingRate, Ticker};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The months of a ticker's funding or of one kind of its readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ValuesRef {
    #[serde(flatten)]
    pub ticker: Ticker,
    /// Funding, premium or metrics.
    pub part: Part,
    /// In time order.
    pub months: Vec<ValuesMonth>,
}

/// One funding payment that is not what it was. Rates are fractions of the position's value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PaymentRevision {
    /// When it is due, UTC ms.
    pub time_ms: i64,
    /// What it was.
    pub old: f64,
    /// What it is; `None` when it is gone.
    pub new: Option<f64>,
}

/// One row of readings that is not what it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReadingRevision {
    /// When it was known, UTC ms.
    pub time_ms: i64,
    /// What it was; what was empty is null.
    pub old: Vec<Option<f64>>,
    /// What it is; `None` when it is gone.
    pub new: Option<Vec<Option<f64>>>,
}

/// How a month of funding or readings differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ValuesChange {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// The second has more, and all of the first's as they were.
    Grown {
        /// Values more.
        values: u64,
    },
    /// Values of the first are others in the second, or gone.
    Revised {
        /// Which payments, in time order.
        payments: Vec<PaymentRevision>,
        /// Which readings, in time order.
        readings: Vec<ReadingRevision>,
        /// Values that only the second has.
        added: u64,
    },
    /// The contents differ, and one of them is no longer kept or is damaged: nobody can say where.
    Unknown,
}

/// A month of funding or readings that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ValuesDiff {
    #[serde(flatten)]
    pub ticker: Ticker,
    pub part: Part,
    pub month: String,
    pub old_sha256: Option<String>,
    pub new_sha256: Option<String>,
    #[serde(flatten)]
    pub change: ValuesChange,
}

/// Payments that are not what they were.
#[must_use]
pub fn revised_payments(before: &[FundingRate], after: &[FundingRate]) -> Vec<PaymentRevision> {
    let revision = |old: &FundingRate| {
        let new = after.binary_search_by_key(&old.time_ms, |r| r.time_ms).ok().map(|i| after[i].rate);
        (new != Some(old.rate)).then_some(PaymentRevision { time_ms: old.time_ms, old: old.rate, new })
    };
    before.iter().filter_map(revision).collect()
}

/// Rows of readings that are not what they were.
#[must_use]
pub fn revised_readings(before: &ReadingTable, after: &ReadingTable) -> Vec<ReadingRevision> {
    let revision = |(time_ms, old): ReadingRow| {
        let new = after.times_ms().binary_search(&time_ms).ok().map(|i| after.row(i).1);
        (new.as_ref() != Some(&old)).then_some(ReadingRevision { time_ms, old, new })
    };
    (0..before.len()).filter_map(|i| revision(before.row(i))).collect()
}

/// What is stored now.
pub(super) async fn of_cache(cache: &CandleCache) -> Result<Vec<ValuesRef>, CacheError> {
    let all = cache.values_coverage().await?.into_iter();
    Ok(all.map(|c| ValuesRef { ticker: c.ticker, part: c.part, months: c.months }).collect())
}

type Key = (Ticker, Part, String);

fn by_month(values: &[ValuesRef]) -> BTreeMap<Key, &ValuesMonth> {
    let months = values.iter().flat_map(|v| v.months.iter().map(move |m| (v, m)));
    months.map(|(v, m)| ((v.ticker.clone(), v.part, m.month.clone()), m)).collect()
}

/// What differs from `a` to `b` of funding and readings, month by month; equal months are left out. Nothing where one
/// of them was taken before snapshots had them.
///
/// # Errors
/// When the cache cannot be read.
pub async fn diff_values(cache: &CandleCache, a: &Snapshot, b: &Snapshot) -> Result<Vec<ValuesDiff>, SnapshotError> {
    let (Some(a), Some(b)) = (&a.values, &b.values) else { return Ok(Vec::new()) };
    let (old, new) = (by_month(a), by_month(b));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let kept = cache.superseded().await?;
    let mut found = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key).copied(), new.get(key).copied());
        let change = match (before, after) {
            (Some(before), Some(after)) if before.content_sha256 == after.content_sha256 => continue,
            (Some(before), Some(after)) => {
                match (content(cache, &kept, key, before).await?, content(cache, &kept, key, after).await?) {
                    (Some(before), Some(after)) => compare(&before, &after),
                    _ => ValuesChange::Unknown,
                }
            }
            (None, _) => ValuesChange::Added,
            (_, None) => ValuesChange::Removed,
        };
        let (ticker, part, month) = key.clone();
        let sha = |m: Option<&ValuesMonth>| m.map(|m| m.content_sha256.clone());
        found.push(ValuesDiff { ticker, part, month, old_sha256: sha(before), new_sha256: sha(after), change });
    }
    Ok(found)
}

fn compare(before: &MonthValues, after: &MonthValues) -> ValuesChange {
    let (payments, readings) = match (before, after) {
        (MonthValues::Funding(before), MonthValues::Funding(after)) => (revised_payments(before, after), Vec::new()),
        (MonthValues::Readings(before), MonthValues::Readings(after)) => (Vec::new(), revised_readings(before, after)),
        _ => return ValuesChange::Unknown,
    };
    let old_times = before.times_ms();
    let added = after.times_ms().iter().filter(|t| old_times.binary_search(t).is_err()).count() as u64;
    if payments.is_empty() && readings.is_empty() {
        ValuesChange::Grown { values: added }
    } else {
        ValuesChange::Revised { payments, readings, added }
    }
}

/// The part of a month that has the hash which a snapshot knows.
fn known(whole: &MonthValues, wanted: &ValuesMonth) -> Option<MonthValues> {
    let part = whole.between(wanted.first_ms, wanted.last_ms);
    (part.sha256() == wanted.content_sha256).then_some(part)
}

/// The values of a month as they were then, from what is stored now or was kept; `None` when they are gone.
async fn content(
    cache: &CandleCache,
    kept: &[Superseded],
    (ticker, part, month): &Key,
    wanted: &ValuesMonth,
) -> Result<Option<MonthValues>, CacheError> {
    match cache.values_month(&ticker.symbol, *part, month).await {
        Ok(now) => {
            if let Some(found) = known(&now, wanted) {
                return Ok(Some(found));
            }
        }
        Err(CacheError::Damaged { .. }) => {}
        Err(e) => return Err(e),
    }
    for former in kept.iter().filter(|s| (&s.ticker, &s.part, &s.month) == (ticker, part, month)) {
        let values = cache.superseded_values(former).await?;
        if let Some(found) = values.and_then(|values| known(&values, wanted)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether one of the snapshots can only be told from a former content of funding or readings.
pub(super) async fn needs(
    cache: &CandleCache,
    snapshots: &[Snapshot],
    former: &Superseded,
) -> Result<bool, CacheError> {
    let key = (former.ticker.clone(), former.part, former.month.clone());
    let refs = snapshots.iter().filter_map(|s| s.values.as_deref());
    let wanted: Vec<&ValuesMonth> = refs.filter_map(|values| by_month(values).get(&key).copied()).collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let Some(values) = cache.superseded_values(former).await? else { return Ok(false) };
    Ok(wanted.into_iter().any(|wanted| known(&values, wanted).is_some()))
}
