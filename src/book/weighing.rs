//! How admitted members share a book. Sums to 1; nobody is below 0. Admits nobody.

use crate::Weighing;

/// How far correlations are shrunk toward none.
const SHRINKAGE: f64 = 0.5;

/// Shares of members, of their hedged daily returns (columns of one length) and what they are expected to earn a day, in
/// units of their deviation.
#[must_use]
pub fn weights(weighing: Weighing, returns: &[&[f64]], expected: &[f64]) -> Vec<f64> {
    let deviations: Vec<f64> = returns.iter().map(|returns| deviation(returns)).collect();
    let raw: Vec<f64> = match weighing {
        Weighing::EqualRisk => vec![1.0; returns.len()],
        Weighing::HierarchicalRiskParity => hierarchical(returns, &deviations),
        Weighing::MeanVariance => in_units_of_risk(returns, expected),
    };
    let raw: Vec<f64> = raw
        .iter()
        .zip(&deviations)
        .map(|(risk, deviation)| if *deviation > 0.0 { risk / deviation } else { 0.0 })
        .collect();
    let sum: f64 = raw.iter().sum();
    if sum > 0.0 { raw.iter().map(|weight| weight / sum).collect() } else { vec![0.0; raw.len()] }
}

/// Hierarchical risk parity (Lopez de Prado 2016) in units of risk: members are put in the order of a single-linkage tree of
/// their correlations' distances, and risk is halved along it, more of it to the half that varies less.
fn hierarchical(returns: &[&[f64]], deviations: &[f64]) -> Vec<f64> {
    let n = returns.len();
    let of = |i: usize, j: usize| if i == j { 1.0 } else { correlation(returns[i], returns[j]).unwrap_or(0.0) };
    let correlations: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| of(i, j)).collect()).collect();
    let mut shares = vec![1.0; n];
    let mut parts = vec![tree_order(&correlations)];
    while let Some(part) = parts.pop() {
        if part.len() < 2 {
            continue;
        }
        let (left, right) = part.split_at(part.len() / 2);
        let (a, b) = (variance_of(left, &correlations, deviations), variance_of(right, &correlations, deviations));
        let share = if a + b > 0.0 { 1.0 - a / (a + b) } else { 0.5 };
        left.iter().for_each(|&i| shares[i] *= share);
        right.iter().for_each(|&i| shares[i] *= 1.0 - share);
        parts.extend([left.to_vec(), right.to_vec()]);
    }
    // Shares are of equity; what calls divides by deviation.
    shares.iter().zip(deviations).map(|(share, deviation)| share * deviation).collect()
}

/// Members as the leaves of their tree: the two nearest clusters are joined, until one is left; equals in order.
fn tree_order(correlations: &[Vec<f64>]) -> Vec<usize> {
    let n = correlations.len();
    let own = |i: usize, j: usize| ((1.0 - correlations[i][j]) / 2.0).max(0.0).sqrt();
    // How differently two members stand to all.
    let distance = |i: usize, j: usize| (0..n).map(|k| (own(i, k) - own(j, k)).powi(2)).sum::<f64>();
    let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
    while clusters.len() > 1 {
        let between = |a: usize, b: usize| {
            let pairs = clusters[a].iter().flat_map(|&i| clusters[b].iter().map(move |&j| (i, j)));
            pairs.map(|(i, j)| distance(i, j)).fold(f64::INFINITY, f64::min)
        };
        let pairs = (0..clusters.len()).flat_map(|a| (a + 1..clusters.len()).map(move |b| (a, b)));
        let nearest = pairs.min_by(|x, y| between(x.0, x.1).total_cmp(&between(y.0, y.1)));
        let Some((a, b)) = nearest else { break };
        let joined = clusters.remove(b);
        clusters[a].extend(joined);
    }
    clusters.pop().unwrap_or_default()
}

/// Variance of a part whose members are weighed by 1 / variance.
fn variance_of(part: &[usize], correlations: &[Vec<f64>], deviations: &[f64]) -> f64 {
    let raw: Vec<f64> = part.iter().map(|&i| if deviations[i] > 0.0 { deviations[i].powi(-2) } else { 0.0 }).collect();
    let sum: f64 = raw.iter().sum();
    let mut variance = 0.0;
    for (&i, a) in part.iter().zip(&raw) {
        for (&j, b) in part.iter().zip(&raw) {
            variance += a * b * correlations[i][j] * deviations[i] * deviations[j];
        }
    }
    if sum > 0.0 { (variance / sum / sum).max(0.0) } else { 0.0 }
}

