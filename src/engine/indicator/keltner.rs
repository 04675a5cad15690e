//! Keltner channel (Chester Keltner, 1960; with ATR bands by Linda Raschke).
//!
//! With m = EMA(n) of closes and a = ATR(p): `keltner_upper(n, p, k)` = m + k a, `keltner_middle(n, p, k)` = m,
//! `keltner_lower(n, p, k)` = m - k a. Bands are defined from index max(n - 1, p), the middle from index n - 1.

use super::{Column, ema::ema_into, true_range::atr_values};
use candles::CandleSeries;

/// The line `multiple` ATR above the middle; below it where negative.
pub(super) fn band(candles: &CandleSeries, n: usize, atr_period: usize, multiple: f64) -> Column {
    let mut out = super::undefined(candles.len());
    ema_into(candles.closes(), n, &mut out);
    for (out, range) in out.iter_mut().zip(atr_values(candles, atr_period)) {
        *out += multiple * range;
    }
    Column::new(out)
}
