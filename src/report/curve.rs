//! Periods chained to one curve: what came of one unit that was in the strategy from the first day on.
//!
//! Each period began with its own capital; here each begins with what the one before left.

use super::{Part, Period};
use candles::time::DAY_MS;

/// Most points drawn of one period: more than a screen has pixels is of no use.
const MAX_POINTS: usize = 1_000;

/// The curve of one period.
pub(super) struct Stretch {
    pub(super) part: Part,
    /// Time in UTC ms, gain since the very beginning as a fraction.
    pub(super) gain: Vec<(f64, f64)>,
    /// Time in UTC ms, distance from the highest value so far as a fraction: never positive.
    pub(super) drawdown: Vec<(f64, f64)>,
    /// Gain of buy and hold, as that of the strategy; empty where it is not known.
    pub(super) benchmark: Vec<(f64, f64)>,
}

/// Every period whose daily equity is known.
pub(super) fn chain(periods: &[Period]) -> Vec<Stretch> {
    let (mut level, mut peak, mut market) = (1.0_f64, 1.0_f64, 1.0_f64);
    let mut stretches = Vec::new();
    for period in periods {
        let Some(first) = period.daily_equity.first().filter(|first| first.equity > 0.0) else { continue };
        if period.daily_equity.len() < 2 {
            continue;
        }
        let (mut gain, mut drawdown) = (Vec::new(), Vec::new());
        let start = level;
        for point in &period.daily_equity {
            level = start * point.equity / first.equity;
            peak = peak.max(level);
            gain.push((point.time_ms as f64, level - 1.0));
            drawdown.push((point.time_ms as f64, level / peak - 1.0));
        }
        let held = market;
        let mut benchmark = Vec::new();
        if let (Some(bought), true) = (period.benchmark.first(), period.benchmark.len() == period.daily_equity.len()) {
            for (point, worth) in period.daily_equity.iter().zip(&period.benchmark) {
                market = held * worth / bought;
                benchmark.push((point.time_ms as f64, market - 1.0));
            }
        }
        let part = period.part;
        stretches.push(Stretch { part, gain: thin(&gain), drawdown: thin(&drawdown), benchmark: thin(&benchmark) });
    }
    stretches
}

/// Gain after each day, from 0 at the first day's beginning, of days (00:00 UTC at their beginning, ms) with their returns.
pub(super) fn gains(returns: impl Iterator<Item = (i64, f64)>) -> Vec<(f64, f64)> {
    let mut level = 1.0;
    let mut points = Vec::new();
    for (day_ms, r) in returns {
        if points.is_empty() {
            points.push((day_ms as f64, 0.0));
        }
        level *= 1.0 + r;
        points.push(((day_ms + DAY_MS) as f64, level - 1.0));
    }
    points
}

/// Distance from the highest value so far.
pub(super) fn drawdowns(gains: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut peak = 1.0_f64;
    let from_peak = |&(time, gain): &(f64, f64)| {
        peak = peak.max(1.0 + gain);
        (time, (1.0 + gain) / peak - 1.0)
    };
    gains.iter().map(from_peak).collect()
}

/// At most [`MAX_POINTS`], first and last, lowest and highest of each stretch among them.
pub(super) fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let chunk = points.len().div_ceil(MAX_POINTS / 4);
    let mut kept = Vec::with_capacity(MAX_POINTS);
    for part in points.chunks(chunk) {
        let last = part.len() - 1;
        let by = |a: &usize, b: &usize| part[*a].1.total_cmp(&part[*b].1);
        let mut wanted = vec![0, last];
        wanted.extend((0..=last).min_by(by));
        wanted.extend((0..=last).max_by(by));
        wanted.sort_unstable();
        wanted.dedup();
        kept.extend(wanted.into_iter().map(|i| part[i]));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_extremes() {
        let mut points: Vec<(f64, f64)> = (0..10_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        points[5_003].1 = 99.0;
        points[5_004].1 = -99.0;
        let thinned = thin(&points);
        assert!(thinned.len() <= MAX_POINTS, "{}", thinned.len());
        assert!(thinned.is_sorted_by(|a, b| a.0 < b.0));
        for wanted in [points[0], points[9_999], (5_003.0, 99.0), (5_004.0, -99.0)] {
            assert!(thinned.contains(&wanted));
        }
    }
}
