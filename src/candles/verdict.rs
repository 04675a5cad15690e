//! Whether a window of candles may count as evidence, and the reason in words. Pure: candles in, verdict out.
//!
//! A window fails when a symbol of it has an **error** by the rule of [`quality`](super::quality), or when the window's
//! own ends are not covered: what is missing before the first and after the last candle counts like a gap. Of the
//! warm-up before it only breaks count (prices in another unit): an indicator would carry them into the window. The
//! reason is stored beside what was decided on it. Never loads a candle and never repairs one.

use super::agreement::Agreement;
use super::quality::{Finding, FindingKind, QualityPolicy, Severity, breaks, check_series, count_between};
use super::{CandleSeries, Interval, MarketKind, Symbol, interval};
use serde::{Deserialize, Serialize};

/// Findings kept of each symbol; the worst ones. All of them are `sg-ai data verify`'s affair.
const MAX_FINDINGS: usize = 20;
/// Share of the symbols of a whole market that may be unfit by themselves: who ranks many names hardly looks at one.
const MOST_UNFIT: f64 = 0.1;

/// What was found in one symbol's candles of a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SymbolVerdict {
    /// Which symbol.
    pub symbol: Symbol,
    /// Whether its candles may count as evidence.
    pub fit: bool,
    /// Candles in the window.
    pub candles: u64,
    /// Candles that the window has room for.
    pub expected: u64,
    /// Missing ones, those at the window's ends included.
    pub missing: u64,
    /// Candles without volume.
    pub zero_volumes: u64,
    /// Findings by severity: errors, warnings, notes.
    pub errors: u64,
    /// See `errors`.
    pub warnings: u64,
    /// See `errors`.
    pub notes: u64,
    /// The worst findings, in time order.
    pub findings: Vec<Finding>,
}

/// Whether the candles of a window may count as evidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataVerdict {
    /// Which market.
    pub market: MarketKind,
    /// Interval of the candles.
    pub interval: Interval,
    /// First open time, UTC ms.
    pub from_ms: i64,
    /// End, exclusive, UTC ms.
    pub to_ms: i64,
    /// Whether they may.
    pub fit: bool,
    /// Why not; or, when they may, what was seen. One sentence.
    pub reason: String,
    /// Symbol by symbol, in the order given.
    pub symbols: Vec<SymbolVerdict>,
}

/// Candles to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Which symbol.
    pub symbol: &'a Symbol,
    /// Its candles; of those before the window only breaks are looked at, those after it not at all.
    pub candles: &'a CandleSeries,
    /// Finer ones, where some are used beside them: the two must tell the same story.
    pub finer: Option<&'a CandleSeries>,
}

/// Judges the candles that open in `[from_ms, to_ms)`.
#[must_use]
pub fn fit_for_evidence<'a>(
    market: MarketKind,
    interval: Interval,
    (from_ms, to_ms): (i64, i64),
    series: impl IntoIterator<Item = Judged<'a>>,
    policy: &QualityPolicy,
) -> DataVerdict {
    let symbols: Vec<SymbolVerdict> =
        series.into_iter().map(|judged| judge(judged, interval, (from_ms, to_ms), policy)).collect();
    let unfit: Vec<&SymbolVerdict> = symbols.iter().filter(|s| !s.fit).collect();
    let reason = match unfit.first() {
        None if symbols.is_empty() => "there is no symbol to look at".to_owned(),
        None => {
            let candles: u64 = symbols.iter().map(|s| s.candles).sum();
            let expected: u64 = symbols.iter().map(|s| s.expected).sum();
            let warnings: u64 = symbols.iter().map(|s| s.warnings).sum();
            format!("{candles} of {expected} candles, no error, {warnings} warnings")
        }
        Some(first) => {
            let error = first.findings.iter().find(|f| f.severity == Severity::Error);
            let what = error.map_or_else(|| "an error".to_owned(), |f| f.detail.clone());
            let others = match unfit.len() - 1 {
                0 => String::new(),
                n => format!(", and {n} more symbols are unfit"),
            };
            format!("{market} {} {interval}: {what}{others}", first.symbol)
        }
    };
    let fit = unfit.is_empty() && !symbols.is_empty();
    DataVerdict { market, interval, from_ms, to_ms, fit, reason, symbols }
}

