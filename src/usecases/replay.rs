//! Stored backtests and paper runs, computed again from cached candles: for reports, and as proof of what is stored.
//!
//! Fetches nothing and stores nothing.

use super::ran::Ran;
use super::run_candles::{RunSpec, lacks};
use super::whole_market::Cached;
use anyhow::Context as _;
use candles::{Coverage, SymbolCoverage, Ticker};
use engine::{DailyEquity, Engine, MEANING, MeaningChange, Performance, Recipe, RunConfig};
use genome::AnyStrategy;
use lifecycle::State;
use market::CandleCache;
use market::cache::CacheError;
use portfolio::Record;
use serde::Serialize;
use serde_json::Value;
use store::{BacktestRow, NewServiceBacktest, StatSource, StrategyDetail};
use uuid::Uuid;

/// A backtest or paper run as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    /// What it was measured on.
    pub(crate) source: StatSource,
    /// Id of the paper run, if it is one.
    pub(crate) paper_run: Option<Uuid>,
    /// First candle traded, UTC ms.
    pub(crate) from_ms: i64,
    /// End, exclusive, UTC ms.
    pub(crate) to_ms: i64,
    /// How to compute it again, or why nobody can.
    pub(crate) recipe: Result<Recipe, String>,
    /// What was stored; `None` for a paper run before its first pass.
    pub(crate) performance: Option<Performance>,
    /// Names the candles it was computed from, where that was stored.
    pub(crate) data_version: Option<String>,
    /// Equity as it was stored: of paper runs and clients' backtests only.
    pub(crate) daily_equity: Option<Vec<DailyEquity>>,
    /// What a paper run of a strategy that ranks the market has beside it.
    pub(crate) portfolio: Option<Record>,
}

impl StoredRun {
    /// Which candles it rests on.
    pub(crate) fn candles(&self, recipe: &Recipe) -> RunSpec {
        match self.paper_run {
            Some(_) => RunSpec::of_run(&recipe.config, (recipe.warmup_from_ms, self.from_ms, self.to_ms)),
            None => RunSpec::of_test(recipe, self.to_ms),
        }
    }
}

/// Backtest, hold-out and paper runs of a strategy, in order of their windows.
#[must_use]
pub(crate) fn stored_runs(detail: &StrategyDetail, backtests: &[BacktestRow]) -> Vec<StoredRun> {
    let tests = detail.stats.iter().filter(|s| matches!(s.source, StatSource::Backtest | StatSource::Holdout));
    let tests = tests.map(|stat| {
        let same = |row: &&BacktestRow| {
            let source = row.backtest_id.as_deref().and_then(|id| id.rsplit(':').next());
            source == Some(stat.source.name())
                && row.period_start.map(|t| t.timestamp_millis()) == Some(stat.window_from_ms)
        };
        let row = backtests.iter().rev().find(same);
        let recipe = match row {
            None => Err("no settings are stored with it".to_owned()),
            Some(row) => row.parameters.read().cloned().map_err(|e| e.to_string()),
        };
        StoredRun {
            source: stat.source,
            paper_run: None,
            from_ms: stat.window_from_ms,
            to_ms: stat.window_to_ms,
            recipe,
            performance: Some(stat.performance.clone()),
            data_version: stat.data_version.clone(),
            daily_equity: None,
            portfolio: None,
        }
    });
    let paper = detail.paper_runs.iter().map(|run| {
        let source = if run.phase == State::Live { StatSource::Live } else { StatSource::Shadow };
        let config = run.config.read().cloned().map_err(|e| e.to_string());
        let stat = detail
            .stats
            .iter()
            .find(|s| (s.source, s.window_from_ms, s.window_to_ms) == (source, run.from_ms, run.to_ms));
        StoredRun {
            source,
            paper_run: Some(run.id),
            from_ms: run.from_ms,
            to_ms: run.to_ms,
            recipe: config.map(|config| Recipe { config, warmup_from_ms: run.warmup_from_ms, data_to_ms: None }),
            performance: run.performance.clone(),
            data_version: stat.and_then(|s| s.data_version.clone()),
            daily_equity: Some(run.daily_equity.clone()),
            portfolio: run.portfolio.clone(),
        }
    });
    let mut runs: Vec<StoredRun> = tests.chain(paper).collect();
    runs.sort_by_key(|run| (run.from_ms, run.to_ms));
    runs
}

