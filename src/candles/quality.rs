//! What is wrong with a run of candles, and how bad it is. Pure: rows in, report out; never repairs anything.
//!
//! Severity rule: rows that contradict themselves or the grid (duplicate, disorder, off-grid, impossible, wrong time
//! unit) and stored months that are damaged are **errors**; so are missing candles once they exceed
//! [`QualityPolicy::max_missing_fraction`] of the expected ones. Single gaps, stale runs and jumps are **warnings**: markets
//! do that, rarely. What no market does is an **error** ([`breaks`]): an open many times the last close (a redenomination,
//! or a ticker given to another instrument), a high or low many times everything around it, and a candle from one to
//! the other. Zero volumes are **notes**, and a warning above [`QualityPolicy::max_zero_volume_fraction`]. Where two
//! intervals of a symbol are stored,
//! candles that disagree are **warnings**, and an error above [`QualityPolicy::max_disagreeing_fraction`]
//! ([`agreement`](super::agreement)). A window with an error is not evidence ([`verdict`](super::verdict)).

use super::{Candle, CandleSeries, Interval, interval, series::impossible};
use serde::{Deserialize, Serialize};

/// A hole between candles: the candles that would open in `[from_ms, to_ms)` are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Open time of the first missing candle, UTC ms.
    pub from_ms: i64,
    /// Open time of the next candle that is there, UTC ms.
    pub to_ms: i64,
    /// How many candles are missing.
    pub missing: u64,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Worth a look; the candles stay usable.
    Warning,
    /// The candles are not evidence.
    Error,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A stored month that cannot be read, or is not what was stored.
    Damaged,
    /// Missing candles.
    Gap,
    /// The missing candles together are too many.
    Incomplete,
    /// The same open time twice.
    Duplicate,
    /// A row that opens before its predecessor.
    Disorder,
    /// An open time that is not on the interval's grid.
    OffGrid,
    /// Times that look like seconds, microseconds or nanoseconds.
    TimeUnit,
    /// Prices or volumes that cannot be.
    Impossible,
    /// No trade.
    ZeroVolume,
    /// Many candles in a row without any movement.
    StaleRun,
    /// A move far beyond what this symbol does, or an open far from the last close; an error where it is so large that
    /// the prices are no longer in the same unit.
    Jump,
    /// A high or low many times everything around it.
    Spike,
    /// Another stored interval of the symbol says something else.
    Disagreement,
}

/// One finding about a stretch of candles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// How bad.
    pub severity: Severity,
    /// Open time of the first candle concerned, UTC ms.
    pub from_ms: i64,
    /// Open time of the last candle concerned, UTC ms.
    pub to_ms: i64,
    /// Candles concerned.
    pub candles: u64,
    /// In words.
    pub detail: String,
}

/// Thresholds of the check.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QualityPolicy {
    /// Missing candles above this share of the expected ones are an error.
    pub max_missing_fraction: f64,
    /// Zero volumes above this share are a warning.
    pub max_zero_volume_fraction: f64,
    /// A run of at least this many motionless candles is stale.
    pub stale_run_candles: usize,
    /// A close-to-close move is a jump above this fraction of the price, and...
    pub jump_fraction: f64,
    /// ...above this multiple of the median move.
    pub jump_median_multiple: f64,
    /// An open this far (as a fraction) from the last close, without a gap between, is a jump.
    pub open_gap_fraction: f64,
    /// Candles of two stored intervals that disagree are an error above this share of those compared.
    pub max_disagreeing_fraction: f64,
    /// An open this many times the last close, or this small a part of it, is an error.
    pub max_open_ratio: f64,
    /// A high this many times the opens and closes around it, or a low this small a part of them, is an error.
    pub max_spike_ratio: f64,
    /// A high this many times the low of the same candle is an error.
    pub max_range_ratio: f64,
}

impl Default for QualityPolicy {
    fn default() -> Self {
        Self {
            max_missing_fraction: 0.02,
            max_zero_volume_fraction: 0.05,
            stale_run_candles: 60,
            jump_fraction: 0.10,
            jump_median_multiple: 40.0,
            open_gap_fraction: 0.03,
            max_disagreeing_fraction: 0.001,
            max_open_ratio: 5.0,
            max_spike_ratio: 10.0,
            max_range_ratio: 20.0,
        }
    }
}

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QualityReport {
    /// Rows looked at.
    pub candles: u64,
    /// Candles there would be from first to last without gaps.
    pub expected: u64,
    /// Missing candles.
    pub missing: u64,
    /// Candles without volume.
    pub zero_volumes: u64,
    /// Findings in time order.
    pub findings: Vec<Finding>,
}

impl QualityReport {
    /// The worst severity, if anything was found.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|f| f.severity).max()
    }

    /// Whether the candles may count as evidence: no finding is an error.
    #[must_use]
    pub fn fit_for_evidence(&self) -> bool {
        self.worst() < Some(Severity::Error)
    }
}

/// The holes in a series, in time order.
#[must_use]
pub fn gaps(series: &CandleSeries) -> Vec<Gap> {
    let times = series.open_times_ms();
    times.windows(2).filter_map(|pair| gap_between(series.interval(), pair[0], pair[1])).collect()
}

