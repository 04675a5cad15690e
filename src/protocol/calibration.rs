//! How often the protocol promotes: on simulated markets of which it is known what there is to find.
//!
//! A market is made, [`run`] is run on it, and what became of it is counted. Never writes a file, never prints.

use super::strength::{Planting, StrengthError};
use super::{Account, Days, Plan, Program, ProtocolRun, RankingWorld, RunError, RunPlan, lives, rehearse, rehearse_in};
use candles::time::DAY_MS;
use candles::{InstrumentTable, Interval, MarketKind, MarketReadings, Symbol};
use engine::{Costs, Engine, Slippage, SymbolWindow, Terms, Window, WindowError};
use evidence::binomial::clopper_pearson;
use genome::random::Seed;
use lifecycle::{EdgeDecayConfig, Gate, Thresholds};
use portfolio::{Panel, PanelError, PortfolioTerms, Ticker};
use serde::{Deserialize, Serialize};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket, SpecError};
use std::collections::{BTreeMap, btree_map::Entry};
use std::sync::Arc;

/// 2024-01-01, where every market begins.
const START_MS: i64 = 1_704_067_200_000;

/// What a market has to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing, and trading costs.
    Noise,
    /// Nothing, and trading is free.
    NoiseFreeOfCosts,
    /// Prices that come back to their mean.
    MeanReversion,
    /// Prices that go on where they broke out.
    Momentum,
    /// One of the two, in turn, that is gone once a strategy enters shadow.
    Dying,
    /// A market of many coins that holds nothing; strategies rank it, as they do the next three.
    RankNoise,
    /// Coins that did better than others over a week go on doing so.
    RankMomentum,
    /// Coins that did better than others yesterday do worse today.
    RankReversal,
    /// Coins of which more is traded than usual do better than others.
    RankVolume,
}

impl Kind {
    /// Every kind in which strategies are rules.
    pub const ALL: [Self; 5] = [Self::Noise, Self::NoiseFreeOfCosts, Self::MeanReversion, Self::Momentum, Self::Dying];

    /// The name on the command line and in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::NoiseFreeOfCosts => "noise-free-of-costs",
            Self::MeanReversion => "mean-reversion",
            Self::Momentum => "momentum",
            Self::Dying => "dying",
            Self::RankNoise => "rank-noise",
            Self::RankMomentum => "rank-momentum",
            Self::RankReversal => "rank-reversal",
            Self::RankVolume => "rank-volume",
        }
    }

    /// Whether it has an edge, whose strength matters.
    #[must_use]
    const fn has_edge(self) -> bool {
        !matches!(self, Self::Noise | Self::NoiseFreeOfCosts | Self::RankNoise)
    }

    /// Whether its strategies rank a market of many coins.
    #[must_use]
    pub const fn ranks(self) -> bool {
        matches!(self, Self::RankNoise | Self::RankMomentum | Self::RankReversal | Self::RankVolume)
    }
}

/// One market to try.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What it has.
    pub kind: Kind,
    /// True annual Sharpe ratio that the edge gives whoever knows it, after costs, on all symbols together; where strategies
    /// rank, before costs; 0 without an edge.
    pub sharpe: f64,
    /// Which market of its kind and strength, from 0.
    pub number: u64,
}

/// How markets are made and tried.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct Calibration<'a> {
    pub seed: Seed,
    pub symbols: &'a [Symbol],
    pub interval: Interval,
    pub session: Plan<'a>,
    pub terms: &'a Terms,
    /// Of strategies that rank, and how many coins their markets have.
    pub portfolio: &'a PortfolioTerms,
    pub coins: u32,
    pub gate: &'a dyn Gate,
    pub staying: &'a EdgeDecayConfig,
    /// How strongly the jobs' edges are planted.
    pub strengths: &'a Strengths,
    pub limits: &'a Thresholds,
    pub days: Days,
    pub warmup_days: u32,
    pub review_ms: i64,
    /// Sessions one after the other on each market, a day apart, each beginning with the best of the one before.
    pub sessions: u32,
    /// Age of the daemon when the first of them ends, ms of market time, which it lived on markets without an edge.
    pub age_ms: i64,
    /// Sessions that it had a day until then.
    pub sessions_per_day: u32,
}

