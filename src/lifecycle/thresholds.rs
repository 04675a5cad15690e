//! The limits that the gates compare evidence with: every key, its unit, its bounds. Decides nothing.

use serde::{Deserialize, Serialize};

/// Which gate decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// [`ProtocolGate`](super::ProtocolGate): evidence that luck cannot fake.
    #[default]
    Protocol,
    /// [`ThresholdGate`](super::ThresholdGate): fixed limits on profit factor and its like, which luck passes often.
    Thresholds,
}

/// Limits of [`ProtocolGate`](super::ProtocolGate) and [`ThresholdGate`](super::ThresholdGate). The unit is in each
/// name; ratios are annualised by sqrt(365).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Which gate decides.
    pub policy: Policy,
    /// Largest p-value of a search against null searches for its candidates to be tested whenever a test is free
    /// (protocol; fraction).
    pub max_p_value: f64,
    /// Least e-value over the hold-out (protocol; ratio).
    pub holdout_min_e_value: f64,
    /// Least e-value over the shadow run alone (protocol; ratio).
    pub shadow_min_e_value: f64,
    /// Share of what the hold-out promises for a whole shadow period (the growth of ln E) that shadow alone has to show,
    /// where that is more than `shadow_min_e_value` (fraction).
    pub shadow_promise_fraction: f64,
    /// E-value over the shadow run alone from which a profit factor above 1 does (protocol; ratio).
    pub shadow_waiver_e_value: f64,
    /// Least profit factor over the backtest window (ratio).
    pub candidate_min_profit_factor: f64,
    /// Least trades over the backtest window (count).
    pub candidate_min_trades: u32,
    /// Least annual Sharpe ratio, backtest and hold-out each (ratio).
    pub min_sharpe_ratio: f64,
    /// Least win rate, backtest and hold-out each (percent of trades).
    pub min_win_rate_percent: f64,
    /// Profit factor from which the win rate is not asked for (ratio).
    pub win_rate_waiver_profit_factor: f64,
    /// Largest drawdown in backtest, hold-out and shadow, each by itself (percent of the running peak).
    pub max_drawdown_percent: f64,
    /// Least profit factor over the hold-out (ratio).
    pub holdout_min_profit_factor: f64,
    /// Least trades over the hold-out (count).
    pub holdout_min_trades: u32,
    /// Winning trades from which a profit factor that is undefined because nothing was lost counts as met (count).
    pub lossless_min_winning_trades: u32,
    /// Least time in shadow, in market time (days).
    pub shadow_min_days: f64,
    /// Least trades that the strategy itself closed in shadow (count).
    pub shadow_min_closed_trades: u32,
    /// Least profit factor in shadow (ratio).
    pub shadow_min_profit_factor: f64,
    /// Time in shadow after which a strategy has failed whose e-value over the shadow run alone is below 1 (protocol;
    /// days).
    pub shadow_growth_days: f64,
    /// Time in shadow after which a strategy that has not passed has failed (days).
    pub shadow_max_days: f64,
    /// Profit factor below which a strategy fails in shadow before its time is up (ratio).
    pub shadow_fail_profit_factor: f64,
    /// Closed shadow trades before `shadow_fail_profit_factor` is applied (count).
    pub shadow_fail_min_closed_trades: u32,
    /// Drawdown since going live beyond which a strategy is demoted (percent of the running peak).
    pub live_demote_drawdown_percent: f64,
    /// Drawdown since going live beyond which a strategy is disabled (percent of the running peak).
    pub live_max_drawdown_percent: f64,
    /// How many of the newest closed trades the rolling profit factor looks at; it is not applied before (count).
    pub live_recent_trades: u32,
    /// Rolling profit factor below which a strategy is demoted (ratio).
    pub live_min_recent_profit_factor: f64,
    /// Demotions after which a broken limit disables instead of demoting (count).
    pub max_demotions: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            policy: Policy::Protocol,
            max_p_value: 0.05,
            holdout_min_e_value: 1.0,
            shadow_min_e_value: 5.0,
            shadow_promise_fraction: 0.5,
            shadow_waiver_e_value: 10.0,
            candidate_min_profit_factor: 1.5,
            candidate_min_trades: 50,
            min_sharpe_ratio: 1.0,
            min_win_rate_percent: 55.0,
            win_rate_waiver_profit_factor: 2.0,
            max_drawdown_percent: 25.0,
            holdout_min_profit_factor: 1.3,
            holdout_min_trades: 10,
            lossless_min_winning_trades: 10,
            shadow_min_days: 14.0,
            shadow_min_closed_trades: 10,
            shadow_min_profit_factor: 1.3,
            shadow_growth_days: 120.0,
            shadow_max_days: 180.0,
            shadow_fail_profit_factor: 0.8,
            shadow_fail_min_closed_trades: 30,
            live_demote_drawdown_percent: 15.0,
            live_max_drawdown_percent: 25.0,
            live_recent_trades: 40,
            live_min_recent_profit_factor: 0.8,
            max_demotions: 1,
        }
    }
}

