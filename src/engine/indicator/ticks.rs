//! Prices as whole numbers of ticks of 1e-8, so that sums, differences and ties are those of the decimals.
//!
//! A price such as 0.00001003 has no exact binary form. Two sums of such prices that are equal as decimals can differ in
//! their last bit, and an indicator that compares them takes a tie for a rise. In ticks the same prices are whole numbers
//! below 2^53: sums and differences are exact, ties are ties.
//!
//! Prices between ticks (no exchange has any) come out as near as floating point gets. Each value is converted by
//! itself: nothing depends on the candles around it.

use candles::CandleSeries;

/// Ticks in one unit of the quote currency: the finest step that Binance has.
pub(super) const PER_UNIT: f64 = 1e8;

/// A price in ticks: exactly where it is the nearest binary number to a whole number of ticks.
#[inline]
pub(super) fn ticks(price: f64) -> f64 {
    let scaled = price * PER_UNIT;
    let whole = scaled.round_ties_even();
    // Division rounds correctly, so it gives the price back if and only if the price is that decimal.
    if whole / PER_UNIT == price { whole } else { scaled }
}

/// Whether `a` is above `b` by more than rounding does to them, where multiples and averages came between.
#[inline]
pub(super) fn above(a: f64, b: f64) -> bool {
    a - b > 1e-12 * b.abs()
}

/// Highs, lows and closes of candles in ticks.
#[derive(Clone, Debug)]
pub(super) struct Ticks {
    pub(super) highs: Vec<f64>,
    pub(super) lows: Vec<f64>,
    pub(super) closes: Vec<f64>,
}

impl Ticks {
    pub(super) fn of(candles: &CandleSeries) -> Self {
        Self { highs: all(candles.highs()), lows: all(candles.lows()), closes: all(candles.closes()) }
    }

    pub(super) fn len(&self) -> usize {
        self.closes.len()
    }

    /// True range of candle `i`, which must not be the first, in ticks.
    #[inline]
    pub(super) fn true_range(&self, i: usize) -> f64 {
        let previous = self.closes[i - 1];
        self.highs[i].max(previous) - self.lows[i].min(previous)
    }

    /// High + low + close of each candle, in ticks: three times the typical price.
    pub(super) fn typical_sums(&self) -> Vec<f64> {
        let highs_lows = self.highs.iter().zip(&self.lows);
        highs_lows.zip(&self.closes).map(|((high, low), close)| high + low + close).collect()
    }
}

/// Each price in ticks.
pub(super) fn all(prices: &[f64]) -> Vec<f64> {
    prices.iter().map(|&price| ticks(price)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_whole_numbers_of_ticks() {
        for whole in [0_i64, 1, 3, 1003, 6_000_012_000_000, 49_999_999_999_999] {
            let price: f64 = format!("{}.{:08}", whole / 100_000_000, whole % 100_000_000).parse().unwrap();
            assert_eq!(ticks(price), whole as f64, "{price}");
        }
    }

    #[test]
    fn sums_that_are_equal_as_decimals_are_equal() {
        assert_ne!(0.1 + 0.2, 0.3);
        assert_eq!(ticks(0.1) + ticks(0.2), ticks(0.3));
        assert_eq!(ticks(0.00001203) - ticks(0.00001201), ticks(0.00000999) - ticks(0.00000997));
    }

    #[test]
    fn prices_between_ticks_stay_near() {
        let price = 1.0 / 3.0 * 1e-3;
        assert!((ticks(price) / PER_UNIT - price).abs() <= 4e-16 * price);
        assert!(ticks(f64::NAN).is_nan());
    }
}