/// How strongly edges are planted: see [`Planting::strength`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(String, u64, f64)>", into = "Vec<(String, u64, f64)>")]
pub struct Strengths(BTreeMap<(String, u64), f64>);

impl From<Vec<(String, u64, f64)>> for Strengths {
    fn from(all: Vec<(String, u64, f64)>) -> Self {
        Self(all.into_iter().map(|(kind, sharpe_bits, strength)| ((kind, sharpe_bits), strength)).collect())
    }
}

impl From<Strengths> for Vec<(String, u64, f64)> {
    fn from(all: Strengths) -> Self {
        all.0.into_iter().map(|((kind, sharpe_bits), strength)| (kind, sharpe_bits, strength)).collect()
    }
}

impl Strengths {
    /// Of the edges of all jobs.
    ///
    /// # Errors
    /// When an edge cannot be planted as strongly as a job asks.
    pub fn of(
        jobs: &[Job],
        symbols: &[Symbol],
        interval: Interval,
        terms: &Terms,
        engine: &Engine,
    ) -> Result<Self, StrengthError> {
        let mut found = BTreeMap::new();
        for job in jobs {
            // Those of markets that are ranked are planted as they are stated.
            let Some(kind) = edge(*job).filter(|kind| !kind.ranks()) else { continue };
            if let Entry::Vacant(new) = found.entry((kind.name().to_owned(), job.sharpe.to_bits())) {
                new.insert(Planting { kind, symbols, interval, terms }.strength(job.sharpe, engine)?);
            }
        }
        Ok(Self(found))
    }

    /// One that is known without a measurement.
    #[cfg(test)]
    pub(super) fn known(kind: Kind, sharpe: f64, strength: f64) -> Self {
        let edge = edge(Job { kind, sharpe, number: 0 }).expect("a kind with an edge");
        Self(BTreeMap::from([((edge.name().to_owned(), sharpe.to_bits()), strength)]))
    }

    fn get(&self, kind: EdgeKind, sharpe: f64) -> Result<f64, CalibrationError> {
        let found = self.0.get(&(kind.name().to_owned(), sharpe.to_bits())).copied();
        found.ok_or(CalibrationError::NotMeasured { kind, sharpe })
    }
}

/// What became of one market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Tried {
    pub job: Job,
    /// Strength of the planted edge: the Sharpe ratio of its natural strategy on one symbol before costs.
    pub planted: f64,
    pub sessions: u32,
    /// Sessions whose search beat its null searches.
    pub selected: u32,
    /// Tests that were bought.
    pub tests: u32,
    /// E-value at which the first of them goes live; none where no test was bought.
    pub promotion_threshold: Option<f64>,
    /// Sessions with a strategy that entered shadow.
    pub entered: u32,
    /// Strategies that went live.
    pub promoted: u32,
    pub p_value: f64,
    pub null_searches: u32,
    pub evaluations: u64,
    pub null_evaluations: u64,
    pub best_holdout_log_e: Option<f64>,
    pub best_total_log_e: Option<f64>,
    pub live_after_days: Option<f64>,
    pub watched: bool,
    pub left_after_days: Option<f64>,
    /// How many candidates missed which requirement when the gate last looked at them.
    pub missed: BTreeMap<String, u32>,
}

/// Why a market could not be tried.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CalibrationError {
    #[error(transparent)]
    Market(#[from] SpecError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("it was not measured how strongly a {kind} edge has to be planted to earn a Sharpe ratio of {sharpe}")]
    NotMeasured { kind: EdgeKind, sharpe: f64 },
    #[error("the limits of the gates make no sense: {0}")]
    Limits(String),
}