/// A limit that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} {problem}")]
pub struct ThresholdError {
    /// The key at fault.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Thresholds {
    /// Whether every limit can be met and broken, and no two contradict each other.
    ///
    /// # Errors
    /// The first key that is out of bounds or contradicts another.
    pub fn validate(&self) -> Result<(), ThresholdError> {
        for (key, value, min, max) in [
            ("max_p_value", self.max_p_value, 0.0, 1.0),
            ("holdout_min_e_value", self.holdout_min_e_value, 0.0, 1e9),
            ("shadow_min_e_value", self.shadow_min_e_value, 0.0, 1e9),
            ("shadow_promise_fraction", self.shadow_promise_fraction, 0.0, 1.0),
            ("shadow_waiver_e_value", self.shadow_waiver_e_value, 0.0, 1e9),
            ("candidate_min_profit_factor", self.candidate_min_profit_factor, 0.0, 1e3),
            ("min_sharpe_ratio", self.min_sharpe_ratio, -1e3, 1e3),
            ("min_win_rate_percent", self.min_win_rate_percent, 0.0, 100.0),
            ("win_rate_waiver_profit_factor", self.win_rate_waiver_profit_factor, 0.0, 1e3),
            ("max_drawdown_percent", self.max_drawdown_percent, 0.0, 100.0),
            ("holdout_min_profit_factor", self.holdout_min_profit_factor, 0.0, 1e3),
            ("shadow_min_days", self.shadow_min_days, 0.0, 3650.0),
            ("shadow_min_profit_factor", self.shadow_min_profit_factor, 0.0, 1e3),
            ("shadow_growth_days", self.shadow_growth_days, 0.0, 3650.0),
            ("shadow_max_days", self.shadow_max_days, 0.0, 3650.0),
            ("shadow_fail_profit_factor", self.shadow_fail_profit_factor, 0.0, 1e3),
            ("live_demote_drawdown_percent", self.live_demote_drawdown_percent, 0.0, 100.0),
            ("live_max_drawdown_percent", self.live_max_drawdown_percent, 0.0, 100.0),
            ("live_min_recent_profit_factor", self.live_min_recent_profit_factor, 0.0, 1e3),
        ] {
            // Written so that NaN is refused too.
            if !(min..=max).contains(&value) {
                return Err(ThresholdError { key, problem: format!("must be {min} to {max}, not {value}") });
            }
        }
        for (key, value) in [
            ("candidate_min_trades", self.candidate_min_trades),
            ("holdout_min_trades", self.holdout_min_trades),
            ("lossless_min_winning_trades", self.lossless_min_winning_trades),
            ("shadow_min_closed_trades", self.shadow_min_closed_trades),
            ("live_recent_trades", self.live_recent_trades),
        ] {
            if value == 0 {
                return Err(ThresholdError { key, problem: "must be at least 1, not 0".into() });
            }
        }
        for (key, value, other, least) in [
            ("shadow_max_days", self.shadow_max_days, "shadow_min_days", self.shadow_min_days),
            (
                "shadow_min_profit_factor",
                self.shadow_min_profit_factor,
                "shadow_fail_profit_factor",
                self.shadow_fail_profit_factor,
            ),
            (
                "live_max_drawdown_percent",
                self.live_max_drawdown_percent,
                "live_demote_drawdown_percent",
                self.live_demote_drawdown_percent,
            ),
        ] {
            if value < least {
                let problem = format!("is {value}, but must not be below {other}, which is {least}");
                return Err(ThresholdError { key, problem });
            }
        }
        Ok(())
    }
}
