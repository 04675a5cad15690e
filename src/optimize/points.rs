//! The points of an optimisation, evaluated as a population: what several of them look at is computed once for all of them.
//!
//! Works on the threads of whoever calls. Chooses nothing and stores nothing.

use super::{Figures, Measured, Point, Space};
use candles::packed::PackedError;
use engine::{Engine, EvaluationError, Outcome, Terms, Wanted, Window};
use evidence::robustness::Run as Days;
use genome::variation::{Parameter, with_any_parameters};
use genome::{AnyStrategy, Ranking};
use portfolio::{Market, Panel};
use std::{fmt::Debug, sync::Arc};

/// Strategies that are evaluated at once: each keeps its trades until its days are counted.
const TOGETHER: usize = 256;
/// Points after which whoever wants to stop is heard: few seconds, and enough to share what they look at.
const BETWEEN_STOPS: usize = 64;

/// What strategies are measured on.
pub trait Ground: Debug + Send + Sync {
    /// What each strategy came to, in their order, or why it cannot be evaluated.
    fn measure(&self, strategies: &[AnyStrategy]) -> Vec<Result<Measured, String>>;

    /// All of it as bytes for another machine, which [`super::unpacked`] reads.
    ///
    /// # Errors
    /// Where something is among it that is not packed.
    fn packed(&self) -> Result<Vec<u8>, PackedError>;
}

/// Candles of some symbols, for strategies of rules.
#[derive(Debug)]
pub struct SymbolsGround {
    /// What runs them.
    pub engine: Arc<Engine>,
    /// On what.
    pub window: Window,
    /// Capital and costs.
    pub terms: Terms,
}

impl SymbolsGround {
    fn measured(&self, outcome: Result<Outcome, EvaluationError>) -> Result<Measured, String> {
        let outcome = outcome.map_err(|e| e.to_string())?;
        let days = Days::of(&outcome, self.window.from_ms());
        Ok(Measured {
            figures: Figures::from(&outcome.performance),
            daily_returns: outcome.daily_returns,
            trades_by_day: days.trades_by_day,
        })
    }
}

impl Ground for SymbolsGround {
    fn measure(&self, strategies: &[AnyStrategy]) -> Vec<Result<Measured, String>> {
        let wanted = Wanted { ledger: true, ..Wanted::default() };
        let outcomes = |part| search::evaluate_rules(&self.engine, part, &self.window, &self.terms, wanted);
        strategies.chunks(TOGETHER).flat_map(outcomes).map(|outcome| self.measured(outcome)).collect()
    }

    fn packed(&self) -> Result<Vec<u8>, PackedError> {
        self.bytes()
    }
}

/// A whole market, for strategies that rank it: by their hedged daily returns; a trade is a name's stay in one leg.
#[derive(Debug)]
pub struct MarketGround {
    /// On what, and on which terms.
    pub market: Market<Arc<Panel>>,
}

impl Ground for MarketGround {
    fn measure(&self, strategies: &[AnyStrategy]) -> Vec<Result<Measured, String>> {
        let rankings: Vec<&Ranking> = strategies.iter().filter_map(AnyStrategy::ranking).collect();
        let mut found = self.market.measure(&rankings).into_iter();
        let one = |strategy: &AnyStrategy| match strategy {
            AnyStrategy::Rules(_) => Err(EvaluationError::Rules.to_string()),
            AnyStrategy::Ranking(_) => {
                let measured = found.next().ok_or("no result")?.map_err(|e| e.to_string())?;
                Ok(Measured {
                    figures: Figures::from(&measured),
                    daily_returns: measured.outcome.daily_returns,
                    trades_by_day: measured.entered,
                })
            }
        };
        strategies.iter().map(one).collect()
    }

    fn packed(&self) -> Result<Vec<u8>, PackedError> {
        self.bytes()
    }
}

/// What evaluates points.
#[derive(Debug)]
pub struct Points {
    /// On what; it must be one for strategies of this form.
    pub ground: Arc<dyn Ground>,
    /// Whose numbers are varied.
    pub strategy: AnyStrategy,
    /// Its numbers.
    pub parameters: Vec<Parameter>,
}

impl Points {
    /// The strategy that a point is.
    ///
    /// # Errors
    /// When its values together make none.
    pub fn strategy(&self, space: &Space, point: &Point) -> Result<AnyStrategy, String> {
        let named = space.named(point);
        let find = |name: &str| {
            let found = self.parameters.iter().find(|p| p.name == name);
            found.ok_or_else(|| format!("the strategy has no number {name}"))
        };
        let values = named.iter().map(|(name, value)| Ok((find(name)?, *value))).collect::<Result<Vec<_>, String>>()?;
        with_any_parameters(&self.strategy, &values).map_err(|e| e.to_string())
    }

    /// What the strategy as it stands came to.
    ///
    /// # Errors
    /// When it cannot be evaluated on these candles.
    pub fn itself(&self) -> Result<Measured, String> {
        let one = self.ground.measure(std::slice::from_ref(&self.strategy)).pop();
        one.unwrap_or_else(|| Err("no result".to_owned()))
    }

    /// What points came to, in their order.
    #[must_use]
    pub fn evaluate(&self, space: &Space, points: &[Point]) -> Vec<Result<Measured, String>> {
        let made: Vec<Result<AnyStrategy, String>> = points.iter().map(|point| self.strategy(space, point)).collect();
        let sound: Vec<AnyStrategy> = made.iter().filter_map(|made| made.as_ref().ok().cloned()).collect();
        let mut measured = self.ground.measure(&sound).into_iter();
        made.into_iter()
            .map(|made| made.and_then(|_| measured.next().unwrap_or_else(|| Err("no result".to_owned()))))
            .collect()
    }
    /// The same a few points at a time; `None` where `stop` says so in between.
    #[must_use]
    pub fn evaluate_until(
        &self,
        space: &Space,
        points: &[Point],
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<Result<Measured, String>>> {
        let mut found = Vec::with_capacity(points.len());
        for some in points.chunks(BETWEEN_STOPS) {
            if stop() {
                return None;
            }
            found.extend(self.evaluate(space, some));
        }
        Some(found)
    }
}
