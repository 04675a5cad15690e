//! On what terms strategies trade: the capital they begin with, what trading costs them, and at which price orders fill.
//!
//! Told with each evaluation: an engine serves any terms. Knows no strategy.

use super::Costs;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// At which price an order fills that a rule gives at a candle's close.
///
/// Search, evidence and paper trading know the next open alone. [`FillOn::Close`] is for backtests that somebody asks for:
/// it is optimistic, since whoever waits for a close cannot trade at it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillOn {
    /// That at which the next candle opens.
    #[default]
    NextOpen,
    /// The very close at which the rule was evaluated.
    Close,
}

impl FillOn {
    /// The name in options, requests and what is stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NextOpen => "next_open",
            Self::Close => "close",
        }
    }

    /// Whether it is what everything but a backtest on request has: that is not said, so that what was stored before there
    /// was a choice is the same text.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for FillOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FillOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::NextOpen, Self::Close];
        let found = all.into_iter().find(|fill_on| fill_on.name() == text);
        found.ok_or_else(|| format!("{text:?} is no price that orders fill at; next_open and close are"))
    }
}

/// Capital, costs and fills of a backtest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Capital at the start of a window, in quote units, split evenly over the symbols.
    pub initial_capital: f64,
    /// What trading costs.
    pub costs: Costs,
    /// At which price orders of rules fill.
    pub fill_on: FillOn,
}

impl Default for Terms {
    /// 10,000 quote units; costs as by default; fills at the next open.
    fn default() -> Self {
        Self { initial_capital: 10_000.0, costs: Costs::default(), fill_on: FillOn::NextOpen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_by_their_names() {
        for fill_on in [FillOn::NextOpen, FillOn::Close] {
            assert_eq!(fill_on.to_string().parse(), Ok(fill_on));
            assert_eq!(serde_json::to_string(&fill_on).unwrap(), format!("\"{fill_on}\""));
        }
        assert!("Close".parse::<FillOn>().unwrap_err().contains("next_open and close are"));
    }
}
