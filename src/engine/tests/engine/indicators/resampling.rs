//! Coarser candles against their definition, and against coarser candles made in two steps.

use super::candles::{Flavour, START_MS, random_candles, series};
use candles::resample::{ResampleError, can_resample, resample};
use candles::time::HOUR_MS;
use candles::{Candle, CandleSeries, Interval, interval};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Groups by the coarse open time, drops an unknown beginning and an open end, and adds up.
fn by_definition(candles: &[Candle], to: Interval) -> Vec<Candle> {
    let mut groups: BTreeMap<i64, Vec<Candle>> = BTreeMap::new();
    for c in candles {
        groups.entry(interval::open_time_ms(to, c.open_time_ms)).or_default().push(*c);
    }
    let first = candles.first().map(|c| interval::open_time_ms(to, c.open_time_ms));
    let last_close = candles.last().map_or(i64::MIN, |c| c.close_time_ms);
    let whole = |open: i64, group: &[Candle]| Some(open) != first || group[0].open_time_ms == open;
    let closed = |open: i64| interval::close_time_ms(to, open) <= last_close;
    let total = |group: &[Candle], of: fn(&Candle) -> f64| group.iter().map(of).reduce(|a, b| a + b).unwrap();
    groups
        .into_iter()
        .filter(|(open, group)| whole(*open, group) && closed(*open))
        .map(|(open_time_ms, group)| Candle {
            open_time_ms,
            open: group[0].open,
            high: fold_by(&group, |c| c.high, f64::max),
            low: fold_by(&group, |c| c.low, f64::min),
            close: group[group.len() - 1].close,
            volume: total(&group, |c| c.volume),
            close_time_ms: interval::close_time_ms(to, open_time_ms),
            quote_volume: total(&group, |c| c.quote_volume),
            trade_count: group.iter().map(|c| c.trade_count).sum(),
            taker_buy_volume: total(&group, |c| c.taker_buy_volume),
            taker_buy_quote_volume: total(&group, |c| c.taker_buy_quote_volume),
        })
        .collect()
}

fn fold_by(group: &[Candle], of: fn(&Candle) -> f64, join: fn(f64, f64) -> f64) -> f64 {
    group.iter().map(of).reduce(join).unwrap()
}

/// Candles that begin anywhere in their coarser ones.
fn candles() -> impl Strategy<Value = (Vec<Candle>, Interval)> {
    let intervals = vec![Interval::M15, Interval::H1, Interval::H4, Interval::D1];
    let flavours = vec![Flavour::Walk, Flavour::Mixed, Flavour::Wild];
    let select = (proptest::sample::select(intervals), proptest::sample::select(flavours));
    (select, any::<u64>(), 0usize..500, 0usize..40).prop_map(|((of, flavour), seed, len, skip)| {
        let candles = random_candles(seed, len + skip, flavour, of);
        (candles[skip..].to_vec(), of)
    })
}

fn coarser(of: Interval) -> impl Iterator<Item = Interval> {
    Interval::ALL.into_iter().filter(move |to| *to > of && can_resample(of, *to))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn coarse_candles_are_what_their_fine_ones_add_up_to((candles, of) in candles()) {
        let fine = series(&candles, of);
        for to in coarser(of) {
            let got: Vec<Candle> = resample(&fine, to).unwrap().candles().collect();
            prop_assert_eq!(got, by_definition(&candles, to), "{} to {}", of, to);
        }
    }

    #[test]
    fn a_longer_series_only_adds_candles((candles, of) in candles(), cut in 0.0f64..=1.0) {
        let cut = (candles.len() as f64 * cut) as usize;
        for to in coarser(of) {
            let short: Vec<Candle> = resample(&series(&candles[..cut], of), to).unwrap().candles().collect();
            let long: Vec<Candle> = resample(&series(&candles, of), to).unwrap().candles().collect();
            prop_assert_eq!(&short[..], &long[..short.len()], "{} to {}", of, to);
        }
    }

    #[test]
    fn two_steps_give_the_candles_of_one((candles, of) in candles()) {
        let fine = series(&candles, of);
        for middle in coarser(of) {
            let half_way = resample(&fine, middle).unwrap();
            for to in coarser(middle) {
                let (one, two) = (resample(&fine, to).unwrap(), resample(&half_way, to).unwrap());
                prop_assert!(one.len() <= two.len() + 2, "{} to {} to {}", of, middle, to);
                for b in two.candles() {
                    let place = one.open_times_ms().binary_search(&b.open_time_ms);
                    let a = one.candle(place.expect("two steps invent nothing"));
                    let prices = |c: &Candle| (c.open_time_ms, c.open, c.high, c.low, c.close, c.trade_count);
                    prop_assert_eq!(prices(&a), prices(&b));
                    for (a, b) in [(a.volume, b.volume), (a.quote_volume, b.quote_volume)] {
                        prop_assert!((a - b).abs() <= 1e-12 * a, "{} and {}", a, b);
                    }
                }
                if candles.windows(2).all(|pair| pair[1].open_time_ms == pair[0].close_time_ms + 1) {
                    prop_assert_eq!(one.len(), two.len());
                }
            }
        }
    }
}

