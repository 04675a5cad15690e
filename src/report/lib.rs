//! A strategy's whole story as one self-contained HTML file: opens offline, prints, light and dark.
//!
//! Pure rendering: never reads the store, never computes a performance, never judges.

mod book;
mod chart;
mod curve;
mod document;
mod evidence;
mod format;
mod found;
mod lately;
mod months;
mod optimization;
mod page;
mod portfolio;
mod quality;
mod robustness;
mod search;
mod sums;
#[cfg(test)]
mod tests;
mod text;
mod trades;
mod windows;

pub use book::{BookReport, BookReportBlock, BookReportDay, BookReportMember, BookReportName, book_html, book_json};
pub use evidence::Evidence;
pub use found::{FoundNull, FoundReport, FoundStrategy, found_html};
pub use optimization::{OptimizationReport, optimization_html};
pub use portfolio::{PortfolioReport, portfolio_html, portfolio_json};
pub use quality::{DataQuality, SeriesQuality, render_quality};
pub use robustness::RobustnessSection;
pub use search::{GenerationLine, SearchReport, StrategyLine, search_csv, search_html, search_json, search_markdown};

use candles::{Interval, MarketKind, Symbol, SymbolCoverage};
use engine::{Costs, DailyEquity, Performance, Trade};
use lifecycle::{Check, DisableReason, State};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// What a period was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// In sample: the search chose the strategy on it.
    Backtest,
    /// Withheld from the search.
    Holdout,
    /// On paper, before it was promoted.
    Shadow,
    /// On paper, promoted.
    Live,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 4] = [Self::Backtest, Self::Holdout, Self::Shadow, Self::Live];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backtest => "backtest",
            Self::Holdout => "hold-out",
            Self::Shadow => "shadow",
            Self::Live => "live",
        }
    }
}

/// How a period was computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Setup {
    pub market: MarketKind,
    pub symbols: Vec<Symbol>,
    pub interval: Interval,
    pub costs: Costs,
    /// Quote units.
    pub initial_capital: f64,
    /// UTC ms.
    pub warmup_from_ms: i64,
    /// Names the candles.
    pub data_version: Option<String>,
    /// Version of the program.
    pub code_version: String,
}

/// One stretch of a strategy's life.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Period {
    /// Which.
    pub part: Part,
    /// First candle traded, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// As it is stored; `None` before the first pass.
    pub performance: Option<Performance>,
    /// Equity at each 00:00 UTC, start and end included; empty where it is not known.
    pub daily_equity: Vec<DailyEquity>,
    /// Buy and hold of its symbols in equal parts, without costs: a value for each point of the equity, worth at first
    /// the same; empty where it is not known.
    pub benchmark: Vec<f64>,
    /// In order of entry.
    pub trades: Vec<Trade>,
    /// How it was computed, where that is stored.
    pub setup: Option<Setup>,
    /// What there is of its candles, by symbol; empty where that is not known.
    pub coverage: Vec<SymbolCoverage>,
    /// What a reader should know: why there is no curve, or that it is not what was stored.
    pub note: Option<String>,
}

impl Period {
    /// What a reader should know beside the figures.
    fn notes(&self) -> impl Iterator<Item = String> {
        self.note.iter().cloned().chain(SymbolCoverage::shortfall(&self.coverage))
    }
}

/// A stored ancestor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ancestor {
    /// 1 for a parent, 2 for its parents, ...
    pub depth: u32,
    /// For people.
    pub name: String,
    /// Its identity.
    pub genome_hash: String,
    /// Generation of the search that made it.
    pub generation: u32,
    /// Where it is in its life.
    pub state: State,
}

/// A move from state to state, with what the gate looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Move {
    /// Market time, UTC ms.
    pub at_ms: i64,
    pub from: State,
    pub to: State,
    pub actor: String,
    /// Name of the policy; `None` for an operator's decision.
    pub policy: Option<String>,
    pub summary: String,
    /// Every requirement: needed, had, passed. Empty for an operator's decision.
    pub checks: Vec<Check>,
}

