//! Candles that are all there, on which a strategy's whole life can be computed, for either form of strategy: the split, what
//! is asked of candidates before a test, the hold-out, and what strategies did since.

use super::ground::{Ground, MarketEvaluator, RankingGround};
use super::run::RunError;
use super::standing::{self, Did, Judged, UnderTest};
use super::standing_rankings;
use super::{Asked, Known, Named, Proposed, SeenUntil, Split, SplitPanel};
use candles::packed::PackedError;
use engine::{Engine, EvaluationError, Terms, Wanted, Window, WindowError};
use genome::{AnyStrategy, variation::RankingVariation};
use lifecycle::{PaperEvidence, Thresholds};
use models::Refits;
use portfolio::{Market, Panel, PortfolioTerms};
use search::evaluate_rules;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Candles of one kind of market.
pub trait World: Sync {
    /// What a session may look at and what it may not: `[from_ms, split_ms)` and `[split_ms, to_ms)`.
    ///
    /// # Errors
    /// When candles are missing.
    fn split(&self, from_ms: i64, split_ms: i64, to_ms: i64) -> Result<Box<dyn Halves + '_>, RunError>;

    /// What each strategy did in `[from_ms, to_ms)`, in order. `recent_trades` is how many of the newest closed trades are
    /// looked at by themselves, where strategies trade one by one.
    ///
    /// # Errors
    /// When candles are missing or a strategy cannot be evaluated.
    fn follow(
        &self,
        strategies: &[AnyStrategy],
        from_ms: i64,
        to_ms: i64,
        recent_trades: usize,
    ) -> Result<Vec<Followed>, RunError>;
}

/// What a strategy did on paper.
#[derive(Clone, Debug)]
pub struct Followed {
    /// For the gate.
    pub run: PaperEvidence,
    /// For its standing.
    pub did: Did,
}

/// Both sides of a split.
pub trait Halves: Send + Sync {
    /// What somebody who looked at all of the first has seen.
    fn seen_until(&self) -> SeenUntil;

    /// What the session searches.
    ///
    /// # Errors
    /// When it cannot be evaluated on.
    fn ground(&self) -> Result<Box<dyn Ground + '_>, RunError>;

    /// What null searches look at, as bytes for another machine ([`super::PackedGround`]).
    ///
    /// # Errors
    /// Where there is something that cannot be packed.
    fn packed(&self) -> Result<Vec<u8>, PackedError>;

    /// What the session itself searches, in the same form.
    ///
    /// # Errors
    /// Where there is something that cannot be packed.
    fn packed_own(&self) -> Result<Vec<u8>, PackedError>;

    /// What is asked of each strategy before a test of it is bought: of those found, and of those that were tested before.
    fn asked(&self, found: &[Proposed], known: &[Named], limits: &Thresholds) -> (Vec<Asked>, Vec<Known>);

    /// Measures strategies on both sides, or says why one cannot be.
    fn judge(&self, chosen: &[UnderTest]) -> Vec<Result<Judged, String>>;
}

/// Candles of some symbols, for strategies of rules.
pub struct RulesWorld<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// Capital, and what trading costs.
    pub terms: &'a Terms,
    /// The candles that open in a range, with warm-up before it.
    pub cut: &'a (dyn Fn(i64, i64) -> Result<Window, WindowError> + Sync),
    /// The models whose predictions the candles have.
    pub refits: Option<Arc<Refits>>,
}

/// Both sides of a split of candles, for strategies of rules. The engine is borrowed or shared.
#[derive(Debug)]
pub struct RulesHalves<E> {
    split: Split,
    engine: E,
    terms: Terms,
}

impl<E> RulesHalves<E> {
    pub(super) const fn parts(&self) -> (&Split, Terms) {
        (&self.split, self.terms)
    }
}

impl<E: Deref<Target = Engine> + Send + Sync> RulesHalves<E> {
    /// Evaluated by an engine, on terms.
    pub const fn new(split: Split, engine: E, terms: Terms) -> Self {
        Self { split, engine, terms }
    }
}

impl World for RulesWorld<'_> {
    fn split(&self, from_ms: i64, split_ms: i64, to_ms: i64) -> Result<Box<dyn Halves + '_>, RunError> {
        let split = Split::cut(self.cut, from_ms, split_ms, to_ms)?.with_models(self.refits.as_ref());
        Ok(Box::new(RulesHalves::new(split, self.engine, *self.terms)))
    }

    fn follow(
        &self,
        strategies: &[AnyStrategy],
        from_ms: i64,
        to_ms: i64,
        recent_trades: usize,
    ) -> Result<Vec<Followed>, RunError> {
        let window = Arc::new((self.cut)(from_ms, to_ms)?);
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let followed = |outcome: Result<engine::Outcome, EvaluationError>| {
            let outcome = outcome?;
            let run = PaperEvidence::of(&outcome, from_ms, to_ms, recent_trades);
            Ok(Followed { run, did: Did::Traded(outcome.ledger.unwrap_or_default(), Arc::clone(&window)) })
        };
        let outcomes = evaluate_rules(self.engine, strategies, &window, self.terms, wanted);
        outcomes.into_iter().map(followed).collect()
    }
}

