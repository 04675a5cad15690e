//! The candles that a stored run of either form rests on, loaded once, and strategies evaluated over parts of them: for paper
//! trading, for results that are computed again, and for proof of what is stored. Fetches nothing, decides nothing.

use super::portfolio::WholeMarket;
use super::ran::Ran;
use super::ranked::{self, RankedSpec, ran, terms_of};
use super::whole_market::Cached;
use super::window::{Loaded, WindowSpec};
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::{DataVerdict, Symbol, SymbolCoverage};
use engine::{Engine, Recipe, RunConfig, Wanted, Window, WindowError};
use genome::{AnyStrategy, Ranking, Strategy};
use market::CandleCache;
use portfolio::Panel;
use std::sync::Arc;

/// Candles up to a time, from which parts are cut.
pub(crate) enum RunCandles {
    Symbols(Loaded),
    Market { spec: RankedSpec, panel: Arc<Panel>, data_version: String },
}

/// Candles of a part of the time, with everything before as warm-up.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    on: On,
    from_ms: i64,
    to_ms: i64,
}

#[derive(Clone, Debug)]
enum On {
    Symbols(Arc<Window>),
    Market(Arc<Panel>),
}

/// When a run looks at candles: first of the warm-up, first traded, end, UTC ms.
pub(crate) type Times = (i64, i64, i64);

/// What names the candles of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RunSpec {
    Symbols(WindowSpec),
    Market(RankedSpec),
}

impl RunSpec {
    /// Of a paper run.
    pub(crate) fn of_run(config: &RunConfig, times: Times) -> Self {
        match &config.ranked {
            Some(ranked) => Self::Market(RankedSpec::of_run(config, ranked, times)),
            None => Self::Symbols(window_spec(config, times)),
        }
    }

    /// Of a test: a session's backtest or hold-out, which knows no later listing.
    pub(crate) fn of_test(recipe: &Recipe, to_ms: i64) -> Self {
        let (config, end_ms) = (&recipe.config, recipe.data_to_ms.unwrap_or(to_ms).max(to_ms));
        match &config.ranked {
            Some(_) => {
                let looked_at = (config.market, &config.symbols[..], config.interval);
                Self::Market(RankedSpec::fixed(looked_at, (recipe.warmup_from_ms, end_ms), config.models.clone()))
            }
            None => Self::Symbols(window_spec(config, (recipe.warmup_from_ms, to_ms, end_ms))),
        }
    }

    /// End of the candles, UTC ms.
    pub(crate) const fn to_ms(&self) -> i64 {
        match self {
            Self::Symbols(spec) => spec.to_ms,
            Self::Market(spec) => spec.to_ms,
        }
    }

    /// Loads them.
    ///
    /// # Errors
    /// When the cache cannot be read or a symbol has no candle there at all.
    pub(crate) async fn load(&self, cached: Cached<'_>) -> anyhow::Result<RunCandles> {
        Ok(match self {
            Self::Symbols(spec) => RunCandles::Symbols(Loaded::read(cached, spec.clone()).await?),
            Self::Market(spec) => {
                let WholeMarket { panel, data_version } = spec.load(cached).await?;
                RunCandles::Market { spec: spec.clone(), panel: Arc::new(panel), data_version }
            }
        })
    }
}

fn window_spec(config: &RunConfig, (warmup_from_ms, _, to_ms): Times) -> WindowSpec {
    WindowSpec {
        market: config.market,
        symbols: config.symbols.clone(),
        interval: config.interval,
        warmup_from_ms,
        to_ms,
        models: config.models.clone(),
    }
}

impl RunCandles {
    /// The candles of `[from_ms, to_ms)`; `None` where a symbol has none there yet.
    ///
    /// # Errors
    /// When they make no window.
    pub(crate) fn part(&self, from_ms: i64, to_ms: i64) -> anyhow::Result<Option<Part>> {
        let on = match self {
            Self::Symbols(loaded) => match loaded.window(from_ms, to_ms) {
                Err(WindowError::Empty(_)) => return Ok(None),
                window => On::Symbols(Arc::new(window?)),
            },
            Self::Market { panel, .. } if to_ms >= panel.end_ms() => On::Market(Arc::clone(panel)),
            Self::Market { panel, .. } => On::Market(Arc::new(panel.until(to_ms)?)),
        };
        Ok(Some(Part { on, from_ms, to_ms }))
    }

