//! Snapshots: what the cache held at a moment, by content and under a name. A manifest only, never a copy of candles.
//!
//! A month is named by the hash of its candles. What changed between two snapshots, or since one, is told candle by
//! candle as long as the contents are still there: months that only grew still hold what they were, and months whose
//! candles were replaced keep their former content until it is pruned. Layout: `snapshots/NAME.json` beside the
//! candles, and `snapshots/current` with the name of the newest. Funding and readings are part of it ([`values`]).

mod values;

pub use values::{
    PaymentRevision, ReadingRevision, ValuesChange, ValuesDiff, ValuesRef, diff_values, revised_payments,
    revised_readings,
};

use super::cache::{CacheError, CandleCache, Facts, Superseded, content_sha256};
use candles::stored::Part;
use candles::{Candle, CandleSeries, Interval, Ticker, interval};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

const DIR: &str = "snapshots";
const CURRENT: &str = "current";
/// The name under which what is stored now takes part in a comparison.
pub const NOW: &str = "cache";

/// A month by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct MonthRef {
    /// `YYYY-MM`.
    pub month: String,
    pub rows: u64,
    pub first_open_ms: i64,
    pub last_open_ms: i64,
    pub content_sha256: String,
}

/// The months of one symbol and interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SeriesRef {
    #[serde(flatten)]
    pub ticker: Ticker,
    pub interval: Interval,
    /// In time order.
    pub months: Vec<MonthRef>,
}

/// What the cache held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// When it was taken, UTC ms.
    pub taken_at_ms: i64,
    /// SHA-256 of everything below, hex: equal contents have equal versions, whatever they are called.
    pub version: String,
    /// Sorted by market, symbol and interval.
    pub series: Vec<SeriesRef>,
    /// Funding and readings, sorted by symbol and part; `None` in one that was taken before they were part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<ValuesRef>>,
}

impl Snapshot {
    fn of(name: &str, taken_at_ms: i64, series: Vec<SeriesRef>, values: Vec<ValuesRef>) -> Self {
        let mut hash = Sha256::new();
        for s in &series {
            for month in &s.months {
                let line = format!(
                    "{}/{}/{}/{} {}\n",
                    s.ticker.market, s.ticker.symbol, s.interval, month.month, month.content_sha256
                );
                hash.update(line);
            }
        }
        for v in &values {
            for month in &v.months {
                let line = format!(
                    "{}/{}/{}/{} {}\n",
                    v.ticker.market, v.ticker.symbol, v.part, month.month, month.content_sha256
                );
                hash.update(line);
            }
        }
        let version = hex::encode(hash.finalize());
        Self { name: name.to_owned(), taken_at_ms, version, series, values: Some(values) }
    }

    /// Candles in it.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.series.iter().flat_map(|s| &s.months).map(|m| m.rows).sum()
    }

    /// Funding payments and rows of readings in it.
    #[must_use]
    pub fn value_rows(&self) -> u64 {
        self.values.iter().flatten().flat_map(|v| &v.months).map(|m| m.rows).sum()
    }
}

/// Why a snapshot could not be had.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SnapshotError {
    #[error("there is no snapshot {0:?}; sg-ai data list --snapshots shows which there are")]
    Unknown(String),
    #[error(
        "{0:?} is no name for a snapshot: letters, digits, dots, dashes and underscores, at most 80, not {CURRENT} or {NOW}"
    )]
    Name(String),
    #[error("snapshot {0:?} is there already, with other contents; a snapshot never changes")]
    Taken(String),
    #[error("snapshot {name:?} cannot be read: {what}")]
    Damaged { name: String, what: String },
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// How a month differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum MonthChange {
    /// Only the second has it.
    Added,
    /// Only the first has it.
    Removed,
    /// The second has more candles, and all of the first's as they were.
    Grown {
        /// Candles more.
        candles: u64,
    },
    /// Candles of the first are others in the second, or gone.
    Revised {
        /// Which, in time order.
        candles: Vec<Revision>,
        /// Candles that only the second has.
        added: u64,
    },
    /// The contents differ, and one of them is no longer kept: nobody can say where.
    Unknown,
}

/// One candle that is not what it was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// Its open time, UTC ms.
    pub open_time_ms: i64,
    /// What it was.
    pub old: Candle,
    /// What it is; `None` when it is gone.
    pub new: Option<Candle>,
}

/// A month that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct MonthDiff {
    #[serde(flatten)]
    pub ticker: Ticker,
    pub interval: Interval,
    pub month: String,
    pub old_sha256: Option<String>,
    pub new_sha256: Option<String>,
    #[serde(flatten)]
    pub change: MonthChange,
}

/// What was pruned, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Pruned {
    /// Snapshots removed.
    pub snapshots: Vec<String>,
    /// Former contents removed.
    pub contents: Vec<Superseded>,
}

