//! Volume counted for or against the price.
//!
//! - `mfi(n)`, money flow index (Gene Quong and Avrum Soudack, 1989) = 100 x P / (P + N), P and N the sums of typical
//!   price x volume over those of the last n candles whose typical price rose, or fell, against the candle before.
//!   50 (neither side stronger) where nothing flowed. Defined from index n. As TA-Lib's MFI.
//! - `obv`, on-balance volume (Joseph Granville, 1963): the first candle's volume, plus the volume of each candle that
//!   closed higher than the one before, less that of each that closed lower. Defined from index 0. As TA-Lib's OBV.
//!   Its level depends on where the candles begin, so only compare it with itself.

use super::{Column, rolling, ticks::Ticks, undefined};
use candles::CandleSeries;

pub(super) fn mfi(candles: &CandleSeries, n: usize) -> Column {
    // In ticks and times three: the index has no unit.
    let typical = Ticks::of(candles).typical_sums();
    let volumes = candles.volumes();
    let mut out = undefined(candles.len());
    // Candle i + 1 has flow i: the first candle has none.
    let flow = |i: usize| {
        let (before, now) = (typical[i], typical[i + 1]);
        let money = now * volumes[i + 1];
        (if now > before { money } else { 0.0 }, if now < before { money } else { 0.0 })
    };
    let flows = candles.len().saturating_sub(1);
    rolling::fold(
        flows,
        n,
        flow,
        |a, b| (a.0 + b.0, a.1 + b.1),
        |i, (gained, lost)| {
            let total = gained + lost;
            out[i + 1] = if total > 0.0 { 100.0 * (gained / total) } else { 50.0 };
        },
    );
    Column::new(out)
}

pub(super) fn obv(candles: &CandleSeries) -> Column {
    let (closes, volumes) = (candles.closes(), candles.volumes());
    let mut out = volumes.to_vec();
    for i in 1..out.len() {
        let change = if closes[i] > closes[i - 1] {
            volumes[i]
        } else if closes[i] < closes[i - 1] {
            -volumes[i]
        } else {
            0.0
        };
        out[i] = out[i - 1] + change;
    }
    Column::new(out)
}