impl Calibration<'_> {
    /// Makes the job's market and tries it.
    ///
    /// # Errors
    /// When the market cannot be made, or `stop` says so.
    pub fn run(&self, job: Job, engine: &Engine, stop: &dyn Fn() -> bool) -> Result<Tried, CalibrationError> {
        let days = self.days;
        let split_ms = START_MS + i64::from(self.warmup_days + days.search) * DAY_MS;
        let shadow_ms = split_ms + i64::from(days.holdout) * DAY_MS;
        let seed = self.seed.child(job.kind.name(), job.number);
        let ends_ms = match job.kind {
            Kind::Dying => shadow_ms,
            _ => shadow_ms + i64::from(days.shadow) * DAY_MS,
        };
        let all_ms = shadow_ms + i64::from(days.shadow + days.live) * DAY_MS + i64::from(self.sessions) * DAY_MS;
        let mut spec = if job.kind.ranks() {
            let days = (all_ms - START_MS).div_euclid(DAY_MS);
            MarketSpec::coins(seed, START_MS, self.coins, u32::try_from(days).unwrap_or(u32::MAX))?
        } else {
            MarketSpec::noise(seed, START_MS, self.symbols)
        };
        let planted = match edge(job) {
            Some(kind) if kind.ranks() => job.sharpe,
            Some(kind) => self.strengths.get(kind, job.sharpe)?,
            None => 0.0,
        };
        if let Some(kind) = edge(job) {
            let symbols = if kind.ranks() { Vec::new() } else { self.symbols.to_vec() };
            let interval = if kind.ranks() { Interval::D1 } else { self.interval };
            let lasting = EdgeSpec::lasting(kind, symbols, planted);
            spec.edges = vec![EdgeSpec { interval, end_ms: Some(ends_ms), ..lasting }];
        }
        let market = SimulatedMarket::new(spec)?;
        let free = Costs { fee_fraction: 0.0, slippage: Slippage::Fixed { bps: 0.0 }, ..self.terms.costs };
        let free = Terms { costs: free, ..*self.terms };
        let terms = if job.kind == Kind::NoiseFreeOfCosts { &free } else { self.terms };
        let live = if job.kind.has_edge() && job.kind != Kind::Dying { days.live } else { 0 };
        let account = self.account(seed, shadow_ms);
        let plan = RunPlan {
            session: self.session,
            terms,
            gate: self.gate,
            staying: self.staying,
            limits: self.limits,
            account,
            known: &[],
            past: &[],
            days: Days { live, ..days },
            review_ms: self.review_ms,
        };
        let cut = |from_ms: i64, to_ms: i64| self.cut(&market, from_ms, to_ms);
        let splits: Vec<i64> = (0..self.sessions.max(1)).map(|n| split_ms + i64::from(n) * DAY_MS).collect();
        let program = Program { splits_ms: &splits, until_ms: i64::MAX, placebo: false, seed };
        let found = if job.kind.ranks() {
            let panel = panel(&market, START_MS, all_ms).map_err(RunError::from)?;
            let variation = &self.session.search.ranking;
            let world = RankingWorld { panel: &panel, terms: *self.portfolio, variation, refits: None };
            rehearse_in(&plan, &world, program, stop, &mut |_| {})?
        } else {
            rehearse(&plan, engine, &cut, program, stop, &mut |_| {})?
        };
        let mut tried: Option<Tried> = None;
        for session in found {
            let selected = session.trial.searched.p_value <= self.limits.max_p_value;
            match &mut tried {
                Some(tried) => tried.add(&session.trial, selected),
                None => tried = Some(Tried::new((job, planted), &session.trial, selected)),
            }
        }
        // There was at least one session.
        tried.ok_or(CalibrationError::Run(RunError::Stopped))
    }

    /// What the first session's tests are bought from at `at_ms`.
    fn account(&self, seed: Seed, at_ms: i64) -> Account {
        let of_age =
            lives::account_of_age(self.session.protocol, self.age_ms, self.sessions_per_day, seed.child("age", 0));
        Account { at_ms, ..of_age }
    }

    fn cut(&self, market: &SimulatedMarket, from_ms: i64, to_ms: i64) -> Result<Window, WindowError> {
        let first_ms = from_ms - i64::from(self.warmup_days) * DAY_MS;
        let one = |symbol: &Symbol| {
            // The market's own symbols, at its own interval, within a century: nothing is refused.
            let candles = market.candles(symbol, self.interval, first_ms, to_ms);
            let candles = candles.unwrap_or_else(|_| candles::CandleSeries::new(self.interval));
            SymbolWindow {
                market: MarketKind::Spot,
                symbol: symbol.clone(),
                candles: Arc::new(candles),
                finer: Vec::new(),
                funding: Arc::from([]),
                readings: Arc::default(),
                across: Arc::default(),
            }
        };
        Window::new(from_ms, to_ms, self.symbols.iter().map(one).collect())
    }
}

