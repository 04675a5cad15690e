//! What a session searches, for either form of strategy: candles that end at the split, how strategies are evaluated on
//! them, and the null markets that go with them.
//!
//! Hands out no candle that the search may not look at.

use super::null::null_window;
use super::null_panel::{NullKind, NullPanelError, null_panel};
use super::refits::{null_refits, panel_beside, window_beside};
use super::{Searchable, SearchablePanel, SeenUntil};
use engine::{Engine, EvaluationError, Outcome, SymbolWindow, Terms, Window, WindowError};
use genome::variation::RankingVariation;
use genome::{AnyStrategy, Ranking, StrategyForm, random::Seed};
use models::RefitError;
use portfolio::{Market, Panel, PortfolioTerms, RunError};
use search::{Evaluator, WindowEvaluator};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Kinds of null market that searches of strategies of a form are compared with, each with as many searches and a p-value of
/// its own. Sign-flipped and shuffled markets of rules take turns, and are one kind.
#[must_use]
pub const fn null_kinds(form: StrategyForm) -> u32 {
    match form {
        StrategyForm::Rules => 1,
        StrategyForm::Ranking => 2,
    }
}

/// What a session searches.
pub trait Ground: Sync + Debug {
    /// Form of the strategies that can be evaluated on it.
    fn form(&self) -> StrategyForm;

    /// From when on strategies trade, UTC ms.
    fn trades_from_ms(&self) -> i64;

    /// What somebody who looked at all of it has seen.
    fn seen_until(&self) -> SeenUntil;

    /// Whether these candles have something that null markets lack, so that what is compared with them needs a search of
    /// its own.
    fn has_more_than_nulls(&self) -> bool;

    /// Kinds of null market; null search k is of kind k modulo these. Each kind has its p-value, and the worst counts.
    fn null_kinds(&self) -> u32;

    /// Backtests on it.
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>>;

    /// Backtests on null market number `null`, or without a number on the real one less what null markets lack.
    ///
    /// # Errors
    /// Where candles are such that their null would have prices that are none.
    fn compared(&self, seed: Seed, null: Option<u32>) -> Result<Box<dyn Compared + '_>, NoNull>;
}

/// Candles that a search is compared on.
pub trait Compared: Evaluator + Send + Debug {}
impl<T: Evaluator + Send + Debug> Compared for T {}

/// Why there is nothing to compare a search with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NoNull {
    #[error(transparent)]
    Window(#[from] WindowError),
    #[error(transparent)]
    Panel(#[from] NullPanelError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("a null market has no models: {0}")]
    Models(#[from] RefitError),
}

/// Candles of some symbols, for strategies of rules.
#[derive(Clone, Copy, Debug)]
pub struct RulesGround<'a> {
    market: &'a Searchable,
    engine: &'a Engine,
    terms: &'a Terms,
}

impl Searchable {
    /// What a session of rules searches.
    #[must_use]
    pub const fn ground<'a>(&'a self, engine: &'a Engine, terms: &'a Terms) -> RulesGround<'a> {
        RulesGround { market: self, engine, terms }
    }
}

impl Ground for RulesGround<'_> {
    fn form(&self) -> StrategyForm {
        StrategyForm::Rules
    }

    fn trades_from_ms(&self) -> i64 {
        self.market.window().from_ms()
    }

    fn seen_until(&self) -> SeenUntil {
        self.market.seen_until()
    }

    fn has_more_than_nulls(&self) -> bool {
        self.market.window().symbols().iter().any(|s| !s.finer.is_empty())
    }

    fn null_kinds(&self) -> u32 {
        null_kinds(StrategyForm::Rules)
    }

    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        WindowEvaluator { engine: self.engine, window: self.market.window(), terms: self.terms }.evaluate(population)
    }

    fn compared(&self, seed: Seed, null: Option<u32>) -> Result<Box<dyn Compared + '_>, NoNull> {
        let real = self.market.window();
        let window = match null {
            Some(number) => {
                let seed = seed.child("null market", u64::from(number));
                let null = null_window(real, seed, u64::from(number))?;
                match self.market.refits() {
                    Some(refits) => window_beside(&null, &null_refits(refits, seed)?)?,
                    None => null,
                }
            }
            None => {
                let plain = real.symbols().iter().map(|s| SymbolWindow { finer: Vec::new(), ..s.clone() });
                Window::new(real.from_ms(), real.to_ms(), plain.collect())?
            }
        };
        Ok(Box::new(OwnWindow { engine: self.engine, window, terms: self.terms }))
    }
}

#[derive(Debug)]
struct OwnWindow<'a> {
    engine: &'a Engine,
    window: Window,
    terms: &'a Terms,
}

impl Evaluator for OwnWindow<'_> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        WindowEvaluator { engine: self.engine, window: &self.window, terms: self.terms }.evaluate(population)
    }
}

/// A whole market, for strategies that rank it.
#[derive(Debug)]
pub struct RankingGround<'a> {
    searchable: &'a SearchablePanel,
    terms: PortfolioTerms,
    market: Arc<MarketEvaluator>,
    variation: &'a RankingVariation,
}

