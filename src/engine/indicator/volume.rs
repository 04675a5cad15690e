//! Volume against its own recent past.
//!
//! - `volume_sma(n)` = mean volume of the last n candles. Defined from index n - 1.
//! - `volume_zscore(n)` = (volume - mean) / population standard deviation over the last n candles, this one included;
//!   0 where all n are equal. At most sqrt(n - 1) in size. Defined from index n - 1.

use super::{Column, bollinger::deviations, moving_average::sma, rolling};

pub(super) fn volume_sma(volumes: &[f64], n: usize) -> Column {
    sma(volumes, n)
}

pub(super) fn zscore(volumes: &[f64], n: usize) -> Column {
    let mut out = deviations(volumes, n);
    rolling::mean(volumes, n, |i, mean| {
        out[i] = if out[i] > 0.0 { (volumes[i] - mean) / out[i] } else { 0.0 };
    });
    Column::new(out)
}
