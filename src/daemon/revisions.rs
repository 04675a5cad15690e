//! Revised candles and funding payments: which results rested on them, those results computed again, and the gate asked
//! anew.
//!
//! A result is affected when a revised candle lies in what it looked at (market, symbol, stored interval, time, warm-up
//! included), or a revised payment does, and the cache no longer gives the data version that is stored with it. The
//! figures, the gate's answer and the cause are stored in one transaction a strategy. Once a day archives that were
//! merged are held against their checksums, and funding is read again: that is how a reissued month shows.

use super::candles::{Loaded, WindowSpec};
use super::core::{Core, Did, token};
use super::replay::{StoredRun, stored_runs};
use super::rescore::Rescorer;
use super::supervisor::Activation;
use anyhow::Context as _;
use async_trait::async_trait;
use candles::resample::can_resample;
use candles::stored::Part;
use candles::time::DAY_MS;
use candles::{FundingRate, Interval, MarketKind, Symbol};
use engine::Recipe;
use lifecycle::State;
use market::CandleCache;
use market::cache::{CacheError, content_sha256, funding_sha256};
use market::snapshot::{MonthChange, Revision, compare};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{MAX_REVISION_DETAIL, NewRevision, RevisionRow, SessionUse, StatSource, Store, StrategyDetail};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two looks at whether archives were reissued and funding was revised.
const RECHECK: Duration = Duration::from_secs(86_400);

/// Candles, or funding payments, of one stored month that are not what they were.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Change {
    pub market: MarketKind,
    pub symbol: Symbol,
    pub part: Part,
    pub month: String,
    pub old_sha256: String,
    pub new_sha256: String,
    /// Which candles, in time order.
    pub candles: Vec<Revision>,
    /// Which payments, in time order.
    pub payments: Vec<PaymentRevision>,
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

impl Change {
    /// How many candles or payments differ.
    #[must_use]
    pub fn count(&self) -> u64 {
        (self.candles.len() + self.payments.len()) as u64
    }

    /// Times of what differs, in order, UTC ms.
    pub fn times_ms(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.candles.iter().map(|r| r.open_time_ms).chain(self.payments.iter().map(|p| p.time_ms))
    }

    /// Times of the first and the last that differ, UTC ms.
    fn range_ms(&self) -> Option<(i64, i64)> {
        self.times_ms().next().zip(self.times_ms().next_back())
    }
}

/// A result that rested on changed candles.
#[derive(Clone, Debug, Serialize)]
pub struct AffectedRun {
    /// What it was measured on.
    pub source: StatSource,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Names the candles that it rested on; `None` where that was not stored.
    pub data_version: Option<String>,
    /// Names those that the cache has in their place; `None` where it lacks some.
    pub data_version_now: Option<String>,
    #[serde(skip)]
    pub(super) run: StoredRun,
}

/// A strategy with results that rested on changed candles.
#[derive(Clone, Debug, Serialize)]
pub struct AffectedStrategy {
    /// In the store.
    pub id: Uuid,
    /// For people.
    pub name: String,
    /// Where it is in its life.
    pub state: State,
    /// Its deployment that goes on, if it is live.
    pub deployment: Option<Uuid>,
    /// Which results, in order of their windows.
    pub runs: Vec<AffectedRun>,
    #[serde(skip)]
    pub(super) detail: StrategyDetail,
}

/// Who rested on changed candles.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Affected {
    /// Strategies, by id.
    pub strategies: Vec<AffectedStrategy>,
    /// Search sessions, whose generations were bred on them.
    pub sessions: Vec<SessionUse>,
    /// Strategies that had results on these symbols, but none on these candles.
    pub untouched: u64,
}

/// The former contents of stored months, as changes to what is stored now: those whose hash `wanted` takes.
///
/// # Errors
/// When the cache cannot be read.
pub async fn changes(cache: &CandleCache, wanted: impl Fn(&str) -> bool) -> Result<Vec<Change>, CacheError> {
    let mut found = Vec::new();
    for former in cache.superseded().await? {
        if !wanted(&former.content_sha256) {
            continue;
        }
        let (mut candles, mut payments) = (Vec::new(), Vec::new());
        let new_sha256 = match former.part {
            Part::Candles(interval) => {
                let Some(before) = cache.load_superseded(&former).await? else { continue };
                let after = cache.load_month(former.market, &former.symbol, interval, &former.month).await?;
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
                let after = cache.load_funding_month(&former.symbol, &former.month).await?;
                payments = revised_payments(&before, &after);
                if payments.is_empty() {
                    continue;
                }
                funding_sha256(&after)
            }
        };
        let (market, symbol, part, month) = (former.market, former.symbol, former.part, former.month);
        found.push(Change {
            market,
            symbol,
            part,
            month,
            old_sha256: former.content_sha256,
            new_sha256,
            candles,
            payments,
        });
    }
    Ok(found)
}

fn revised_payments(before: &[FundingRate], after: &[FundingRate]) -> Vec<PaymentRevision> {
    let revision = |old: &FundingRate| {
        let new = after.binary_search_by_key(&old.time_ms, |r| r.time_ms).ok().map(|i| after[i].rate);
        (new != Some(old.rate)).then_some(PaymentRevision { time_ms: old.time_ms, old: old.rate, new })
    };
    before.iter().filter_map(revision).collect()
}

