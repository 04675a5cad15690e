//! On what terms a portfolio trades: capital, costs, and how orders meet the market.
//!
//! The definitions fix the plainest terms ([`Execution::default`]); [`Execution::realistic`] are those of paper runs.

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

/// How orders meet the market. What is 0 is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Execution {
    /// Candles that pass between a decision's close and the open at which its orders fill.
    pub delay_candles: u32,
    /// Further opens at which an order is tried that found no candle.
    pub retry_candles: u32,
    /// Orders of less than this are not sent, but for those that close a position; quote units.
    pub least_notional: f64,
    /// Units are whole multiples of the greatest power of ten that is worth no more than this, rounded toward 0; quote
    /// units. It stands for the lot sizes of exchanges.
    pub lot_notional: f64,
    /// Greatest sum of absolute weights; beyond it all are scaled down.
    pub greatest_gross: f64,
    /// The same where one leg is empty.
    pub greatest_one_sided_gross: f64,
    /// Equity below this share of what is held closes everything: liquidation.
    pub maintenance_margin_fraction: f64,
    /// Cost of what is sold short on spot, a year, as a fraction of its value.
    pub borrow_rate_per_year: f64,
    /// On spot, short targets only in so many members of the greatest quote volume; 0: in all.
    pub borrowable_members: u32,
    /// Share of the last close that is lost where an instrument ends, if more than `costs.delisting_fraction`.
    pub frozen_exit_fraction: f64,
}

impl Execution {
    /// What a trader should expect: a candle of delay, retries for a day of 4h candles, lots of a dollar, orders of ten,
    /// margin, borrow, and bad exits from coins that stand still.
    #[must_use]
    pub const fn realistic() -> Self {
        Self {
            delay_candles: 1,
            retry_candles: 6,
            least_notional: 10.0,
            lot_notional: 1.0,
            greatest_gross: 3.0,
            greatest_one_sided_gross: 0.5,
            maintenance_margin_fraction: 0.05,
            borrow_rate_per_year: 0.1,
            borrowable_members: 30,
            frozen_exit_fraction: 0.3,
        }
    }
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
