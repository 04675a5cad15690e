//! A series on a higher timeframe against its definition: what a trader could have read at each base candle's close.

use super::candles::{Flavour, START_MS, indicator, random_candles, series};
use candles::{Interval, interval, resample::resample};
use engine::columns::{compute_column, source_column};
use genome::{IndicatorKind as Kind, PriceField, Series, Source, Timeframe};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Takes only the candles known when the base candle is, resamples those, and keeps what closed by then.
    #[test]
    fn a_value_is_that_of_the_last_closed_higher_candle(
        seed: u64,
        flavour in proptest::sample::select(vec![Flavour::Walk, Flavour::Mixed]),
        len in 0usize..250,
        late in 0i64..30,
    ) {
        let mut candles = random_candles(seed, len, flavour, Interval::M15);
        for c in &mut candles {
            c.open_time_ms += late * 900_000;
            c.close_time_ms += late * 900_000;
        }
        let finest = series(&candles, Interval::M15);
        let source = Source::Indicator(indicator(Kind::Ema, &[3.0]));
        for base in [Interval::M15, Interval::H1] {
            let base = resample(&finest, base).unwrap();
            for timeframe in [Timeframe::H2, Timeframe::H4, Timeframe::D1] {
                let key = Series { source, timeframe: Some(timeframe), across: None };
                let column = compute_column(&key, &base, &finest).unwrap();
                prop_assert_eq!(column.len(), base.len());
                for i in 0..base.len() {
                    let now_ms = base.close_time_ms(i);
                    let known = candles.iter().position(|c| c.close_time_ms >= now_ms).unwrap();
                    let higher = resample(&series(&candles[..=known], Interval::M15), timeframe).unwrap();
                    let closed = (0..higher.len()).rev().find(|&k| higher.close_time_ms(k) <= now_ms);
                    let expected = closed.and_then(|k| source_column(&source, &higher).get(k));
                    prop_assert_eq!(column.get(i).map(f64::to_bits), expected.map(f64::to_bits), "{} at {}", timeframe, i);
                }
            }
        }
    }
}

#[test]
fn at_10_15_a_rule_sees_the_close_of_08_00() {
    let candles = random_candles(5, 96, Flavour::Walk, Interval::M15);
    let base = series(&candles, Interval::M15);
    let key = Series { source: Source::Price(PriceField::Close), timeframe: Some(Timeframe::H4), across: None };
    let column = compute_column(&key, &base, &base).unwrap();
    let closing_at = |hour: i64, minute: i64| {
        let end_ms = START_MS + (hour * 60 + minute) * 60_000;
        candles.iter().position(|c| c.close_time_ms == end_ms - 1).unwrap()
    };
    assert_eq!(column.first_defined(), closing_at(4, 0));
    assert_eq!(column.get(closing_at(10, 15)), Some(candles[closing_at(8, 0)].close));
    assert_eq!(column.get(closing_at(11, 45)), Some(candles[closing_at(8, 0)].close));
    assert_eq!(column.get(closing_at(12, 0)), Some(candles[closing_at(12, 0)].close));
}

#[test]
fn the_base_timeframe_by_name_is_the_base_timeframe() {
    let candles = random_candles(5, 96, Flavour::Walk, Interval::M15);
    let base = series(&candles, Interval::M15);
    for field in PriceField::ALL {
        let source = Source::Price(field);
        let unnamed = compute_column(&Series { source, timeframe: None, across: None }, &base, &base).unwrap();
        let named =
            compute_column(&Series { source, timeframe: Some(Timeframe::M15), across: None }, &base, &base).unwrap();
        assert_eq!(unnamed, named);
        let without_volume = candles.iter().position(|c| c.volume > 0.0).unwrap();
        assert_eq!(unnamed.first_defined(), if field == PriceField::TakerBuyRatio { without_volume } else { 0 });
    }
}

#[test]
fn months_close_where_the_calendar_says() {
    let candles = random_candles(5, 40, Flavour::Walk, Interval::D1);
    let base = series(&candles, Interval::D1);
    let key = Series { source: Source::Price(PriceField::Close), timeframe: Some(Timeframe::Mo1), across: None };
    let column = compute_column(&key, &base, &base).unwrap();
    // The series starts on January 30, so January is not whole; February has 29 days in 2024.
    let february_29 = candles.iter().position(|c| c.open_time_ms == START_MS + 30 * 86_400_000).unwrap();
    assert_eq!(interval::next_open_time_ms(Interval::Mo1, START_MS), START_MS + 2 * 86_400_000);
    assert_eq!(column.first_defined(), february_29);
    assert_eq!(column.get(39), Some(candles[february_29].close));
}

#[test]
fn a_finer_timeframe_than_the_data_is_refused_in_words() {
    let base = series(&random_candles(5, 10, Flavour::Walk, Interval::M5), Interval::M5);
    let key = Series { source: Source::Price(PriceField::Close), timeframe: Some(Timeframe::M3), across: None };
    let error = compute_column(&key, &base, &base).unwrap_err().to_string();
    assert!(error.contains("3m") && error.contains("5m"), "{error}");
}