fn edge(job: Job) -> Option<EdgeKind> {
    let reversion = EdgeKind::MeanReversion { lookback: 20, deviations: 2.0, hold: 12 };
    let momentum = EdgeKind::Momentum { lookback: 48, hold: 16 };
    match job.kind {
        Kind::Noise | Kind::NoiseFreeOfCosts => None,
        Kind::MeanReversion => Some(reversion),
        Kind::Momentum => Some(momentum),
        Kind::Dying => Some(if job.number.is_multiple_of(2) { reversion } else { momentum }),
        Kind::RankNoise => None,
        Kind::RankMomentum => Some(EdgeKind::RankMomentum { days: 7 }),
        Kind::RankReversal => Some(EdgeKind::RankReversal { days: 1 }),
        Kind::RankVolume => Some(EdgeKind::RankVolume { days: 1, against: 30 }),
    }
}

/// All coins of a simulated market on 4h candles of a range; one that was listed and delisted between two has none.
///
/// # Errors
/// Where no coin has a candle.
pub fn panel(market: &SimulatedMarket, from_ms: i64, to_ms: i64) -> Result<Panel, PanelError> {
    let ticker = |spec: &simulated::SymbolSpec| Ticker {
        symbol: spec.symbol.clone(),
        // The market's own symbols: nothing is refused.
        candles: market
            .candles(&spec.symbol, Interval::H4, from_ms, to_ms)
            .unwrap_or_else(|_| candles::CandleSeries::new(Interval::H4)),
        funding: Vec::new(),
        readings: MarketReadings::default(),
    };
    let tickers = market.spec().symbols.iter().map(ticker).collect();
    Panel::new(MarketKind::Spot, Interval::H4, tickers, &InstrumentTable::default())
}

impl Tried {
    fn new((job, planted): (Job, f64), run: &ProtocolRun, selected: bool) -> Self {
        Self {
            job,
            planted,
            sessions: 1,
            selected: u32::from(selected),
            tests: run.tested.len() as u32,
            promotion_threshold: run.promotion_threshold,
            entered: u32::from(run.entered > 0),
            promoted: run.promoted,
            p_value: run.searched.p_value,
            null_searches: run.searched.null_searches,
            evaluations: run.evaluations,
            null_evaluations: run.null_evaluations,
            best_holdout_log_e: run.best_holdout_log_e,
            best_total_log_e: run.best_total_log_e,
            live_after_days: run.live_after_days,
            watched: run.watched,
            left_after_days: run.left_after_days,
            missed: run.missed.clone(),
        }
    }

    fn add(&mut self, run: &ProtocolRun, selected: bool) {
        let most = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        self.sessions += 1;
        self.selected += u32::from(selected);
        self.tests += run.tested.len() as u32;
        self.entered += u32::from(run.entered > 0);
        self.promoted += run.promoted;
        self.p_value = self.p_value.min(run.searched.p_value);
        self.null_searches += run.searched.null_searches;
        self.evaluations += run.evaluations;
        self.null_evaluations += run.null_evaluations;
        self.best_holdout_log_e = most(self.best_holdout_log_e, run.best_holdout_log_e);
        self.best_total_log_e = most(self.best_total_log_e, run.best_total_log_e);
        self.live_after_days = self.live_after_days.or(run.live_after_days);
    }
}

