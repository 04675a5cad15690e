//! What the search sees of the market: results, never candles.

use engine::{Engine, EvaluationError, Outcome, Terms, Wanted, Window};
use genome::{AnyStrategy, Strategy};

/// Evaluates strategies on whatever the search may look at, and on nothing else.
pub trait Evaluator: Sync {
    /// One result a strategy, in order.
    ///
    /// Of a strategy that ranks the market, `daily_returns` are net of costs and of its hedge, and there are neither
    /// symbols nor stakes; what it is selected by comes from these returns.
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>>;
}

impl<T: Evaluator + ?Sized> Evaluator for Box<T> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        (**self).evaluate(population)
    }
}

/// Backtests over one window, of strategies of rules: to those that rank the market it says why not.
#[derive(Clone, Copy, Debug)]
pub struct WindowEvaluator<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// What the search may look at.
    pub window: &'a Window,
    /// Capital and costs.
    pub terms: &'a Terms,
}

impl Evaluator for WindowEvaluator<'_> {
    fn evaluate(&self, population: &[AnyStrategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let wanted = Wanted { per_symbol: true, ..Wanted::default() };
        evaluate_rules(self.engine, population, self.window, self.terms, wanted)
    }
}

/// Backtests of strategies of rules; one that ranks the market gets [`EvaluationError::Ranks`] in its place.
#[must_use]
pub fn evaluate_rules(
    engine: &Engine,
    strategies: &[AnyStrategy],
    window: &Window,
    terms: &Terms,
    wanted: Wanted,
) -> Vec<Result<Outcome, EvaluationError>> {
    let rules: Vec<Strategy> = strategies.iter().filter_map(|s| s.rules().cloned()).collect();
    let mut outcomes = engine.evaluate(&rules, window, terms, wanted).into_iter();
    let missing = || Err(EvaluationError::Panicked("the engine left a strategy out".to_owned()));
    let one = |strategy: &AnyStrategy| match strategy {
        AnyStrategy::Rules(_) => outcomes.next().unwrap_or_else(missing),
        AnyStrategy::Ranking(_) => Err(EvaluationError::Ranks),
    };
    strategies.iter().map(one).collect()
}
