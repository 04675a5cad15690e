//! Ranking strategies as text that reads back as the same value.

use super::percent;
use crate::{Form, Number, Ranking, Universe, Weights};
use std::fmt::{self, Display, Formatter};

impl Display for Universe {
    /// `top 30 by quote_volume(30d), listed 60d`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "top {} by quote_volume({}d)", self.top, self.volume_days)?;
        if self.listed_days == 0 { Ok(()) } else { write!(f, ", listed {}d", self.listed_days) }
    }
}

impl Display for Weights {
    /// The form and what is not left at its default.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.form {
            Form::Linear => f.write_str("linear")?,
            Form::TopBottom { top_pct, bottom_pct } => {
                write!(f, "top {top_pct}%")?;
                if let Some(share) = bottom_pct {
                    write!(f, ", bottom {share}%")?;
                }
            }
        }
        if let Some(returns) = self.inverse_volatility {
            write!(f, ", inverse volatility({returns})")?;
        }
        if self.long_only {
            f.write_str(", long only")?;
        }
        let percent = |f: &mut Formatter<'_>, name: &str, fraction: Option<Number>| {
            fraction.map_or(Ok(()), |x| write!(f, ", {name} {}%", percent::from_fraction(x)))
        };
        percent(f, "cap", self.cap)?;
        if let Some(returns) = self.beta_neutral {
            write!(f, ", beta neutral({returns})")?;
        }
        if self.smooth != 1 {
            write!(f, ", smooth {}", self.smooth)?;
        }
        percent(f, "band", self.band)
    }
}

impl Display for Ranking {
    /// All clauses on one line.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { timeframe, universe, score, rebalance, weights, gross } = self;
        write!(f, "{timeframe}; universe {universe}; score {score}; rebalance {rebalance}; ")?;
        write!(f, "weights {weights}; gross {gross}")
    }
}