/// Judges a whole market in `[from_ms, to_ms)`: each symbol between its first and last candle there, since symbols come and
/// go. Fit where at most a tenth of them is unfit; of these alone findings are listed.
#[must_use]
pub fn market_fit_for_evidence<'a>(
    market: MarketKind,
    interval: Interval,
    (from_ms, to_ms): (i64, i64),
    series: impl IntoIterator<Item = Judged<'a>>,
    policy: &QualityPolicy,
) -> DataVerdict {
    let (mut candles, mut expected, mut symbols) = (0, 0, Vec::new());
    for one in series {
        let inside = one.candles.slice(from_ms, to_ms);
        let bounds = inside.open_times_ms().first().copied().zip(inside.last_close_time_ms());
        let Some((first_ms, last_ms)) = bounds else { continue };
        let mut verdict = judge(one, interval, (first_ms, (last_ms + 1).min(to_ms)), policy);
        candles += verdict.candles;
        expected += verdict.expected;
        if verdict.fit {
            verdict.findings.clear();
        }
        symbols.push(verdict);
    }
    let (judged, unfit) = (symbols.len(), symbols.iter().filter(|s| !s.fit).count());
    let fit = judged > 0 && unfit as f64 <= MOST_UNFIT * judged as f64;
    let reason = if judged == 0 {
        "there is no symbol to look at".to_owned()
    } else {
        let name = |s: &SymbolVerdict| {
            let error = s.findings.iter().find(|f| f.severity == Severity::Error);
            format!("{} ({})", s.symbol, error.map_or("an error", |f| f.detail.as_str()))
        };
        let first = symbols.iter().find(|s| !s.fit).map(|s| format!(", the first: {}", name(s))).unwrap_or_default();
        format!("{candles} of {expected} {interval} candles of {judged} symbols, {unfit} of them unfit{first}")
    };
    DataVerdict { market, interval, from_ms, to_ms, fit, reason, symbols }
}

fn judge(
    judged: Judged<'_>,
    interval: Interval,
    (from_ms, to_ms): (i64, i64),
    policy: &QualityPolicy,
) -> SymbolVerdict {
    let candles = judged.candles.slice(from_ms, to_ms);
    let mut report = check_series(&candles, policy);
    // Over the warm-up, too, and over its border with the window.
    let known: Vec<i64> = errors_at(&report.findings).collect();
    let new = |f: &Finding| !known.contains(&f.from_ms);
    report.findings.extend(breaks(judged.candles, to_ms, policy).into_iter().filter(new));
    if let Some(finer) = judged.finer {
        // A coarse candle can hide one: it opens before and closes after.
        let known: Vec<i64> = errors_at(&report.findings).collect();
        let new = |f: &Finding| !known.contains(&interval::open_time_ms(interval, f.from_ms));
        report.findings.extend(breaks(finer, to_ms, policy).into_iter().filter(new));
        let mut agreement = Agreement::default();
        agreement.add(&finer.slice(from_ms, to_ms), &candles);
        report.findings.extend(agreement.findings(policy));
    }
    let first_ms = interval::first_open_time_ms(interval, from_ms);
    let end_ms = interval::first_open_time_ms(interval, to_ms);
    let expected = count_between(interval, first_ms, end_ms);
    let missing = expected.saturating_sub(report.candles);
    // The check of the series sees holes between candles only; the window sees its ends, too.
    report.findings.retain(|f| f.kind != FindingKind::Incomplete);
    if missing as f64 > policy.max_missing_fraction * expected as f64 {
        report.findings.push(Finding {
            kind: FindingKind::Incomplete,
            severity: Severity::Error,
            from_ms: first_ms,
            to_ms: end_ms,
            candles: missing,
            detail: format!("{missing} of {expected} candles are missing"),
        });
    }
    let count = |severity| report.findings.iter().filter(|f| f.severity == severity).count() as u64;
    let (errors, warnings, notes) = (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
    let mut findings = report.findings;
    findings.sort_by_key(|f| (std::cmp::Reverse(f.severity), f.from_ms, f.kind));
    findings.truncate(MAX_FINDINGS);
    findings.sort_by_key(|f| (f.from_ms, f.kind));
    SymbolVerdict {
        symbol: judged.symbol.clone(),
        fit: errors == 0,
        candles: report.candles,
        expected,
        missing,
        zero_volumes: report.zero_volumes,
        errors,
        warnings,
        notes,
        findings,
    }
}

fn errors_at(findings: &[Finding]) -> impl Iterator<Item = i64> + '_ {
    findings.iter().filter(|f| f.severity == Severity::Error).map(|f| f.from_ms)
}