/// What is stored now, as a snapshot called [`NOW`].
///
/// # Errors
/// When the cache cannot be read.
pub async fn of_cache(cache: &CandleCache, now_ms: i64) -> Result<Snapshot, SnapshotError> {
    let refs = |facts: &Facts| MonthRef {
        month: facts.month.clone(),
        rows: facts.rows,
        first_open_ms: facts.first_open_ms,
        last_open_ms: facts.last_open_ms,
        content_sha256: facts.content_sha256.clone(),
    };
    let series = cache.coverage().await?.into_iter().map(|c| SeriesRef {
        ticker: c.ticker,
        interval: c.interval,
        months: c.months.iter().map(|m| refs(&m.facts)).collect(),
    });
    Ok(Snapshot::of(NOW, now_ms, series.collect(), values::of_cache(cache).await?))
}

/// Freezes what is stored now under a name, and makes it the current one. Without a name it is called `vN_YYYY_MM_DD`
/// by the day, with the first N that is free. Taking the same content under the same name again changes nothing.
///
/// # Errors
/// When the name is no name or is taken by other contents, or the cache cannot be read or written.
pub async fn take(cache: &CandleCache, name: Option<&str>, now_ms: i64) -> Result<Snapshot, SnapshotError> {
    let mut snapshot = of_cache(cache, now_ms).await?;
    snapshot.name = match name {
        Some(name) if is_name(name) => name.to_owned(),
        Some(name) => return Err(SnapshotError::Name(name.to_owned())),
        None => {
            let day =
                chrono::DateTime::from_timestamp_millis(now_ms).unwrap_or_default().format("%Y_%m_%d").to_string();
            let mut n = 1;
            loop {
                let name = format!("v{n}_{day}");
                match find(cache, &name).await {
                    Err(SnapshotError::Unknown(_)) => break name,
                    Ok(known) if known.version == snapshot.version => break name,
                    Ok(_) => n += 1,
                    Err(e) => return Err(e),
                }
            }
        }
    };
    match find(cache, &snapshot.name).await {
        Err(SnapshotError::Unknown(_)) => {
            let text = serde_json::to_vec_pretty(&snapshot)
                .map_err(|e| SnapshotError::Damaged { name: snapshot.name.clone(), what: e.to_string() })?;
            cache.put_object(&format!("{DIR}/{}.json", snapshot.name), text).await?;
        }
        Ok(known) if known.version == snapshot.version => snapshot = known,
        Ok(_) => return Err(SnapshotError::Taken(snapshot.name)),
        Err(e) => return Err(e),
    }
    cache.put_object(&format!("{DIR}/{CURRENT}"), snapshot.name.clone().into_bytes()).await?;
    Ok(snapshot)
}

fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=80).contains(&name.len())
        && name.chars().all(legal)
        && !name.starts_with('.')
        && name != CURRENT
        && name != NOW
}

/// A snapshot by name; `current` is the newest.
///
/// # Errors
/// When there is none of that name, or it cannot be read.
pub async fn find(cache: &CandleCache, name: &str) -> Result<Snapshot, SnapshotError> {
    let unknown = || SnapshotError::Unknown(name.to_owned());
    let name = if name == CURRENT { current(cache).await?.ok_or_else(unknown)? } else { name.to_owned() };
    if !is_name(&name) {
        return Err(SnapshotError::Name(name));
    }
    let bytes = cache.get_object(&format!("{DIR}/{name}.json")).await?.ok_or_else(unknown)?;
    serde_json::from_slice(&bytes).map_err(|e| SnapshotError::Damaged { name, what: e.to_string() })
}

/// Name of the newest snapshot.
///
/// # Errors
/// When the cache cannot be read.
pub async fn current(cache: &CandleCache) -> Result<Option<String>, CacheError> {
    let bytes = cache.get_object(&format!("{DIR}/{CURRENT}")).await?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
}

/// All snapshots, oldest first.
///
/// # Errors
/// When one cannot be read.
pub async fn all(cache: &CandleCache) -> Result<Vec<Snapshot>, SnapshotError> {
    let mut found = Vec::new();
    for file in cache.list_objects(DIR).await? {
        if let Some(name) = file.strip_suffix(".json") {
            found.push(find(cache, name).await?);
        }
    }
    found.sort_by(|a: &Snapshot, b| (a.taken_at_ms, &a.name).cmp(&(b.taken_at_ms, &b.name)));
    Ok(found)
}

type Key = (Ticker, Interval, String);

fn by_month(snapshot: &Snapshot) -> BTreeMap<Key, &MonthRef> {
    let months = snapshot
        .series
        .iter()
        .flat_map(|s| s.months.iter().map(move |m| ((s.ticker.clone(), s.interval, m.month.clone()), m)));
    months.collect()
}