    /// Names the candles from the first of the warm-up to `to_ms`.
    ///
    /// # Errors
    /// When the cache cannot be read, or a symbol has no candle in `[from_ms, to_ms)`.
    pub(crate) async fn data_version(
        &self,
        cached: Cached<'_>,
        (from_ms, to_ms): (i64, i64),
    ) -> anyhow::Result<String> {
        match self {
            Self::Symbols(loaded) => Ok(loaded.window(from_ms, to_ms)?.data_version()),
            Self::Market { spec, data_version, .. } if to_ms == spec.to_ms => Ok(data_version.clone()),
            Self::Market { spec, .. } => Ok(RankedSpec { to_ms, ..spec.clone() }.load(cached).await?.data_version),
        }
    }

    /// Whether the candles of `[from_ms, to_ms)` may count as evidence, and why not.
    pub(crate) fn fit_for_evidence(&self, part: &Part, policy: &QualityPolicy) -> DataVerdict {
        let range = (part.from_ms, part.to_ms);
        match (self, &part.on) {
            (Self::Symbols(loaded), _) => loaded.fit_for_evidence(range.0, range.1, policy),
            (_, On::Market(panel)) => ranked::fit_for_evidence(panel, range, policy),
            (Self::Market { panel, .. }, _) => ranked::fit_for_evidence(panel, range, policy),
        }
    }

    /// By symbol, how many candles there are of `[from_ms, to_ms)`; of a whole market nobody lists them.
    pub(crate) fn coverage(&self, from_ms: i64, to_ms: i64) -> Vec<SymbolCoverage> {
        match self {
            Self::Symbols(loaded) => loaded.coverage(from_ms, to_ms),
            Self::Market { .. } => Vec::new(),
        }
    }
}

impl Part {
    /// End of the candles, UTC ms.
    pub(crate) const fn to_ms(&self) -> i64 {
        self.to_ms
    }

    /// Symbols of the market that is ranked, in order; `None` of a window of symbols.
    pub(crate) fn market(&self) -> Option<Vec<Symbol>> {
        let On::Market(panel) = &self.on else { return None };
        let mut symbols: Vec<Symbol> = panel.instruments().iter().map(|i| i.id().symbol.clone()).collect();
        symbols.sort();
        symbols.dedup();
        Some(symbols)
    }

    /// What each strategy did, in order, on the terms of its run; or why it cannot be evaluated.
    ///
    /// # Errors
    /// When the terms are impossible.
    pub(crate) fn ran(
        &self,
        engine: &Engine,
        strategies: &[AnyStrategy],
        config: &RunConfig,
    ) -> anyhow::Result<Vec<anyhow::Result<Ran>>> {
        match &self.on {
            On::Symbols(window) => {
                let rules: Vec<Strategy> = strategies.iter().filter_map(|s| s.rules().cloned()).collect();
                let wanted = Wanted { ledger: true, ..Wanted::default() };
                let found = engine.evaluate(&rules, window, &config.terms(), wanted).into_iter();
                let found = found.map(|outcome| Ok(Ran::traded(outcome?, Arc::clone(window)))).collect();
                Ok(in_their_places(strategies, |s| s.rules().is_some(), found))
            }
            On::Market(panel) => {
                let ranked = ranked::ranked_of(config)?;
                let rankings: Vec<&Ranking> = strategies.iter().filter_map(AnyStrategy::ranking).collect();
                let found = ran(&rankings, panel, (self.from_ms, self.to_ms), terms_of(config, ranked))?;
                Ok(in_their_places(strategies, |s| s.ranking().is_some(), found))
            }
        }
    }

    /// What one strategy did.
    ///
    /// # Errors
    /// When it cannot be evaluated.
    pub(crate) fn ran_one(&self, engine: &Engine, strategy: &AnyStrategy, config: &RunConfig) -> anyhow::Result<Ran> {
        self.ran(engine, std::slice::from_ref(strategy), config)?.pop().context("the engine gave no result")?
    }
}

/// The results of those that have one, each in the place of its strategy.
fn in_their_places(
    strategies: &[AnyStrategy],
    has_one: impl Fn(&AnyStrategy) -> bool,
    found: Vec<anyhow::Result<Ran>>,
) -> Vec<anyhow::Result<Ran>> {
    let mut found = found.into_iter();
    let of_other_form = || anyhow::anyhow!("its run is set up for strategies of the other form");
    let one =
        |s: &AnyStrategy| if has_one(s) { found.next().context("it was not evaluated")? } else { Err(of_other_form()) };
    strategies.iter().map(one).collect()
}

/// The symbols of a run for messages.
pub(crate) fn lacks(cache: &CandleCache, config: &RunConfig) -> String {
    let names: Vec<&str> = config.symbols.iter().map(Symbol::as_str).collect();
    format!("the cache in {} lacks {} candles of {}", cache.dir().display(), config.interval, names.join(", "))
}
