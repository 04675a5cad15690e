//! Live against what backtest, hold-out and shadow let expect, in five figures. Records and recommends; demoting is the
//! gate's affair, whose detectors are calibrated.
//!
//! | type | observed | expected | drifts when |
//! |---|---|---|---|
//! | `sharpe` | annual Sharpe ratio of live days | that of hold-out and shadow, weighted by days | so many standard errors below, one of which is sqrt(365 (1 + s^2 / 2)(1/n + 1/m)), s the Sharpe ratio of a day |
//! | `return` | mean return of live days | that of hold-out and shadow, weighted by days | so many standard errors below, one of which is deviation x sqrt(1/n + 1/m) |
//! | `drawdown` | deepest live drawdown | deepest of backtest, hold-out and shadow | so many times as deep |
//! | `winrate` | share of live trades won | that of hold-out and shadow, weighted by trades | so many binomial standard errors below |
//! | `volatility` | annual deviation of live days | that of the shadow days | so many times as large |
//!
//! n live days (or trades), m expected ones. Expectations are of what the search had not seen, since what it had seen
//! flatters; only the drawdown takes the backtest in, where flattery would make it too small. A figure that is better
//! than expected never drifts. Assumes days (or trades) independent; Sharpe's error after Lo, The statistics of Sharpe
//! ratios (2002).

use engine::{Performance, performance};
use evidence::track::deviation;
use serde::{Deserialize, Serialize};

/// Which figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DriftKind {
    Sharpe,
    Return,
    Drawdown,
    Winrate,
    Volatility,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DriftSeverity {
    Warning,
    Critical,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum DriftAction {
    Monitor,
    /// The deployment manager halves the allocation while the alert is open.
    ReduceAllocation,
    /// The deployment manager pauses the deployment while the alert is open.
    Deactivate,
}

macro_rules! named {
    ($type:ident, $what:literal, $($variant:ident = $name:literal),+) => {
        impl $type {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name in Postgres, metrics and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl std::str::FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().copied().find(|value| value.name() == text);
                found.ok_or_else(|| format!(concat!("unknown ", $what, " {:?}"), text))
            }
        }
    };
}
pub(super) use named;

named!(
    DriftKind,
    "type of drift",
    Sharpe = "sharpe",
    Return = "return",
    Drawdown = "drawdown",
    Winrate = "winrate",
    Volatility = "volatility"
);
impl DriftKind {
    /// How far `observed` is on the wrong side of `expected`: above for volatility, below for the others (a drawdown
    /// is a negative fraction). Negative where it is on the right side.
    #[must_use]
    pub fn shortfall(self, expected: f64, observed: f64) -> f64 {
        if self == Self::Volatility { observed - expected } else { expected - observed }
    }
}

named!(DriftSeverity, "severity", Warning = "warning", Critical = "critical");
named!(DriftAction, "action", Monitor = "monitor", ReduceAllocation = "reduce_allocation", Deactivate = "deactivate");

/// When a figure counts as drifted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriftConfig {
    /// Live days below which nothing is judged by days (count).
    pub min_days: u32,
    /// Live trades below which the win rate is not judged (count).
    pub min_trades: u32,
    /// Sharpe, return and win rate: a warning from so many standard errors below what is expected.
    pub warning_errors: f64,
    /// The same for critical.
    pub critical_errors: f64,
    /// Drawdown and volatility: a warning from so many times what is expected (ratio).
    pub warning_ratio: f64,
    /// The same for critical (ratio).
    pub critical_ratio: f64,
    /// An open alert closes below this share of what opens one, so that it does not flap (fraction).
    pub close_fraction: f64,
}

impl DriftConfig {
    /// Whether every setting makes sense.
    ///
    /// # Errors
    /// The first key at fault and what is wrong with it.
    pub fn validate(&self) -> Result<(), (&'static str, String)> {
        if self.min_days < 2 {
            return Err(("min_days", format!("must be at least 2, not {}", self.min_days)));
        }
        for (key, value, min, max) in [
            ("warning_errors", self.warning_errors, 0.1, self.critical_errors.next_down()),
            ("critical_errors", self.critical_errors, 0.1, 100.0),
            ("warning_ratio", self.warning_ratio, 1.01, self.critical_ratio.next_down()),
            ("critical_ratio", self.critical_ratio, 1.01, 100.0),
            ("close_fraction", self.close_fraction, 0.0, 1.0),
        ] {
            // Written so that NaN is refused too.
            if !(min..=max).contains(&value) {
                return Err((key, format!("must be {min} to {max}, not {value}")));
            }
        }
        Ok(())
    }
}