impl<E: Deref<Target = Engine> + Send + Sync> Halves for RulesHalves<E> {
    fn seen_until(&self) -> SeenUntil {
        self.split.searchable.seen_until()
    }

    fn ground(&self) -> Result<Box<dyn Ground + '_>, RunError> {
        Ok(Box::new(self.split.searchable.ground(&self.engine, &self.terms)))
    }

    fn packed(&self) -> Result<Vec<u8>, PackedError> {
        self.packed_ground(false)
    }

    fn packed_own(&self) -> Result<Vec<u8>, PackedError> {
        self.packed_ground(true)
    }

    fn asked(&self, found: &[Proposed], known: &[Named], limits: &Thresholds) -> (Vec<Asked>, Vec<Known>) {
        standing::asked((found, known), &self.split.searchable, (&self.engine, &self.terms), limits)
    }

    fn judge(&self, chosen: &[UnderTest]) -> Vec<Result<Judged, String>> {
        standing::judge(chosen, (&self.split.searchable, &self.split.unseen), &self.engine, &self.terms)
    }
}

/// A whole market, for strategies that rank it.
pub struct RankingWorld<'a> {
    /// The market, all of it.
    pub panel: &'a Panel,
    /// Capital, costs and execution.
    pub terms: PortfolioTerms,
    /// What is bred.
    pub variation: &'a RankingVariation,
    /// The models whose predictions the market has.
    pub refits: Option<Arc<Refits>>,
}

/// Both sides of a split of a whole market, for strategies that rank it.
#[derive(Debug)]
pub struct RankingHalves {
    split: SplitPanel,
    terms: PortfolioTerms,
    variation: RankingVariation,
    /// What the search evaluates on, with what it remembers from one generation to the next.
    market: OnceLock<Arc<MarketEvaluator>>,
}

impl RankingHalves {
    /// Traded on terms; what is bred is as `variation` says.
    #[must_use]
    pub const fn new(split: SplitPanel, terms: PortfolioTerms, variation: RankingVariation) -> Self {
        Self { split, terms, variation, market: OnceLock::new() }
    }

    pub(super) const fn parts(&self) -> (&SplitPanel, PortfolioTerms, &RankingVariation) {
        (&self.split, self.terms, &self.variation)
    }
}

impl World for RankingWorld<'_> {
    fn split(&self, from_ms: i64, split_ms: i64, to_ms: i64) -> Result<Box<dyn Halves + '_>, RunError> {
        let split = SplitPanel::cut(self.panel, from_ms, split_ms, to_ms)?.with_models(self.refits.as_ref());
        Ok(Box::new(RankingHalves::new(split, self.terms, self.variation.clone())))
    }

    fn follow(
        &self,
        strategies: &[AnyStrategy],
        from_ms: i64,
        to_ms: i64,
        _recent_trades: usize,
    ) -> Result<Vec<Followed>, RunError> {
        let panel = self.panel.until(to_ms)?;
        let market = Market::new(&panel, from_ms, to_ms, self.terms)?;
        let briefs = standing_rankings::days_of(strategies, &market);
        let followed = |brief: Result<portfolio::Brief, String>| {
            let brief = brief.map_err(EvaluationError::Invalid)?;
            let run = PaperEvidence::held(&brief.performance, (from_ms, to_ms));
            Ok(Followed { run, did: Did::Held(brief.days) })
        };
        briefs.into_iter().map(followed).collect()
    }
}

impl Halves for RankingHalves {
    fn seen_until(&self) -> SeenUntil {
        self.split.searchable.seen_until()
    }

    fn ground(&self) -> Result<Box<dyn Ground + '_>, RunError> {
        let searchable = &self.split.searchable;
        let market = match self.market.get() {
            Some(market) => market,
            None => {
                let panel = Arc::clone(searchable.panel());
                let made = MarketEvaluator::new(panel, searchable.window_ms(), self.terms)?;
                self.market.get_or_init(|| Arc::new(made))
            }
        };
        Ok(Box::new(RankingGround::on(searchable, self.terms, &self.variation, Arc::clone(market))))
    }

    fn packed(&self) -> Result<Vec<u8>, PackedError> {
        self.packed_ground()
    }

    fn packed_own(&self) -> Result<Vec<u8>, PackedError> {
        self.packed_ground()
    }

    fn asked(&self, found: &[Proposed], known: &[Named], limits: &Thresholds) -> (Vec<Asked>, Vec<Known>) {
        standing_rankings::asked_rankings((found, known), &self.split.searchable, self.terms, limits)
    }

    fn judge(&self, chosen: &[UnderTest]) -> Vec<Result<Judged, String>> {
        standing_rankings::judge_rankings(chosen, &self.split, self.terms)
    }
}
