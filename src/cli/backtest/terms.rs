//! Terms that a backtest alone can have: fills at the close, a cap on slippage. Search, proof and paper trading never do.

use crate::cli::CliError;
use clap::Args;
use engine::{Costs, FillOn, MAX_SLIPPAGE_BPS, Terms};
use portfolio::PortfolioTerms;
use serde::Serialize;

/// What to say beside results that nobody can trade like.
const OPTIMISTIC: &str = "orders filled at the close at which their rule held, which nobody can trade at: not to be compared with other results";

/// Options of a backtest's terms.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct TermsArgs {
    /// Price at which orders fill: next_open, or close, that of the candle at which the rule held, which is optimistic
    #[arg(long, value_name = "PRICE", default_value_t = FillOn::NextOpen)]
    fill_on: FillOn,
    /// Most that slippage costs a fill, basis points of the price: what the model charges beyond it is cut [default: no cap]
    #[arg(long, value_name = "BPS", value_parser = cap)]
    max_slippage_bps: Option<f64>,
}

/// The terms as results name them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct TermsNames {
    fill_on: FillOn,
    max_slippage_bps: Option<f64>,
}

impl TermsArgs {
    /// These terms with the options.
    pub(super) fn of(&self, terms: Terms) -> Terms {
        Terms { costs: self.costs(terms.costs), fill_on: self.fill_on, ..terms }
    }

    /// The same for a strategy that ranks the market.
    ///
    /// # Errors
    /// When the options contradict the way in which its orders meet the market.
    pub(super) fn of_portfolio(&self, terms: PortfolioTerms) -> Result<PortfolioTerms, CliError> {
        let terms = PortfolioTerms { costs: self.costs(terms.costs), fill_on: self.fill_on, ..terms };
        if self.fill_on == FillOn::Close && terms.execution.delay_candles > 0 {
            return Err(CliError::Usage(
                "--fill-on close and --realistic contradict each other: orders of paper runs come late".into(),
            ));
        }
        Ok(terms)
    }

    fn costs(&self, costs: Costs) -> Costs {
        Costs { max_slippage_bps: self.max_slippage_bps, ..costs }
    }

    pub(super) const fn names(&self) -> TermsNames {
        TermsNames { fill_on: self.fill_on, max_slippage_bps: self.max_slippage_bps }
    }

    /// What a reader of the figures has to know, line by line.
    pub(super) fn remarks(&self) -> String {
        let optimistic = (self.fill_on == FillOn::Close).then(|| format!("# {OPTIMISTIC}\n"));
        let capped = self.max_slippage_bps.map(|bps| format!("# slippage of a fill is cut at {bps} basis points\n"));
        optimistic.into_iter().chain(capped).collect()
    }
}

fn cap(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected basis points such as 20".to_owned())?;
    if value > 0.0 && value <= MAX_SLIPPAGE_BPS {
        Ok(value)
    } else {
        Err(format!("must be above 0 and at most {MAX_SLIPPAGE_BPS}; --slippage-bps 0 takes slippage off"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_are_bounded() {
        assert_eq!(cap("20"), Ok(20.0));
        for wrong in ["0", "-1", "NaN", "inf", "5001", "x"] {
            assert!(cap(wrong).is_err(), "{wrong}");
        }
    }
}