/// A backtest that a client of the service asked for, of a strategy of rules.
pub(crate) fn clients_run(backtest: &NewServiceBacktest) -> StoredRun {
    StoredRun {
        source: StatSource::Backtest,
        paper_run: None,
        from_ms: backtest.from_ms,
        to_ms: backtest.to_ms,
        recipe: Ok(backtest.parameters.clone()),
        performance: Some(backtest.performance.clone()),
        data_version: Some(backtest.data_version.clone()),
        daily_equity: Some(backtest.daily_equity.clone()),
        portfolio: None,
    }
}

/// A result computed again.
#[derive(Clone, Debug)]
pub(crate) struct Replayed {
    /// What it came to.
    pub(crate) ran: Ran,
    /// Names the candles that there were.
    pub(crate) data_version: String,
    /// What there was of them, by symbol.
    pub(crate) coverage: Vec<SymbolCoverage>,
}

/// Computes a strategy's stored result once more.
///
/// # Errors
/// When the candles are not cached, or the strategy cannot be evaluated.
pub(crate) async fn replay(
    cached: Cached<'_>,
    strategy: &AnyStrategy,
    recipe: &Recipe,
    run: &StoredRun,
) -> anyhow::Result<Replayed> {
    replay_on(cached, strategy, (&recipe.config, &run.candles(recipe)), (run.from_ms, run.to_ms)).await
}

/// The same of a result that is stored elsewhere, set up so and resting on these candles.
///
/// # Errors
/// When the candles are not cached, or the strategy cannot be evaluated.
pub(crate) async fn replay_on(
    cached: Cached<'_>,
    strategy: &AnyStrategy,
    (config, spec): (&RunConfig, &RunSpec),
    (from_ms, to_ms): (i64, i64),
) -> anyhow::Result<Replayed> {
    let missing = || lacks(&cached.candles, config);
    let loaded = spec.load(cached).await?;
    let part = loaded.part(from_ms, to_ms)?.with_context(missing)?;
    let end_ms = spec.to_ms().max(to_ms);
    let data_version = loaded.data_version(cached, (from_ms, end_ms)).await.with_context(missing)?;
    let coverage = loaded.coverage(from_ms, to_ms);
    let (strategy, config) = (strategy.clone(), config.clone());
    let compute = move || part.ran_one(&Engine::default(), &strategy, &config);
    let ran = tokio::task::spawn_blocking(compute).await.context("the computation broke off")??;
    Ok(Replayed { ran, data_version, coverage })
}

/// By symbol, what the cache has of the candles that a stored result was computed from.
///
/// # Errors
/// When the cache cannot be read.
pub(crate) async fn coverage(
    cache: &CandleCache,
    recipe: &Recipe,
    (from_ms, to_ms): (i64, i64),
) -> Result<Vec<SymbolCoverage>, CacheError> {
    let (config, first_ms) = (&recipe.config, recipe.warmup_from_ms);
    let mut all = Vec::new();
    for symbol in &config.symbols {
        let candles = cache.load(&Ticker::of(config.market, symbol), config.interval, first_ms, to_ms).await?;
        all.push(SymbolCoverage { symbol: symbol.clone(), coverage: Coverage::of(&candles, first_ms, from_ms, to_ms) });
    }
    Ok(all)
}

/// What comparing a stored result with its replay came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Candles and figures are the same to the bit.
    Identical,
    /// Something is not the same.
    Differs,
    /// Something is not the same, and the engine means something else by it than it did.
    Changed,
    /// It could not be computed again.
    Impossible,
    /// There is nothing to compare yet.
    Nothing,
}

/// One figure that is not what was stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// Its name, or `data_version`.
    pub(crate) what: String,
    /// What the store has.
    pub(crate) stored: Value,
    /// What came out now.
    pub(crate) recomputed: Value,
}

/// A stored result held against its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Comparison {
    /// What it was measured on.
    pub(crate) source: StatSource,
    /// Number of the backtest, where a client of the service asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backtest_id: Option<i64>,
    /// First candle traded, UTC ms.
    pub(crate) from_ms: i64,
    /// End, exclusive, UTC ms.
    pub(crate) to_ms: i64,
    /// What it came to.
    pub(crate) verdict: Verdict,
    /// What is not the same.
    pub(crate) differences: Vec<Difference>,
    /// Why, in words; `None` when nothing differs.
    pub(crate) why: Option<String>,
}

