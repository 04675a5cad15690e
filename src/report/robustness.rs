//! What is known beyond a backtest, as `sg-ai prove` tells it: a sentence for each question, walk-forward windows, a
//! fan of what days like these may lead to. Computed elsewhere; from what is stored where nobody did.

use super::{Part, Period, chart, format};
use candles::time::DAY_MS;
use engine::{DailyEquity, Ledger, Trade};
use evidence::robustness::{
    FAN_QUANTILES, Figure, RobustnessConfig, RobustnessInputs, RobustnessReport, Run, robustness_report, trade_returns,
};
use genome::random::Seed;
use maud::{Markup, html};
use serde::Serialize;
use std::fmt::Write;

/// Paths of the fan that are drawn on the way.
const PATHS: u64 = 2_000;
/// Fewer daily returns say nothing.
const LEAST_DAYS: usize = 20;

/// A robustness report, and which days it is of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RobustnessSection {
    /// First candle, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Whether the search saw none of these days.
    pub unseen: bool,
    /// Whether variants were backtested on candles; from what is stored otherwise.
    pub backtested: bool,
    /// Days in sample of a walk-forward window.
    pub inside_days: usize,
    /// Days out of sample of one.
    pub outside_days: usize,
    /// What is known.
    #[serde(flatten)]
    pub robustness: RobustnessReport,
}

impl RobustnessSection {
    /// A random stream of its own for each strategy, and the same each time.
    #[must_use]
    pub fn seed(genome_hash: &str) -> Seed {
        let digits: String = genome_hash.chars().take(16).collect();
        Seed(u64::from_str_radix(&digits, 16).unwrap_or_default())
    }

    /// From what is stored, of the days after the search where there are any; `None` of too few days.
    pub(super) fn of_periods(periods: &[Period], seed: Seed) -> Option<Self> {
        let mut used: Vec<&Period> = periods.iter().filter(|p| p.part != Part::Backtest).collect();
        let unseen = used.iter().any(|p| p.daily_equity.len() > 1);
        if !unseen {
            used = periods.iter().collect();
        }
        let stretches = used.iter().map(|p| (p.daily_equity.as_slice(), p.trades.as_slice()));
        let base = Run::of_stretches(stretches.clone());
        if base.daily_returns.len() < LEAST_DAYS {
            return None;
        }
        let returns = |(equity, trades): (&[DailyEquity], &[Trade])| {
            trade_returns(&Ledger { trades: trades.to_vec(), daily_equity: equity.to_vec(), ..Ledger::default() })
        };
        let config = RobustnessConfig { paths: PATHS, ..RobustnessConfig::fitting(base.daily_returns.len()) };
        let material = RobustnessInputs {
            trade_returns: stretches.flat_map(returns).collect(),
            base,
            ..RobustnessInputs::default()
        };
        Some(Self {
            from_ms: used.iter().map(|p| p.from_ms).min()?,
            to_ms: used.iter().map(|p| p.to_ms).max()?,
            unseen,
            backtested: false,
            inside_days: config.inside_days,
            outside_days: config.outside_days,
            robustness: robustness_report(&material, &config, seed),
        })
    }

    /// Which days, in a sentence.
    fn days(&self) -> String {
        format!(
            "Of the {} days from {} to {}, {}{}",
            self.robustness.days,
            format::date(self.from_ms),
            format::date(self.to_ms),
            if self.unseen {
                "none of which the search saw."
            } else {
                "those of its backtest: where a search chose by them, they say little."
            },
            if self.backtested { "" } else { " Made of what is stored: nothing was backtested for it." }
        )
    }

    /// Dates of each walk-forward window, what was chosen, and what it made: as text.
    fn windows(&self) -> impl Iterator<Item = [String; 5]> {
        let date = |day: usize| format::date(self.from_ms + DAY_MS * i64::try_from(day).unwrap_or_default());
        self.robustness.windows.iter().map(move |w| {
            [
                format!("{} to {}", date(w.from_day), date(w.split_day)),
                format!("{} to {}", date(w.split_day), date(w.end_day)),
                w.neighbour.map_or_else(|| "the strategy itself".to_owned(), |n| format!("neighbour {n}")),
                format::percent(Some(w.inside_return_fraction)),
                format::percent(Some(w.outside_return_fraction)),
            ]
        })
    }
}

const WINDOW_HEADS: [&str; 5] = ["in sample", "out of sample", "chosen", "sum of daily returns in sample", "out of it"];

fn figure(figure: &Figure) -> String {
    let value = figure.value.map_or_else(|| format::UNDEFINED.to_owned(), format::measured);
    format!("{} {value}", figure.name.replace('_', " "))
}

pub(super) fn section(proven: Option<&RobustnessSection>) -> Markup {
    let Some(proven) = proven else { return html! {} };
    html! {
        h2 { "Robustness tests" }
        p { (proven.days()) " No gate looks at these tests." }
        div.scroll { table.words.findings {
            tbody { @for f in &proven.robustness.findings { tr {
                th { (f.name.replace('_', " ")) }
                td { (f.sentence) div.soft.figures { (f.figures.iter().map(figure).collect::<Vec<_>>().join(" · ")) } }
            } } }
        } }
        @if !proven.robustness.windows.is_empty() {
            h3 { "Walk-forward windows" }
            div.scroll { table {
                thead { tr { @for head in WINDOW_HEADS { th { (head) } } } }
                tbody { @for (row, w) in proven.windows().zip(&proven.robustness.windows) { tr {
                    @for text in &row[..4] { td { (text) } }
                    td class=(if w.outside_return_fraction < 0.0 { "no" } else { "yes" }) { (row[4]) }
                } } }
            } }
            p.soft { "On each window the variant that earned most in " (proven.inside_days) " days is traded on the " (proven.outside_days) " after." }
        }
        @if let Some(fan) = &proven.robustness.fan {
            h3 { "What days like these may lead to" }
            figure {
                (chart::fan(&fan.days, &fan.gains, "Gain by days: 5, 25, 50, 75 and 95 % of paths end below each line"))
                figcaption {
                    (format::number(fan.paths as f64, 0)) " paths of " (proven.robustness.days) " daily returns drawn in blocks. "
                    "Outer band: 5 to 95 % of paths; inner: 25 to 75 %."
                }
            }
        }
    }
}

pub(super) fn markdown(out: &mut String, proven: &RobustnessSection, cell: fn(&str) -> String) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "\n## Robustness tests\n\n{}\n", proven.days());
    for f in &proven.robustness.findings {
        let _ = writeln!(out, "- **{}**: {}", f.name.replace('_', " "), f.sentence);
    }
    if !proven.robustness.windows.is_empty() {
        let _ =
            writeln!(out, "\n### Walk-forward windows\n\n| {} |\n|{}", WINDOW_HEADS.join(" | "), " --- |".repeat(5));
        for row in proven.windows() {
            let _ = writeln!(out, "| {} |", row.map(|text| cell(&text)).join(" | "));
        }
    }
    if let Some(fan) = &proven.robustness.fan {
        let ends = FAN_QUANTILES.iter().zip(&fan.gains).map(|(q, line)| {
            let end = format::percent(line.last().copied());
            format!("{:.0} % of the paths end below {end}", 100.0 * q)
        });
        let ends = ends.collect::<Vec<_>>().join(", ");
        let _ = writeln!(out, "\nOf {} paths of days like these: {ends}.", fan.paths);
    }
}
