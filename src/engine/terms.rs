//! On what terms strategies trade: the capital they begin with and what trading costs them.
//!
//! Told with each evaluation: an engine serves any terms. Knows no strategy.

use super::Costs;

/// Capital and costs of a backtest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Capital at the start of a window, in quote units, split evenly over the symbols.
    pub initial_capital: f64,
    /// What trading costs.
    pub costs: Costs,
}

impl Default for Terms {
    /// 10,000 quote units; costs as by default.
    fn default() -> Self {
        Self { initial_capital: 10_000.0, costs: Costs::default() }
    }
}
