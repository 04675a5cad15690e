//! The backtests that the robustness tests are made of: neighbours, noisy candles, higher costs, other symbols.
//!
//! Stores nothing, fetches nothing and judges nothing.

use super::replay::StoredRun;
use super::whole_market::Cached;
use super::window::{Loaded, WindowSpec};
use anyhow::Context as _;
use candles::time::DAY_MS;
use engine::{Costs, Engine, SymbolWindow, Terms, Wanted, Window};
use evidence::noise::noisy;
use evidence::robustness::{
    RobustnessConfig, RobustnessInputs, Run, first_whole_day_ms, robustness_report, trade_returns, volatility_by_day,
};
use genome::{Strategy, random::Seed, variation::neighbours};
use report::RobustnessSection;
use store::StatSource;

/// How far a neighbour's number is moved, a fraction of it.
pub(crate) const NEIGHBOUR_STEP: f64 = 0.1;
/// Standard deviation of the noise on closes, a share of the candle's range.
const NOISE_SHARE: f64 = 0.2;
/// Higher costs: name, multiple of the fee, and what slippage adds on each side, as a fraction of the notional.
const STRESSES: [(&str, f64, f64); 4] = [
    ("fee_x2", 2.0, 0.0),
    ("fee_x3", 3.0, 0.0),
    ("slippage_plus_5_bps", 1.0, 5e-4),
    ("slippage_plus_10_bps", 1.0, 1e-3),
];
/// Draws of noise for a stored strategy.
const DRAWS: u32 = 20;
/// Symbols that were not searched that a stored strategy is tried on, at most.
const MOST_ELSEWHERE: usize = 6;
/// Days after the search from which on they are looked at alone.
const ENOUGH_DAYS: i64 = 30;

/// What is to be run.
pub(crate) struct Proof {
    /// What runs it.
    pub(crate) engine: Engine,
    /// Whom it is about.
    pub(crate) strategy: Strategy,
    /// On what.
    pub(crate) window: Window,
    /// Capital at its beginning, and what trading costs.
    pub(crate) terms: Terms,
    /// Symbols that were not searched, each with its window.
    pub(crate) elsewhere: Vec<(String, Window)>,
    /// Draws of noise on the candles.
    pub(crate) draws: u32,
    /// Root of the noise.
    pub(crate) seed: Seed,
}

impl Proof {
    fn runs(&self, strategies: &[Strategy], window: &Window, terms: &Terms) -> Vec<Run> {
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcomes = self.engine.evaluate(strategies, window, terms, wanted);
        outcomes.iter().flatten().map(|outcome| Run::of(outcome, window.from_ms())).collect()
    }

    fn one(&self, window: &Window, terms: &Terms) -> Option<Run> {
        self.runs(std::slice::from_ref(&self.strategy), window, terms).pop()
    }

    /// Runs it all, without a count of trials. `None` when the strategy itself cannot be evaluated.
    #[must_use]
    pub(crate) fn material(&self) -> Option<RobustnessInputs> {
        let (window, terms) = (&self.window, &self.terms);
        let itself = std::slice::from_ref(&self.strategy);
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcome = self.engine.evaluate(itself, window, terms, wanted).pop()?.ok()?;
        let stressed = STRESSES.iter().filter_map(|(name, fee, more)| {
            let costs = Costs { fee_fraction: terms.costs.fee_fraction * fee + more, ..terms.costs };
            Some(((*name).to_owned(), self.one(window, &Terms { costs, ..*terms })?))
        });
        let noise = (0..self.draws).filter_map(|draw| self.one(&self.disturbed(draw)?, terms));
        let elsewhere = self.elsewhere.iter().filter_map(|(name, w)| Some((name.clone(), self.one(w, terms)?)));
        let days = outcome.daily_returns.len();
        let regimes = window
            .symbols()
            .first()
            .map(|s| volatility_by_day(&s.candles, first_whole_day_ms(&outcome, window.from_ms()), days));
        Some(RobustnessInputs {
            base: Run::of(&outcome, window.from_ms()),
            trade_returns: outcome.ledger.as_ref().map(trade_returns).unwrap_or_default(),
            trials: None,
            neighbours: self.runs(&neighbours(&self.strategy, NEIGHBOUR_STEP), window, terms),
            noisy: noise.collect(),
            stressed: stressed.collect(),
            elsewhere: elsewhere.collect(),
            regimes: regimes.unwrap_or_default(),
        })
    }