/// Everything a report tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StrategyReport {
    /// For people.
    pub name: String,
    /// In the store; `None` of a backtest that was stored nowhere.
    pub id: Option<String>,
    /// SHA-256 of its canonical form.
    pub genome_hash: String,
    /// Where it is in its life; `None` where it has none.
    pub state: Option<State>,
    /// Why it is disabled.
    pub disable_reason: Option<DisableReason>,
    /// Canonical text.
    pub rules: String,
    /// The same in sentences.
    pub words: String,
    /// Which market.
    pub market: MarketKind,
    /// What it trades.
    pub symbols: Vec<Symbol>,
    /// Base timeframe.
    pub timeframe: genome::Timeframe,
    /// `search`, `operator NAME`, ...
    pub created_by: String,
    /// Wall clock, UTC ms.
    pub created_at_ms: i64,
    /// Generation of the search that made it; 0 for none.
    pub generation: u32,
    /// Island of that search.
    pub island: Option<String>,
    /// Session of that search.
    pub session: Option<String>,
    /// Nearest first.
    pub ancestors: Vec<Ancestor>,
    /// In order of time.
    pub periods: Vec<Period>,
    /// Oldest first.
    pub moves: Vec<Move>,
    /// Of the candles that its figures rest on; empty where they were not looked at.
    pub quality: Vec<CandleQuality>,
    /// What is known beyond the backtest; told of what is stored where it is `None`.
    pub proven: Option<RobustnessSection>,
    /// What was proved out of sample; `None` where nothing was.
    pub evidence: Option<Evidence>,
    /// Whether what it tells of rests on a simulated market.
    pub simulated: bool,
    /// When the report was made, UTC ms.
    pub made_at_ms: i64,
    /// Version of the program that made it.
    pub made_by: String,
}

/// Whether the candles of a series are fit to be evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct CandleQuality {
    pub symbol: Symbol,
    pub interval: Interval,
    pub expected: u64,
    pub present: u64,
    /// Kind, severity and words of each finding.
    pub findings: Vec<[String; 3]>,
}

impl StrategyReport {
    /// With what can be told of stored days where nobody proved anything.
    fn told(&self) -> Option<RobustnessSection> {
        let of_stored = || RobustnessSection::of_periods(&self.periods, RobustnessSection::seed(&self.genome_hash));
        self.proven.clone().or_else(of_stored)
    }
}

/// A heading for each period, numbered where there are several of one part.
fn names(periods: &[Period]) -> Vec<String> {
    let mut seen = [0_u32; Part::ALL.len()];
    let name = |period: &Period| {
        let n = &mut seen[period.part as usize];
        *n += 1;
        if *n == 1 { period.part.name().to_owned() } else { format!("{} {n}", period.part.name()) }
    };
    periods.iter().map(name).collect()
}

/// Which trades a page lists one by one; its figures and charts are of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TradeRows {
    /// Every one.
    #[default]
    All,
    /// None.
    None,
    /// So many, the newest.
    Newest(usize),
}

impl FromStr for TradeRows {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            _ => text.parse().map(Self::Newest).map_err(|_| format!("{text:?} is neither all, none nor a number")),
        }
    }
}

/// The report as one HTML file, with these of its trades.
#[must_use]
pub fn render(report: &StrategyReport, rows: TradeRows) -> String {
    page::page(report, report.told().as_ref(), rows).into_string()
}

/// The report as Markdown.
#[must_use]
pub fn markdown(report: &StrategyReport) -> String {
    text::markdown(report, report.told().as_ref())
}

/// Every trade of the report as CSV.
#[must_use]
pub fn csv(report: &StrategyReport) -> String {
    text::csv(report)
}

/// The report as JSON, with what was computed from it.
///
/// # Errors
/// Never for a report whose numbers are numbers.
pub fn json(report: &StrategyReport) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(report)?;
    value["windows"] = serde_json::to_value(windows::of(&report.periods))?;
    for (period, told) in report.periods.iter().zip(value["periods"].as_array_mut().into_iter().flatten()) {
        told["by_symbol_and_side"] = serde_json::to_value(sums::of(&period.trades))?;
        told["rolling"] = serde_json::to_value(lately::of(period))?;
    }
    value["proven"] = serde_json::to_value(report.told())?;
    serde_json::to_string_pretty(&value)
}
