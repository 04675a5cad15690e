//! Calibration markets: the protocol tried on markets of which it is known what there is to find.
//!
//! A market depends on settings and job alone: whoever tries it, wherever, comes to the same bits.

use crate::{Interrupted, computed, read, strategies::TermsRead, written, wrong};
use candles::{Interval, MarketKind, Symbol};
use engine::{Engine, EngineConfig, Terms};
use genome::{StrategyForm, random::Seed};
use lifecycle::{EdgeDecayConfig, Thresholds};
use portfolio::{Execution, PortfolioTerms};
use protocol::{
    Days, Plan, ProtocolConfig,
    calibration::{Calibration, Job, Strengths, Tried, rows},
};
use pyo3::prelude::*;
use rayon::prelude::*;
use search::SearchConfig;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// How markets are made and tried: what `sg-ai calibrate` takes from options and configuration, with the defaults of both.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    seed: u64,
    symbols: Vec<Symbol>,
    interval: Interval,
    search: SearchConfig,
    protocol: ProtocolConfig,
    candidates: usize,
    days: Days,
    warmup_days: u32,
    review_hours: u32,
    sessions: u32,
    age_ms: i64,
    sessions_per_day: u32,
    coins: u32,
    lifecycle: Thresholds,
    staying: EdgeDecayConfig,
    terms: TermsRead,
    execution: Execution,
}

impl Default for Settings {
    fn default() -> Self {
        let lifecycle = Thresholds::default();
        let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"];
        Self {
            seed: 1,
            symbols: names.iter().filter_map(|name| name.parse().ok()).collect(),
            interval: Interval::M15,
            search: SearchConfig::default(),
            protocol: ProtocolConfig::default(),
            candidates: 10,
            days: Days { search: 365, holdout: 365, shadow: lifecycle.shadow_max_days.ceil() as u32, live: 90 },
            warmup_days: 60,
            review_hours: 24,
            sessions: 1,
            age_ms: 0,
            sessions_per_day: 24,
            coins: 40,
            lifecycle,
            staying: EdgeDecayConfig::default(),
            terms: TermsRead::default(),
            execution: Execution::realistic(),
        }
    }
}

/// Settings with everything that was left out.
#[pyfunction]
pub(crate) fn calibration_settings(settings: &str) -> PyResult<String> {
    written("settings", &read::<Settings>("settings", settings)?)
}

/// What was measured in this process, by what it depends on: seconds a strength, and many tasks ask for the same.
static MEASURED: Mutex<BTreeMap<String, Strengths>> = Mutex::new(BTreeMap::new());

/// How strongly the edges of these jobs are planted.
fn strengths(settings: &Settings, jobs: &[Job], terms: &Terms, engine: &Engine) -> PyResult<Strengths> {
    let wanted: BTreeSet<(&str, u64)> = jobs.iter().map(|job| (job.kind.name(), job.sharpe.to_bits())).collect();
    // Edges that die are of two kinds, in turn.
    let turns: BTreeSet<u64> = jobs.iter().map(|job| job.number % 2).collect();
    let (symbols, interval) = (&settings.symbols, settings.interval);
    let on = (terms.initial_capital, terms.costs, terms.fill_on);
    let key = written("strength", &(wanted, turns, symbols, interval, on))?;
    let mut measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = measured.get(&key) {
        return Ok(found.clone());
    }
    let found = Strengths::of(jobs, symbols, interval, terms, engine)
        .map_err(|error| wrong("how strongly edges are planted", error))?;
    measured.insert(key, found.clone());
    Ok(found)
}

/// Tries each market, in parallel; a JSON list of what became of them, in order.
#[pyfunction]
pub(crate) fn calibrate(py: Python<'_>, settings: &str, jobs: &str, threads: usize) -> PyResult<String> {
    let mut settings: Settings = read("settings", settings)?;
    let jobs: Vec<Job> = read("jobs", jobs)?;
    let ranks = jobs.iter().filter(|job| job.kind.ranks()).count();
    if ranks > 0 && ranks < jobs.len() {
        return Err(wrong("jobs", "markets of rules and markets that are ranked are tried apart"));
    }
    if ranks > 0 {
        settings.search.form = StrategyForm::Ranking;
        settings.search.ranking.timeframes = vec![Interval::H4];
    }
    settings.search = settings.search.for_interval(settings.interval);
    settings.search.validate().map_err(|error| wrong("settings.search", error))?;
    let gate = lifecycle::gate(&settings.lifecycle).map_err(|error| wrong("settings.lifecycle", error))?;
    // Its markets are spot markets.
    let terms = settings.terms.on(MarketKind::Spot)?;
    let portfolio = PortfolioTerms {
        initial_capital: terms.initial_capital,
        costs: terms.costs,
        execution: settings.execution,
        fill_on: terms.fill_on,
    };
    portfolio.validate().map_err(|error| wrong("settings", error))?;
    let interrupted = Interrupted::default();
    let tried = computed(py, threads, || {
        let engine = Engine::new(EngineConfig::default().cache_mb);
        let strengths = strengths(&settings, &jobs, &terms, &engine)?;
        let calibration = Calibration {
            seed: Seed(settings.seed),
            symbols: &settings.symbols,
            interval: settings.interval,
            session: Plan { search: &settings.search, protocol: &settings.protocol, candidates: settings.candidates },
            terms: &terms,
            portfolio: &portfolio,
            coins: settings.coins,
            gate: &*gate,
            staying: &settings.staying,
            strengths: &strengths,
            limits: &settings.lifecycle,
            days: settings.days,
            warmup_days: settings.warmup_days,
            review_ms: i64::from(settings.review_hours) * 3_600_000,
            sessions: settings.sessions,
            age_ms: settings.age_ms,
            sessions_per_day: settings.sessions_per_day,
        };
        let one = |job: &Job| {
            let tried = calibration.run(*job, &engine, &|| interrupted.is_asked());
            tried.map_err(|error| interrupted.or(wrong(&format!("{} {}", job.kind.name(), job.number), error)))
        };
        jobs.par_iter().map(one).collect::<PyResult<Vec<Tried>>>()
    })?;
    written("result", &tried)
}

/// What became of markets, by kind and strength: how often the protocol promoted, with an interval of 95 %.
#[pyfunction]
pub(crate) fn calibration_rows(tried: &str) -> PyResult<String> {
    written("rows", &rows(&read::<Vec<Tried>>("tried", tried)?))
}
