//! The points of an optimisation, evaluated as a population: columns and conditions are computed once for all of them.
//!
//! Works on the threads of whoever calls. Chooses nothing and stores nothing.

use super::{Batch, Figures, Measured, Point, Space};
use engine::{Engine, Terms, Wanted, Window};
use evidence::robustness::Run as Days;
use genome::Strategy;
use genome::variation::{Parameter, with_parameters};

/// Strategies that are evaluated at once: each keeps its trades until its days are counted.
const TOGETHER: usize = 256;

/// What evaluates points.
#[derive(Debug)]
pub struct Points {
    /// What runs them.
    pub engine: Engine,
    /// Whose numbers are varied.
    pub strategy: Strategy,
    /// Its numbers.
    pub parameters: Vec<Parameter>,
    /// On what.
    pub window: Window,
    /// Capital and costs.
    pub terms: Terms,
}

impl Points {
    /// The strategy that a point is.
    ///
    /// # Errors
    /// When its values together make none.
    pub fn strategy(&self, space: &Space, point: &Point) -> Result<Strategy, String> {
        let named = space.named(point);
        let find = |name: &str| {
            let found = self.parameters.iter().find(|p| p.name == name);
            found.ok_or_else(|| format!("the strategy has no number {name}"))
        };
        let values = named.iter().map(|(name, value)| Ok((find(name)?, *value))).collect::<Result<Vec<_>, String>>()?;
        with_parameters(&self.strategy, &values).map_err(|e| e.to_string())
    }

    /// What the strategy as it stands came to.
    ///
    /// # Errors
    /// When it cannot be evaluated on these candles.
    pub fn itself(&self) -> Result<Measured, String> {
        self.measure(std::slice::from_ref(&self.strategy)).pop().unwrap_or_else(|| Err("no result".to_owned()))
    }

    /// What the points of a batch came to, in their order.
    #[must_use]
    pub fn evaluate(&self, space: &Space, batch: &Batch) -> Vec<Result<Measured, String>> {
        let made: Vec<Result<Strategy, String>> =
            batch.points.iter().map(|point| self.strategy(space, point)).collect();
        let sound: Vec<Strategy> = made.iter().filter_map(|made| made.as_ref().ok().cloned()).collect();
        let mut measured = sound.chunks(TOGETHER).flat_map(|part| self.measure(part));
        made.into_iter()
            .map(|made| made.and_then(|_| measured.next().unwrap_or_else(|| Err("no result".to_owned()))))
            .collect()
    }

    fn measure(&self, strategies: &[Strategy]) -> Vec<Result<Measured, String>> {
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcomes = self.engine.evaluate(strategies, &self.window, &self.terms, wanted);
        let of = |outcome: Result<engine::Outcome, engine::EvaluationError>| {
            let outcome = outcome.map_err(|e| e.to_string())?;
            let days = Days::of(&outcome, self.window.from_ms());
            Ok(Measured {
                figures: Figures::from(&outcome.performance),
                daily_returns: outcome.daily_returns,
                trades_by_day: days.trades_by_day,
            })
        };
        outcomes.into_iter().map(of).collect()
    }
}
