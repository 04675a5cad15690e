//! A search session, or one generation of it, as a report: what was tried, how it went, what came of it. Pure.

use super::document::document;
use super::{
    chart,
    format::{self, UNDEFINED},
};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// One generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct GenerationLine {
    /// From 1.
    pub number: u32,
    pub best_fitness: Option<f64>,
    pub median_fitness: Option<f64>,
    pub mean_fitness: Option<f64>,
    pub evaluations: u64,
    pub distinct: u64,
    pub failures: u64,
    pub archive_size: u64,
    pub niches: Option<u64>,
    pub duration_ms: u64,
    pub stored_at_ms: i64,
}

/// A strategy that the session stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct StrategyLine {
    pub number: i64,
    pub name: String,
    pub state: String,
    pub generation: u32,
    pub backtest_return: Option<f64>,
    pub backtest_sharpe: Option<f64>,
    pub holdout_return: Option<f64>,
    pub holdout_sharpe: Option<f64>,
    pub holdout_trades: Option<u32>,
}

/// Everything that the report of a search tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SearchReport {
    pub id: String,
    pub island: String,
    pub number: u64,
    pub status: String,
    pub symbols: Vec<String>,
    pub timeframe: String,
    pub window_from_ms: i64,
    pub holdout_from_ms: i64,
    pub window_to_ms: i64,
    pub data_version: String,
    pub code_version: String,
    pub seed: String,
    /// Everything that its results rest on, beside candles and seed.
    pub config: Value,
    /// Oldest first; one alone for the report of a generation.
    pub generations: Vec<GenerationLine>,
    /// Best hold-out first.
    pub strategies: Vec<StrategyLine>,
    /// Whether it searched a simulated market.
    pub simulated: bool,
    pub made_at_ms: i64,
    pub made_by: String,
}

impl SearchReport {
    fn title(&self) -> String {
        match self.generations.as_slice() {
            [one] => format!("generation {} of session {} of island {}", one.number, self.number, self.island),
            _ => format!("session {} of island {}", self.number, self.island),
        }
    }

    fn facts(&self) -> [(&'static str, String); 8] {
        [
            ("Status", self.status.clone()),
            ("Candles", format!("{}, {}", self.symbols.join(", "), self.timeframe)),
            ("Searched on", format!("{} to {}", format::time(self.window_from_ms), format::time(self.holdout_from_ms))),
            ("Hold-out", format!("{} to {}", format::time(self.holdout_from_ms), format::time(self.window_to_ms))),
            ("Data version", self.data_version.clone()),
            ("Code version", self.code_version.clone()),
            ("Seed", self.seed.clone()),
            ("Backtests", format::number(self.generations.iter().map(|g| g.evaluations).sum::<u64>() as f64, 0)),
        ]
    }

    fn rows(&self) -> Vec<[String; 9]> {
        let fitness = |value: Option<f64>| value.map_or_else(|| UNDEFINED.to_owned(), |v| format::number(v, 1));
        let row = |g: &GenerationLine| {
            [
                g.number.to_string(),
                fitness(g.best_fitness),
                fitness(g.median_fitness),
                fitness(g.mean_fitness),
                g.evaluations.to_string(),
                g.distinct.to_string(),
                g.failures.to_string(),
                g.niches.map_or_else(|| UNDEFINED.to_owned(), |n| n.to_string()),
                format!("{:.1} s", g.duration_ms as f64 / 1e3),
            ]
        };
        self.generations.iter().map(row).collect()
    }

    fn found(&self) -> Vec<[String; 9]> {
        let row = |s: &StrategyLine| {
            [
                s.number.to_string(),
                s.name.clone(),
                s.state.clone(),
                s.generation.to_string(),
                format::percent(s.backtest_return),
                format::ratio(s.backtest_sharpe),
                format::percent(s.holdout_return),
                format::ratio(s.holdout_sharpe),
                s.holdout_trades.map_or_else(|| UNDEFINED.to_owned(), |n| n.to_string()),
            ]
        };
        self.strategies.iter().map(row).collect()
    }
}

const GENERATIONS: [&str; 9] =
    ["generation", "best", "median", "mean", "backtests", "distinct", "failures", "niches", "took"];
const STRATEGIES: [&str; 9] = [
    "no.",
    "strategy",
    "state",
    "generation",
    "return in sample",
    "Sharpe in sample",
    "return hold-out",
    "Sharpe hold-out",
    "trades hold-out",
];

fn table(heads: &[&str; 9], rows: &[[String; 9]]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { @for head in heads { th { (head) } } } }
            tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
        } }
    }
}

