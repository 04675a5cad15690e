//! A stored search session, bred again from its seed, its candles and its settings: for proof of what is stored.
//!
//! Fetches nothing and stores nothing. What a session began with (the best of the one before it) comes from the store.

use super::ranked::terms_of;
use super::recipe::run_config;
use super::replay::{Difference, Verdict};
use super::run_candles::{RunCandles, RunSpec};
use super::whole_market::Cached;
use anyhow::Context as _;
use engine::{Costs, Engine, EvaluationError, ModelsUsed, Outcome, RankedMarket, Recipe, RunConfig, Terms};
use genome::AnyStrategy;
use protocol::{Ground, Halves, RankingHalves, RulesHalves, SplitPanel};
use search::{self, Evaluator, SearchConfig, SearchState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{GenerationRow, NewSession, Session, Store};

/// What a session's results rest on, as it is stored with it.
#[derive(Deserialize)]
struct Settings {
    search: SearchConfig,
    costs: Costs,
    initial_capital: f64,
    warmup_ms: i64,
    /// Where the market was ranked.
    #[serde(default)]
    ranked: Option<RankedMarket>,
    #[serde(default)]
    models: ModelsUsed,
}

impl Settings {
    fn config(&self, spec: &NewSession) -> RunConfig {
        let terms = Terms { initial_capital: self.initial_capital, costs: self.costs, ..Terms::default() };
        RunConfig {
            ranked: self.ranked.clone(),
            models: self.models.clone(),
            ..run_config(spec.market, spec.symbols.clone(), spec.timeframe, terms)
        }
    }
}

/// Backtests on what a session searched.
#[derive(Debug)]
struct OnGround<'a>(&'a dyn Ground);

impl Evaluator for OnGround<'_> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        self.0.evaluate(population)
    }
}

/// One generation held against its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GenerationComparison {
    /// Its number, from 0.
    pub(crate) generation: u32,
    /// What it came to.
    pub(crate) verdict: Verdict,
    /// What is not the same.
    pub(crate) differences: Vec<Difference>,
}

/// A session held against its replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct SessionComparison {
    /// `ISLAND/NUMBER`.
    pub(crate) session: String,
    /// What all of it came to.
    pub(crate) verdict: Verdict,
    /// Each generation that was bred again, in order: up to the first that differs.
    pub(crate) generations: Vec<GenerationComparison>,
    /// Why, in words; `None` when nothing differs.
    pub(crate) why: Option<String>,
}

/// Breeds a session again, up to generation `last` (from 0; all without it), and says whether each generation is the
/// same to the bit, or what differs and why.
///
/// # Errors
/// When the database does not answer. What cannot be computed again is a verdict, not an error.
pub(crate) async fn compare_session(
    store: &Store,
    cached: Cached<'_>,
    session: &Session,
    last: Option<u32>,
) -> anyhow::Result<SessionComparison> {
    let stored = store.generations_of(session.id).await?;
    let stored: Vec<GenerationRow> = stored.into_iter().filter(|g| last.is_none_or(|last| g.number <= last)).collect();
    let name = format!("{}/{}", session.spec.island, session.spec.number);
    let of = |verdict, generations, why: Option<String>| SessionComparison { session: name, verdict, generations, why };
    if stored.is_empty() {
        return Ok(of(Verdict::Nothing, Vec::new(), Some("no generation of it is stored".to_owned())));
    }
    let prepared = match prepare(store, cached, session).await {
        Ok(prepared) => prepared,
        Err(why) => return Ok(of(Verdict::Impossible, Vec::new(), Some(format!("{why:#}")))),
    };
    let is_whole = session.last_generation.is_some_and(|n| stored.len() == n as usize + 1);
    let champions = session.report.as_ref().filter(|_| is_whole).map(|report| report.champions.clone());
    let bred = tokio::task::spawn_blocking(move || prepared.breed(&stored, champions.as_deref()));
    let generations = bred.await.context("the computation broke off")??;
    if generations.iter().all(|g| g.verdict == Verdict::Identical) {
        return Ok(of(Verdict::Identical, generations, None));
    }
    let (then, this) = (&session.spec.code_version, crate::CODE_VERSION);
    let why = if then == this {
        format!("same candles, same sources ({this}): one of the two results is wrong, which is a bug")
    } else {
        format!("version {then} computed it, and this is version {this}")
    };
    Ok(of(Verdict::Differs, generations, Some(why)))
}

