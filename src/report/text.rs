//! A strategy's report as Markdown and as CSV: the same numbers for other readers.

use super::{
    StrategyReport,
    document::SIMULATED,
    format, names,
    page::FIGURES,
    robustness::{self, RobustnessSection},
    windows,
};
use std::fmt::Write;

/// A cell of a Markdown table: no character of its own may end it.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn row(out: &mut String, cells: impl IntoIterator<Item = String>) {
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "| {} |", cells.into_iter().map(|text| cell(&text)).collect::<Vec<_>>().join(" | "));
}

fn heads(out: &mut String, heads: &[&str]) {
    row(out, heads.iter().map(ToString::to_string));
    let _ = writeln!(out, "|{}", " --- |".repeat(heads.len()));
}

/// The whole report as Markdown.
pub(super) fn markdown(report: &StrategyReport, proven: Option<&RobustnessSection>) -> String {
    let mut out = String::new();
    let reason = report.disable_reason.map(|r| format!(" ({})", r.name())).unwrap_or_default();
    let _ = writeln!(out, "# {}\n", cell(&report.name));
    if report.simulated {
        let _ = writeln!(out, "**{SIMULATED}**\n");
    }
    let _ = writeln!(
        out,
        "{}{} candles, {}. {}genome `{}`.\n",
        report.state.map(|state| format!("{state}{reason}, ")).unwrap_or_default(),
        report.timeframe,
        report.market,
        report.id.as_ref().map(|id| format!("Id `{id}`, ")).unwrap_or_default(),
        report.genome_hash
    );
    let _ = writeln!(out, "{}\n\n```\n{}\n```\n", report.words, report.rules);
    let names = names(&report.periods);
    if !report.periods.is_empty() {
        let _ = writeln!(out, "## Results by period\n");
        let columns: Vec<&str> = std::iter::once("").chain(names.iter().map(String::as_str)).collect();
        heads(&mut out, &columns);
        let dates = report.periods.iter().map(|p| format!("{} to {}", format::date(p.from_ms), format::date(p.to_ms)));
        row(&mut out, std::iter::once("Window".to_owned()).chain(dates));
        for (name, figure) in FIGURES {
            let values =
                report.periods.iter().map(|p| p.performance.as_ref().map_or(format::UNDEFINED.to_owned(), figure));
            row(&mut out, std::iter::once((*name).to_owned()).chain(values));
        }
        for (period, name) in report.periods.iter().zip(&names) {
            for note in period.notes() {
                let _ = writeln!(out, "\n{name}: {note}.");
            }
        }
    }
    let windows = windows::of(&report.periods);
    if !windows.is_empty() {
        let _ = writeln!(out, "\n## Windows\n");
        heads(&mut out, &["part", "from", "to", "return", "Sharpe ratio", "drawdown", "trades"]);
        for w in &windows {
            row(
                &mut out,
                [
                    w.part.name().to_owned(),
                    format::date(w.from_ms),
                    format::date(w.to_ms),
                    format::percent(Some(w.total_return)),
                    format::ratio(w.sharpe_ratio),
                    format::percent(Some(w.max_drawdown)),
                    w.trades.to_string(),
                ],
            );
        }
    }
    if let Some(proven) = proven {
        robustness::markdown(&mut out, proven, cell);
    }
    if !report.moves.is_empty() {
        let _ = writeln!(out, "\n## Decisions");
        for m in &report.moves {
            let _ = writeln!(
                out,
                "\n### {}: {} to {}\n\n{} By {}.\n",
                format::time(m.at_ms),
                m.from,
                m.to,
                m.summary,
                m.actor
            );
            if !m.checks.is_empty() {
                heads(&mut out, &["requirement", "needed", "had", ""]);
            }
            for c in &m.checks {
                let had = c.had.map_or(format::UNDEFINED.to_owned(), format::measured);
                row(
                    &mut out,
                    [c.name.clone(), c.needed.clone(), had, if c.passed { "passed" } else { "not passed" }.to_owned()],
                );
            }
        }
    }
    if let Some(id) = &report.id {
        let _ = writeln!(out, "\n## How to reproduce it\n\n```\nsg-ai reproduce {id}\n```");
    }
    let _ = writeln!(out, "\nMade by sg-ai {}.", report.made_by);
    out
}

/// Every trade as CSV: numbers in the shortest form that reads back to the same bits, times as UTC ms.
pub(super) fn csv(report: &StrategyReport) -> String {
    let mut out = String::from(
        "part,symbol,side,entry_time_ms,entry_price,exit_time_ms,exit_price,quantity,profit,return_fraction,fees,slippage,funding,risk,exit_reason,bars\n",
    );
    for period in &report.periods {
        for t in &period.trades {
            // Words of the engine and symbols hold neither commas nor quotes.
            let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let (side, reason) = (serde_json::json!(t.side), serde_json::json!(t.exit_reason));
            let _ = writeln!(
                out,
                "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
                period.part.name(),
                t.symbol,
                word(side),
                t.entry_time_ms,
                t.entry_price,
                t.exit_time_ms,
                t.exit_price,
                t.quantity,
                t.profit,
                t.return_fraction,
                t.fees,
                t.slippage,
                t.funding,
                t.risk.map(|r| r.to_string()).unwrap_or_default(),
                word(reason),
                t.bars
            );
        }
    }
    out
}
