//! What points are compared by, and the figures that are kept of each.
//!
//! An undefined figure is `None` and worse than any that is there.

use engine::Performance;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Figures of a point over the whole window, as a backtest has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Figures {
    pub total_return: Option<f64>,
    pub cagr: Option<f64>,
    pub sharpe_ratio: Option<f64>,
    pub sortino_ratio: Option<f64>,
    pub max_drawdown: Option<f64>,
    pub calmar_ratio: Option<f64>,
    pub profit_factor: Option<f64>,
    pub win_rate: Option<f64>,
    pub total_trades: u32,
    pub expectancy: Option<f64>,
    pub sqn: Option<f64>,
    pub exposure: Option<f64>,
    pub t_statistic: Option<f64>,
}

impl From<&Performance> for Figures {
    fn from(p: &Performance) -> Self {
        Self {
            total_return: p.total_return,
            cagr: p.cagr,
            sharpe_ratio: p.sharpe_ratio,
            sortino_ratio: p.sortino_ratio,
            max_drawdown: p.max_drawdown,
            calmar_ratio: p.calmar_ratio,
            profit_factor: p.profit_factor,
            win_rate: p.win_rate,
            total_trades: p.total_trades,
            expectancy: p.expectancy,
            sqn: p.sqn,
            exposure: p.exposure,
            t_statistic: p.t_statistic,
        }
    }
}

impl From<&portfolio::Measured> for Figures {
    /// Of a strategy that ranks the market: what is told of days is told of its hedged ones, what is told of trades of its
    /// stays.
    fn from(measured: &portfolio::Measured) -> Self {
        let hedged = &measured.hedged;
        Self {
            total_return: hedged.total_return,
            cagr: hedged.cagr,
            sharpe_ratio: hedged.sharpe_ratio,
            sortino_ratio: hedged.sortino_ratio,
            max_drawdown: hedged.max_drawdown,
            calmar_ratio: hedged.calmar_ratio,
            t_statistic: hedged.t_statistic,
            ..Self::from(&measured.outcome.performance)
        }
    }
}

/// A figure that is to be as great as it can be; a drawdown is a negative fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Objective {
    Sharpe,
    Sortino,
    Calmar,
    TotalReturn,
    Cagr,
    Drawdown,
    ProfitFactor,
    WinRate,
    Expectancy,
    Sqn,
    TStatistic,
}

impl Objective {
    /// Every objective.
    pub const ALL: [Self; 11] = [
        Self::Sharpe,
        Self::Sortino,
        Self::Calmar,
        Self::TotalReturn,
        Self::Cagr,
        Self::Drawdown,
        Self::ProfitFactor,
        Self::WinRate,
        Self::Expectancy,
        Self::Sqn,
        Self::TStatistic,
    ];

    /// The name in options, JSON and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sharpe => "sharpe",
            Self::Sortino => "sortino",
            Self::Calmar => "calmar",
            Self::TotalReturn => "total_return",
            Self::Cagr => "cagr",
            Self::Drawdown => "drawdown",
            Self::ProfitFactor => "profit_factor",
            Self::WinRate => "win_rate",
            Self::Expectancy => "expectancy",
            Self::Sqn => "sqn",
            Self::TStatistic => "t_statistic",
        }
    }

    /// The figure; more is better.
    #[must_use]
    pub const fn of(self, figures: &Figures) -> Option<f64> {
        match self {
            Self::Sharpe => figures.sharpe_ratio,
            Self::Sortino => figures.sortino_ratio,
            Self::Calmar => figures.calmar_ratio,
            Self::TotalReturn => figures.total_return,
            Self::Cagr => figures.cagr,
            Self::Drawdown => figures.max_drawdown,
            Self::ProfitFactor => figures.profit_factor,
            Self::WinRate => figures.win_rate,
            Self::Expectancy => figures.expectancy,
            Self::Sqn => figures.sqn,
            Self::TStatistic => figures.t_statistic,
        }
    }

    /// Whether what is earned counts by itself, whatever it risks: then a walk-forward chooses by the sum of daily returns,
    /// and by their Sharpe ratio otherwise.
    #[must_use]
    pub const fn is_of_return(self) -> bool {
        matches!(self, Self::TotalReturn | Self::Cagr | Self::Expectancy)
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Objective {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|objective| objective.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no objective; there are {names}")
        })
    }
}
