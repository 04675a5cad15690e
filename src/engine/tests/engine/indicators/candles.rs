//! Seeded candles of many characters, and indicators with random parameters.

use candles::{Candle, CandleSeries, Interval, interval};
use genome::{Indicator, IndicatorKind, Number};

/// 2024-01-30 00:00 UTC, a Tuesday: a month and weeks end soon.
pub(crate) const START_MS: i64 = 1_706_572_800_000;

/// What the candles are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// A random walk on a grid of 0.01, with volume.
    Walk,
    /// One price for ever, some volume.
    Flat,
    /// A random walk without any volume.
    NoVolume,
    /// Stretches of standing still, of no volume and of missing candles.
    Mixed,
    /// Prices and volumes that leap by orders of magnitude.
    Wild,
}

impl Flavour {
    pub(crate) const ALL: [Self; 5] = [Self::Walk, Self::Flat, Self::NoVolume, Self::Mixed, Self::Wild];
}

/// A small generator (splitmix64), so that the candles of a seed never change.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }
}

pub(crate) fn random_candles(seed: u64, len: usize, flavour: Flavour, of: Interval) -> Vec<Candle> {
    let mut dice = Dice(seed);
    let mut price: f64 = 100.0;
    let mut open_time_ms = interval::open_time_ms(of, START_MS);
    let (mut still, mut dry) = (0, 0);
    let mut candles = Vec::with_capacity(len);
    let grid = |x: f64| (x * 100.0).round() / 100.0;
    for _ in 0..len {
        if flavour == Flavour::Mixed {
            if dice.unit() < 0.03 {
                still = dice.between(1, 40);
            }
            if dice.unit() < 0.03 {
                dry = dice.between(1, 40);
            }
            if dice.unit() < 0.04 {
                for _ in 0..dice.between(1, 30) {
                    open_time_ms = interval::next_open_time_ms(of, open_time_ms);
                }
            }
        }
        let stands = flavour == Flavour::Flat || still > 0;
        let empty = flavour == Flavour::NoVolume || dry > 0;
        still = still.saturating_sub(1);
        dry = dry.saturating_sub(1);

        let mut candle = Candle {
            open_time_ms,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0.0,
            close_time_ms: interval::close_time_ms(of, open_time_ms),
            quote_volume: 0.0,
            trade_count: 0,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        };
        if flavour == Flavour::Wild {
            let leap = |dice: &mut Dice| 10f64.powf(4.0 * dice.unit() - 2.0);
            candle.close = (price * leap(&mut dice)).clamp(1e-6, 1e9);
            candle.high = candle.open.max(candle.close) * (1.0 + dice.unit());
            candle.low = candle.open.min(candle.close) * (1.0 - 0.9 * dice.unit());
        } else if !stands {
            candle.close = grid(price * (1.0 + 0.02 * (dice.unit() - 0.5))).max(1.0);
            candle.high = grid(candle.open.max(candle.close) + 0.5 * dice.unit());
            candle.low = grid(candle.open.min(candle.close) - 0.5 * dice.unit()).max(0.5);
        }
        if !empty {
            candle.trade_count = dice.next() % 1000;
            candle.volume = (dice.unit() * 8000.0).round() / 8.0;
            if flavour == Flavour::Wild && dice.unit() < 0.2 {
                candle.volume *= 1e6;
            }
            candle.quote_volume = candle.volume * candle.close;
            candle.taker_buy_volume = candle.volume / 2.0;
            candle.taker_buy_quote_volume = candle.quote_volume / 2.0;
        }
        price = candle.close;
        candles.push(candle);
        open_time_ms = interval::next_open_time_ms(of, open_time_ms);
    }
    candles
}

pub(crate) fn series(candles: &[Candle], of: Interval) -> CandleSeries {
    CandleSeries::from_candles(of, candles).unwrap()
}

pub(crate) fn indicator(kind: IndicatorKind, params: &[f64]) -> Indicator {
    let params: Vec<Number> = params.iter().map(|p| Number::new(*p).unwrap()).collect();
    Indicator::new(kind, &params).unwrap()
}

/// The indicator with random parameters: mostly short periods, now and then the longest.
pub(crate) fn random_indicator(kind: IndicatorKind, dice: &mut Dice) -> Indicator {
    loop {
        let params: Vec<Number> = kind
            .spec()
            .params
            .iter()
            .map(|p| {
                let low = (p.min / p.step).round() as usize;
                let top = (p.max / p.step).round() as usize;
                let high = if dice.unit() < 0.05 { top } else { top.min(low + 30) };
                Number::new((dice.between(low, high) as f64 * p.step * 1e9).round() / 1e9).unwrap()
            })
            .collect();
        // Drawn again when `fast` is not below `slow`.
        if let Ok(indicator) = Indicator::new(kind, &params) {
            return indicator;
        }
    }
}