/// Data versions that the cache gives now, by what they are of.
struct Versions<'a> {
    cache: &'a CandleCache,
    known: BTreeMap<(WindowSpec, i64), Option<String>>,
}

impl Versions<'_> {
    /// `None` when the cache lacks candles of it.
    async fn of(&mut self, spec: WindowSpec, from_ms: i64) -> Option<String> {
        let key = (spec, from_ms);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let to_ms = key.0.to_ms;
        let version = match Loaded::read(self.cache, key.0.clone()).await {
            Ok(loaded) => loaded.window(from_ms, to_ms).ok().map(|window| window.data_version()),
            Err(_) => None,
        };
        self.known.insert(key, version.clone());
        version
    }
}

/// Stored intervals from which a window of `interval` is made, as `Loaded` reads them: the interval itself or the finer
/// ones that it may be built from, and the finest, which decides the order of stop and target.
async fn sources(
    cache: &CandleCache,
    market: MarketKind,
    symbol: &Symbol,
    interval: Interval,
) -> Result<BTreeSet<Interval>, CacheError> {
    let stored = cache.stored_intervals(market, symbol).await?;
    let mut used: BTreeSet<Interval> = stored.iter().copied().find(|finer| *finer < interval).into_iter().collect();
    if stored.contains(&interval) {
        used.insert(interval);
    } else {
        used.extend(stored.into_iter().filter(|finer| *finer < interval && can_resample(*finer, interval)));
    }
    Ok(used)
}