impl<'a> RankingGround<'a> {
    /// What a session of ranking strategies searches, bred as `variation` says.
    ///
    /// # Errors
    /// Where the terms are impossible or nothing lies in the window.
    pub fn new(
        searchable: &'a SearchablePanel,
        terms: PortfolioTerms,
        variation: &'a RankingVariation,
    ) -> Result<Self, RunError> {
        let market = MarketEvaluator::new(Arc::clone(searchable.panel()), searchable.window_ms(), terms)?;
        Ok(Self::on(searchable, terms, variation, Arc::new(market)))
    }

    /// The same with an evaluator of that window, which may remember columns of earlier generations.
    pub(super) const fn on(
        searchable: &'a SearchablePanel,
        terms: PortfolioTerms,
        variation: &'a RankingVariation,
        market: Arc<MarketEvaluator>,
    ) -> Self {
        Self { searchable, terms, market, variation }
    }
}

/// Backtests on null market number `number` of what a search looks at that breeds as `variation` says: even ones lack the
/// order in time, odd ones which name is which. Where it is to be `lasting`, even ones are mirrored instead: with the same
/// seed and later candles it is the same as far as it went.
///
/// # Errors
/// Where candles are such that their null would have prices that are none.
pub fn null_market(
    searchable: &SearchablePanel,
    terms: PortfolioTerms,
    variation: &RankingVariation,
    seed: Seed,
    (number, lasting): (u32, bool),
) -> Result<MarketEvaluator, NoNull> {
    let panel = searchable.panel();
    let kind = if number.is_multiple_of(2) {
        if lasting { NullKind::Mirrored } else { NullKind::Time }
    } else {
        let shortest = variation.rebalance.iter().filter_map(|clock| clock.fixed_ms()).min();
        let block_ms = shortest.or(panel.interval().fixed_ms()).unwrap_or(1);
        let top = variation.universe_top.iter().copied().max().unwrap_or(0);
        NullKind::Names { block_ms, universe: variation.universe(top) }
    };
    let seed = seed.child("null market", u64::from(number));
    let mut null = null_panel(panel, kind, seed)?;
    if let Some(refits) = searchable.refits() {
        null = panel_beside(&null, &null_refits(refits, seed)?)?;
    }
    Ok(MarketEvaluator::new(Arc::new(null), searchable.window_ms(), terms)?)
}

impl Ground for RankingGround<'_> {
    fn form(&self) -> StrategyForm {
        StrategyForm::Ranking
    }

    fn trades_from_ms(&self) -> i64 {
        self.searchable.window_ms().0
    }

    fn seen_until(&self) -> SeenUntil {
        self.searchable.seen_until()
    }

    fn has_more_than_nulls(&self) -> bool {
        false
    }

    fn null_kinds(&self) -> u32 {
        null_kinds(StrategyForm::Ranking)
    }

    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        self.market.evaluate(population)
    }

    fn compared(&self, seed: Seed, null: Option<u32>) -> Result<Box<dyn Compared + '_>, NoNull> {
        let Some(number) = null else {
            let (panel, window_ms) = (Arc::clone(self.searchable.panel()), self.searchable.window_ms());
            return Ok(Box::new(MarketEvaluator::new(panel, window_ms, self.terms)?));
        };
        Ok(Box::new(null_market(self.searchable, self.terms, self.variation, seed, (number, false))?))
    }
}

/// Backtests over a window of a panel, of strategies that rank the market: to those of rules it says why not.
#[derive(Debug)]
pub struct MarketEvaluator {
    market: Market<Arc<Panel>>,
}

impl MarketEvaluator {
    /// Over the slots that open in a window, UTC ms, its end exclusive.
    ///
    /// # Errors
    /// Where the terms are impossible or the window is empty.
    pub fn new(panel: Arc<Panel>, (from_ms, to_ms): (i64, i64), terms: PortfolioTerms) -> Result<Self, RunError> {
        Ok(Self { market: Market::new(panel, from_ms, to_ms, terms)? })
    }

    fn guarded(&self, rankings: &[&Ranking]) -> Option<Vec<Result<Outcome, RunError>>> {
        // What a market remembers is whole even where a strategy panicked beside it.
        catch_unwind(AssertUnwindSafe(|| self.market.evaluate(rankings))).ok()
    }
}

impl Evaluator for MarketEvaluator {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let rankings: Vec<&Ranking> = population.iter().filter_map(AnyStrategy::ranking).collect();
        let panicked = || EvaluationError::Panicked("the engine of ranking strategies".to_owned());
        let invalid = |error: RunError| EvaluationError::Invalid(error.to_string());
        let found = self.guarded(&rankings).unwrap_or_else(|| {
            // One strategy must not cost the others: each by itself.
            let one = |ranking: &&Ranking| self.guarded(&[*ranking]).and_then(|mut one| one.pop());
            rankings.iter().map(|r| one(r).unwrap_or(Err(RunError::Terms(panicked().to_string())))).collect()
        });
        let mut found = found.into_iter();
        let one = |strategy: &AnyStrategy| match strategy {
            AnyStrategy::Ranking(_) => found.next().map_or_else(|| Err(panicked()), |one| one.map_err(invalid)),
            AnyStrategy::Rules(_) => Err(EvaluationError::Rules),
        };
        population.iter().map(one).collect()
    }
}
