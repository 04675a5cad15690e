//! Limits of the deployment manager: of all deployments together, of each phase, and of one deployment. Decides nothing.

use super::drift::named;
use serde::{Deserialize, Serialize};

/// How far a deployment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Phase {
    Initial,
    Growth,
    Full,
}
named!(Phase, "phase", Initial = "initial", Growth = "growth", Full = "full");

impl Phase {
    /// The one after it; phases are gone through in order.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Initial => Some(Self::Growth),
            Self::Growth => Some(Self::Full),
            Self::Full => None,
        }
    }
}

/// Whether a deployment trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DeploymentStatus {
    Active,
    Paused,
    Deactivated,
}
named!(DeploymentStatus, "status", Active = "active", Paused = "paused", Deactivated = "deactivated");

/// Limits of the deployment manager.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllocationPolicy {
    /// All active deployments together, at most (percent of capital).
    pub max_total_pct: f64,
    /// Least and most in phase `initial` (percent of capital).
    pub initial_pct: [f64; 2],
    /// The same in phase `growth`.
    pub growth_pct: [f64; 2],
    /// The same in phase `full`.
    pub full_pct: [f64; 2],
    /// Live days from which a deployment may grow (count).
    pub growth_min_days: u32,
    /// Live trades from which it may (count).
    pub growth_min_trades: u32,
    /// Live days from which it may have its full share (count).
    pub full_min_days: u32,
    /// Live trades from which it may (count).
    pub full_min_trades: u32,
    /// Live profit factor below which it gets the least of its phase and does not grow (ratio).
    pub min_profit_factor: f64,
    /// Daily returns correlated above this share one allocation (correlation, 0 to 1).
    pub correlation_limit: f64,
    /// Common days below which a correlation is not known (count).
    pub correlation_min_days: u32,
    /// Share of the allocation that is left on a warning of drift (fraction).
    pub warning_fraction: f64,
    /// Share that is left while a symbol's volatility is high (fraction).
    pub high_volatility_fraction: f64,
    /// For how long drift or an extreme regime pauses a deployment before it is looked at again (hours).
    pub pause_hours: u32,
    /// Share of what growth asks for that a live book gets: fractional Kelly (fraction).
    pub book_kelly_fraction: f64,
    /// How surely a book's growth is at least what that rests on (probability).
    pub book_confidence: f64,
    /// Largest fall of the capital within a year by a book alone, with 95 % (percent of the peak).
    pub book_max_drawdown_pct: f64,
}

impl AllocationPolicy {
    /// Whether every limit makes sense, by itself and beside the others.
    ///
    /// # Errors
    /// The first key at fault and what is wrong with it.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        let ranges = [
            ("initial_pct", self.initial_pct, 0.01, self.growth_pct[0]),
            ("growth_pct", self.growth_pct, self.initial_pct[1], self.full_pct[0]),
            ("full_pct", self.full_pct, self.growth_pct[1], 100.0),
        ];
        for (key, [least, most], min, max) in ranges {
            if !((min..=max).contains(&least) && (least..=max).contains(&most)) {
                return Err((key, format!("must rise from phase to phase, 0.01 to 100, not {least} to {most}")));
            }
        }
        for (key, value, min, max) in [
            ("max_total_pct", self.max_total_pct, 0.01, 100.0),
            ("min_profit_factor", self.min_profit_factor, 0.0, 1e3),
            ("correlation_limit", self.correlation_limit, 0.0, 1.0),
            ("warning_fraction", self.warning_fraction, 0.0, 1.0),
            ("high_volatility_fraction", self.high_volatility_fraction, 0.0, 1.0),
            ("correlation_min_days", f64::from(self.correlation_min_days), 2.0, 1e4),
            ("growth_min_days", f64::from(self.growth_min_days), 1.0, 1e4),
            ("full_min_days", f64::from(self.full_min_days), f64::from(self.growth_min_days) + 1.0, 1e4),
            ("full_min_trades", f64::from(self.full_min_trades), f64::from(self.growth_min_trades) + 1.0, 1e6),
            ("growth_min_trades", f64::from(self.growth_min_trades), 1.0, 1e6),
            ("pause_hours", f64::from(self.pause_hours), 1.0, 1e4),
            ("book_kelly_fraction", self.book_kelly_fraction, 0.0, 1.0),
            ("book_confidence", self.book_confidence, 0.5, 0.999),
            ("book_max_drawdown_pct", self.book_max_drawdown_pct, 0.1, 100.0),
        ] {
            // Written so that NaN is refused too.
            if !(min..=max).contains(&value) {
                return Err((key, format!("must be {min} to {max}, not {value}")));
            }
        }
        Ok(())
    }

    /// Least and most of a phase, percent of capital.
    #[must_use]
    pub const fn range(&self, phase: Phase) -> [f64; 2] {
        match phase {
            Phase::Initial => self.initial_pct,
            Phase::Growth => self.growth_pct,
            Phase::Full => self.full_pct,
        }
    }

    /// Days and trades at which a phase begins, and those at which it has its most.
    pub(super) fn span(&self, phase: Phase) -> [(u32, u32); 2] {
        let (growth, full) =
            ((self.growth_min_days, self.growth_min_trades), (self.full_min_days, self.full_min_trades));
        match phase {
            Phase::Initial => [(0, 0), growth],
            Phase::Growth => [growth, full],
            Phase::Full => [full, (2 * full.0, 2 * full.1)],
        }
    }
}

/// Limits of one deployment, in the form in which they are stored with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RiskLimits {
    /// Largest position, percent of the deployment's capital.
    pub max_position_pct: f64,
    /// A day's loss from which it pauses (percent of its equity).
    pub max_daily_loss_pct: f64,
    /// A fall from its peak from which it pauses (percent of the peak).
    pub max_drawdown_pct: f64,
    /// Leverage beyond which it does not trade (ratio).
    pub max_leverage: f64,
}

impl Default for RiskLimits {
    /// As the schema has them.
    fn default() -> Self {
        Self { max_position_pct: 100.0, max_daily_loss_pct: 10.0, max_drawdown_pct: 25.0, max_leverage: 10.0 }
    }
}

impl RiskLimits {
    /// Which limit a day's return or a fall from the peak has broken (fractions, losses below 0), for people.
    #[must_use]
    pub fn broken_by(&self, last_return: Option<f64>, drawdown: Option<f64>) -> Option<String> {
        let lost = |name: &str, had: Option<f64>, limit: f64| {
            let percent = had.map(|fraction| -100.0 * fraction).filter(|percent| *percent > limit)?;
            Some(format!("stopped: {name} is {percent:.2} %, its limit {limit} %"))
        };
        lost("the loss of the last day", last_return, self.max_daily_loss_pct)
            .or_else(|| lost("the fall from its peak", drawdown, self.max_drawdown_pct))
    }
}