/// Shares of risk that nobody can better: of the shrunk correlations C and the expected ratios e, the w >= 0 with the
/// largest e'w - w'Cw / 2. There is one, and it is 0 only where nobody is expected to earn. By the active sets of Lawson and
/// Hanson (1974): members come in one at a time, the one first that adds most, and leave where their share would fall below 0.
fn in_units_of_risk(returns: &[&[f64]], expected: &[f64]) -> Vec<f64> {
    let n = returns.len();
    let correlations = shrunk(returns);
    let least = 1e-12 * expected.iter().fold(0.0, |most: f64, e| most.max(e.abs()));
    let mut shares = vec![0.0; n];
    let mut held: Vec<usize> = Vec::new();
    loop {
        let gain = |i: usize| expected[i] - (0..n).map(|j| correlations[i][j] * shares[j]).sum::<f64>();
        let next = (0..n).filter(|i| !held.contains(i)).max_by(|&i, &j| gain(i).total_cmp(&gain(j)));
        let Some(next) = next.filter(|&i| gain(i) > least) else { return shares };
        held.push(next);
        loop {
            let matrix = held.iter().map(|&i| held.iter().map(|&j| correlations[i][j]).collect()).collect();
            let solved = solve(matrix, held.iter().map(|&i| expected[i]).collect());
            // How far all may move towards what was solved before the first of them reaches 0.
            let below = held.iter().zip(&solved).filter(|(_, to)| **to <= 0.0);
            let step = below.map(|(&i, to)| shares[i] / (shares[i] - to)).fold(1.0, f64::min);
            let leaves: Vec<bool> =
                held.iter().zip(&solved).map(|(&i, &to)| to <= 0.0 && shares[i] / (shares[i] - to) <= step).collect();
            for ((&i, to), leaves) in held.iter().zip(&solved).zip(&leaves) {
                shares[i] = if *leaves { 0.0 } else { shares[i] + step * (to - shares[i]) };
            }
            if !leaves.contains(&true) {
                break;
            }
            let mut leaves = leaves.into_iter();
            held.retain(|_| leaves.next() == Some(false));
        }
    }
}

/// Correlations shrunk halfway toward none: no eigenvalue is below a half.
fn shrunk(returns: &[&[f64]]) -> Vec<Vec<f64>> {
    let of = |i: usize, j: usize| {
        if i == j { 1.0 } else { (1.0 - SHRINKAGE) * correlation(returns[i], returns[j]).unwrap_or(0.0) }
    };
    (0..returns.len()).map(|i| (0..returns.len()).map(|j| of(i, j)).collect()).collect()
}

/// Solves a symmetric system that is positive definite.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    for pivot in 0..n {
        let (head, tail) = matrix.split_at_mut(pivot + 1);
        let row = &head[pivot];
        for (below, other) in tail.iter_mut().enumerate() {
            let factor = other[pivot] / row[pivot];
            other.iter_mut().zip(row).skip(pivot).for_each(|(x, y)| *x -= factor * y);
            right[pivot + 1 + below] -= factor * right[pivot];
        }
    }
    for pivot in (0..n).rev() {
        let known: f64 = (pivot + 1..n).map(|k| matrix[pivot][k] * right[k]).sum();
        right[pivot] = (right[pivot] - known) / matrix[pivot][pivot];
    }
    right
}

/// Of one column (ddof 1); 0 of fewer than two days.
pub(crate) fn deviation(returns: &[f64]) -> f64 {
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if returns.len() >= 2 && variance.is_finite() { variance.sqrt() } else { 0.0 }
}

