//! Edges of the cross-section: how strongly each symbol drifts through a day, by its rank at the day's beginning.
//!
//! Looks at days that have closed, as a strategy could. Knows no path and draws no random number.

use super::edge::EdgeKind;

/// What an edge of the cross-section remembers of a symbol's day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DayTotals {
    /// Its last price.
    pub close: f64,
    /// Its volume in coins, smallest units: in money it would know what rose.
    pub volume: f64,
}

/// What members are ranked by; `day(n)` is what it was n days before the last that closed. Finite where prices are.
#[must_use]
pub fn score(kind: EdgeKind, day: impl Fn(usize) -> DayTotals) -> f64 {
    let change = |days: u32| day(0).close / day(days as usize).close - 1.0;
    let mean = |days: u32| (0..days as usize).map(|n| day(n).volume).sum::<f64>() / f64::from(days);
    match kind {
        EdgeKind::RankMomentum { days } => change(days),
        EdgeKind::RankReversal { days } => -change(days),
        EdgeKind::RankVolume { days, against } => mean(days) / mean(against),
        EdgeKind::MeanReversion { .. }
        | EdgeKind::Momentum { .. }
        | EdgeKind::TimeOfDay { .. }
        | EdgeKind::VolumeSpike { .. }
        | EdgeKind::Product { .. } => 0.0,
    }
}

/// Linear weights, gross 1: by average rank from the middle, each leg a half. Fewer than two members: none.
#[must_use]
pub fn weights(scores: &[f64]) -> Vec<f64> {
    let from_middle = from_middle(scores);
    let leg: f64 = from_middle.iter().filter(|x| **x > 0.0).sum();
    if leg > 0.0 { from_middle.iter().map(|x| 0.5 * x / leg).collect() } else { vec![0.0; scores.len()] }
}

/// Drifts in units of each member's own deviation, proportional to its distance from the middle rank, and of such a size
/// that [`weights`] earn one deviation of their own: `sum(w x sigma) = sqrt((1 - f) sum(w^2 sigma^2) + f sum(w sigma)^2)`
/// with the members' usual `deviations` and the share `f` of variance that comes from the common factor. So what can be
/// earned does not depend on how many members there are.
pub(crate) fn tilts(scores: &[f64], deviations: &[f64], common_share: f64) -> Vec<f64> {
    let (from_middle, weights) = (from_middle(scores), weights(scores));
    let each = || weights.iter().zip(&from_middle).zip(deviations);
    let earned: f64 = each().map(|((w, x), d)| w * x * d).sum();
    let own: f64 = each().map(|((w, _), d)| (w * d).powi(2)).sum();
    let net: f64 = each().map(|((w, _), d)| w * d).sum();
    let risk = ((1.0 - common_share) * own + common_share * net * net).sqrt();
    let scale = if earned > 0.0 { risk / earned } else { 0.0 };
    from_middle.iter().map(|x| x * scale).collect()
}

/// `(average rank - 1) / (n - 1) - 0.5` of each value, the lowest first; all 0 below two.
#[must_use]
pub fn from_middle(values: &[f64]) -> Vec<f64> {
    let n = values.len();
    let mut out = vec![0.0; n];
    if n < 2 {
        return out;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut first = 0;
    for alike in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let middle = first as f64 + (alike.len() - 1) as f64 / 2.0;
        for &at in alike {
            out[at] = middle / (n - 1) as f64 - 0.5;
        }
        first += alike.len();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_linear_in_the_rank_and_tilts_pay_them_one_deviation() {
        assert_eq!(weights(&[3.0]), [0.0]);
        assert_eq!(weights(&[1.0, 1.0, 1.0]), [0.0; 3]);
        // Ranks 1, 3.5, 3.5, 2, 5: from the middle -1/2, 1/8, 1/8, -1/4, 1/2.
        let found = weights(&[-1.0, 4.0, 4.0, 0.5, 9.0]);
        let expected = [-1.0 / 3.0, 1.0 / 12.0, 1.0 / 12.0, -1.0 / 6.0, 1.0 / 3.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?}");
        for (n, share) in [(2_usize, 0.0), (7, 0.4), (60, 1.0)] {
            let scores: Vec<f64> = (0..n).map(|i| (i as f64 * 2.7).sin()).collect();
            let deviations: Vec<f64> = (0..n).map(|i| 0.3 + (i as f64 * 0.9).cos().abs()).collect();
            let (w, tilts) = (weights(&scores), tilts(&scores, &deviations, share));
            let sum = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>();
            // Variance of the weighted sum, member by member: own parts alone, and all pairs through the factor.
            let pairs = sum(&|i| {
                sum(&|j| {
                    let joint = if i == j { 1.0 } else { share };
                    joint * w[i] * deviations[i] * w[j] * deviations[j]
                })
            });
            let earned = sum(&|i| w[i] * tilts[i] * deviations[i]);
            assert!((earned / pairs.sqrt() - 1.0).abs() < 1e-9, "{n} {share}: {earned} {pairs}");
            assert!((sum(&|i| w[i].abs()) - 1.0).abs() < 1e-12);
        }
        assert_eq!(tilts(&[1.0, 2.0], &[0.0, 0.0], 0.5), [0.0, 0.0]);
    }
}
