//! Calm or rough: realised volatility against its own past. Never looks ahead: each percentile is within the
//! trailing values, the current one included.

/// Volatility compared with its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Volatility {
    Low,
    Middle,
    High,
}

impl Volatility {
    /// The third that a percentile (0 to 1) lies in.
    #[must_use]
    pub fn of(percentile: f64) -> Self {
        if percentile < 1.0 / 3.0 {
            Self::Low
        } else if percentile > 2.0 / 3.0 {
            Self::High
        } else {
            Self::Middle
        }
    }
}

/// sqrt(mean of r^2 over the last `window` returns); `None` before there are as many.
#[must_use]
pub fn realised_volatility(returns: &[f64], window: usize) -> Vec<Option<f64>> {
    let at = |end: usize| {
        let recent = (window > 0).then(|| (end + 1).checked_sub(window)).flatten().map(|from| &returns[from..=end])?;
        Some((recent.iter().map(|r| r * r).sum::<f64>() / window as f64).sqrt())
    };
    (0..returns.len()).map(at).collect()
}

/// Mid-rank of each value within the last `window` values, itself included, 0 to 1; `None` before there are as many.
#[must_use]
pub fn trailing_percentile(values: &[Option<f64>], window: usize) -> Vec<Option<f64>> {
    let at = |end: usize| {
        let now = values[end]?;
        let recent = (window > 0).then(|| (end + 1).checked_sub(window)).flatten().map(|from| &values[from..=end])?;
        let recent: Vec<f64> = recent.iter().copied().collect::<Option<_>>()?;
        let below = recent.iter().filter(|v| **v < now).count();
        let equal = recent.iter().filter(|v| **v == now).count();
        Some((below as f64 + 0.5 * equal as f64) / window as f64)
    };
    (0..values.len()).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::vectors::{assert_close, indices, load, numbers};
    use serde_json::json;

    #[test]
    fn agrees_with_the_reference() {
        let Some(v) = load("16_wfe_regime/regime") else { return };
        let (input, output) = (&v["inputs"], &v["outputs"]);
        let lengths = indices(&json!([input["w"], input["L"]]));
        let volatility = realised_volatility(&numbers(&input["r"]), lengths[0]);
        let percentiles = trailing_percentile(&volatility, lengths[1]);
        for (i, (volatility, percentile)) in volatility.iter().zip(&percentiles).enumerate() {
            for (ours, theirs) in [(volatility, &output["rv"][i]), (percentile, &output["pct"][i])] {
                assert_eq!(ours.is_none(), theirs.is_null());
                ours.inspect(|value| assert_close(*value, theirs));
            }
            let label = percentile.map(|p| match Volatility::of(p) {
                Volatility::Low => "low",
                Volatility::Middle => "mid",
                Volatility::High => "high",
            });
            assert_eq!(label, output["label"][i].as_str());
        }
    }

    #[test]
    fn the_future_changes_nothing() {
        let r: Vec<f64> = (0..60).map(|i| f64::from(i * 7 % 11) - 5.0).collect();
        let percentiles = |n: usize| trailing_percentile(&realised_volatility(&r[..n], 5), 10);
        assert_eq!(percentiles(60)[..40], percentiles(40));
        assert_eq!(percentiles(60)[..13], [None; 13]);
        assert_eq!(realised_volatility(&r, 0), vec![None; 60]);
    }
}