/// What differs from `a` to `b`, month by month; equal months are left out.
///
/// # Errors
/// When the cache cannot be read.
pub async fn diff(cache: &CandleCache, a: &Snapshot, b: &Snapshot) -> Result<Vec<MonthDiff>, SnapshotError> {
    let (old, new) = (by_month(a), by_month(b));
    let keys: BTreeSet<&Key> = old.keys().chain(new.keys()).collect();
    let kept = cache.superseded().await?;
    let mut found = Vec::new();
    for key in keys {
        let (before, after) = (old.get(key).copied(), new.get(key).copied());
        let change = match (before, after) {
            (Some(before), Some(after)) if before.content_sha256 == after.content_sha256 => continue,
            (Some(before), Some(after)) => {
                let contents = (content(cache, &kept, key, before).await?, content(cache, &kept, key, after).await?);
                match contents {
                    (Some(before), Some(after)) => compare(&before, &after),
                    _ => MonthChange::Unknown,
                }
            }
            (None, _) => MonthChange::Added,
            (_, None) => MonthChange::Removed,
        };
        let (ticker, interval, month) = key.clone();
        let sha = |m: Option<&MonthRef>| m.map(|m| m.content_sha256.clone());
        found.push(MonthDiff { ticker, interval, month, old_sha256: sha(before), new_sha256: sha(after), change });
    }
    Ok(found)
}

/// How two contents of a month differ.
#[must_use]
pub fn compare(before: &CandleSeries, after: &CandleSeries) -> MonthChange {
    let times = after.open_times_ms();
    let revision = |old: Candle| match times.binary_search(&old.open_time_ms) {
        Ok(i) if after.candle(i) == old => None,
        Ok(i) => Some(Revision { open_time_ms: old.open_time_ms, old, new: Some(after.candle(i)) }),
        Err(_) => Some(Revision { open_time_ms: old.open_time_ms, old, new: None }),
    };
    let candles: Vec<Revision> = before.candles().filter_map(revision).collect();
    let old_times = before.open_times_ms();
    let added = times.iter().filter(|t| old_times.binary_search(t).is_err()).count() as u64;
    if candles.is_empty() { MonthChange::Grown { candles: added } } else { MonthChange::Revised { candles, added } }
}

/// The candles of a month as they were then, from what is stored now or was kept; `None` when they are gone.
async fn content(
    cache: &CandleCache,
    kept: &[Superseded],
    (ticker, interval, month): &Key,
    wanted: &MonthRef,
) -> Result<Option<CandleSeries>, CacheError> {
    let end_ms = interval::next_open_time_ms(*interval, wanted.last_open_ms);
    let part = |whole: &CandleSeries| {
        let part = whole.slice(wanted.first_open_ms, end_ms);
        (content_sha256(&part) == wanted.content_sha256).then_some(part)
    };
    match cache.load_month(ticker, *interval, month).await {
        Ok(now) => {
            if let Some(found) = part(&now) {
                return Ok(Some(found));
            }
        }
        Err(CacheError::Damaged { .. }) => {}
        Err(e) => return Err(e),
    }
    let part_of = Part::Candles(*interval);
    let same = |s: &&Superseded| (&s.ticker, s.part, &s.month) == (ticker, part_of, month);
    for former in kept.iter().filter(same) {
        if let Some(found) = cache.load_superseded(former).await?.as_ref().and_then(part) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The months that a snapshot holds.
pub(super) fn keys(snapshot: &Snapshot) -> impl Iterator<Item = Key> {
    by_month(snapshot).into_keys()
}

/// Whether one of the snapshots can only be told from a former content.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn needs(
    cache: &CandleCache,
    snapshots: &[Snapshot],
    former: &Superseded,
) -> Result<bool, CacheError> {
    let Part::Candles(interval) = former.part else { return values::needs(cache, snapshots, former).await };
    let key = (former.ticker.clone(), interval, former.month.clone());
    let wanted: Vec<&MonthRef> = snapshots.iter().filter_map(|s| by_month(s).get(&key).copied()).collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let Some(series) = cache.load_superseded(former).await? else { return Ok(false) };
    Ok(wanted.into_iter().any(|wanted| {
        let end_ms = interval::next_open_time_ms(interval, wanted.last_open_ms);
        content_sha256(&series.slice(wanted.first_open_ms, end_ms)) == wanted.content_sha256
    }))
}

/// Removes snapshots but the newest `keep` (`None`: none is removed), and former contents that no remaining snapshot
/// needs. The current snapshot always stays.
///
/// # Errors
/// When the cache cannot be read or written.
pub async fn prune(cache: &CandleCache, keep: Option<usize>, dry_run: bool) -> Result<Pruned, SnapshotError> {
    let mut snapshots = all(cache).await?;
    let current = current(cache).await?;
    let mut pruned = Pruned::default();
    if let Some(keep) = keep {
        let surplus = snapshots.len().saturating_sub(keep);
        let old: Vec<String> = snapshots[..surplus].iter().map(|s| s.name.clone()).collect();
        pruned.snapshots = old.into_iter().filter(|name| Some(name) != current.as_ref()).collect();
        snapshots.retain(|s| !pruned.snapshots.contains(&s.name));
    }
    for former in cache.superseded().await? {
        if !needs(cache, &snapshots, &former).await? {
            pruned.contents.push(former);
        }
    }
    if !dry_run {
        for name in &pruned.snapshots {
            cache.delete_object(&format!("{DIR}/{name}.json")).await?;
        }
        for former in &pruned.contents {
            cache.remove_superseded(former).await?;
        }
    }
    Ok(pruned)
}
