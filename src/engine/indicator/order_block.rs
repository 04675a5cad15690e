//! Order blocks: where a strong move set out from, as traders of "smart money" charts draw them, made precise here.
//!
//! Candle i is a bullish impulse when close - open >= k x ATR(n) of the candle before it and it closes above that
//! candle's high. The block is the last candle that closed below its open among the n before the impulse; without
//! one there is no new block. It reaches from that candle's low to its high, and is known at the close of the impulse.
//! Bearish blocks are the mirror image: open - close, below the low, the last candle that closed above its open.
//!
//! - `bullish_order_block_high(n, k)`, `bullish_order_block_low(n, k)`, `bearish_order_block_high(n, k)`,
//!   `bearish_order_block_low(n, k)` = the borders of the last block known.
//!
//! Undefined until the first block is known, at index n + 1 at the earliest. A block stands until a newer one is
//! known, even when the price goes through it, so that a rule can see it being crossed.

use super::{
    Column,
    ticks::{self, Ticks},
    true_range::atr_ticks,
};
use candles::CandleSeries;

/// Direction of the impulse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Impulse {
    Bullish,
    Bearish,
}

/// Border of the block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Border {
    High,
    Low,
}

pub(super) fn order_block(candles: &CandleSeries, n: usize, multiple: f64, impulse: Impulse, border: Border) -> Column {
    let ticks = Ticks::of(candles);
    let (opens, closes) = (ticks::all(candles.opens()), &ticks.closes);
    let (highs, lows) = (candles.highs(), candles.lows());
    let borders = if border == Border::High { highs } else { lows };
    let bullish = impulse == Impulse::Bullish;
    // How far candle i went with the impulse's direction, ticks.
    let body = |i: usize| if bullish { closes[i] - opens[i] } else { opens[i] - closes[i] };
    let breaks_out =
        |i: usize| if bullish { candles.closes()[i] > highs[i - 1] } else { candles.closes()[i] < lows[i - 1] };

    let mut out = atr_ticks(&ticks, n);
    let mut range_before = f64::NAN;
    let mut last_against: Option<usize> = None;
    let mut level = f64::NAN;
    for (i, out) in out.iter_mut().enumerate() {
        // Undefined before the ATR is.
        let far = !range_before.is_nan() && !ticks::above(multiple * range_before, body(i));
        if far
            && body(i) > 0.0
            && breaks_out(i)
            && let Some(block) = last_against
            && i - block <= n
        {
            level = borders[block];
        }
        if body(i) < 0.0 {
            last_against = Some(i);
        }
        range_before = *out;
        *out = level;
    }
    Column::new(out)
}
