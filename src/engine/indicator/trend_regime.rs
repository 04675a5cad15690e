//! What kind of market it is, by thresholds in common use.
//!
//! `regime(n)` = 1, trending, where ADX(n) >= 25 (Wilder's own threshold); else -1, choppy, where choppiness(n) >= 61.8
//! (Dreiss's); else 0, ranging. A market that stands still has no choppiness and counts as ranging. Defined from
//! index 2 n - 1, as ADX is.

use super::{Column, choppiness::choppiness_values, directional::adx_values};
use candles::CandleSeries;

/// ADX from which on a market is trending.
const TRENDING_ADX: f64 = 25.0;
/// Choppiness from which on a market that is not trending is choppy.
const CHOPPY_CHOPPINESS: f64 = 61.8;

pub(super) fn regime(candles: &CandleSeries, n: usize) -> Column {
    let mut out = adx_values(candles, n);
    for (out, choppiness) in out.iter_mut().zip(choppiness_values(candles, n)) {
        if !out.is_nan() {
            *out = if *out >= TRENDING_ADX {
                1.0
            } else if choppiness >= CHOPPY_CHOPPINESS {
                -1.0
            } else {
                0.0
            };
        }
    }
    Column::new(out)
}
