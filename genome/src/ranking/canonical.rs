//! The check that a ranking strategy can be, and its one form.

use super::{Form, Ranking, Universe, Weights};
use crate::canonical::{check_count, invalid, within};
use crate::{InvalidStrategy, Timeframe, bounds};

impl Ranking {
    /// The canonical form of this strategy; one strategy, however written, has one.
    ///
    /// # Errors
    /// What makes it invalid: a number out of its bounds, an expression that cannot be, a score that means something
    /// else for every coin, a clock that is not made of whole candles.
    pub fn canonical(mut self) -> Result<Self, InvalidStrategy> {
        self.universe.check()?;
        self.score = self.score.canonical(self.timeframe).or_else(|problem| invalid("score", problem))?;
        self.score.check_score().or_else(|problem| invalid("score", problem))?;
        check_clock(self.timeframe, self.rebalance)?;
        self.weights.check()?;
        if !within(self.gross, bounds::GROSS) {
            let most = bounds::GROSS;
            return invalid("gross", format!("must be above 0 and at most {most} times equity, not {}", self.gross));
        }
        Ok(self)
    }

    /// Whether the strategy is valid and in canonical form.
    #[must_use]
    pub fn is_canonical(&self) -> bool {
        self.clone().canonical().as_ref() == Ok(self)
    }

    /// Checks the strategy without changing it.
    ///
    /// # Errors
    /// As [`Ranking::canonical`].
    pub fn validate(&self) -> Result<(), InvalidStrategy> {
        self.clone().canonical().map(|_| ())
    }
}

impl Universe {
    /// Checks the bounds.
    pub(crate) fn check(&self) -> Result<(), InvalidStrategy> {
        check_count("universe.top", self.top, bounds::UNIVERSE_TOP)?;
        check_count("universe.volume_days", self.volume_days, bounds::UNIVERSE_DAYS)?;
        let (_, most) = bounds::UNIVERSE_DAYS;
        check_count("universe.listed_days", self.listed_days, (0, most))
    }
}

fn check_clock(base: Timeframe, rebalance: Timeframe) -> Result<(), InvalidStrategy> {
    if base.is_multiple(rebalance) {
        return Ok(());
    }
    let problem = format!("{rebalance} candles are not made of whole {base} candles, at whose closes scores are known");
    invalid("rebalance", problem)
}

impl Weights {
    fn check(&self) -> Result<(), InvalidStrategy> {
        if let Form::TopBottom { top_pct, bottom_pct } = self.form {
            for (field, share) in [("weights.top", Some(top_pct)), ("weights.bottom", bottom_pct)] {
                if let Some(share) = share
                    && !within(share, 100.0)
                {
                    return invalid(field, format!("must be above 0% and at most 100% of the members, not {share}%"));
                }
            }
            if bottom_pct.is_none() && !self.long_only {
                let problem = "`top` without `bottom` leaves the short leg empty; give `bottom` or `long only`";
                return invalid("weights.top", problem);
            }
        }
        if let Some(returns) = self.inverse_volatility {
            check_count("weights.inverse_volatility", returns, bounds::WEIGHT_RETURNS)?;
        }
        if let Some(returns) = self.beta_neutral {
            check_count("weights.beta_neutral", returns, bounds::WEIGHT_RETURNS)?;
        }
        check_count("weights.smooth", self.smooth, bounds::SMOOTH)?;
        for (field, fraction, most) in
            [("weights.cap", self.cap, bounds::WEIGHT_CAP), ("weights.band", self.band, bounds::WEIGHT_BAND)]
        {
            if let Some(fraction) = fraction
                && !within(fraction, most)
            {
                return invalid(field, format!("must be above 0 and at most {most} of equity, not {fraction}"));
            }
        }
        Ok(())
    }
}