/// What is known of a strategy from before it went live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// What the search saw.
    pub backtest: Option<Performance>,
    /// What it did not see.
    pub holdout: Option<Performance>,
    /// Paper trading before it went live.
    pub shadow: Option<Performance>,
    /// Its daily returns.
    pub shadow_returns: Vec<f64>,
}

/// What a deployment did since it went live.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Returns of finished days.
    pub daily_returns: Vec<f64>,
    /// Net profits of closed trades.
    pub profits: Vec<f64>,
    /// Deepest fall of equity from its peak, 0 or negative (fraction).
    pub max_drawdown: Option<f64>,
}

/// One figure, live against expected: all in the figure's own unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReading {
    /// Which figure.
    pub kind: DriftKind,
    /// What was expected.
    pub expected: f64,
    /// What there was.
    pub observed: f64,
    /// How far observed may be on the wrong side of expected before it is a warning. Lower while an alert is open.
    pub warning_at: f64,
    /// How far before it is critical.
    pub critical_at: f64,
    /// How bad it is now; `None` when it has not drifted.
    pub severity: Option<DriftSeverity>,
}

impl DriftReading {
    /// What follows from a severity of this figure.
    #[must_use]
    pub const fn action(kind: DriftKind, severity: DriftSeverity) -> DriftAction {
        match (kind, severity) {
            (DriftKind::Return | DriftKind::Drawdown, DriftSeverity::Critical) => DriftAction::Deactivate,
            (DriftKind::Return | DriftKind::Drawdown, DriftSeverity::Warning) | (_, DriftSeverity::Critical) => {
                DriftAction::ReduceAllocation
            }
            (_, DriftSeverity::Warning) => DriftAction::Monitor,
        }
    }
}

/// Days-weighted mean of a figure over windows that have it.
fn pooled(windows: &[Option<&Performance>], figure: impl Fn(&Performance) -> Option<(f64, f64)>) -> Option<(f64, f64)> {
    let found: Vec<(f64, f64)> = windows.iter().flatten().filter_map(|p| figure(p)).filter(|f| f.1 > 0.0).collect();
    let weight: f64 = found.iter().map(|f| f.1).sum();
    (weight > 0.0).then(|| (found.iter().map(|(value, w)| value * w).sum::<f64>() / weight, weight))
}

