//! Strategies of rules: their texts, backtests of many at once, and searches.
//!
//! What cannot be evaluated does not harm the others: its answer says why.

use crate::{Interrupted, computed, read, series::Candles, written, wrong};
use ::search::{GenerationReport, SearchConfig, WindowEvaluator, advance, champions, start};
use candles::MarketKind;
use engine::{Costs, Engine, EngineConfig, FillOn, Performance, Terms, VenueCosts, Wanted, Window};
use genome::{AnyStrategy, Strategy, random::Seed};
use pyo3::{exceptions::PyInterruptedError, prelude::*};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// On what terms is traded; what is not said is as the program has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TermsRead {
    initial_capital: f64,
    /// `None`: those of the venue.
    costs: Option<Costs>,
    fill_on: FillOn,
}

impl Default for TermsRead {
    fn default() -> Self {
        let Terms { initial_capital, fill_on, .. } = Terms::default();
        Self { initial_capital, costs: None, fill_on }
    }
}

impl TermsRead {
    /// The terms on a venue.
    pub(crate) fn on(&self, venue: MarketKind) -> PyResult<Terms> {
        let &Self { initial_capital, costs, fill_on } = self;
        if !(initial_capital.is_finite() && initial_capital > 0.0) {
            return Err(wrong("terms", "initial_capital must be above 0"));
        }
        let costs = costs.unwrap_or_else(|| VenueCosts::default().of(venue));
        costs.validate().map_err(|error| wrong("terms", error))?;
        Ok(Terms { initial_capital, costs, fill_on })
    }
}

/// Where candles are from: all of them from one venue.
pub(crate) fn venue(candles: &[Py<Candles>]) -> PyResult<MarketKind> {
    let first = candles.first().map(|candles| candles.get().market()).unwrap_or_default();
    let same = candles.iter().all(|candles| candles.get().market() == first);
    if same { Ok(first) } else { Err(wrong("candles", "are from two venues, which have other costs")) }
}

/// The one text of a strategy of either form, and its hash.
#[pyfunction]
pub(crate) fn canonical(text: &str) -> PyResult<(String, String)> {
    let strategy: AnyStrategy = text.parse().map_err(|error| wrong("strategy", error))?;
    Ok((strategy.to_string(), strategy.hash().to_string()))
}

/// What a strategy of either form does, in plain sentences.
#[pyfunction]
pub(crate) fn describe(text: &str) -> PyResult<String> {
    let strategy: AnyStrategy = text.parse().map_err(|error| wrong("strategy", error))?;
    Ok(strategy.describe())
}

/// Of a strategy that could be evaluated.
#[derive(Serialize)]
struct Came {
    performance: Performance,
    per_symbol: Vec<Performance>,
    daily_returns: Vec<f64>,
    trades_digest: String,
}

/// What came of a strategy.
#[derive(Serialize)]
#[serde(untagged)]
enum Told {
    Came(Box<Came>),
    Failed { error: String },
}

fn window(candles: &[Py<Candles>], (from_ms, to_ms): (i64, i64)) -> PyResult<Window> {
    let symbols = candles.iter().map(|candles| candles.get().window()).collect();
    Window::new(from_ms, to_ms, symbols).map_err(|error| wrong("window", error))
}

/// One JSON text a strategy, in order: of candles that open within the span, its end exclusive; earlier ones warm indicators up.
#[pyfunction]
pub(crate) fn backtest(
    py: Python<'_>,
    strategies: Vec<String>,
    candles: Vec<Py<Candles>>,
    span_ms: (i64, i64),
    terms: &str,
    threads: usize,
) -> PyResult<Vec<String>> {
    let terms = read::<TermsRead>("terms", terms)?.on(venue(&candles)?)?;
    computed(py, threads, || {
        let window = window(&candles, span_ms)?;
        let parsed: Vec<Result<Strategy, String>> =
            strategies.iter().map(|text| text.parse::<Strategy>().map_err(|error| error.to_string())).collect();
        let good: Vec<Strategy> = parsed.iter().filter_map(|strategy| strategy.as_ref().ok().cloned()).collect();
        let engine = Engine::new(EngineConfig::default().cache_mb);
        let wanted = Wanted { per_symbol: true, ..Wanted::default() };
        let mut outcomes = engine.evaluate(&good, &window, &terms, wanted).into_iter();
        let one = |parsed: Result<Strategy, String>| {
            // One outcome a strategy that was evaluated.
            let outcome = parsed.map(|_| outcomes.next().map(|outcome| outcome.map_err(|error| error.to_string())));
            let told = match outcome {
                Ok(Some(Ok(outcome))) => Told::Came(Box::new(Came {
                    performance: outcome.performance,
                    per_symbol: outcome.per_symbol,
                    daily_returns: outcome.daily_returns,
                    trades_digest: format!("{:016x}", outcome.trades_digest),
                })),
                Ok(Some(Err(error))) | Err(error) => Told::Failed { error },
                Ok(None) => Told::Failed { error: "the engine left it out".to_owned() },
            };
            written("result", &told)
        };
        parsed.into_iter().map(one).collect()
    })
}

/// A strategy that a search ends with.
#[derive(Serialize)]
struct Champion {
    strategy: String,
    hash: String,
    fitness: f64,
    born: u32,
}

#[derive(Serialize)]
struct Searched {
    generations: Vec<GenerationReport>,
    champions: Vec<Champion>,
    counters: ::search::Counters,
    /// SHA-256, in hex, of the whole state at the end.
    digest: String,
}

/// Breeds strategies of rules on the window, and tells of each generation and the best at the end, as JSON.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "the wrapper in Python names each")]
pub(crate) fn search(
    py: Python<'_>,
    candles: Vec<Py<Candles>>,
    span_ms: (i64, i64),
    config: &str,
    seed: u64,
    most_champions: usize,
    terms: &str,
    threads: usize,
) -> PyResult<String> {
    let config: SearchConfig = read("search", config)?;
    config.validate().map_err(|error| wrong("search", error))?;
    if config.form != genome::StrategyForm::Rules {
        return Err(wrong("search", "form: strategies of rules are searched here; walks search those that rank"));
    }
    let terms = read::<TermsRead>("terms", terms)?.on(venue(&candles)?)?;
    let interrupted = Interrupted::default();
    computed(py, threads, || {
        let window = window(&candles, span_ms)?;
        let config = config.for_interval(window.interval());
        let engine = Engine::new(EngineConfig::default().cache_mb);
        let evaluator = WindowEvaluator { engine: &engine, window: &window, terms: &terms };
        let mut state = start(&config, Seed(seed), Vec::new(), None);
        let mut generations = Vec::new();
        while !state.is_finished(&config) {
            let (next, report) = advance(&config, state, &evaluator, &|_| interrupted.is_asked())
                .map_err(|error| interrupted.or(PyInterruptedError::new_err(error.to_string())))?;
            state = next;
            generations.push(report);
        }
        let best = champions(&state, most_champions).into_iter().map(|found| Champion {
            strategy: found.strategy.to_string(),
            hash: found.hash.to_string(),
            fitness: found.fitness(),
            born: found.born,
        });
        let digest = hex::encode(Sha256::digest(written("state", &state)?));
        let counters = state.counters;
        written("result", &Searched { generations, champions: best.collect(), counters, digest })
    })
}
