//! The same candles, a little different: does a result hang on exact prices? Never changes volumes or times.

use candles::{Candle, CandleSeries};
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Candles whose closes are moved by noise with a standard deviation of `share` of their own range (in logarithms),
/// each next open by as much as the close before it; highs and lows give way where they must. Closes do not wander
/// off: each is moved from where it was. `None` where a price comes out impossible.
#[must_use]
pub fn noisy(candles: &CandleSeries, share: f64, rng: &mut impl Rng) -> Option<CandleSeries> {
    let mut last_move = 1.0;
    let moved = candles.candles().map(|c| {
        let range = (c.high / c.low).ln();
        let noise: f64 = rng.sample(StandardNormal);
        let (open, close) = (c.open * last_move, c.close * (share * range * noise).exp());
        last_move = close / c.close;
        Candle { open, close, high: c.high.max(open).max(close), low: c.low.min(open).min(close), ..c }
    });
    CandleSeries::from_candles(candles.interval(), &moved.collect::<Vec<_>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candles::Interval;
    use genome::random::Seed;

    fn candles() -> CandleSeries {
        let candle = |i: i64| Candle {
            open_time_ms: i * 900_000,
            open: 100.0,
            high: 102.0,
            low: 99.0,
            close: 101.0,
            volume: 5.0,
            close_time_ms: (i + 1) * 900_000 - 1,
            quote_volume: 500.0,
            trade_count: 9,
            taker_buy_volume: 2.0,
            taker_buy_quote_volume: 200.0,
        };
        CandleSeries::from_candles(Interval::M15, &(0..500).map(candle).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn prices_move_a_little_and_stay_possible() {
        let (plain, noisy) = (candles(), noisy(&candles(), 0.2, &mut Seed(1).stream("noise", 0)).unwrap());
        let moves: Vec<f64> = noisy.closes().iter().map(|c| (c / 101.0).ln()).collect();
        let deviation = (moves.iter().map(|m| m * m).sum::<f64>() / 500.0).sqrt();
        let expected = 0.2 * (102.0_f64 / 99.0).ln();
        assert!((deviation / expected - 1.0).abs() < 0.1, "{deviation} {expected}");
        assert_eq!((noisy.volumes(), noisy.open_times_ms()), (plain.volumes(), plain.open_times_ms()));
        assert_eq!(super::noisy(&plain, 0.0, &mut Seed(1).stream("noise", 0)).unwrap().closes(), plain.closes());
    }
}