/// Everything that a session is bred from.
struct Prepared {
    settings: Settings,
    halves: Box<dyn Halves>,
    state: SearchState,
}

async fn prepare(store: &Store, cached: Cached<'_>, session: &Session) -> anyhow::Result<Prepared> {
    let spec = &session.spec;
    let settings = Settings::deserialize(&spec.config).context("its stored settings do not read")?;
    let config = settings.config(spec);
    let recipe = Recipe {
        config,
        warmup_from_ms: spec.window_from_ms - settings.warmup_ms,
        data_to_ms: Some(spec.window_to_ms),
    };
    let loaded = RunSpec::of_test(&recipe, spec.window_to_ms).load(cached).await?;
    let version = loaded.data_version(cached, (spec.window_from_ms, spec.window_to_ms)).await?;
    anyhow::ensure!(
        version == spec.data_version,
        "the cached candles are not those that it was computed from: {version}, not {}",
        spec.data_version
    );
    let (from_ms, split_ms, to_ms) = (spec.window_from_ms, spec.holdout_from_ms, spec.window_to_ms);
    let halves: Box<dyn Halves> = match (loaded, &settings.ranked) {
        (RunCandles::Market { panel, .. }, Some(ranked)) => {
            let split = SplitPanel::cut(&panel, from_ms, split_ms, to_ms)?;
            Box::new(RankingHalves::new(split, terms_of(&recipe.config, ranked), settings.search.ranking.clone()))
        }
        (RunCandles::Symbols(loaded), _) => {
            let split = loaded.split(from_ms, split_ms, to_ms)?;
            Box::new(RulesHalves::new(split, Arc::new(Engine::default()), recipe.config.terms()))
        }
        (RunCandles::Market { .. }, None) => anyhow::bail!("it does not say which market it ranked"),
    };
    let mut warm_starts = Vec::new();
    let before = store.session_before(&spec.island, spec.number).await?;
    if let Some(before) = before {
        for champion in store.champions(&before).await? {
            warm_starts.push(champion.genome.read()?.clone());
        }
    }
    let draws = settings.search.draws_by_lessons();
    let learnt = store.session_lessons(session.id).await?.and_then(|lessons| lessons.learnt).filter(|_| draws);
    let state = search::start(&settings.search, spec.seed, warm_starts, learnt);
    Ok(Prepared { settings, halves, state })
}

impl Prepared {
    fn breed(
        self,
        stored: &[GenerationRow],
        champions: Option<&[String]>,
    ) -> anyhow::Result<Vec<GenerationComparison>> {
        let Self { settings, halves, mut state } = self;
        let ground = halves.ground()?;
        let evaluator = OnGround(&*ground);
        let mut found = Vec::with_capacity(stored.len());
        for row in stored {
            let advanced = search::advance(&settings.search, state, &evaluator, &|_| false);
            let Ok((after, report)) = advanced else { anyhow::bail!("the search stopped, though nobody asked it to") };
            state = after;
            let mut differences = differences(&row.detail, &serde_json::to_value(&report)?);
            if let (Some(stored), Some(last)) = (champions, self::last(stored))
                && row.number == last
            {
                let now: Vec<String> =
                    search::champions(&state, stored.len()).iter().map(|c| c.hash.to_string()).collect();
                if now != stored {
                    differences.push(Difference {
                        what: "champions".into(),
                        stored: json!(stored),
                        recomputed: json!(now),
                    });
                }
            }
            let verdict = if differences.is_empty() { Verdict::Identical } else { Verdict::Differs };
            found.push(GenerationComparison { generation: row.number, verdict, differences });
            // What comes after the first difference differs because of it.
            if verdict == Verdict::Differs {
                break;
            }
        }
        Ok(found)
    }
}

fn last(stored: &[GenerationRow]) -> Option<u32> {
    stored.last().map(|row| row.number)
}

/// Every stored key whose value came out otherwise.
fn differences(stored: &Value, now: &Value) -> Vec<Difference> {
    let Some(map) = stored.as_object() else { return Vec::new() };
    map.iter()
        .filter(|(key, value)| now.get(*key) != Some(value))
        .map(|(key, value)| Difference {
            what: key.clone(),
            stored: value.clone(),
            recomputed: now.get(key).cloned().unwrap_or_default(),
        })
        .collect()
}