    /// The window with noise on its candles; finer ones would contradict them and are left out.
    fn disturbed(&self, draw: u32) -> Option<Window> {
        let seed = self.seed.child("noise", u64::from(draw));
        let symbols = self.window.symbols().iter().map(|s| {
            let candles = noisy(&s.candles, NOISE_SHARE, &mut seed.stream(s.symbol.as_str(), 0))?;
            Some(SymbolWindow { candles: candles.into(), finer: Vec::new(), ..s.clone() })
        });
        Window::new(self.window.from_ms(), self.window.to_ms(), symbols.collect::<Option<_>>()?).ok()
    }
}

/// A stored strategy with everything that its robustness tests take.
pub(crate) struct Prepared {
    proof: Proof,
    unseen: bool,
    trials: Option<u64>,
}

/// Loads what the robustness tests of a stored strategy take: the days that the search did not see where there are enough of
/// them, all its days otherwise; and the symbols in the cache that it was not searched on.
///
/// # Errors
/// When nothing was measured yet, or the candles are not cached.
pub(crate) async fn prepare(
    cached: Cached<'_>,
    strategy: &Strategy,
    runs: &[StoredRun],
    trials: Option<u64>,
) -> anyhow::Result<Prepared> {
    let to_ms = runs.iter().map(|run| run.to_ms).max().context("nothing has been measured yet")?;
    let unseen_ms = runs.iter().filter(|run| run.source != StatSource::Backtest).map(|run| run.from_ms).min();
    let unseen_ms = unseen_ms.filter(|from_ms| to_ms - from_ms >= ENOUGH_DAYS * DAY_MS);
    let first_ms = runs.iter().map(|run| run.from_ms).min();
    let from_ms = unseen_ms.or(first_ms).context("nothing has been measured yet")?;
    let recipe = runs.iter().find_map(|run| Some((run.from_ms, run.recipe.as_ref().ok()?)));
    let (recipe_from_ms, recipe) = recipe.context("no settings are stored with it")?;
    let config = &recipe.config;
    let spec = |symbols| WindowSpec {
        market: config.market,
        symbols,
        interval: config.interval,
        // As much before the first candle as the stored run had.
        warmup_from_ms: from_ms - (recipe_from_ms - recipe.warmup_from_ms).max(0),
        to_ms,
        models: config.models.clone(),
    };
    let load =
        async |symbols| Ok::<_, anyhow::Error>(Loaded::read(cached, spec(symbols)).await?.window(from_ms, to_ms)?);
    let window = load(config.symbols.clone()).await.context("the candles of its days are not cached")?;
    let others = cached.candles.coverage().await?.into_iter();
    let others =
        others.filter(|c| (c.ticker.market, c.interval) == (config.market, config.interval)).map(|c| c.ticker.symbol);
    let mut elsewhere = Vec::new();
    for symbol in others.filter(|symbol| !config.symbols.contains(symbol)).take(MOST_ELSEWHERE) {
        // One that has no candles of these days says nothing.
        if let Ok(window) = load(vec![symbol.clone()]).await {
            elsewhere.push((symbol.to_string(), window));
        }
    }
    let (engine, strategy) = (Engine::default(), strategy.clone());
    let seed = RobustnessSection::seed(&strategy.hash().to_string());
    let proof = Proof { engine, strategy, window, terms: config.terms(), elsewhere, draws: DRAWS, seed };
    Ok(Prepared { proof, unseen: unseen_ms.is_some(), trials })
}

impl Prepared {
    /// Computes it; takes its time.
    ///
    /// # Errors
    /// When the strategy cannot be evaluated on these candles.
    pub(crate) fn told(self) -> anyhow::Result<RobustnessSection> {
        let material = self.proof.material().context("the strategy cannot be evaluated on these candles")?;
        let material = RobustnessInputs { trials: self.trials, ..material };
        let config = RobustnessConfig::fitting(material.base.daily_returns.len());
        let window = &self.proof.window;
        Ok(RobustnessSection {
            from_ms: window.from_ms(),
            to_ms: window.to_ms(),
            unseen: self.unseen,
            backtested: true,
            inside_days: config.inside_days,
            outside_days: config.outside_days,
            robustness: robustness_report(&material, &config, self.proof.seed),
        })
    }
}