/// As one HTML file.
#[must_use]
pub fn search_html(report: &SearchReport) -> String {
    let line = |of: fn(&GenerationLine) -> Option<f64>| -> Vec<(f64, f64)> {
        report.generations.iter().filter_map(|g| Some((f64::from(g.number), of(g)?))).collect()
    };
    let config = serde_json::to_string_pretty(&report.config).unwrap_or_default();
    document(&format!("{} – sg-ai report", report.title()), report.simulated, &html! {
        header { h1 { "Search: " (report.title()) } }
        dl { @for (name, value) in report.facts() { dt { (name) } dd { (value) } } }
        @if report.generations.len() > 1 {
            h2 { "Fitness by generation" }
            figure {
                (chart::by_number(&[("live", line(|g| g.best_fitness)), ("holdout", line(|g| g.median_fitness))], "Best and median fitness by generation"))
                figcaption { span.dot.live { "best" } "  " span.dot.holdout { "median" } ", 0 to 100." }
            }
        }
        h2 { "Generations" }
        (table(&GENERATIONS, &report.rows()))
        h2 { "What was stored" }
        @if report.strategies.is_empty() { p.soft { "Nothing." } } @else { (table(&STRATEGIES, &report.found())) }
        p.soft { "In sample is what the search chose by: only the hold-out, and what came after, says anything." }
        h2 { "Settings, and how to reproduce it" }
        pre { (config) }
        p.soft { "The same seed, candles and settings give the same strategies to the bit. Made by sg-ai " (report.made_by) ", " (format::time(report.made_at_ms)) " UTC." }
    })
    .into_string()
}

/// As Markdown.
#[must_use]
pub fn search_markdown(report: &SearchReport) -> String {
    let mut out = format!("# Search: {}\n\n", report.title());
    for (name, value) in report.facts() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(out, "- {name}: {value}");
    }
    for (title, heads, rows) in
        [("Generations", GENERATIONS, report.rows()), ("What was stored", STRATEGIES, report.found())]
    {
        let _ = writeln!(out, "\n## {title}\n\n| {} |\n|{}", heads.join(" | "), " --- |".repeat(heads.len()));
        for row in rows {
            let _ = writeln!(out, "| {} |", row.map(|cell| cell.replace('|', "\\|")).join(" | "));
        }
    }
    out
}

/// The generations as CSV.
#[must_use]
pub fn search_csv(report: &SearchReport) -> String {
    let mut out = String::from(
        "generation,best_fitness,median_fitness,mean_fitness,evaluations,distinct,failures,archive_size,niches,duration_ms,stored_at_ms\n",
    );
    let text = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
    for g in &report.generations {
        let niches = g.niches.map(|n| n.to_string()).unwrap_or_default();
        let (best, median, mean) = (text(g.best_fitness), text(g.median_fitness), text(g.mean_fitness));
        let _ = writeln!(
            out,
            "{},{best},{median},{mean},{},{},{},{},{niches},{},{}",
            g.number, g.evaluations, g.distinct, g.failures, g.archive_size, g.duration_ms, g.stored_at_ms
        );
    }
    out
}

/// As JSON.
///
/// # Errors
/// Never for a report whose numbers are numbers.
pub fn search_json(report: &SearchReport) -> serde_json::Result<String> {
    serde_json::to_string_pretty(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> SearchReport {
        let generation = |number: u32| GenerationLine {
            number,
            best_fitness: Some(40.0 + f64::from(number)),
            median_fitness: Some(20.0),
            mean_fitness: None,
            evaluations: 500,
            distinct: 480,
            failures: 1,
            archive_size: 20,
            niches: Some(33),
            duration_ms: 1_500,
            stored_at_ms: 0,
        };
        SearchReport {
            simulated: false,
            id: "id".into(),
            island: "<main>".into(),
            number: 3,
            status: "finished".into(),
            symbols: vec!["BTCUSDT".into()],
            timeframe: "15m".into(),
            window_from_ms: 0,
            holdout_from_ms: 86_400_000,
            window_to_ms: 2 * 86_400_000,
            data_version: "feed".into(),
            code_version: "0.1.0".into(),
            seed: "7".into(),
            config: serde_json::json!({ "population_size": 500 }),
            generations: vec![generation(1), generation(2)],
            strategies: vec![StrategyLine {
                number: 9,
                name: "trend|x".into(),
                state: "shadow".into(),
                generation: 2,
                backtest_return: Some(0.25),
                backtest_sharpe: Some(3.0),
                holdout_return: Some(0.05),
                holdout_sharpe: None,
                holdout_trades: Some(12),
            }],
            made_at_ms: 0,
            made_by: "0.1.0".into(),
        }
    }

    #[test]
    fn every_form_has_the_numbers() {
        let report = report();
        let html = search_html(&report);
        for wanted in
            ["session 3 of island &lt;main&gt;", "1,000", "42.0", "trend|x", "25.00 %", "population_size", "<svg"]
        {
            assert!(html.contains(wanted), "{wanted}");
        }
        assert!(!html.contains("http") && !html.contains("NaN"));
        assert!(search_markdown(&report).contains("| 9 | trend\\|x | shadow |"));
        assert!(search_csv(&report).contains("2,42,20,,500,480,1,20,33,1500,0\n"));
        let one = SearchReport { generations: vec![report.generations[1].clone()], ..report };
        assert!(search_html(&one).contains("generation 2 of session 3"));
    }
}
