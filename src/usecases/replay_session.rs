//! A stored search session, bred again from its seed, its candles and its settings: for proof of what is stored.
//!
//! Fetches nothing and stores nothing. What a session began with (the best of the one before it) comes from the store.

use super::ranked::terms_of;
use super::recipe::run_config;
use super::replay::{Difference, Verdict};
use super::run_candles::{RunCandles, RunSpec};
use super::shared::{replays::Replays, together::Together};
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

/// What a session is bred again from, and how far; nothing of what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Breeding {
    search: SearchConfig,
    state: SearchState,
    generations: usize,
    /// How many of the best are told at the end, where that is the end of the session.
    champions: Option<usize>,
}

/// What a session came to that was bred again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bred {
    /// A report a generation.
    reports: Vec<Value>,
    /// Genome hashes of the best, best first.
    champions: Option<Vec<String>>,
}

impl Breeding {
    /// Breeds on what the session searched; `None` where `stop` ended it. After each generation `goes_on` is asked, with its
    /// number and what it came to.
    ///
    /// # Errors
    /// When a report has no JSON form.
    pub(crate) fn run(
        self,
        ground: &dyn Ground,
        stop: &dyn Fn() -> bool,
        goes_on: &mut dyn FnMut(usize, &Value) -> bool,
    ) -> anyhow::Result<Option<Bred>> {
        let (evaluator, mut state, mut found) = (OnGround(ground), self.state, Bred::default());
        for generation in 0..self.generations {
            let Ok((after, report)) = search::advance(&self.search, state, &evaluator, &|_| stop()) else {
                return Ok(None);
            };
            state = after;
            let report = serde_json::to_value(&report)?;
            let is_enough = !goes_on(generation, &report);
            found.reports.push(report);
            if is_enough {
                return Ok(Some(found));
            }
        }
        let hashes = |count| search::champions(&state, count).iter().map(|c| c.hash.to_string()).collect();
        found.champions = self.champions.map(hashes);
        Ok(Some(found))
    }
}

/// A session that is to be held against its replay.
struct Stored {
    name: String,
    code_version: String,
    generations: Vec<GenerationRow>,
    champions: Option<Vec<String>>,
}

impl Stored {
    /// What is stored of a session, up to generation `last` (from 0; all without it).
    async fn of(store: &Store, session: &Session, last: Option<u32>) -> anyhow::Result<Self> {
        let stored = store.generations_of(session.id).await?;
        let generations: Vec<GenerationRow> =
            stored.into_iter().filter(|g| last.is_none_or(|last| g.number <= last)).collect();
        let is_whole = session.last_generation.is_some_and(|n| generations.len() == n as usize + 1);
        let champions = session.report.as_ref().filter(|_| is_whole).map(|report| report.champions.clone());
        let name = format!("{}/{}", session.spec.island, session.spec.number);
        Ok(Self { name, code_version: session.spec.code_version.clone(), generations, champions })
    }

    fn told(self, verdict: Verdict, generations: Vec<GenerationComparison>, why: Option<String>) -> SessionComparison {
        SessionComparison { session: self.name, verdict, generations, why }
    }

    /// Whether a generation came out as it is stored.
    fn is_same(&self, generation: usize, report: &Value) -> bool {
        self.generations.get(generation).is_some_and(|row| differences(&row.detail, report).is_empty())
    }

    /// Says whether each generation is the same to the bit, or what differs and why.
    fn against(self, bred: &Bred) -> SessionComparison {
        let mut found = Vec::with_capacity(bred.reports.len());
        for (row, report) in self.generations.iter().zip(&bred.reports) {
            let mut differences = differences(&row.detail, report);
            if let (Some(stored), Some(now)) = (&self.champions, &bred.champions)
                && found.len() + 1 == self.generations.len()
                && now != stored
            {
                differences.push(Difference {
                    what: "champions".into(),
                    stored: json!(stored),
                    recomputed: json!(now),
                });
            }
            let verdict = if differences.is_empty() { Verdict::Identical } else { Verdict::Differs };
            found.push(GenerationComparison { generation: row.number, verdict, differences });
            // What comes after the first difference differs because of it.
            if verdict == Verdict::Differs {
                break;
            }
        }
        if found.iter().all(|g| g.verdict == Verdict::Identical) {
            return self.told(Verdict::Identical, found, None);
        }
        let this = crate::CODE_VERSION;
        let why = match self.code_version.as_str() {
            then if then == this => {
                format!("same candles, same sources ({this}): one of the two results is wrong, which is a bug")
            }
            then => format!("version {then} computed it, and this is version {this}"),
        };
        self.told(Verdict::Differs, found, Some(why))
    }
}

const NO_GENERATION: &str = "no generation of it is stored";

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
    let stored = Stored::of(store, session, last).await?;
    if stored.generations.is_empty() {
        return Ok(stored.told(Verdict::Nothing, Vec::new(), Some(NO_GENERATION.to_owned())));
    }
    let (breeding, halves) = match prepare(store, cached, session, &stored).await {
        Ok(prepared) => prepared,
        Err(why) => return Ok(stored.told(Verdict::Impossible, Vec::new(), Some(format!("{why:#}")))),
    };
    let bred = tokio::task::spawn_blocking(move || {
        let mut goes_on = |generation, report: &Value| stored.is_same(generation, report);
        let bred = breeding.run(&*halves.ground()?, &|| false, &mut goes_on)?;
        Ok::<_, anyhow::Error>((stored, bred.context("the search stopped, though nobody asked it to")?))
    });
    let (stored, bred) = bred.await.context("the computation broke off")??;
    Ok(stored.against(&bred))
}

/// The same of many sessions, in their order, together with workers.
///
/// # Errors
/// When the database does not answer, or work cannot be shared.
pub(crate) async fn compare_sessions(
    store: &Store,
    cached: Cached<'_>,
    sessions: &[Session],
    together: Together,
) -> anyhow::Result<Vec<SessionComparison>> {
    let (mut replays, mut all) = (Replays::new(together), Vec::with_capacity(sessions.len()));
    for session in sessions {
        let stored = Stored::of(store, session, None).await?;
        if stored.generations.is_empty() {
            all.push(Err(stored.told(Verdict::Nothing, Vec::new(), Some(NO_GENERATION.to_owned()))));
            continue;
        }
        match prepare(store, cached, session, &stored).await {
            Ok((breeding, halves)) => {
                let packed = tokio::task::spawn_blocking(move || halves.packed_own());
                replays.add(packed.await.context("packing broke off")??, &breeding).await?;
                all.push(Ok(stored));
            }
            Err(why) => all.push(Err(stored.told(Verdict::Impossible, Vec::new(), Some(format!("{why:#}"))))),
        }
    }
    let mut bred = replays.bred().await?.into_iter();
    let one = |stored: Result<Stored, SessionComparison>| match stored {
        Ok(stored) => Ok(stored.against(&bred.next().context("a session came to nothing")?)),
        Err(told) => Ok(told),
    };
    all.into_iter().map(one).collect()
}

/// What a session is bred from, and on what.
async fn prepare(
    store: &Store,
    cached: Cached<'_>,
    session: &Session,
    stored: &Stored,
) -> anyhow::Result<(Breeding, Box<dyn Halves>)> {
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
    let (generations, champions) = (stored.generations.len(), stored.champions.as_ref().map(Vec::len));
    Ok((Breeding { search: settings.search, state, generations, champions }, halves))
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