/// The hole between a candle that opens at `open_ms` and the next one there is.
#[must_use]
pub fn gap_between(interval: Interval, open_ms: i64, next_present_ms: i64) -> Option<Gap> {
    let from_ms = interval::next_open_time_ms(interval, open_ms);
    (from_ms < next_present_ms).then(|| {
        let missing = count_between(interval, from_ms, next_present_ms);
        Gap { from_ms, to_ms: next_present_ms, missing }
    })
}

/// Candles that open in `[from_ms, to_ms)`, both on the grid.
#[must_use]
pub fn count_between(interval: Interval, from_ms: i64, to_ms: i64) -> u64 {
    let span = to_ms.saturating_sub(from_ms).max(0);
    match interval.fixed_ms() {
        Some(len) => (span / len).unsigned_abs(),
        None => {
            // Calendar months: the average one is close enough to count whole ones.
            const MONTH_MS: f64 = 365.2425 / 12.0 * 86_400_000.0;
            (span as f64 / MONTH_MS).round() as u64
        }
    }
}

/// Checks a validated series.
#[must_use]
pub fn check_series(series: &CandleSeries, policy: &QualityPolicy) -> QualityReport {
    let rows: Vec<Candle> = series.candles().collect();
    check_rows(series.interval(), &rows, policy)
}

/// Checks rows as they came, in any order.
#[must_use]
pub fn check_rows(interval: Interval, rows: &[Candle], policy: &QualityPolicy) -> QualityReport {
    let mut findings = Vec::new();
    let mut sound: Vec<&Candle> = Vec::with_capacity(rows.len());
    for row in rows {
        match row_fault(interval, row, sound.last().map(|c| c.open_time_ms)) {
            Some((kind, detail)) => findings.push(at(row, kind, Severity::Error, detail)),
            None => sound.push(row),
        }
    }
    let missing = find_gaps(interval, &sound, &mut findings);
    let expected = sound.len() as u64 + missing;
    if missing as f64 > policy.max_missing_fraction * expected as f64 {
        let detail = format!("{missing} of {expected} candles are missing");
        findings.push(over(&sound, FindingKind::Incomplete, Severity::Error, missing, detail));
    }
    let zero_volumes = sound.iter().filter(|c| c.volume == 0.0).count() as u64;
    if zero_volumes > 0 {
        let many = zero_volumes as f64 > policy.max_zero_volume_fraction * sound.len() as f64;
        let severity = if many { Severity::Warning } else { Severity::Note };
        let detail = format!("{zero_volumes} of {} candles have no volume", sound.len());
        findings.push(over(&sound, FindingKind::ZeroVolume, severity, zero_volumes, detail));
    }
    find_stale_runs(&sound, policy, &mut findings);
    let breaks = breaks_in(interval, sound.len(), |i| *sound[i], policy);
    find_jumps(interval, &sound, policy, &breaks, &mut findings);
    findings.extend(breaks);
    findings.sort_by_key(|f| (f.from_ms, f.kind));
    QualityReport { candles: rows.len() as u64, expected, missing, zero_volumes, findings }
}

fn row_fault(interval: Interval, row: &Candle, previous_ms: Option<i64>) -> Option<(FindingKind, String)> {
    let time = row.open_time_ms;
    // 1973 in ms is the year 5138 in seconds: whatever is outside is no candle time in ms.
    if !(100_000_000_000..100_000_000_000_000).contains(&time) {
        return Some((FindingKind::TimeUnit, format!("{time} is no candle time in milliseconds")));
    }
    if interval::open_time_ms(interval, time) != time {
        return Some((FindingKind::OffGrid, format!("{time} is not on the {interval} grid")));
    }
    if let Some(what) = impossible(row) {
        return Some((FindingKind::Impossible, what.to_owned()));
    }
    match previous_ms {
        Some(previous) if time == previous => Some((FindingKind::Duplicate, format!("{time} appears twice"))),
        Some(previous) if time < previous => Some((FindingKind::Disorder, format!("{time} comes after {previous}"))),
        _ => None,
    }
}

fn at(row: &Candle, kind: FindingKind, severity: Severity, detail: String) -> Finding {
    Finding { kind, severity, from_ms: row.open_time_ms, to_ms: row.open_time_ms, candles: 1, detail }
}

fn over(rows: &[&Candle], kind: FindingKind, severity: Severity, candles: u64, detail: String) -> Finding {
    let from_ms = rows.first().map_or(0, |c| c.open_time_ms);
    let to_ms = rows.last().map_or(0, |c| c.open_time_ms);
    Finding { kind, severity, from_ms, to_ms, candles, detail }
}

fn find_gaps(interval: Interval, rows: &[&Candle], findings: &mut Vec<Finding>) -> u64 {
    let mut total = 0;
    for pair in rows.windows(2) {
        if let Some(gap) = gap_between(interval, pair[0].open_time_ms, pair[1].open_time_ms) {
            total += gap.missing;
            findings.push(Finding {
                kind: FindingKind::Gap,
                severity: Severity::Warning,
                from_ms: gap.from_ms,
                to_ms: gap.to_ms,
                candles: gap.missing,
                detail: format!("{} candles are missing", gap.missing),
            });
        }
    }
    total
}