/// Computes a stored run again and says whether it is the same to the bit, or what differs and why.
pub(crate) async fn compare(cached: Cached<'_>, strategy: &AnyStrategy, run: &StoredRun) -> Comparison {
    let of = |verdict, differences, why: Option<String>| Comparison {
        source: run.source,
        backtest_id: None,
        from_ms: run.from_ms,
        to_ms: run.to_ms,
        verdict,
        differences,
        why,
    };
    let Some(stored) = &run.performance else {
        return of(Verdict::Nothing, Vec::new(), Some("it has not had its first pass".to_owned()));
    };
    let recipe = match &run.recipe {
        Ok(recipe) => recipe,
        Err(why) => return of(Verdict::Impossible, Vec::new(), Some(why.clone())),
    };
    let now = match replay(cached, strategy, recipe, run).await {
        Ok(now) => now,
        Err(error) => return of(Verdict::Impossible, Vec::new(), Some(format!("{error:#}"))),
    };
    let differences = differences(run, stored, &now);
    if differences.is_empty() {
        return of(Verdict::Identical, differences, None);
    }
    let since = |rules| MeaningChange::since(recipe.config.engine_meaning, rules, run.from_ms);
    let changed = strategy.rules().map(since).unwrap_or_default();
    if !changed.is_empty() {
        let then = recipe.config.engine_meaning;
        let mut why =
            format!("engine meaning {then} computed it, and this is meaning {MEANING}: {}", changed.join("; "));
        if differences.iter().any(|d| d.what == "data_version") {
            why.push_str("; and the cached candles are not those that it was computed from");
        }
        return of(Verdict::Changed, differences, Some(why));
    }
    let then = &recipe.config.code_version;
    // Whoever follows a paper run computes it from its beginning: the last one to do so is not noted.
    let did = if run.paper_run.is_some() { "began" } else { "computed" };
    let why = if run.data_version.is_none() && then == crate::CODE_VERSION {
        "which candles it was computed from is not stored: they may have changed since".to_owned()
    } else {
        why_differs(&differences, "the cached candles are not those that it was computed from", then, did)
    };
    of(Verdict::Differs, differences, Some(why))
}

/// Why a result is not what was stored, which the version `then` `did` (such as computed); `data` says that what it was
/// computed from is not there any more.
pub(super) fn why_differs(differences: &[Difference], data: &str, then: &str, did: &str) -> String {
    let this = crate::CODE_VERSION;
    if differences.iter().any(|d| d.what == "data_version") {
        data.to_owned()
    } else if then != this {
        let same_number = then.split('+').next() == this.split('+').next();
        let built = if same_number { ", built from other sources" } else { "" };
        format!("version {then} {did} it, and this is version {this}{built}")
    } else {
        format!("same candles, same sources ({this}): one of the two results is wrong, which is a bug")
    }
}

/// Those that are not the same: name, what is stored, what came out now.
pub(super) fn differing(all: &[(&str, Value, Value)]) -> Vec<Difference> {
    let differ = all.iter().filter(|(_, stored, recomputed)| stored != recomputed);
    let difference = |(what, stored, recomputed): &(&str, Value, Value)| Difference {
        what: (*what).to_owned(),
        stored: stored.clone(),
        recomputed: recomputed.clone(),
    };
    differ.map(difference).collect()
}

fn differences(run: &StoredRun, stored: &Performance, now: &Replayed) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut hold = |what: &str, stored, recomputed| found.extend(differing(&[(what, stored, recomputed)]));
    if let Some(version) = &run.data_version {
        hold("data_version", version.clone().into(), now.data_version.clone().into());
    }
    if let (Value::Object(stored), Value::Object(recomputed)) = (as_json(stored), as_json(&now.ran.performance)) {
        for (what, value) in stored {
            let other = recomputed.get(&what).cloned().unwrap_or_default();
            hold(&what, value, other);
        }
    }
    if let Some(stored) = &run.daily_equity {
        hold("daily_equity", as_json(stored), as_json(&now.ran.daily_equity));
    }
    if let Some(stored) = &run.portfolio {
        hold("portfolio", as_json(stored), as_json(&now.ran.portfolio));
    }
    found
}

/// As it is stored: what the store keeps of a number is what its JSON form keeps.
pub(super) fn as_json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
