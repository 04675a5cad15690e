//! Checks what the cache holds: each month readable and unchanged, each series sound. Reads only, repairs nothing.

use super::cache::{CacheError, CandleCache, Coverage, SourceDisagreement};
use candles::agreement::Agreement;
use candles::cuts::{contradicted_cuts, proposed_cuts};
use candles::quality::{Finding, FindingKind, QualityPolicy, Severity, check_series};
use candles::resample::can_resample;
use candles::stored::SeriesCheck;
use candles::{CandleSeries, InstrumentTable, interval};

/// Disagreements of sources described one by one; beyond that they are only counted.
const MAX_DESCRIBED: usize = 50;

/// Checks one stored series whole, and holds it against the table of instruments.
///
/// # Errors
/// When the storage cannot be read. What is wrong with stored candles is part of the answer instead.
pub async fn verify(
    cache: &CandleCache,
    coverage: &Coverage,
    policy: &QualityPolicy,
    table: &InstrumentTable,
) -> Result<SeriesCheck, CacheError> {
    let Coverage { ticker, interval, .. } = coverage;
    let mut series = CandleSeries::new(*interval);
    let mut damaged = Vec::new();
    for month in &coverage.months {
        let facts = &month.facts;
        let end_ms = interval::next_open_time_ms(*interval, facts.last_open_ms);
        match cache.load_stored(ticker, *interval, facts.first_open_ms, end_ms).await {
            // Each month begins after the one before it ends, so nothing is refused here.
            Ok(part) => part.candles().for_each(|candle| drop(series.push(&candle))),
            Err(CacheError::Damaged { path, what }) => {
                let (from_ms, to_ms) = (facts.first_open_ms, facts.last_open_ms);
                damaged.push(damage(from_ms, to_ms, facts.rows, format!("{path}: {what}")));
            }
            Err(e) => return Err(e),
        }
    }
    damaged.extend(coverage.damaged.iter().map(|what| damage(0, 0, 0, what.clone())));
    let limits = *policy;
    let (proposed_cuts, contradicted_cuts) =
        (proposed_cuts(&ticker.symbol, &series, table), contradicted_cuts(&ticker.symbol, &series, table));
    let checked = tokio::task::spawn_blocking(move || check_series(&series, &limits));
    let mut report = checked.await.map_err(|e| CacheError::Task(e.to_string()))?;
    report.findings.splice(0..0, damaged);
    report.findings.extend(disagreements(cache, coverage, policy).await?);
    report.findings.extend(source_disagreements(coverage));
    Ok(SeriesCheck {
        market: ticker.market,
        symbol: ticker.symbol.clone(),
        interval: *interval,
        first_open_ms: coverage.first_open_ms,
        last_open_ms: coverage.last_open_ms,
        fit_for_evidence: report.fit_for_evidence(),
        report,
        proposed_cuts,
        contradicted_cuts,
    })
}

/// Holds each month against the finest interval of the same symbol that is stored.
async fn disagreements(
    cache: &CandleCache,
    coverage: &Coverage,
    policy: &QualityPolicy,
) -> Result<Vec<Finding>, CacheError> {
    let Coverage { ticker, interval, .. } = coverage;
    let stored = cache.stored_intervals(ticker).await?;
    let Some(finest) = stored.into_iter().find(|finer| finer < interval && can_resample(*finer, *interval)) else {
        return Ok(Vec::new());
    };
    let mut agreement = Agreement::default();
    for month in &coverage.months {
        let (from_ms, last_ms) = (month.facts.first_open_ms, month.facts.last_open_ms);
        let to_ms = interval::next_open_time_ms(*interval, last_ms);
        let load = |interval| cache.load_stored(ticker, interval, from_ms, to_ms);
        match (load(finest).await, load(*interval).await) {
            (Ok(fine), Ok(coarse)) => agreement.add(&fine, &coarse),
            // Told of where the month itself is checked.
            (Err(CacheError::Damaged { .. }), _) | (_, Err(CacheError::Damaged { .. })) => {}
            (Err(e), _) | (_, Err(e)) => return Err(e),
        }
    }
    Ok(agreement.findings(policy))
}

/// What was noted when sources were merged that do not agree. A rule has resolved it: a warning.
fn source_disagreements(coverage: &Coverage) -> Vec<Finding> {
    let all: Vec<&SourceDisagreement> = coverage.months.iter().flat_map(|month| &month.disagreements).collect();
    let finding = |first: &SourceDisagreement, last: &SourceDisagreement, candles, detail| Finding {
        kind: FindingKind::Disagreement,
        severity: Severity::Warning,
        from_ms: first.open_time_ms,
        to_ms: last.open_time_ms,
        candles,
        detail,
    };
    let (described, others) = all.split_at(all.len().min(MAX_DESCRIBED));
    let mut found: Vec<Finding> = described.iter().map(|one| finding(one, one, 1, one.to_string())).collect();
    if let (Some(first), Some(last)) = (others.first(), others.last()) {
        let n = others.len() as u64;
        found.push(finding(first, last, n, format!("sources disagree about {n} more candles")));
    }
    found
}

fn damage(from_ms: i64, to_ms: i64, candles: u64, detail: String) -> Finding {
    Finding { kind: FindingKind::Damaged, severity: Severity::Error, from_ms, to_ms, candles, detail }
}