/// Every figure that is defined on both sides. `open` are the figures with an open alert, which close later than they
/// opened.
#[must_use]
pub fn readings(
    expected: &Expectation,
    live: &Observation,
    open: &[DriftKind],
    config: &DriftConfig,
) -> Vec<DriftReading> {
    let unseen = [expected.holdout.as_ref(), expected.shadow.as_ref()];
    let n = live.daily_returns.len() as f64;
    let enough_days = live.daily_returns.len() >= config.min_days as usize;
    let mut found = Vec::new();
    // `unit` is what the limits are multiples of: a standard error, or the size of what is expected.
    let mut hold = |kind, expected: f64, observed: f64, unit: f64| {
        let (warning, critical) = match kind {
            DriftKind::Drawdown | DriftKind::Volatility => (config.warning_ratio - 1.0, config.critical_ratio - 1.0),
            _ => (config.warning_errors, config.critical_errors),
        };
        let lasting = if open.contains(&kind) { config.close_fraction } else { 1.0 };
        let (warning_at, critical_at) = (lasting * warning * unit, critical * unit);
        if [expected, observed].iter().all(|v| v.is_finite()) && warning_at < critical_at && critical_at.is_finite() {
            let severity = match kind.shortfall(expected, observed) {
                short if short >= critical_at => Some(DriftSeverity::Critical),
                short if short >= warning_at => Some(DriftSeverity::Warning),
                _ => None,
            };
            found.push(DriftReading { kind, expected, observed, warning_at, critical_at, severity });
        }
    };

    let days = |p: &Performance| f64::from(p.days);
    let sharpe = pooled(&unseen, |p| Some((p.sharpe_ratio?, days(p))));
    if let (true, Some((was, m)), Some(is)) = (enough_days, sharpe, performance::sharpe_ratio(&live.daily_returns)) {
        let year = 365_f64.sqrt();
        let error = ((1.0 + 0.5 * (was / year).powi(2)) * (1.0 / n + 1.0 / m)).sqrt();
        hold(DriftKind::Sharpe, was, is, year * error);
    }

    let daily = |p: &Performance| Some(((1.0 + p.total_return?).powf(1.0 / days(p)) - 1.0, days(p)));
    let spread = deviation(&expected.shadow_returns).filter(|d| *d > 0.0);
    let spread = spread.or_else(|| deviation(&live.daily_returns)).filter(|d| *d > 0.0);
    if let (true, Some((was, m)), Some(spread)) = (enough_days, pooled(&unseen, daily), spread) {
        let is = performance::mean(&live.daily_returns).unwrap_or(f64::NAN);
        hold(DriftKind::Return, was, is, spread * (1.0 / n + 1.0 / m).sqrt());
    }

    let windows = [expected.backtest.as_ref(), unseen[0], unseen[1]];
    let deepest = windows.iter().flatten().filter_map(|p| p.max_drawdown).min_by(f64::total_cmp);
    if let (true, Some(was), Some(is)) = (enough_days, deepest.filter(|d| *d < 0.0), live.max_drawdown) {
        hold(DriftKind::Drawdown, was, is, -was);
    }

    let wins = pooled(&unseen, |p| Some((p.win_rate?, f64::from(p.total_trades))));
    let enough_trades = live.profits.len() >= config.min_trades.max(1) as usize;
    if let (true, Some((was, m)), Some(is)) = (enough_trades, wins, performance::win_rate(&live.profits)) {
        // One win and one loss are added, so that a clean record is not taken for certainty.
        let share = (was * m + 1.0) / (m + 2.0);
        let error = (share * (1.0 - share) * (1.0 / live.profits.len() as f64 + 1.0 / m)).sqrt();
        hold(DriftKind::Winrate, was, is, error);
    }

    let enough_shadow = expected.shadow_returns.len() >= config.min_days as usize;
    let was = deviation(&expected.shadow_returns).filter(|d| enough_shadow && *d > 0.0);
    if let (true, Some(was), Some(is)) = (enough_days, was, deviation(&live.daily_returns)) {
        let year = 365_f64.sqrt();
        hold(DriftKind::Volatility, was * year, is * year, was * year);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> DriftConfig {
        DriftConfig {
            min_days: 7,
            min_trades: 10,
            warning_errors: 2.0,
            critical_errors: 3.0,
            warning_ratio: 1.5,
            critical_ratio: 2.0,
            close_fraction: 0.75,
        }
    }

    /// Half the days +2 %, half -1 %: mean 0.5 %, deviation about 1.5 %.
    fn healthy(days: usize) -> Vec<f64> {
        (0..days).map(|i| if i % 2 == 0 { 0.02 } else { -0.01 }).collect()
    }

    fn window(returns: &[f64], win_rate: f64, trades: u32, max_drawdown: f64) -> Performance {
        Performance {
            days: u32::try_from(returns.len()).unwrap(),
            total_return: Some(returns.iter().fold(1.0, |e, r| e * (1.0 + r)) - 1.0),
            sharpe_ratio: performance::sharpe_ratio(returns),
            win_rate: Some(win_rate),
            total_trades: trades,
            max_drawdown: Some(max_drawdown),
            ..Performance::default()
        }
    }

    fn expected() -> Expectation {
        Expectation {
            backtest: Some(window(&healthy(60), 0.7, 90, -0.06)),
            holdout: Some(window(&healthy(30), 0.6, 40, -0.04)),
            shadow: Some(window(&healthy(20), 0.6, 20, -0.05)),
            shadow_returns: healthy(20),
        }
    }

    fn live(returns: Vec<f64>, won: usize, of: usize, max_drawdown: f64) -> Observation {
        let profits = (0..of).map(|i| if i < won { 1.0 } else { -1.0 }).collect();
        Observation { daily_returns: returns, profits, max_drawdown: Some(max_drawdown) }
    }

    fn severities(live: &Observation, open: &[DriftKind]) -> Vec<(DriftKind, Option<DriftSeverity>)> {
        readings(&expected(), live, open, &config()).into_iter().map(|r| (r.kind, r.severity)).collect()
    }

    #[test]
    fn what_goes_on_as_before_has_not_drifted() {
        let all = DriftKind::ALL.iter().map(|kind| (*kind, None)).collect::<Vec<_>>();
        assert_eq!(severities(&live(healthy(20), 12, 20, -0.05), &[]), all);
        let better = healthy(20).iter().map(|r| r + 0.05).collect();
        assert_eq!(severities(&live(better, 20, 20, -0.01), &[]), all);
    }

    #[test]
    fn each_figure_is_told_by_itself() {
        let worse = |by: f64| healthy(20).iter().map(|r| r - by).collect::<Vec<f64>>();
        let of = |live: &Observation, kind| severities(live, &[]).into_iter().find(|s| s.0 == kind).unwrap().1;
        let (warning, critical) = (Some(DriftSeverity::Warning), Some(DriftSeverity::Critical));
        // 0.4 standard errors of the mean a thousandth: (1/20 + 1/50)^0.5 x 1.54 % = 0.41 %.
        for (by, expected) in [(0.007, None), (0.009, warning), (0.013, critical)] {
            let found = live(worse(by), 12, 20, -0.05);
            assert_eq!((of(&found, DriftKind::Return), of(&found, DriftKind::Sharpe)), (expected, expected), "{by}");
        }
        for (drawdown, expected) in [(-0.089, None), (-0.0901, warning), (-0.1201, critical)] {
            assert_eq!(of(&live(healthy(20), 12, 20, drawdown), DriftKind::Drawdown), expected, "{drawdown}");
        }
        for (won, expected) in [(8, None), (6, warning), (3, critical)] {
            assert_eq!(of(&live(healthy(20), won, 20, -0.05), DriftKind::Winrate), expected, "{won}");
        }
        let wild = |times: f64| healthy(20).iter().map(|r| 0.005 + (r - 0.005) * times).collect::<Vec<f64>>();
        for (times, expected) in [(1.4, None), (1.6, warning), (2.1, critical)] {
            assert_eq!(of(&live(wild(times), 12, 20, -0.05), DriftKind::Volatility), expected, "{times}");
        }
    }

    #[test]
    fn an_open_alert_closes_later_than_it_opens() {
        let found = live(healthy(20), 12, 20, -0.06 * 1.4);
        assert_eq!(severities(&found, &[])[2], (DriftKind::Drawdown, None));
        assert_eq!(severities(&found, &[DriftKind::Drawdown])[2].1, Some(DriftSeverity::Warning));
        let recovered = live(healthy(20), 12, 20, -0.06 * 1.3);
        assert_eq!(severities(&recovered, &[DriftKind::Drawdown])[2].1, None);
    }

    #[test]
    fn little_is_not_judged_and_what_is_undefined_is_not_there() {
        let found = readings(&expected(), &live(healthy(6), 0, 9, -0.5), &[], &config());
        assert!(found.is_empty(), "{found:?}");
        let found = readings(&Expectation::default(), &live(healthy(20), 0, 20, -0.5), &[], &config());
        assert!(found.is_empty(), "{found:?}");
        let flat = readings(&expected(), &live(vec![0.0; 20], 12, 20, 0.0), &[], &config());
        assert_eq!(flat.iter().map(|r| r.kind).collect::<Vec<_>>()[..2], [DriftKind::Return, DriftKind::Drawdown]);
    }

    #[test]
    fn actions_go_by_type_and_severity() {
        let action = |kind, severity| DriftReading::action(kind, severity).name();
        assert_eq!(action(DriftKind::Drawdown, DriftSeverity::Critical), "deactivate");
        assert_eq!(action(DriftKind::Return, DriftSeverity::Warning), "reduce_allocation");
        assert_eq!(action(DriftKind::Sharpe, DriftSeverity::Critical), "reduce_allocation");
        assert_eq!(action(DriftKind::Volatility, DriftSeverity::Warning), "monitor");
        assert!("closed".parse::<DriftSeverity>().is_err());
    }
}