fn find_stale_runs(rows: &[&Candle], policy: &QualityPolicy, findings: &mut Vec<Finding>) {
    let motionless = |c: &Candle, price: f64| c.open == price && c.high == price && c.low == price && c.close == price;
    let mut start = 0;
    while start < rows.len() {
        let price = rows[start].close;
        let length = rows[start..].iter().take_while(|c| motionless(c, price)).count();
        if length >= policy.stale_run_candles.max(1) {
            let detail = format!("{length} candles in a row stay at {price}");
            let run = &rows[start..start + length];
            findings.push(over(run, FindingKind::StaleRun, Severity::Warning, length as u64, detail));
        }
        start += length.max(1);
    }
}

/// Where prices stop being those of one instrument in one unit: errors, in time order.
///
/// A move of any size within trading is none: prices that fall by nine tenths in an hour are traded on the way. An
/// open is where trade goes on, so it is held against the last close, with or without candles missing between. The
/// first candle's range is not looked at: first trades on listing are far from everything.
#[must_use]
pub fn breaks(series: &CandleSeries, to_ms: i64, policy: &QualityPolicy) -> Vec<Finding> {
    let n = series.open_times_ms().partition_point(|t| *t < to_ms);
    breaks_in(series.interval(), n, |i| series.candle(i), policy)
}

fn breaks_in(interval: Interval, n: usize, row: impl Fn(usize) -> Candle, policy: &QualityPolicy) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut error = |row: &Candle, kind, detail| found.push(at(row, kind, Severity::Error, detail));
    for i in 0..n {
        let (before, candle) = (i.checked_sub(1).map(&row), row(i));
        if let Some(before) = before {
            let times = candle.open / before.close;
            if times >= policy.max_open_ratio || times <= 1.0 / policy.max_open_ratio {
                let gap = gap_between(interval, before.open_time_ms, candle.open_time_ms);
                let gap = gap.map(|g| format!(" after {} missing candles", g.missing)).unwrap_or_default();
                let times = multiple(times);
                let detail = format!("opens{gap} at {times} the last close: another unit of price, not a move");
                error(&candle, FindingKind::Jump, detail);
                continue;
            }
        }
        let after = (i + 1 < n).then(|| row(i + 1).open);
        let around = [Some(candle.open), Some(candle.close), before.map(|c| c.close), after];
        let highest = around.into_iter().flatten().fold(f64::MIN, f64::max);
        let lowest = around.into_iter().flatten().fold(f64::MAX, f64::min);
        let (up, down, range) = (candle.high / highest, candle.low / lowest, candle.high / candle.low);
        if up >= policy.max_spike_ratio {
            let detail = format!("its high is {} every open and close around it", multiple(up));
            error(&candle, FindingKind::Spike, detail);
        } else if down <= 1.0 / policy.max_spike_ratio {
            let detail = format!("its low is {} every open and close around it", multiple(down));
            error(&candle, FindingKind::Spike, detail);
        } else if before.is_some() && range >= policy.max_range_ratio {
            let detail = format!("its high is {} its low: two units of price in one candle", multiple(range));
            error(&candle, FindingKind::Jump, detail);
        }
    }
    found
}

/// `100.0 times`, or `1/100.0 of`.
fn multiple(ratio: f64) -> String {
    if ratio >= 1.0 { format!("{ratio:.1} times") } else { format!("1/{:.1} of", 1.0 / ratio) }
}

fn find_jumps(
    interval: Interval,
    rows: &[&Candle],
    policy: &QualityPolicy,
    breaks: &[Finding],
    findings: &mut Vec<Finding>,
) {
    let is_break = |row: &Candle| breaks.binary_search_by_key(&row.open_time_ms, |f| f.from_ms).is_ok();
    let mut moves: Vec<f64> = rows.windows(2).map(|p| (p[1].close / p[0].close - 1.0).abs()).collect();
    if moves.is_empty() {
        return;
    }
    let middle = moves.len() / 2;
    let median = *moves.select_nth_unstable_by(middle, f64::total_cmp).1;
    let bound = policy.jump_fraction.max(policy.jump_median_multiple * median);
    for pair in rows.windows(2) {
        let moved = pair[1].close / pair[0].close - 1.0;
        let opened = pair[1].open / pair[0].close - 1.0;
        let contiguous = interval::next_open_time_ms(interval, pair[0].open_time_ms) == pair[1].open_time_ms;
        if is_break(pair[1]) {
            continue;
        }
        if moved.abs() > bound {
            let detail = format!("close moves {:+.1} % in one candle", 100.0 * moved);
            findings.push(at(pair[1], FindingKind::Jump, Severity::Warning, detail));
        } else if contiguous && opened.abs() > policy.open_gap_fraction {
            let detail = format!("opens {:+.1} % away from the last close", 100.0 * opened);
            findings.push(at(pair[1], FindingKind::Jump, Severity::Warning, detail));
        }
    }
}
