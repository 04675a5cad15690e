//! What a search found that stores nothing: its best, what null markets gave to the same search, and what the best earned
//! on candles that no search saw.

use super::document::document;
use super::format::{self, UNDEFINED};
use engine::Performance;
use maud::{Markup, html};

/// One of the best of a search.
#[derive(Clone, Debug)]
pub struct FoundStrategy {
    /// Canonical text.
    pub strategy: String,
    /// SHA-256 of it.
    pub hash: String,
    /// What it was selected by, 0 to 100.
    pub fitness: f64,
    /// On the days of the search.
    pub performance: Performance,
    /// Annual Sharpe ratio of the daily returns that it was selected by.
    pub sharpe_ratio: Option<f64>,
    /// The same over days that the search did not see, and how many those are.
    pub unseen: Option<(Option<f64>, usize)>,
}

/// What a search of a null market found.
#[derive(Clone, Debug)]
pub struct FoundNull {
    /// Kind of the null market, in words.
    pub kind: &'static str,
    /// Best share of points for significance.
    pub best_significance: Option<f64>,
    /// Annual Sharpe ratio of its best there.
    pub best_sharpe_ratio: Option<f64>,
    /// Mean annual Sharpe ratio of its best on real candles that no search saw.
    pub unseen_sharpe_ratio: Option<f64>,
}

/// Everything that such a report tells.
#[derive(Clone, Debug)]
pub struct FoundReport {
    /// Which candles, from when to when, in words.
    pub window: String,
    /// The root of its random numbers.
    pub seed: u64,
    /// Strategies evaluated.
    pub evaluations: u64,
    /// Generations bred.
    pub generations: u32,
    /// Best first.
    pub top: Vec<FoundStrategy>,
    /// Best share of points for significance of the search itself.
    pub best_significance: Option<f64>,
    /// (1 + null searches as good) / (1 + null searches), of the kind of null market that says the least.
    pub p_value: Option<f64>,
    /// In order; empty where none was asked for.
    pub nulls: Vec<FoundNull>,
    /// Whether the candles are of a simulated market.
    pub simulated: bool,
    /// When the report was made, UTC ms.
    pub made_at_ms: i64,
    /// Version of the program that made it.
    pub made_by: String,
}

/// The report as one HTML file.
#[must_use]
pub fn found_html(report: &FoundReport) -> String {
    document("Search – sg-ai report", report.simulated, &body(report)).into_string()
}

fn body(report: &FoundReport) -> Markup {
    let has_unseen = report.top.iter().any(|s| s.unseen.is_some());
    html! {
        header { h1 { "Search" } }
        p.soft { (report.window) " · seed " (report.seed) " · report of " (format::time(report.made_at_ms)) " UTC" }
        p.soft {
            (format::number(report.evaluations as f64, 0)) " strategies in " (report.generations) " generations. The best of so many "
            "is mostly luck: what they earned on days that no search saw, and what the same search found on null markets, say how much."
        }
        h2 { "The best" }
        @if report.top.is_empty() { p.soft { "None made enough trades to be judged." } }
        @else {
            div.scroll { table {
                thead { tr {
                    @for head in ["", "fitness", "return", "Sharpe ratio", "max drawdown", "profit factor", "win rate", "trades"] { th { (head) } }
                    @if has_unseen { th { "unseen Sharpe ratio" } th { "unseen days" } }
                } }
                tbody { @for (rank, s) in (1..).zip(&report.top) { tr {
                    @let p = &s.performance;
                    th { "#" (rank) }
                    td { (format::number(s.fitness, 1)) } td { (format::percent(p.total_return)) } td { (format::ratio(s.sharpe_ratio)) }
                    td { (format::percent(p.max_drawdown)) } td { (format::ratio(p.profit_factor)) } td { (format::percent(p.win_rate)) }
                    td { (p.total_trades) }
                    @if has_unseen {
                        td { (s.unseen.map_or(UNDEFINED.to_owned(), |(sharpe, _)| format::ratio(sharpe))) }
                        td { (s.unseen.map_or(UNDEFINED.to_owned(), |(_, days)| days.to_string())) }
                    }
                } } }
            } }
            p.soft { "In sample, net of costs; ratios annualised by √365 from daily returns." }
            @for (rank, s) in (1..).zip(&report.top) { h3 { "#" (rank) " " code { (format::short(&s.hash)) } } pre { (s.strategy.trim_end()) } }
        }
        h2 { "The same search on null markets" }
        @if report.nulls.is_empty() { p.soft { "None was asked for (--nulls)." } }
        @else {
            p { "p-value by the kind that says the least: " b { (format::ratio(report.p_value)) } }
            div.scroll { table {
                thead { tr { th { "search of" } th { "significance" } th { "best Sharpe ratio" } th { "unseen, mean" } } }
                tbody {
                    tr { th { "the real market" } td { (format::ratio(report.best_significance)) }
                        td { (format::ratio(report.top.first().and_then(|s| s.sharpe_ratio))) } td { (format::ratio(mean_unseen(report))) } }
                    @for null in &report.nulls { tr {
                        th { (null.kind) } td { (format::ratio(null.best_significance)) } td { (format::ratio(null.best_sharpe_ratio)) }
                        td { (format::ratio(null.unseen_sharpe_ratio)) }
                    } }
                }
            } }
        }
        p.soft { "Made by sg-ai " (report.made_by) ". The same candles, settings and seed give the same strategies, to the bit." }
    }
}

fn mean_unseen(report: &FoundReport) -> Option<f64> {
    let known: Vec<f64> = report.top.iter().filter_map(|s| s.unseen?.0).collect();
    engine::performance::mean(&known)
}