/// Of two columns of one length; `None` without variance.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = a.len().min(b.len()) as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    Some(ab / (aa * bb).sqrt()).filter(|r| r.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns(raw: &[Vec<f64>]) -> Vec<&[f64]> {
        raw.iter().map(Vec::as_slice).collect()
    }

    #[test]
    fn equal_risk_by_hand() {
        let raw = [vec![0.01, -0.01, 0.01, -0.01], vec![0.02, 0.02, -0.02, -0.02], vec![0.0; 4]];
        let found = weights(Weighing::EqualRisk, &columns(&raw), &[0.1, 0.2, 0.3]);
        assert!((found[0] - 2.0 / 3.0).abs() < 1e-12 && (found[1] - 1.0 / 3.0).abs() < 1e-12, "{found:?}");
        assert_eq!((found[2], weights(Weighing::EqualRisk, &[], &[])), (0.0, vec![]));
    }

    #[test]
    fn mean_variance_pays_for_promise_and_for_being_different() {
        let a = vec![0.01, -0.01, 0.01, -0.01, 0.01, -0.01];
        let b = vec![0.01, -0.01, 0.01, -0.01, -0.01, 0.01];
        let c = vec![0.01, 0.01, -0.01, -0.01, 0.01, -0.01];
        let raw = [a, b, c];
        let found = weights(Weighing::MeanVariance, &columns(&raw), &[1.0, 1.0, 1.0]);
        assert!(found.iter().all(|w| *w > 0.0), "{found:?}");
        let promising = weights(Weighing::MeanVariance, &columns(&raw), &[1.0, 1.0, 2.0]);
        assert!(promising[2] > found[2]);
        assert_eq!(weights(Weighing::MeanVariance, &columns(&raw), &[1.0, -9.0, 1.0])[1], 0.0);
    }

    /// By hand: three that are alike and one that is not, all of one variance. The tree puts the one at an end; the pair of
    /// it varies half as much as the pair of twins.
    #[test]
    fn what_moves_together_shares() {
        let a = vec![0.01, -0.01, 0.01, -0.01, 0.01, -0.01, 0.01, -0.01];
        let d = vec![0.01, 0.01, -0.01, -0.01, 0.01, 0.01, -0.01, -0.01];
        let raw = [a.clone(), a.clone(), d, a];
        let found = weights(Weighing::HierarchicalRiskParity, &columns(&raw), &[0.0; 4]);
        // Twins first, then the third of them beside the other: the first half varies 1, the second 1/2.
        for (share, wanted) in found.iter().zip([1.0 / 6.0, 1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0]) {
            assert!((share - wanted).abs() < 1e-12, "{found:?}");
        }
        let uncorrelated = [raw[0].clone(), raw[2].iter().map(|r| 2.0 * r).collect()];
        let found = weights(Weighing::HierarchicalRiskParity, &columns(&uncorrelated), &[0.0; 2]);
        assert!((found[0] - 0.8).abs() < 1e-12, "1 / variance: {found:?}");
    }

    /// What one loses beside the other is no reason to hold neither: by hand, correlations of -0.4 (shrunk from -0.8).
    #[test]
    fn who_promises_nothing_takes_nobody_along() {
        let b = vec![-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0];
        let a = vec![1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        let found = weights(Weighing::MeanVariance, &columns(&[a, b]), &[-0.62, 0.08]);
        assert_eq!(found, vec![0.0, 1.0]);
    }

    #[test]
    fn a_system_by_hand() {
        let found = solve(vec![vec![2.0, 1.0], vec![1.0, 3.0]], vec![3.0, 5.0]);
        assert!((found[0] - 0.8).abs() < 1e-12 && (found[1] - 1.4).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn shares_sum_to_one_and_nobody_is_below_nothing(
            raw in prop::collection::vec(prop::collection::vec(-0.1..0.1_f64, 40), 1..12),
            expected in prop::collection::vec(-1.0..3.0_f64, 12),
        ) {
            for weighing in [Weighing::EqualRisk, Weighing::HierarchicalRiskParity, Weighing::MeanVariance] {
                let found = weights(weighing, &columns(&raw), &expected[..raw.len()]);
                let sum: f64 = found.iter().sum();
                prop_assert!(found.iter().all(|w| *w >= 0.0 && w.is_finite()));
                let promising = || raw.iter().zip(&expected).any(|(raw, e)| deviation(raw) > 0.0 && *e > 0.0);
                prop_assert!((sum - 1.0).abs() < 1e-9 || (sum == 0.0 && !promising()));
            }
        }

        /// The conditions of Karush, Kuhn and Tucker: who holds a share would gain nothing by more or less of it, who holds
        /// none would gain nothing by any. Of a concave function they hold at its largest value alone.
        #[test]
        fn no_share_of_risk_can_be_bettered(
            raw in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0.0), -0.1..0.1_f64], 8), 1..12),
            expected in prop::collection::vec(prop_oneof![Just(0.0), -1.0..3.0_f64], 12),
            twins in any::<bool>(),
        ) {
            let mut raw = raw;
            if twins {
                raw.extend(raw.clone().into_iter().take(12 - raw.len()));
            }
            let (columns, expected) = (columns(&raw), &expected[..raw.len()]);
            let shares = in_units_of_risk(&columns, expected);
            let correlations = shrunk(&columns);
            for (i, share) in shares.iter().enumerate() {
                let gain = expected[i] - correlations[i].iter().zip(&shares).map(|(c, w)| c * w).sum::<f64>();
                prop_assert!(*share >= 0.0 && gain < 1e-9 && (*share == 0.0 || gain > -1e-9), "{} {}: {:?}", share, gain, shares);
            }
        }
    }
}
