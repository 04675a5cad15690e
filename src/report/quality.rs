//! The candles' quality as a section of a report, and as a page of its own: what was looked at, what was found.
//!
//! Pure rendering: never checks a candle, never decides what is fit.

use super::document::document;
use super::format;
use candles::quality::{Finding, Severity};
use candles::stored::SeriesCheck;
use candles::{DataVerdict, Interval, MarketKind, Symbol};
use maud::{Markup, html};
use serde::Serialize;

/// Findings shown of one series; the rest are counted.
const MAX_SHOWN: usize = 25;

/// One symbol and interval as it was judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct SeriesQuality {
    pub market: MarketKind,
    pub symbol: Symbol,
    pub interval: Interval,
    /// First open time looked at, UTC ms; `None` when there is no candle.
    pub from_ms: Option<i64>,
    /// End or last open time, UTC ms.
    pub to_ms: Option<i64>,
    pub candles: u64,
    /// Candles that there is room for.
    pub expected: u64,
    pub missing: u64,
    pub zero_volumes: u64,
    /// Whether the candles may count as evidence.
    pub fit: bool,
    /// In time order.
    pub findings: Vec<Finding>,
}

/// The quality of the candles that a report rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DataQuality {
    /// In the order to be shown.
    pub series: Vec<SeriesQuality>,
}

impl From<&DataVerdict> for DataQuality {
    fn from(verdict: &DataVerdict) -> Self {
        let of = |s: &candles::verdict::SymbolVerdict| SeriesQuality {
            market: verdict.market,
            symbol: s.symbol.clone(),
            interval: verdict.interval,
            from_ms: Some(verdict.from_ms),
            to_ms: Some(verdict.to_ms),
            candles: s.candles,
            expected: s.expected,
            missing: s.missing,
            zero_volumes: s.zero_volumes,
            fit: s.fit,
            findings: s.findings.clone(),
        };
        Self { series: verdict.symbols.iter().map(of).collect() }
    }
}

impl From<&[SeriesCheck]> for DataQuality {
    fn from(checks: &[SeriesCheck]) -> Self {
        let of = |c: &SeriesCheck| SeriesQuality {
            market: c.market,
            symbol: c.symbol.clone(),
            interval: c.interval,
            from_ms: c.first_open_ms,
            to_ms: c.last_open_ms,
            candles: c.report.candles,
            expected: c.report.expected,
            missing: c.report.missing,
            zero_volumes: c.report.zero_volumes,
            fit: c.fit_for_evidence,
            findings: c.report.findings.clone(),
        };
        Self { series: checks.iter().map(of).collect() }
    }
}

/// The section, with its heading.
#[must_use]
fn quality_section(quality: &DataQuality) -> Markup {
    html! {
        h2 { "Candles" }
        table {
            thead {
                tr {
                    th { "series" } th { "from" } th { "to" } th { "candles" } th { "missing" } th { "without volume" }
                    th { "evidence" }
                }
            }
            tbody {
                @for s in &quality.series {
                    tr {
                        td { (s.market) " " (s.symbol) " " (s.interval) }
                        td { @if let Some(ms) = s.from_ms { (format::time(ms)) } }
                        td { @if let Some(ms) = s.to_ms { (format::time(ms)) } }
                        td { (s.candles) " of " (s.expected) }
                        td { (s.missing) }
                        td { (s.zero_volumes) }
                        td { @if s.fit { "fit" } @else { b { "not fit" } } }
                    }
                }
            }
        }
        @for s in quality.series.iter().filter(|s| !s.findings.is_empty()) {
            details {
                summary { (s.market) " " (s.symbol) " " (s.interval) ": " (s.findings.len()) " findings" }
                table {
                    tbody {
                        @for f in s.findings.iter().take(MAX_SHOWN) {
                            tr { td { (severity(f.severity)) } td { (format::time(f.from_ms)) } td { (f.detail) } }
                        }
                    }
                }
                @if s.findings.len() > MAX_SHOWN { p.soft { "and " (s.findings.len() - MAX_SHOWN) " more" } }
            }
        }
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// The section as one self-contained HTML file.
#[must_use]
pub fn render_quality(quality: &DataQuality, made_at_ms: i64) -> String {
    let page = document(
        "Candles – sg-ai data report",
        false,
        &html! {
            header { h1 { "Candles" } }
            p.soft { "checked " (format::time(made_at_ms)) " UTC" }
            (quality_section(quality))
        },
    );
    page.into_string()
}
