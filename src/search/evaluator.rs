//! What the search sees of the market: results, never candles.

use engine::{Engine, EvaluationError, Outcome, Terms, Wanted, Window};
use genome::Strategy;

/// Evaluates strategies on whatever the search may look at, and on nothing else.
pub trait Evaluator: Sync {
    /// One result a strategy, in order.
    fn evaluate(&self, population: &[Strategy]) -> Vec<Result<Outcome, EvaluationError>>;
}

/// Backtests over one window.
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
    fn evaluate(&self, population: &[Strategy]) -> Vec<Result<Outcome, EvaluationError>> {
        self.engine.evaluate(population, self.window, self.terms, Wanted { per_symbol: true, ..Wanted::default() })
    }
}
