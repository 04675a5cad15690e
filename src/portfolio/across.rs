//! Operators over the values of all members at one candle. NaN is undefined; fewer than two defined values give none.

use crate::rolling::finite;
use genome::Across;

/// The operator's value for each member; undefined for those whose own value is.
pub(crate) fn apply(operator: Across, values: &[f64]) -> Vec<f64> {
    let defined: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    if defined.len() < 2 {
        return vec![f64::NAN; values.len()];
    }
    match operator {
        Across::Rank => ranks(values),
        Across::Demean => {
            let mean = mean(&defined);
            values.iter().map(|v| finite(v - mean)).collect()
        }
        Across::ZScore => {
            let mean = mean(&defined);
            let squares: f64 = defined.iter().map(|v| (v - mean) * (v - mean)).sum();
            let deviation = (squares / defined.len() as f64).sqrt();
            values.iter().map(|v| finite((v - mean) / deviation)).collect()
        }
        Across::Relative => {
            let mean = mean(&defined);
            values.iter().map(|v| finite(v / mean)).collect()
        }
    }
}

/// Mean of at least one value; that of equal values is that value to the bit.
pub(crate) fn mean(values: &[f64]) -> f64 {
    let first = values[0];
    first + values.iter().map(|v| v - first).sum::<f64>() / values.len() as f64
}

/// Slope of y on x: covariance over variance; `None` where x does not vary.
pub(crate) fn slope(x: &[f64], y: &[f64]) -> Option<f64> {
    let count = x.len() as f64;
    let (mean_x, mean_y) = (x.iter().sum::<f64>() / count, y.iter().sum::<f64>() / count);
    let square: f64 = x.iter().map(|x| (x - mean_x) * (x - mean_x)).sum();
    let product: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    (square > 0.0).then(|| product / square)
}

/// (average rank - 1) / (n - 1) among the defined values, of which there are at least two.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = (sorted.len() - 1) as f64;
    let rank = |v: &f64| {
        if v.is_nan() {
            return f64::NAN;
        }
        let below = sorted.partition_point(|s| s < v);
        let equal = sorted[below..].partition_point(|s| s <= v);
        (below as f64 + 0.5 * (equal - 1) as f64) / last
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn same(found: &[f64], expected: &[f64]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f.is_nan() && e.is_nan()) || (f - e).abs() < 1e-12, "{found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn undefined_values_are_left_out() {
        let x = [3.0, NAN, 1.0, 3.0, 5.0];
        same(&apply(Across::Rank, &x), &[0.5, NAN, 0.0, 0.5, 1.0]);
        same(&apply(Across::Demean, &x), &[0.0, NAN, -2.0, 0.0, 2.0]);
        same(&apply(Across::Relative, &x), &[1.0, NAN, 1.0 / 3.0, 1.0, 5.0 / 3.0]);
        let deviation = 2.0_f64.sqrt();
        same(&apply(Across::ZScore, &x), &[0.0, NAN, -2.0 / deviation, 0.0, 2.0 / deviation]);
    }

    #[test]
    fn fewer_than_two_values_give_none() {
        for operator in [Across::Rank, Across::Demean, Across::Relative, Across::ZScore] {
            assert!(apply(operator, &[1.0, NAN]).iter().all(|v| v.is_nan()));
        }
    }

    #[test]
    fn equal_values_have_no_standard_score() {
        assert!(apply(Across::ZScore, &[0.1; 7]).iter().all(|v| v.is_nan()));
        same(&apply(Across::Rank, &[0.1; 7]), &[0.5; 7]);
        same(&apply(Across::Demean, &[0.1; 7]), &[0.0; 7]);
    }
}