/// What became of all markets of one kind and strength.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Row {
    pub kind: Kind,
    /// That the edge gives whoever knows it, after costs; null without an edge.
    pub sharpe: Option<f64>,
    /// Mean strength of the planted edges: of their natural strategy on one symbol before costs.
    pub planted_sharpe: Option<f64>,
    pub markets: u64,
    /// Markets with at least one live promotion.
    pub promoted: u64,
    pub rate: f64,
    /// Exact interval of the rate (Clopper-Pearson, 95 %).
    pub ci95: (f64, f64),
    /// From the beginning of shadow, among promoted markets.
    pub median_days_to_live: Option<f64>,
    /// Sessions in all.
    pub sessions: u64,
    /// Sessions whose search beat its null searches.
    pub selected: u64,
    /// Tests that were bought.
    pub tests: u64,
    /// E-value at which the first tested candidate goes live, median over the markets with one.
    pub median_threshold: Option<f64>,
    /// Strategies that went live, on all markets together.
    pub live: u64,
    /// Sessions with a strategy that entered shadow.
    pub entered: u64,
    /// Null searches a session, mean.
    pub null_searches: f64,
    /// Backtests in all, null searches included.
    pub evaluations: u64,
    /// Live strategies that were watched after their edge had died.
    pub watched: u64,
    /// Of them, those that were demoted or disabled while they were watched.
    pub left: u64,
    /// From the edge's death, among those; negative when it was before.
    pub median_days_to_demotion: Option<f64>,
}

/// A row for each kind and strength, in order of kind, then strength.
#[must_use]
pub fn rows(tried: &[Tried]) -> Vec<Row> {
    let mut keys: Vec<(Kind, f64)> = tried.iter().map(|t| (t.job.kind, t.job.sharpe)).collect();
    keys.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    keys.dedup();
    let row = |(kind, sharpe): (Kind, f64)| {
        let of: Vec<&Tried> = tried.iter().filter(|t| t.job.kind == kind && t.job.sharpe == sharpe).collect();
        let markets = of.len() as u64;
        let promoted = of.iter().filter(|t| t.promoted > 0).count() as u64;
        let sum = |value: fn(&Tried) -> u64| of.iter().map(|t| value(t)).sum::<u64>();
        let sessions = sum(|t| u64::from(t.sessions));
        Row {
            kind,
            sharpe: kind.has_edge().then_some(sharpe),
            planted_sharpe: kind.has_edge().then(|| of.iter().map(|t| t.planted).sum::<f64>() / markets as f64),
            markets,
            promoted,
            rate: promoted as f64 / markets as f64,
            ci95: clopper_pearson(promoted, markets, 0.95).unwrap_or((0.0, 1.0)),
            median_days_to_live: median(of.iter().filter_map(|t| t.live_after_days).collect()),
            sessions,
            selected: sum(|t| u64::from(t.selected)),
            tests: sum(|t| u64::from(t.tests)),
            median_threshold: median(of.iter().filter_map(|t| t.promotion_threshold).collect()),
            live: sum(|t| u64::from(t.promoted)),
            entered: sum(|t| u64::from(t.entered)),
            null_searches: sum(|t| u64::from(t.null_searches)) as f64 / sessions as f64,
            evaluations: sum(|t| t.evaluations + t.null_evaluations),
            watched: of.iter().filter(|t| t.watched).count() as u64,
            left: of.iter().filter(|t| t.left_after_days.is_some()).count() as u64,
            median_days_to_demotion: median(of.iter().filter_map(|t| t.left_after_days).collect()),
        }
    };
    keys.into_iter().map(row).collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 { None } else { Some((values[n / 2] + values[(n - 1) / 2]) / 2.0) }
}
