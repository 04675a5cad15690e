//! No value depends on a later candle: cut the future off, or put another one in its place, and every value up to
//! there keeps its bits. Incremental equals batch follows. Planted leaks show that the check catches them.

use super::candles::{Dice, Flavour, indicator, random_candles, random_indicator, series};
use candles::{Candle, CandleSeries, Interval, resample::resample};
use engine::{
    columns,
    indicator::{Column, compute},
};
use genome::{IndicatorKind, PriceField, Series, Source, Timeframe};
use proptest::prelude::*;

/// Candles with three futures after `cut`: as they are, none, and another one.
struct Futures {
    whole: CandleSeries,
    cut_off: CandleSeries,
    changed: CandleSeries,
}

impl Futures {
    fn new(candles: &[Candle], cut: usize, seed: u64) -> Self {
        let mut other = candles[..cut].to_vec();
        let strange = random_candles(seed ^ 0xFACE, candles.len() - cut, Flavour::Wild, Interval::M15);
        other.extend(candles[cut..].iter().zip(&strange).map(|(candle, strange)| Candle {
            open_time_ms: candle.open_time_ms,
            close_time_ms: candle.close_time_ms,
            ..*strange
        }));
        Self {
            whole: series(candles, Interval::M15),
            cut_off: series(&candles[..cut], Interval::M15),
            changed: series(&other, Interval::M15),
        }
    }

    /// The first candle of the past whose value the future changes.
    fn leak(&self, of: impl Fn(&CandleSeries) -> Column) -> Option<usize> {
        let past = of(&self.cut_off);
        let bits = |column: &Column, i: usize| column.get(i).map(f64::to_bits);
        [of(&self.whole), of(&self.changed)]
            .iter()
            .find_map(|other| (0..past.len()).find(|&i| bits(&past, i) != bits(other, i)))
    }
}

fn flavours() -> impl Strategy<Value = Flavour> {
    proptest::sample::select(Flavour::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_indicator_looks_ahead(seed: u64, flavour in flavours(), len in 0usize..260, cut in 0.0f64..=1.0) {
        let candles = random_candles(seed, len, flavour, Interval::M15);
        let futures = Futures::new(&candles, (len as f64 * cut) as usize, seed);
        let mut dice = Dice(seed);
        for spec in IndicatorKind::all() {
            let indicator = random_indicator(spec.kind, &mut dice);
            let leak = futures.leak(|candles| compute(&indicator, candles));
            prop_assert_eq!(leak, None, "{:?}", indicator);
        }
    }

    #[test]
    fn no_higher_timeframe_looks_ahead(seed: u64, flavour in flavours(), len in 0usize..400, cut in 0.0f64..=1.0) {
        let candles = random_candles(seed, len, flavour, Interval::M15);
        let futures = Futures::new(&candles, (len as f64 * cut) as usize, seed);
        let sources = [
            Source::Price(PriceField::High),
            Source::Indicator(indicator(IndicatorKind::Ema, &[3.0])),
            Source::Indicator(indicator(IndicatorKind::SwingResistance, &[1.0])),
        ];
        for base in [Interval::M15, Interval::M30, Interval::H1] {
            for timeframe in [Timeframe::H2, Timeframe::H4, Timeframe::D1, Timeframe::W1, Timeframe::Mo1] {
                for source in sources {
                    let key = Series { source, timeframe: Some(timeframe), across: None };
                    let leak = futures.leak(|finest| {
                        let base = resample(finest, base).unwrap();
                        columns::compute_column(&key, &base, finest).unwrap()
                    });
                    prop_assert_eq!(leak, None, "{:?} on {}", key, base);
                }
            }
        }
    }
}

#[test]
fn planted_leaks_are_caught() {
    let candles = random_candles(7, 200, Flavour::Walk, Interval::M15);
    let futures = Futures::new(&candles, 120, 7);
    let closes = |candles: &CandleSeries| candles.closes().to_vec();

    let next_close = |candles: &CandleSeries| {
        let mut values = closes(candles);
        values.rotate_left(1);
        Column::new(values)
    };
    assert_eq!(futures.leak(next_close), Some(119), "a value taken from the next candle");

    let share_of_best = |candles: &CandleSeries| {
        let best = closes(candles).into_iter().fold(0.0, f64::max);
        Column::new(closes(candles).iter().map(|c| c / best).collect())
    };
    assert_eq!(futures.leak(share_of_best), Some(0), "a value scaled by the whole series");

    let unconfirmed_swing = |candles: &CandleSeries| {
        let mut level = f64::NAN;
        let highs = candles.highs();
        let turns = |i: usize| i > 0 && i + 1 < highs.len() && highs[i] > highs[i - 1] && highs[i] > highs[i + 1];
        Column::new(
            (0..highs.len())
                .map(|i| {
                    level = if turns(i) { highs[i] } else { level };
                    level
                })
                .collect(),
        )
    };
    let caught = (100..200).any(|cut| Futures::new(&candles, cut, 7).leak(unconfirmed_swing).is_some());
    assert!(caught, "a swing used before it is confirmed");

    // A higher timeframe read while its candle is still open.
    let open_hour = |candles: &CandleSeries| {
        let hours = resample(candles, Interval::H1).unwrap();
        let at = |time_ms: i64| hours.open_times_ms().partition_point(|open| *open <= time_ms).checked_sub(1);
        let value = |time_ms: i64| at(time_ms).map_or(f64::NAN, |i| hours.closes()[i]);
        Column::new(candles.open_times_ms().iter().map(|time_ms| value(*time_ms)).collect())
    };
    let caught = (100..200).any(|cut| Futures::new(&candles, cut, 7).leak(open_hour).is_some());
    assert!(caught, "an hour read before it closed");
}
