//! Population -> next population, as named steps. Pure: candles are behind [`Evaluator`].
//!
//! Never decides promotion, never stores, never reads a clock.

use crate::engine::{EvaluationError, Outcome};
use genome::Strategy;

/// Evaluates strategies on whatever the search may look at, and on nothing else.
pub trait Evaluator: Sync {
    /// One result a strategy, in order.
    fn evaluate(&self, population: &[Strategy]) -> Vec<Result<Outcome, EvaluationError>>;
}
