//! The market as a session or a paper run of strategies that rank it looks at it: the symbols that there were when it began
//! and those listed since, from a fixed first candle on, so that a replay sees the same. Fetches nothing, decides nothing.

use super::portfolio::{MarketSpan, WholeMarket, load_panel_of};
use super::ran::Ran;
use super::whole_market::{Cached, Which};
use anyhow::Context as _;
use candles::quality::QualityPolicy;
use candles::{DataVerdict, Interval, Judged, MarketKind, Symbol, market_fit_for_evidence};
use engine::{ModelsUsed, RankedMarket, RunConfig, Terms};
use genome::Ranking;
use portfolio::{Market, Panel, PortfolioTerms};
use std::sync::Arc;

/// Which candles of the market something rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RankedSpec {
    pub(crate) market: MarketKind,
    pub(crate) interval: Interval,
    pub(crate) which: Which,
    /// End, exclusive.
    pub(crate) to_ms: i64,
    /// Models whose predictions go with them.
    pub(crate) models: ModelsUsed,
}

impl RankedSpec {
    /// Of a session or a test: what there was, and nothing that came later.
    pub(crate) fn fixed(
        (market, symbols, interval): (MarketKind, &[Symbol], Interval),
        (warmup_from_ms, to_ms): (i64, i64),
        models: ModelsUsed,
    ) -> Self {
        let which = Which::Named { symbols: sorted(symbols), listed_since: None, from_ms: warmup_from_ms };
        Self { market, interval, which, to_ms, models }
    }

    /// Of a paper run that began at `from_ms`: what was listed since counts, too.
    pub(crate) fn of_run(
        config: &RunConfig,
        ranked: &RankedMarket,
        (warmup_from_ms, from_ms, to_ms): (i64, i64, i64),
    ) -> Self {
        let listed_since = Some((from_ms, ranked.quote.clone()));
        let which = Which::Named { symbols: sorted(&config.symbols), listed_since, from_ms: warmup_from_ms };
        Self { market: config.market, interval: config.interval, which, to_ms, models: config.models.clone() }
    }

    /// Loads it.
    ///
    /// # Errors
    /// When the cache cannot be read or has nothing of that, or a model is no longer what it was.
    pub(crate) async fn load(&self, cached: Cached<'_>) -> anyhow::Result<WholeMarket> {
        let span = MarketSpan { market: self.market, interval: self.interval, to_ms: self.to_ms };
        let chosen = cached.used(&self.models)?;
        let whole = load_panel_of(&cached.candles, span, &self.which, self.interval, cached.table.clone()).await?;
        cached.beside_market(&chosen, whole, self.which.first_ms()).await
    }
}

fn sorted(symbols: &[Symbol]) -> Vec<Symbol> {
    let mut symbols = symbols.to_vec();
    symbols.sort();
    symbols
}

/// Capital, costs and execution of a run.
pub(crate) fn terms_of(config: &RunConfig, ranked: &RankedMarket) -> PortfolioTerms {
    let Terms { initial_capital, costs, fill_on } = config.terms();
    PortfolioTerms { initial_capital, costs, fill_on, execution: ranked.execution }
}

/// What each strategy did in `[from_ms, to_ms)` of a panel, in order.
///
/// # Errors
/// When the window is empty or the terms are impossible; of each strategy, why it cannot be evaluated.
pub(crate) fn ran(
    strategies: &[&Ranking],
    panel: &Arc<Panel>,
    (from_ms, to_ms): (i64, i64),
    terms: PortfolioTerms,
) -> anyhow::Result<Vec<anyhow::Result<Ran>>> {
    let market = Market::new(Arc::clone(panel), from_ms, to_ms, terms)?;
    let each = market.runs(strategies).into_iter();
    Ok(each.map(|run| Ok(Ran::held(&run?, panel, from_ms, terms.initial_capital))).collect())
}

/// Whether a market's candles of `[from_ms, to_ms)` may count as evidence, and why not.
pub(crate) fn fit_for_evidence(panel: &Panel, (from_ms, to_ms): (i64, i64), policy: &QualityPolicy) -> DataVerdict {
    let counted = panel.instruments().iter().filter(|i| i.excluded().is_none());
    let judged = counted.map(|i| Judged { symbol: &i.id().symbol, candles: i.candles(), finer: None });
    market_fit_for_evidence(panel.market(), panel.interval(), (from_ms, to_ms), judged, policy)
}

/// The run's market.
///
/// # Errors
/// Where the run is none of a strategy that ranks the market.
pub(crate) fn ranked_of(config: &RunConfig) -> anyhow::Result<&RankedMarket> {
    config.ranked.as_ref().context("its run does not say which market it ranks")
}
