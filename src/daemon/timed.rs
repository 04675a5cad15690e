//! An evaluator with a watch: how long backtests take is for the metrics, never for the search.

use crate::engine::{EvaluationError, Outcome};
use crate::metrics;
use crate::search::Evaluator;
use genome::Strategy;
use std::time::Instant;

/// Evaluates as another does, and records the mean time of one backtest.
pub(super) struct Timed<E>(pub(super) E);

impl<E: Evaluator> Evaluator for Timed<E> {
    fn evaluate(&self, population: &[Strategy]) -> Vec<Result<Outcome, EvaluationError>> {
        let began = Instant::now();
        let outcomes = self.0.evaluate(population);
        if let Some(each) = u32::try_from(population.len()).ok().and_then(|count| began.elapsed().checked_div(count)) {
            metrics::BACKTEST_SECONDS.record(each);
        }
        outcomes
    }
}