fn opens(series: &CandleSeries) -> Vec<i64> {
    series.open_times_ms().to_vec()
}

#[test]
fn an_unknown_beginning_and_an_open_end_are_dropped() {
    let candles = random_candles(2, 30, Flavour::Walk, Interval::M15);
    let hours = |range: std::ops::Range<usize>| {
        opens(&resample(&series(&candles[range], Interval::M15), Interval::H1).unwrap())
    };
    assert_eq!(hours(0..8), [START_MS, START_MS + HOUR_MS]);
    assert_eq!(hours(0..7), [START_MS], "the second hour is still open");
    assert_eq!(hours(1..8), [START_MS + HOUR_MS], "the first hour began before the series");
    assert!(hours(0..3).is_empty());
    assert!(hours(1..4).is_empty());
    assert!(hours(0..0).is_empty());
}

#[test]
fn gaps_stay_gaps() {
    let candles = random_candles(2, 16, Flavour::Walk, Interval::M15);
    // The second hour is missing, the third lacks its first quarter and its last.
    let kept: Vec<Candle> = [0, 1, 2, 3, 9, 10, 12, 13, 14, 15].map(|i| candles[i]).to_vec();
    let hours = resample(&series(&kept, Interval::M15), Interval::H1).unwrap();
    assert_eq!(opens(&hours), [0, 2, 3].map(|hour| START_MS + hour * HOUR_MS));
    assert_eq!(hours.opens()[1], candles[9].open);
    assert_eq!(hours.closes()[1], candles[10].close);
    assert_eq!(hours.volumes()[1], candles[9].volume + candles[10].volume);
}

#[test]
fn weeks_open_on_monday_and_months_on_the_first() {
    const DAY_MS: i64 = 86_400_000;
    let days = series(&random_candles(2, 70, Flavour::Walk, Interval::D1), Interval::D1);
    // The series starts on Tuesday, January 30, 2024.
    let weeks = opens(&resample(&days, Interval::W1).unwrap());
    assert_eq!(weeks[..2], [START_MS + 6 * DAY_MS, START_MS + 13 * DAY_MS]);
    let months = resample(&days, Interval::Mo1).unwrap();
    assert_eq!(opens(&months), [START_MS + 2 * DAY_MS, START_MS + 31 * DAY_MS]);
    assert_eq!(months.candle(0).close_time_ms, START_MS + 31 * DAY_MS - 1);
}

#[test]
fn intervals_whose_borders_do_not_meet_are_refused() {
    use Interval::{D1, D3, H1, H8, H12, M3, M5, M15, Mo1, W1};
    for (from, to) in [(M3, M5), (H8, H12), (D3, W1), (W1, Mo1), (D3, Mo1), (Mo1, D1), (H1, M15)] {
        let error = resample(&CandleSeries::new(from), to).unwrap_err();
        assert_eq!(error, ResampleError::BordersDoNotMeet { from, to });
        assert!(error.to_string().contains(from.name()), "{error}");
    }
    for (from, to) in [(M5, M15), (H1, D3), (D1, W1), (D1, Mo1), (H12, Mo1), (Mo1, Mo1)] {
        assert!(resample(&CandleSeries::new(from), to).is_ok());
    }
}

#[test]
fn volumes_that_overflow_are_an_error_and_the_same_interval_is_a_copy() {
    let mut candles = random_candles(2, 4, Flavour::Walk, Interval::M15);
    assert_eq!(resample(&series(&candles, Interval::M15), Interval::M15).unwrap(), series(&candles, Interval::M15));
    for c in &mut candles {
        c.volume = f64::MAX;
    }
    let error = resample(&series(&candles, Interval::M15), Interval::H1).unwrap_err();
    assert!(matches!(error, ResampleError::Impossible { interval: Interval::H1, .. }), "{error}");
}
