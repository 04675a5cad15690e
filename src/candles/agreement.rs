//! Whether two stored intervals of one symbol tell the same story. Pure: two series in, findings out.
//!
//! The finer candles are resampled and held against the coarser ones, candle by candle: prices must be the same
//! number, volumes the same within a rounding of their sums. Severity rule: single disagreements are **warnings**, and
//! they are an **error** once they exceed [`QualityPolicy::max_disagreeing_fraction`] of the candles compared: then one
//! of the two is not what was traded, and nobody can say which.

use super::quality::{Finding, FindingKind, QualityPolicy, Severity, count_between};
use super::resample::{can_resample, resample};
use super::{Candle, CandleSeries};

/// Sums of thousands of volumes differ in their last digits from the exchange's own sums.
const VOLUME_TOLERANCE: f64 = 1e-6;
/// Disagreements described one by one; beyond that they are only counted.
const MAX_DESCRIBED: usize = 50;

/// What holding finer candles against coarser ones came to, stretch by stretch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Coarse candles for which every fine one was there.
    pub compared: u64,
    /// Of them, those that disagree.
    pub disagreeing: u64,
    /// Single disagreements, in time order.
    described: Vec<Finding>,
}

impl Agreement {
    /// Compares stored coarse candles with what finer ones add up to. Coarse candles with a finer one missing are
    /// left out, and so is everything when the two grids do not meet.
    pub fn add(&mut self, fine: &CandleSeries, coarse: &CandleSeries) {
        let (from, to) = (fine.interval(), coarse.interval());
        if from >= to || !can_resample(from, to) {
            return;
        }
        let Ok(built) = resample(fine, to) else { return };
        let times = fine.open_times_ms();
        let complete = |candle: &Candle| {
            let first = times.partition_point(|&t| t < candle.open_time_ms);
            let last = times.partition_point(|&t| t <= candle.close_time_ms);
            (last - first) as u64 == count_between(from, candle.open_time_ms, candle.close_time_ms + 1)
        };
        let stored = coarse.open_times_ms();
        for ours in built.candles() {
            let Ok(i) = stored.binary_search(&ours.open_time_ms) else { continue };
            if !complete(&ours) {
                continue;
            }
            self.compared += 1;
            let Some(what) = difference(&ours, &coarse.candle(i)) else { continue };
            self.disagreeing += 1;
            if self.described.len() < MAX_DESCRIBED {
                self.described.push(Finding {
                    kind: FindingKind::Disagreement,
                    severity: Severity::Warning,
                    from_ms: ours.open_time_ms,
                    to_ms: ours.open_time_ms,
                    candles: 1,
                    detail: format!("the {to} candle says {what} of its {from} candles"),
                });
            }
        }
    }

    /// What to report: the single disagreements, and an error when they are too many.
    #[must_use]
    pub fn findings(mut self, policy: &QualityPolicy) -> Vec<Finding> {
        if self.disagreeing as f64 > policy.max_disagreeing_fraction * self.compared as f64
            && let (Some(first), Some(last)) = (self.described.first(), self.described.last())
        {
            let (disagreeing, compared) = (self.disagreeing, self.compared);
            self.described.push(Finding {
                kind: FindingKind::Disagreement,
                severity: Severity::Error,
                from_ms: first.from_ms,
                to_ms: last.to_ms,
                candles: disagreeing,
                detail: format!("{disagreeing} of {compared} candles disagree with finer ones of the same symbol"),
            });
        }
        self.described
    }
}

/// The first value that differs, if one does: prices as numbers, volumes within a rounding of their sums.
#[must_use]
pub fn difference(ours: &Candle, theirs: &Candle) -> Option<String> {
    let prices = [
        ("open", theirs.open, ours.open),
        ("high", theirs.high, ours.high),
        ("low", theirs.low, ours.low),
        ("close", theirs.close, ours.close),
    ];
    if let Some((name, theirs, ours)) = prices.into_iter().find(|(_, theirs, ours)| theirs != ours) {
        return Some(format!("{name} {theirs} and not the {ours}"));
    }
    let apart = (theirs.volume - ours.volume).abs();
    (apart > VOLUME_TOLERANCE * theirs.volume.abs().max(ours.volume.abs()).max(1e-9))
        .then(|| format!("volume {} and not the {}", theirs.volume, ours.volume))
}
