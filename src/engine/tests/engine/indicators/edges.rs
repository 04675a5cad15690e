//! Where values begin, how far they reach, and what they are where nothing moves, trades or exists.

use super::candles::{Dice, Flavour, START_MS, indicator, random_candles, random_indicator, series};
use candles::{Candle, CandleSeries, Interval};
use engine::indicator::{Column, compute};
use genome::{Indicator, IndicatorKind as Kind, Scale};
use proptest::prelude::*;

/// The documented index of the first defined value. For levels that wait for something to happen, the earliest.
fn warm_up(indicator: &Indicator) -> usize {
    let p: Vec<usize> = indicator.params().iter().map(|p| p.get() as usize).collect();
    match indicator.kind() {
        Kind::SessionVwap | Kind::Obv | Kind::HourOfDay | Kind::DayOfWeek => 0,
        Kind::ParabolicSar => 1,
        Kind::Sma | Kind::Ema | Kind::Wma | Kind::Vwap | Kind::StandardDeviation | Kind::LinregSlope => p[0] - 1,
        Kind::BollingerUpper | Kind::BollingerMiddle | Kind::BollingerLower => p[0] - 1,
        Kind::BollingerWidth | Kind::BollingerPercentB | Kind::KeltnerMiddle => p[0] - 1,
        Kind::Cci | Kind::WilliamsR | Kind::VolumeSma | Kind::VolumeZscore => p[0] - 1,
        Kind::IchimokuConversion | Kind::IchimokuBase => p[0] - 1,
        Kind::Hma => p[0] + p[0].isqrt() - 2,
        Kind::Rsi | Kind::Atr | Kind::Natr | Kind::PlusDi | Kind::MinusDi | Kind::Mfi | Kind::Roc => p[0],
        Kind::DonchianUpper | Kind::DonchianMiddle | Kind::DonchianLower => p[0],
        Kind::Supertrend | Kind::SupertrendDirection | Kind::WyckoffSpring | Kind::WyckoffUpthrust => p[0],
        Kind::RealizedVolatility | Kind::Choppiness | Kind::IchimokuLagging => p[0],
        Kind::Macd => p[1] - 1,
        Kind::MacdSignal | Kind::MacdHistogram => p[1] + p[2] - 2,
        Kind::Adx | Kind::Regime => 2 * p[0] - 1,
        Kind::StochasticK => p[0] + p[1] - 2,
        Kind::StochasticD => p[0] + p[1] + p[2] - 3,
        Kind::KeltnerUpper | Kind::KeltnerLower => (p[0] - 1).max(p[1]),
        Kind::IchimokuSpanA => p[0].max(p[1]) - 1 + p[2],
        Kind::IchimokuSpanB => p[0] - 1 + p[1],
        Kind::SwingResistance | Kind::SwingSupport => 2 * p[0],
        Kind::BullishOrderBlockHigh | Kind::BullishOrderBlockLow => p[0] + 1,
        Kind::BearishOrderBlockHigh | Kind::BearishOrderBlockLow => p[0] + 1,
        Kind::VolatilityPercentile => p[0] + p[1] - 1,
        Kind::Amihud => p[0],
        // Without readings never.
        _ => usize::MAX,
    }
}

/// Waits for something to happen in the market before there is a value.
fn waits(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::SwingResistance
            | Kind::SwingSupport
            | Kind::BullishOrderBlockHigh
            | Kind::BullishOrderBlockLow
            | Kind::BearishOrderBlockHigh
            | Kind::BearishOrderBlockLow
    )
}

/// Has no value where nothing trades or nothing moves.
fn can_be_undefined_later(kind: Kind) -> bool {
    waits(kind)
        || kind.is_of_market()
        || matches!(kind, Kind::Vwap | Kind::SessionVwap | Kind::Choppiness | Kind::Amihud)
}

fn bounds(indicator: &Indicator) -> (f64, f64) {
    match (indicator.kind(), indicator.kind().spec().scale) {
        (Kind::VolumeZscore, _) => {
            let n = indicator.params()[0].get();
            (-(n - 1.0).sqrt() - 1e-9, (n - 1.0).sqrt() + 1e-9)
        }
        (Kind::BollingerPercentB, _) => {
            // The close is at most sqrt(n - 1) deviations from the mean.
            let (n, multiple) = (indicator.params()[0].get(), indicator.params()[1].get());
            let reach = 0.5 * (n - 1.0).sqrt() / multiple + 1e-9;
            (0.5 - reach, 0.5 + reach)
        }
        (_, Scale::Percent) => (0.0, 100.0),
        (_, Scale::NegativePercent) => (-100.0, 0.0),
        (_, Scale::UnitRange) => (0.0, 1.0),
        (_, Scale::Range | Scale::Volume | Scale::Fraction | Scale::PerMoney) => (0.0, f64::MAX),
        (_, Scale::Flag) => (-1.0, 1.0),
        (_, Scale::Hour) => (0.0, 23.0),
        (_, Scale::Weekday) => (0.0, 6.0),
        _ => (f64::MIN, f64::MAX),
    }
}

