//! Rate of change of the close.
//!
//! `roc(n)` = 100 x (close / close n candles before - 1), in percent. Defined from index n. As TA-Lib's ROC.

use super::{Column, undefined};

pub(super) fn roc(closes: &[f64], n: usize) -> Column {
    let mut out = undefined(closes.len());
    for (out, (then, now)) in out.iter_mut().skip(n).zip(closes.iter().zip(closes.iter().skip(n))) {
        *out = 100.0 * (now / then - 1.0);
    }
    Column::new(out)
}
