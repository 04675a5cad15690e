//! On what terms a portfolio trades: capital, costs, and how orders meet the market.
//!
//! The definitions fix the plainest terms ([`Execution::default`]); [`Execution::realistic`] are those of paper runs.

pub use engine::Execution;
use engine::{Costs, FillOn};
use serde::{Deserialize, Serialize};

/// Capital, costs and execution of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortfolioTerms {
    /// Capital at the start, quote units.
    pub initial_capital: f64,
    /// Fee, slippage, and what an end of an instrument costs; the margin is that of `execution`.
    pub costs: Costs,
    /// How orders meet the market.
    pub execution: Execution,
    /// At which price orders fill; not said where it is the next open.
    #[serde(default, skip_serializing_if = "FillOn::is_default")]
    pub fill_on: FillOn,
}

impl Default for PortfolioTerms {
    /// 10,000 quote units, costs as by default, fills at the next open.
    fn default() -> Self {
        Self {
            initial_capital: 10_000.0,
            costs: Costs::default(),
            execution: Execution::default(),
            fill_on: FillOn::NextOpen,
        }
    }
}

/// How portfolios trade, where no option says otherwise. What that costs is by venue, as for all strategies.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortfolioConfig {
    /// How orders meet the market in paper runs.
    pub execution: Execution,
}

impl PortfolioTerms {
    /// Checks that the numbers can be a market's.
    ///
    /// # Errors
    /// The first value out of bounds, by name.
    pub fn validate(&self) -> Result<(), String> {
        self.costs.validate()?;
        if self.fill_on == FillOn::Close && self.execution.delay_candles > 0 {
            let delay = self.execution.delay_candles;
            return Err(format!(
                "fill_on close and execution.delay_candles {delay} contradict each other: an order that comes late cannot \
                 fill at the close of its decision"
            ));
        }
        let e = &self.execution;
        for (name, value, most) in [
            ("execution.frozen_exit_fraction", e.frozen_exit_fraction, 1.0),
            ("execution.maintenance_margin_fraction", e.maintenance_margin_fraction, 1.0),
            ("execution.borrow_rate_per_year", e.borrow_rate_per_year, 100.0),
            ("execution.greatest_gross", e.greatest_gross, 100.0),
            ("execution.greatest_one_sided_gross", e.greatest_one_sided_gross, 100.0),
            ("execution.least_notional", e.least_notional, 1e12),
            ("execution.lot_notional", e.lot_notional, 1e12),
        ] {
            if !(0.0..=most).contains(&value) {
                return Err(format!("{name} must be 0 to {most}, not {value}"));
            }
        }
        if self.initial_capital.is_finite() && self.initial_capital > 0.0 {
            Ok(())
        } else {
            Err(format!("initial_capital must be above 0, not {}", self.initial_capital))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_terms_are_named() {
        assert!(PortfolioTerms::default().validate().is_ok());
        let real = PortfolioTerms { execution: Execution::realistic(), ..PortfolioTerms::default() };
        assert!(real.validate().is_ok());
        let wrong = PortfolioTerms { execution: Execution { frozen_exit_fraction: 2.0, ..real.execution }, ..real };
        assert!(wrong.validate().unwrap_err().contains("frozen_exit_fraction must be 0 to 1"));
        assert!(PortfolioTerms { initial_capital: f64::NAN, ..real }.validate().is_err());
        let late = PortfolioTerms { fill_on: FillOn::Close, ..real };
        assert!(late.validate().unwrap_err().contains("execution.delay_candles 1 contradict"));
        assert!(PortfolioTerms { fill_on: FillOn::Close, ..PortfolioTerms::default() }.validate().is_ok());
    }
}