fn defined(column: &Column) -> impl Iterator<Item = (usize, f64)> + '_ {
    (0..column.len()).filter_map(|i| column.get(i).map(|value| (i, value)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_begin_where_documented_and_stay_within_bounds(
        seed: u64, flavour in proptest::sample::select(Flavour::ALL.to_vec()), len in 0usize..300,
    ) {
        let candles = series(&random_candles(seed, len, flavour, Interval::M15), Interval::M15);
        let mut dice = Dice(seed);
        for spec in Kind::all() {
            let indicator = random_indicator(spec.kind, &mut dice);
            let column = compute(&indicator, &candles);
            prop_assert_eq!(column.len(), len);
            let first = warm_up(&indicator).min(len);
            prop_assert!(column.first_defined() >= first, "{:?} begins at {}", indicator, column.first_defined());
            if !can_be_undefined_later(spec.kind) {
                prop_assert_eq!(column.first_defined(), first, "{:?}", indicator);
                prop_assert_eq!(defined(&column).count(), len - first, "{:?} has a hole", indicator);
            } else if flavour == Flavour::Walk && !waits(spec.kind) && spec.kind != Kind::Amihud {
                prop_assert_eq!(column.first_defined(), first, "{:?}", indicator);
            }
            let (low, high) = bounds(&indicator);
            for (i, value) in defined(&column) {
                prop_assert!((low..=high).contains(&value), "{:?} at {}: {}", indicator, i, value);
            }
        }
    }

    #[test]
    fn prices_at_the_ends_of_the_number_range_give_no_infinity(
        exponents in proptest::collection::vec((-300f64..300.0, -300f64..300.0), 0..80), seed: u64,
    ) {
        let mut candles = random_candles(seed, exponents.len(), Flavour::Flat, Interval::M15);
        for (candle, (price, volume)) in candles.iter_mut().zip(&exponents) {
            let price = 10f64.powf(*price);
            (candle.open, candle.high, candle.low, candle.close) = (price, price * 2.0, price / 2.0, price * 1.5);
            candle.volume = 10f64.powf(*volume);
        }
        let candles = series(&candles, Interval::M15);
        let mut dice = Dice(seed);
        for spec in Kind::all() {
            let column = compute(&random_indicator(spec.kind, &mut dice), &candles);
            prop_assert_eq!(column.len(), candles.len());
            prop_assert!(column.values().iter().all(|v| v.is_nan() || v.is_finite()));
        }
    }
}

#[test]
fn too_few_candles_leave_every_value_undefined() {
    for len in 0..3 {
        let candles = series(&random_candles(1, len, Flavour::Walk, Interval::M15), Interval::M15);
        for spec in Kind::all() {
            let indicator = indicator(spec.kind, &[]);
            let column = compute(&indicator, &candles);
            assert_eq!(column.len(), len);
            let expected = if waits(spec.kind) { 0 } else { len - warm_up(&indicator).min(len) };
            assert_eq!(defined(&column).count(), expected, "{indicator:?} over {len} candles");
        }
    }
}

#[test]
fn a_market_that_stands_still_has_neutral_values() {
    let candles = series(&random_candles(3, 900, Flavour::Flat, Interval::M15), Interval::M15);
    let close = candles.closes()[0];
    for spec in Kind::all() {
        let column = compute(&indicator(spec.kind, &[]), &candles);
        let expected = match spec.kind {
            Kind::HourOfDay | Kind::DayOfWeek | Kind::Obv | Kind::VolumeSma | Kind::VolumeZscore => continue,
            Kind::Rsi | Kind::StochasticK | Kind::StochasticD | Kind::Mfi => 50.0,
            Kind::BollingerPercentB | Kind::VolatilityPercentile => 0.5,
            Kind::WilliamsR => -50.0,
            Kind::SupertrendDirection => 1.0,
            Kind::Choppiness => f64::NAN,
            kind if waits(kind) || kind.is_of_market() => f64::NAN,
            _ if spec.scale == Scale::Price => close,
            _ => 0.0,
        };
        for i in 500..900 {
            let expected = (!expected.is_nan()).then_some(expected);
            assert_eq!(column.get(i), expected, "{} at {i}", spec.name);
        }
    }
}

#[test]
fn without_volume_there_is_no_volume_weighted_price_and_no_flow() {
    let candles = series(&random_candles(3, 300, Flavour::NoVolume, Interval::M15), Interval::M15);
    for (kind, expected) in [
        (Kind::Vwap, None),
        (Kind::SessionVwap, None),
        (Kind::Mfi, Some(50.0)),
        (Kind::Obv, Some(0.0)),
        (Kind::VolumeSma, Some(0.0)),
        (Kind::VolumeZscore, Some(0.0)),
        (Kind::WyckoffSpring, Some(0.0)),
        (Kind::WyckoffUpthrust, Some(0.0)),
    ] {
        let column = compute(&indicator(kind, &[]), &candles);
        assert!((100..300).all(|i| column.get(i) == expected), "{kind:?}");
    }
}

#[test]
fn an_outlier_leaves_no_trace_once_it_is_out_of_the_window() {
    let mut candles = random_candles(3, 200, Flavour::Flat, Interval::M15);
    let close = candles[0].close;
    candles[50].high = 1e12;
    candles[50].close = 1e12 - 0.1;
    candles[51].open = candles[50].close;
    candles[51].high = candles[50].close;
    candles[50].volume = 1e15;
    let candles = series(&candles, Interval::M15);
    for (kind, expected) in [
        (Kind::Sma, close),
        (Kind::Wma, close),
        (Kind::Vwap, close),
        (Kind::StandardDeviation, 0.0),
        (Kind::BollingerWidth, 0.0),
        (Kind::LinregSlope, 0.0),
        (Kind::Cci, 0.0),
        (Kind::RealizedVolatility, 0.0),
        (Kind::StochasticK, 50.0),
    ] {
        let column = compute(&indicator(kind, &[]), &candles);
        assert!((100..200).all(|i| column.get(i) == Some(expected)), "{kind:?}");
    }
}

/// A candle of one price, but for what the test sets.
fn candle(i: i64, close: f64) -> Candle {
    Candle {
        open_time_ms: START_MS + i * 900_000,
        open: close,
        high: close,
        low: close,
        close,
        volume: 1.0,
        close_time_ms: START_MS + (i + 1) * 900_000 - 1,
        quote_volume: close,
        trade_count: 1,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    }
}

fn of(candles: &[Candle]) -> CandleSeries {
    series(candles, Interval::M15)
}

#[test]
fn a_swing_is_known_only_when_confirmed() {
    let highs = [10.0, 11.0, 15.0, 12.0, 11.0, 11.0, 13.0, 11.0, 10.0, 16.0];
    let candles: Vec<Candle> = highs.iter().zip(0..).map(|(high, i)| candle(i, *high)).collect();
    let column = compute(&indicator(Kind::SwingResistance, &[2.0]), &of(&candles));
    let levels: Vec<Option<f64>> = (0..highs.len()).map(|i| column.get(i)).collect();
    let (none, first, second) = (None, Some(15.0), Some(13.0));
    assert_eq!(levels, [none, none, none, none, first, first, first, first, second, second]);
}

#[test]
fn a_spring_breaks_the_range_and_returns_on_volume() {
    let mut candles: Vec<Candle> = (0..8).map(|i| candle(i, 100.0 + (i % 2) as f64)).collect();
    candles[6].low = 99.0;
    candles[6].close = 100.5;
    candles[6].high = 100.5;
    let spring = |candles: &[Candle]| compute(&indicator(Kind::WyckoffSpring, &[5.0]), &of(candles)).get(6);
    assert_eq!(spring(&candles), Some(0.0), "ordinary volume");
    candles[6].volume = 3.0;
    assert_eq!(spring(&candles), Some(1.0));
    candles[6].close = 99.5;
    assert_eq!(spring(&candles), Some(0.0), "closed below the range");
}

#[test]
fn an_order_block_is_the_last_opposite_candle_before_an_impulse() {
    let mut candles: Vec<Candle> = (0..12).map(|i| candle(i, 100.0)).collect();
    for c in &mut candles {
        (c.high, c.low) = (101.0, 99.0);
    }
    (candles[7].open, candles[7].close) = (100.8, 99.2);
    (candles[9].open, candles[9].close, candles[9].high) = (100.0, 110.0, 110.0);
    let candles = of(&candles);
    let border = |kind| compute(&indicator(kind, &[5.0, 1.5]), &candles);
    let (top, bottom) = (border(Kind::BullishOrderBlockHigh), border(Kind::BullishOrderBlockLow));
    assert_eq!((top.first_defined(), bottom.first_defined()), (9, 9));
    assert_eq!((top.get(11), bottom.get(11)), (Some(101.0), Some(99.0)));
    assert_eq!(border(Kind::BearishOrderBlockHigh).first_defined(), 12);
}

#[test]
fn hours_and_weekdays_are_those_of_the_close() {
    // The series starts on Tuesday, 2024-01-30, at 00:00 UTC; candle 95 closes at the day's last millisecond.
    let candles: Vec<Candle> = (0..200).map(|i| candle(i, 100.0)).collect();
    let hour = compute(&indicator(Kind::HourOfDay, &[]), &of(&candles));
    let weekday = compute(&indicator(Kind::DayOfWeek, &[]), &of(&candles));
    let at = |i| (weekday.get(i), hour.get(i));
    assert_eq!(at(0), (Some(1.0), Some(0.0)));
    assert_eq!(at(3), (Some(1.0), Some(0.0)));
    assert_eq!(at(4), (Some(1.0), Some(1.0)));
    assert_eq!(at(95), (Some(1.0), Some(23.0)));
    assert_eq!(at(96), (Some(2.0), Some(0.0)));
}
