//! Which stored results rested on revised candles or funding payments.
//!
//! A result is affected when a revised candle lies in what it looked at (ticker, stored interval, time, warm-up
//! included), or a revised payment does, and the cache no longer gives the data version that is stored with it. Computes
//! no result and stores nothing.

use super::ranked::RankedSpec;
use super::replay::{StoredRun, stored_runs};
use super::revisions::Change;
use super::run_candles::RunSpec;
use super::whole_market::Cached;
use super::window::WindowSpec;
use candles::resample::can_resample;
use candles::stored::Part;
use candles::{Interval, MarketKind, Symbol, Ticker};
use lifecycle::State;
use market::CandleCache;
use market::cache::CacheError;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use store::{SessionUse, StatSource, Store, StrategyDetail};
use uuid::Uuid;

/// A result that rested on changed candles, or on another meaning of the engine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AffectedRun {
    /// What it was measured on.
    pub(crate) source: StatSource,
    /// First candle traded, UTC ms.
    pub(crate) from_ms: i64,
    /// End, exclusive, UTC ms.
    pub(crate) to_ms: i64,
    /// Names the candles that it rested on; `None` where that was not stored.
    pub(crate) data_version: Option<String>,
    /// Names those that the cache has in their place; `None` where it lacks some.
    pub(crate) data_version_now: Option<String>,
    #[serde(skip)]
    pub(crate) run: StoredRun,
}

/// A strategy with such results.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AffectedStrategy {
    /// In the store.
    pub(crate) id: Uuid,
    /// For people.
    pub(crate) name: String,
    /// Where it is in its life.
    pub(crate) state: State,
    /// Its deployment that goes on, if it is live.
    pub(crate) deployment: Option<Uuid>,
    /// Which results, in order of their windows.
    pub(crate) runs: Vec<AffectedRun>,
    #[serde(skip)]
    pub(crate) detail: StrategyDetail,
}

impl AffectedStrategy {
    pub(crate) fn new(detail: StrategyDetail, runs: Vec<AffectedRun>) -> Self {
        let deployment = detail.deployments.iter().find(|d| d.ended_at.is_none()).map(|d| d.id);
        let (id, name, state) = (detail.strategy.id, detail.strategy.name.clone(), detail.strategy.state);
        Self { id, name, state, deployment, runs, detail }
    }
}

/// Who rested on changed candles.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Affected {
    /// Strategies, by id.
    pub(crate) strategies: Vec<AffectedStrategy>,
    /// Search sessions, whose generations were bred on them.
    pub(crate) sessions: Vec<SessionUse>,
    /// Strategies that had results on these symbols, but none on these candles.
    pub(crate) untouched: u64,
}

/// Data versions that the cache gives now, by what they are of.
struct Versions<'a> {
    cached: Cached<'a>,
    known: BTreeMap<(RunSpec, i64), Option<String>>,
}

impl Versions<'_> {
    /// `None` when the cache lacks candles of it.
    async fn of(&mut self, spec: RunSpec, from_ms: i64) -> Option<String> {
        let key = (spec, from_ms);
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let to_ms = key.0.to_ms();
        let version = match key.0.load(self.cached).await {
            Ok(loaded) => loaded.data_version(self.cached, (from_ms, to_ms)).await.ok(),
            Err(_) => None,
        };
        self.known.insert(key, version.clone());
        version
    }
}

/// Stored intervals from which a window of `interval` is made, as `Loaded` reads them: the interval itself or the finer
/// ones that it may be built from, and all finer ones, which decide the order of stop and target where they cover it.
async fn sources(cache: &CandleCache, ticker: &Ticker, interval: Interval) -> Result<BTreeSet<Interval>, CacheError> {
    let stored = cache.stored_intervals(ticker).await?;
    let mut used: BTreeSet<Interval> = stored.iter().copied().filter(|finer| *finer < interval).collect();
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
    for change in changes.iter().filter(|c| c.ticker.market == market && symbols.contains(&c.ticker.symbol)) {
        if !change.times_ms().any(|time_ms| (from_ms..to_ms).contains(&time_ms)) {
            continue;
        }
        let used = match change.part {
            // Whether a result looked at them is told by whether the cache still gives its data version.
            Part::Funding | Part::Premium | Part::Metrics => true,
            Part::Candles(changed) => sources(cache, &change.ticker, interval).await?.contains(&changed),
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
pub(crate) async fn affected(cached: Cached<'_>, store: &Store, changes: &[Change]) -> anyhow::Result<Affected> {
    let cache = &cached.candles;
    let mut ids = BTreeSet::new();
    let mut sessions: BTreeMap<Uuid, SessionUse> = BTreeMap::new();
    for change in changes {
        ids.extend(store.strategies_on(&change.ticker).await?);
        let Some(range) = change.range_ms() else { continue };
        for session in store.sessions_on(&change.ticker, range).await? {
            sessions.insert(session.id, session);
        }
    }
    let mut versions = Versions { cached, known: BTreeMap::new() };
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
        found.strategies.push(AffectedStrategy::new(detail, runs));
    }
    for session in sessions.into_values() {
        let window = (session.market, &session.symbols[..], session.interval);
        if !looked_at(cache, changes, window, (session.warmup_from_ms, session.window_to_ms)).await? {
            continue;
        }
        let spec = match session.ranks {
            true => RunSpec::Market(RankedSpec::fixed(
                window,
                (session.warmup_from_ms, session.window_to_ms),
                session.models.clone(),
            )),
            false => RunSpec::Symbols(WindowSpec {
                market: session.market,
                symbols: session.symbols.clone(),
                interval: session.interval,
                warmup_from_ms: session.warmup_from_ms,
                to_ms: session.window_to_ms,
                models: session.models.clone(),
            }),
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
    let (spec, config) = (run.candles(recipe), &recipe.config);
    // What was listed since a run began is among what it looks at, too.
    let changed = changes.iter().map(|c| c.ticker.symbol.clone());
    let symbols = if config.ranked.is_some() { changed.collect() } else { config.symbols.clone() };
    let window = (config.market, &symbols[..], config.interval);
    if !looked_at(cache, changes, window, (recipe.warmup_from_ms, spec.to_ms())).await? {
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
