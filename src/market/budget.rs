//! The cache's byte budget: what goes first, and what never goes.
//!
//! Beyond the budget go, until the rest fits: former contents of months that were dealt with and that no snapshot
//! needs, then months that can be fetched again, the oldest first. Never what was imported, what a snapshot holds, or
//! what a stored result was computed from. Fetches nothing and asks no database: the caller says what is in use.

use super::cache::{CandleCache, Evicted, Superseded};
use super::snapshot::{self, SnapshotError};
use candles::stored::CandleRange;
use candles::{Ticker, interval};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What must stay.
#[derive(Clone, Debug, Default)]
pub struct InUse {
    /// Never evicted.
    pub held: Vec<CandleRange>,
    /// Hashes of former contents that nobody needs any more to tell what was revised.
    pub dealt_with: BTreeSet<String>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Freed {
    /// Bytes of everything in the cache before.
    pub size_bytes: u64,
    /// Bytes that were freed.
    pub freed_bytes: u64,
    /// Former contents removed.
    pub contents: Vec<Superseded>,
    /// Months removed.
    pub evicted: Vec<Evicted>,
}

impl Freed {
    /// Bytes of everything in the cache after.
    #[must_use]
    pub fn left_bytes(&self) -> u64 {
        self.size_bytes.saturating_sub(self.freed_bytes)
    }
}

/// Keeps the cache within its budget as far as what is in use lets it: as the caller says, and as any process says that
/// works with candles at the moment ([`CandleCache::hold`]). With `dry_run` it only says what would go, such candles too.
///
/// # Errors
/// When the cache cannot be read or written, or a snapshot cannot be read: then nobody knows what it holds.
pub async fn keep_within(
    cache: &CandleCache,
    budget_bytes: u64,
    in_use: &InUse,
    dry_run: bool,
) -> Result<Freed, SnapshotError> {
    let sizes: BTreeMap<String, u64> = cache.object_sizes().await?.into_iter().collect();
    let mut freed = Freed { size_bytes: sizes.values().sum(), ..Freed::default() };
    if freed.size_bytes <= budget_bytes {
        return Ok(freed);
    }
    // Until this is done nobody begins to work with candles that are not looked at any more here.
    let gate = match dry_run {
        true => None,
        false => Some(cache.close_gate().await?),
    };
    let worked_with = gate.as_ref().map(|gate| &gate.held[..]).unwrap_or_default();
    let snapshots = snapshot::all(cache).await?;
    let mut former = cache.superseded().await?;
    former.retain(|f| in_use.dealt_with.contains(&f.content_sha256));
    former.sort_by(|a, b| a.month.cmp(&b.month).then_with(|| a.cmp(b)));
    for content in former {
        if freed.left_bytes() <= budget_bytes {
            break;
        }
        if snapshot::needs(cache, &snapshots, &content).await? {
            continue;
        }
        if !dry_run {
            cache.remove_superseded(&content).await?;
        }
        freed.freed_bytes += sizes.get(&content.path()).copied().unwrap_or(0);
        freed.contents.push(content);
    }
    let in_snapshots: BTreeSet<_> = snapshots.iter().flat_map(snapshot::keys).collect();
    let mut held: BTreeMap<Ticker, Vec<&CandleRange>> = BTreeMap::new();
    for one in in_use.held.iter().chain(worked_with) {
        held.entry(Ticker::of(one.market, &one.symbol)).or_default().push(one);
    }
    let keep = |c: &super::cache::Coverage, facts: &super::cache::Facts| {
        let end_ms = interval::next_open_time_ms(c.interval, facts.last_open_ms);
        let rests = |h: &&CandleRange| c.interval <= h.interval && facts.first_open_ms < h.to_ms && end_ms > h.from_ms;
        in_snapshots.contains(&(c.ticker.clone(), c.interval, facts.month.clone()))
            || held.get(&c.ticker).is_some_and(|all| all.iter().any(rests))
    };
    // What a dry run has not removed counts as removed.
    let allowed = if dry_run { budget_bytes.saturating_add(freed.freed_bytes) } else { budget_bytes };
    freed.evicted = cache.evict(allowed, keep, dry_run).await?;
    freed.freed_bytes += freed.evicted.iter().map(|e| e.bytes).sum::<u64>();
    Ok(freed)
}
