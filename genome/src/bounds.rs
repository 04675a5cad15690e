//! Bounds of the plain numbers in a strategy: what may be written, stored and searched.

use crate::Number;

/// Greatest magnitude of any number in a strategy.
pub(crate) const NUMBER: f64 = 1e12;
/// Least magnitude of a number that is not zero.
pub(crate) const NUMBER_LEAST: f64 = 1e-12;
pub(crate) const NUMBER_TEXT: &str = "a number must be 0 or between 1e-12 and 1e12 in magnitude";

/// Percent distances lie in (0, this].
pub(crate) const PERCENT_DISTANCE: f64 = 90.0;
/// ATR multiples lie in (0, this].
pub(crate) const ATR_MULTIPLE: f64 = 50.0;
/// ATR periods, inclusive.
pub(crate) const ATR_PERIOD: (u32, u32) = (2, 200);
/// Leverage, inclusive.
pub(crate) const LEVERAGE: (f64, f64) = (1.0, 125.0);
/// A risk size lies in (0, this] of the sleeve's equity.
pub(crate) const RISK_SIZE: f64 = 0.25;
/// Time exits, in candles, inclusive.
pub(crate) const TIME_EXIT_BARS: (u32, u32) = (1, 100_000);
/// A recovery multiplier lies in (1, this].
pub(crate) const RECOVERY_MULTIPLIER: f64 = 3.0;
/// Recovery steps, inclusive.
pub(crate) const RECOVERY_STEPS: (u32, u32) = (1, 10);

/// Members of a universe, inclusive: one alone cannot be ranked, and no venue lists more.
pub(crate) const UNIVERSE_TOP: (u32, u32) = (2, 1_000);
/// Days of a universe's volume, inclusive: ten years, longer than any cache.
pub(crate) const UNIVERSE_DAYS: (u32, u32) = (1, 3_650);
/// Returns behind a volatility or a beta in weights, inclusive: one return has no spread; 5,000 is the longest look-back.
pub(crate) const WEIGHT_RETURNS: (u32, u32) = (2, crate::Expression::MAX_CANDLES);
/// Rebalances that targets are the mean of, inclusive.
pub(crate) const SMOOTH: (u32, u32) = (1, 365);
/// The sum of absolute weights lies in (0, this]: no venue lends more to a basket.
pub(crate) const GROSS: f64 = 10.0;
/// A cap lies in (0, this] of equity: the greatest gross.
pub(crate) const WEIGHT_CAP: f64 = 10.0;
/// A band lies in (0, this] of equity: a wider one would leave whole positions alone.
pub(crate) const WEIGHT_BAND: f64 = 1.0;

/// Whether a number may stand in a strategy at all.
pub(crate) fn is_number(number: Number) -> bool {
    let magnitude = number.get().abs();
    magnitude == 0.0 || (NUMBER_LEAST..=NUMBER).contains(&magnitude)
}