/// Whether one of the changed candles lies in what a window looked at.
async fn looked_at(
    cache: &CandleCache,
    changes: &[Change],
    (market, symbols, interval): (MarketKind, &[Symbol], Interval),
    (from_ms, to_ms): (i64, i64),
) -> Result<bool, CacheError> {
    for change in changes.iter().filter(|c| c.market == market && symbols.contains(&c.symbol)) {
        if !change.times_ms().any(|time_ms| (from_ms..to_ms).contains(&time_ms)) {
            continue;
        }
        let used = match change.part {
            Part::Funding => true,
            Part::Candles(changed) => sources(cache, market, &change.symbol, interval).await?.contains(&changed),
        };
        if used {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Everything in the store that rested on changed candles.
///
/// # Errors
/// When the store does not answer or the cache cannot be read.
pub async fn affected(cache: &CandleCache, store: &Store, changes: &[Change]) -> anyhow::Result<Affected> {
    let mut ids = BTreeSet::new();
    let mut sessions: BTreeMap<Uuid, SessionUse> = BTreeMap::new();
    for change in changes {
        ids.extend(store.strategies_on(change.market, &change.symbol).await?);
        let Some(range) = change.range_ms() else { continue };
        for session in store.sessions_on(change.market, &change.symbol, range).await? {
            sessions.insert(session.id, session);
        }
    }
    let mut versions = Versions { cache, known: BTreeMap::new() };
    let mut found = Affected::default();
    for id in ids {
        let detail = store.strategy(&id.to_string()).await?;
        let backtests = store.backtest_results(id).await?;
        let mut runs = Vec::new();
        for run in stored_runs(&detail, &backtests) {
            runs.extend(affected_run(cache, changes, &mut versions, run).await?);
        }
        if runs.is_empty() {
            found.untouched += 1;
            continue;
        }
        let deployment = detail.deployments.iter().find(|d| d.ended_at.is_none()).map(|d| d.id);
        let (name, state) = (detail.strategy.name.clone(), detail.strategy.state);
        found.strategies.push(AffectedStrategy { id, name, state, deployment, runs, detail });
    }
    for session in sessions.into_values() {
        let window = (session.market, &session.symbols[..], session.interval);
        if !looked_at(cache, changes, window, (session.warmup_from_ms, session.window_to_ms)).await? {
            continue;
        }
        let spec = WindowSpec {
            market: session.market,
            symbols: session.symbols.clone(),
            interval: session.interval,
            warmup_from_ms: session.warmup_from_ms,
            to_ms: session.window_to_ms,
        };
        if versions.of(spec, session.window_from_ms).await.as_ref() != Some(&session.data_version) {
            found.sessions.push(session);
        }
    }
    Ok(found)
}

async fn affected_run(
    cache: &CandleCache,
    changes: &[Change],
    versions: &mut Versions<'_>,
    run: StoredRun,
) -> anyhow::Result<Option<AffectedRun>> {
    let (Ok(recipe), Some(_)) = (&run.recipe, &run.performance) else { return Ok(None) };
    let spec = spec_of(recipe, run.to_ms);
    let window = (spec.market, &spec.symbols[..], spec.interval);
    if !looked_at(cache, changes, window, (spec.warmup_from_ms, spec.to_ms)).await? {
        return Ok(None);
    }
    let now = versions.of(spec, run.from_ms).await;
    // Computed from these candles already, or again since: nothing to do. Without a stored version nobody knows.
    if run.data_version.is_some() && run.data_version == now {
        return Ok(None);
    }
    let (source, from_ms, to_ms, data_version) = (run.source, run.from_ms, run.to_ms, run.data_version.clone());
    Ok(Some(AffectedRun { source, from_ms, to_ms, data_version, data_version_now: now, run }))
}

fn spec_of(recipe: &Recipe, to_ms: i64) -> WindowSpec {
    WindowSpec {
        market: recipe.config.market,
        symbols: recipe.config.symbols.clone(),
        interval: recipe.config.interval,
        warmup_from_ms: recipe.warmup_from_ms,
        to_ms: recipe.data_to_ms.unwrap_or(to_ms).max(to_ms),
    }
}

/// Stores changes as revisions; those that are not dealt with yet.
///
/// # Errors
/// When the store does not answer.
pub async fn record(store: &Store, changes: &[Change]) -> anyhow::Result<Vec<RevisionRow>> {
    let mut open = Vec::new();
    for change in changes.iter().cloned() {
        let (first_open_ms, last_open_ms) = change.range_ms().context("a revision without a candle or payment")?;
        let most = |n: usize| n.min(MAX_REVISION_DETAIL);
        let detail = match change.part {
            Part::Candles(_) => serde_json::to_value(&change.candles[..most(change.candles.len())])?,
            Part::Funding => serde_json::to_value(&change.payments[..most(change.payments.len())])?,
        };
        let count = change.count();
        let new = NewRevision {
            market: change.market,
            symbol: change.symbol,
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

/// Looks for revised candles and deals with them.
pub(super) struct Revisions {
    core: Arc<Core>,
    period: Duration,
    /// Hashes of former contents that are dealt with: they need not be read again.
    settled: BTreeSet<String>,
    /// When archives and funding were last looked at again.
    rechecked: Option<Instant>,
}

impl Revisions {
    pub(super) fn new(core: Arc<Core>, period: Duration) -> Self {
        Self { core, period, settled: BTreeSet::new(), rechecked: None }
    }

    /// Looks, once a day, whether what was fetched of the followed symbols is still what the exchange gives.
    async fn recheck(&mut self) -> anyhow::Result<()> {
        if self.rechecked.is_some_and(|at| at.elapsed() < RECHECK) {
            return Ok(());
        }
        let (core, settings) = (&self.core, &self.core.settings);
        let followed: BTreeSet<&Symbol> = settings.symbols.iter().chain(&settings.shadow_symbols).collect();
        let symbols: Vec<Symbol> = followed.into_iter().cloned().collect();
        core.downloader.recheck(core.market, &symbols, settings.interval).await;
        if core.market == MarketKind::Um {
            for symbol in &symbols {
                let oldest_ms = core.cache.oldest_funding_ms(symbol).await?;
                // Results are at most as old as what sessions look at, and a payment is revised soon or never.
                let Some(newest_ms) = core.cache.newest_funding_ms(symbol).await? else { continue };
                let span_ms = i64::from(settings.backtest_days + settings.holdout_days) * DAY_MS + core.warmup_ms();
                let from_ms = oldest_ms.unwrap_or(newest_ms).max(newest_ms - span_ms);
                core.feed.refresh_funding(std::slice::from_ref(symbol), from_ms, true).await;
            }
        }
        self.rechecked = Some(Instant::now());
        Ok(())
    }

    async fn activate(&mut self) -> anyhow::Result<Did> {
        self.recheck().await?;
        let core = &self.core;
        let found = changes(&core.cache, |sha256| !self.settled.contains(sha256)).await?;
        if found.is_empty() {
            return Ok(Did::Nothing);
        }
        let mut lease = None;
        if !core.hold(&mut lease, "revisions").await? {
            return Ok(Did::StoodBy);
        }
        let open = record(&core.store, &found).await?;
        let all: Vec<String> = found.iter().map(|c| c.old_sha256.clone()).collect();
        if open.is_empty() {
            self.settled.extend(all);
            return Ok(Did::Nothing);
        }
        let hashes: BTreeSet<&str> = open.iter().map(|r| r.old_sha256.as_str()).collect();
        let found: Vec<Change> = found.into_iter().filter(|c| hashes.contains(c.old_sha256.as_str())).collect();
        let affected = affected(&core.cache, &core.store, &found).await?;
        let rescorer = Rescorer {
            cache: &core.cache,
            store: &core.store,
            gate: core.gate.as_ref(),
            channels: &core.channels,
            recent_trades: core.recent_trades(),
            warmup_ms: core.warmup_ms(),
            quality: core.quality,
        };
        rescorer.rescore(&token(lease.as_ref())?, &open, &affected).await?;
        for revision in &open {
            core.store.revision_handled(revision.id).await?;
        }
        self.settled.extend(all);
        Ok(Did::Work)
    }
}

#[async_trait]
impl Activation for Revisions {
    fn name(&self) -> &'static str {
        "revisions"
    }
    fn period(&self) -> Duration {
        self.period
    }
    async fn run(&mut self, _: &CancellationToken) -> anyhow::Result<()> {
        self.activate().await.map(drop)
    }
}
