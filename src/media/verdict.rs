//! The verdict that clients of media expect: three limits on a backtest. It is no evidence: docs/EVIDENCE.md says what is.

use serde::Serialize;

/// What the verdict looks at; `None` where a figure is undefined.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Annualised by sqrt(365).
    pub sharpe_ratio: Option<f64>,
    /// Fraction of trades with a net profit.
    pub win_rate: Option<f64>,
    /// A negative fraction.
    pub max_drawdown: Option<f64>,
    /// Closed trades.
    pub total_trades: u32,
}

/// The limits, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClientLimits {
    /// `MIN_SHARPE_RATIO`.
    pub min_sharpe_ratio: f64,
    /// `MIN_WIN_RATE_PERCENT`.
    pub min_win_rate_percent: f64,
    /// `MAX_DRAWDOWN_PERCENT`.
    pub max_drawdown_percent: f64,
}

/// Whether a backtest keeps the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictStatus {
    /// It keeps all three.
    Promoted,
    /// It does not.
    NotPromoted,
}

impl VerdictStatus {
    /// As clients read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::NotPromoted => "not_promoted",
        }
    }
}

/// The verdict with its reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientVerdict {
    /// `promoted` or `not_promoted`.
    pub status: VerdictStatus,
    /// Each limit that is not kept, with what there was; or that all are.
    pub reason: String,
}

impl ClientLimits {
    /// Holds the figures of a backtest against the limits. What is undefined keeps none.
    #[must_use]
    pub fn judge(&self, figures: &Figures) -> ClientVerdict {
        let percent = |fraction: Option<f64>| fraction.map(|f| 100.0 * f);
        let had = |value: Option<f64>, unit: &str| match value {
            Some(value) => format!("{value:.2}{unit}"),
            None => "undefined".to_owned(),
        };
        let (sharpe, wins) = (figures.sharpe_ratio, percent(figures.win_rate));
        let drawdown = percent(figures.max_drawdown).map(f64::abs);
        let checks = [
            (
                sharpe.is_some_and(|v| v >= self.min_sharpe_ratio),
                format!("Sharpe ratio {} (MIN_SHARPE_RATIO {})", had(sharpe, ""), self.min_sharpe_ratio),
            ),
            (
                wins.is_some_and(|v| v >= self.min_win_rate_percent),
                format!("win rate {} (MIN_WIN_RATE_PERCENT {})", had(wins, " %"), self.min_win_rate_percent),
            ),
            (
                drawdown.is_some_and(|v| v <= self.max_drawdown_percent),
                format!("drawdown {} (MAX_DRAWDOWN_PERCENT {})", had(drawdown, " %"), self.max_drawdown_percent),
            ),
        ];
        let missed: Vec<&str> = checks.iter().filter(|(kept, _)| !kept).map(|(_, told)| told.as_str()).collect();
        let all = || checks.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>().join(", ");
        if missed.is_empty() {
            ClientVerdict { status: VerdictStatus::Promoted, reason: format!("keeps all limits: {}", all()) }
        } else {
            let trades = if figures.total_trades == 0 { "no trade; " } else { "" };
            let reason = format!("{trades}misses {} of 3 limits: {}", missed.len(), missed.join(", "));
            ClientVerdict { status: VerdictStatus::NotPromoted, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ClientLimits =
        ClientLimits { min_sharpe_ratio: 1.0, min_win_rate_percent: 55.0, max_drawdown_percent: 25.0 };

    #[test]
    fn three_limits_decide_and_the_reason_names_those_that_are_missed() {
        let at = |sharpe, wins, drawdown| Figures {
            sharpe_ratio: sharpe,
            win_rate: wins,
            max_drawdown: drawdown,
            total_trades: 40,
        };
        let good = LIMITS.judge(&at(Some(1.0), Some(0.55), Some(-0.25)));
        assert_eq!((good.status, good.status.name()), (VerdictStatus::Promoted, "promoted"));
        assert!(good.reason.starts_with("keeps all limits: Sharpe ratio 1.00"), "{}", good.reason);
        let bad = LIMITS.judge(&at(Some(0.9), Some(0.7), Some(-0.3)));
        assert_eq!(
            bad.reason,
            "misses 2 of 3 limits: Sharpe ratio 0.90 (MIN_SHARPE_RATIO 1), drawdown 30.00 % (MAX_DRAWDOWN_PERCENT 25)"
        );
        assert_eq!(serde_json::to_value(&bad).unwrap()["status"], "not_promoted");
        let none = LIMITS.judge(&Figures::default());
        assert!(none.reason.starts_with("no trade; misses 3 of 3 limits: Sharpe ratio undefined"), "{}", none.reason);
        let wins = LIMITS.judge(&at(Some(2.0), Some(0.549), Some(-0.1)));
        assert_eq!(wins.status, VerdictStatus::NotPromoted);
    }
}
