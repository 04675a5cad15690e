//! What the market publishes beside candles, by hand: funding that stops, is late, is revised; and what candles say of
//! who traded.

use super::candles::{Dice, START_MS, indicator};
use candles::{Candle, CandleSeries, Interval, MarketReadings, Readings, interval};
use engine::columns::{STOPPED_AFTER_MS, compute_column, compute_column_beside, source_column};
use genome::{IndicatorKind as Kind, PriceField, Series, Source, Timeframe};

const HOUR_MS: i64 = 3_600_000;

/// Neighbouring candles at 4h from [`START_MS`] (00:00) on: closes, base volumes, quote volumes.
fn candles(rows: &[(f64, f64, f64)]) -> CandleSeries {
    let candles: Vec<Candle> = rows
        .iter()
        .enumerate()
        .map(|(i, &(close, volume, quote_volume))| {
            let open_time_ms = START_MS + i as i64 * 4 * HOUR_MS;
            Candle {
                open_time_ms,
                open: close,
                high: close,
                low: close,
                close,
                volume,
                close_time_ms: interval::close_time_ms(Interval::H4, open_time_ms),
                quote_volume,
                trade_count: 10 * (i as u64 + 1),
                taker_buy_volume: volume / 4.0,
                taker_buy_quote_volume: quote_volume / 4.0,
            }
        })
        .collect();
    CandleSeries::from_candles(Interval::H4, &candles).unwrap()
}

fn flat(len: usize) -> CandleSeries {
    candles(&vec![(100.0, 1.0, 100.0); len])
}

fn series(kind: Kind, params: &[f64]) -> Series {
    Series { source: Source::Indicator(indicator(kind, params)), timeframe: None, across: None }
}

/// Readings known so many hours after [`START_MS`].
fn known(pairs: &[(i64, f64)]) -> Readings {
    Readings::new(pairs.iter().map(|(hours, value)| (START_MS + hours * HOUR_MS, *value))).unwrap()
}

fn values(series: Series, len: usize, market: &MarketReadings) -> Vec<Option<f64>> {
    let base = flat(len);
    let column = compute_column_beside(&series, &base, &base, market).unwrap();
    (0..len).map(|i| column.get(i)).collect()
}

#[test]
fn funding_is_what_was_known_at_the_close() {
    // Candles close at 4, 8, 12, 16, 20 hours. The payment of 8:00 is known at once, that of 16:00 an hour late.
    let market = MarketReadings { funding: known(&[(8, 0.0001), (17, -0.0003)]), ..MarketReadings::default() };
    let first = Some(0.0001);
    assert_eq!(
        values(series(Kind::Funding, &[]), 6, &market),
        [None, first, first, first, Some(-0.0003), Some(-0.0003)],
        "known at the very close counts; what is late is not seen before it came"
    );
}

#[test]
fn a_revision_counts_from_when_it_was_known() {
    let market = MarketReadings { funding: known(&[(8, 1.0), (8, 2.0), (14, 3.0)]), ..MarketReadings::default() };
    let read = values(series(Kind::Funding, &[]), 5, &market);
    assert_eq!(read, [None, Some(2.0), Some(2.0), Some(3.0), Some(3.0)]);
}

#[test]
fn a_source_that_stopped_says_nothing() {
    assert_eq!(STOPPED_AFTER_MS, 48 * HOUR_MS);
    let market = MarketReadings { funding: known(&[(0, 0.5), (4, 1.0)]), ..MarketReadings::default() };
    let read = values(series(Kind::Funding, &[]), 15, &market);
    // The close at 52 hours is the last that sees the reading of 4.
    assert_eq!(read.iter().rposition(Option::is_some), Some(12));
    let sum = values(series(Kind::FundingSum, &[1.0]), 15, &market);
    assert_eq!(sum[5], Some(1.0), "at 24 hours: the payment at 0 is no longer in the last day");
    assert!(sum[6].is_none() && sum[13].is_none(), "no payment in the last day, and none known any more");
    // And it may begin again.
    let again = MarketReadings { funding: known(&[(4, 1.0), (56, 2.0)]), ..MarketReadings::default() };
    let read = values(series(Kind::Funding, &[]), 15, &again);
    assert_eq!(read[12..], [Some(1.0), Some(2.0), Some(2.0)]);
}

#[test]
fn means_and_sums_wait_until_readings_reach_back() {
    let funding = known(&[(0, 1.0), (8, 2.0), (16, 4.0), (24, 8.0), (32, 16.0)]);
    let market = MarketReadings { premium: funding.clone(), funding, ..MarketReadings::default() };
    let sums = values(series(Kind::FundingSum, &[1.0]), 9, &market);
    // Closes at 24, 28, 32, 36: (0, 24] has 2 + 4 + 8, (4, 28] the same, (8, 32] and (12, 36] have 4 + 8 + 16.
    assert_eq!(sums[..5], [None; 5]);
    assert_eq!(sums[5..], [Some(14.0), Some(14.0), Some(28.0), Some(28.0)]);
    let means = values(series(Kind::PremiumMean, &[1.0]), 9, &market);
    assert_eq!(means[5], Some(14.0 / 3.0));
    assert_eq!(values(series(Kind::FundingMean, &[7.0]), 9, &market), [None; 9]);
}

#[test]
fn each_series_reads_its_own_source() {
    let only = |value: f64| known(&[(0, value)]);
    let market = MarketReadings {
        funding: only(1.0),
        premium: only(2.0),
        open_interest: only(3.0),
        open_interest_value: only(4.0),
        long_short_ratio: only(5.0),
        top_long_short_ratio: only(6.0),
        taker_long_short_ratio: only(7.0),
        ..MarketReadings::default()
    };
    for (kind, value) in [
        (Kind::Funding, 1.0),
        (Kind::Premium, 2.0),
        (Kind::OpenInterest, 3.0),
        (Kind::OpenInterestValue, 4.0),
        (Kind::LongShortRatio, 5.0),
        (Kind::TopLongShortRatio, 6.0),
        (Kind::TakerLongShortRatio, 7.0),
    ] {
        assert_eq!(values(series(kind, &[]), 2, &market), [Some(value); 2], "{kind:?}");
        assert_eq!(values(series(kind, &[]), 2, &MarketReadings::default()), [None; 2], "{kind:?}");
    }
}

#[test]
fn on_a_higher_timeframe_it_is_what_was_known_at_that_close() {
    let market = MarketReadings { funding: known(&[(7, 1.0), (9, 2.0), (15, 3.0)]), ..MarketReadings::default() };
    let higher = Series { timeframe: Some(Timeframe::H8), ..series(Kind::Funding, &[]) };
    // 8h candles close at 8 and 16 hours; base candles at 4, 8, 12, 16, 20.
    assert_eq!(values(higher, 5, &market), [None, Some(1.0), Some(1.0), Some(3.0), Some(3.0)]);
}

#[test]
fn who_traded_and_how_much() {
    let candles = candles(&[(100.0, 2.0, 0.0), (110.0, 4.0, 400.0), (99.0, 0.0, 0.0), (99.0, 8.0, 800.0)]);
    let of = |field| {
        let column = source_column(&Source::Price(field), &candles);
        (0..4).map(|i| column.get(i)).collect::<Vec<_>>()
    };
    assert_eq!(of(PriceField::QuoteVolume), [Some(200.0), Some(400.0), Some(0.0), Some(800.0)], "0: volume x close");
    assert_eq!(of(PriceField::Trades), [Some(10.0), Some(20.0), Some(30.0), Some(40.0)]);
    assert_eq!(of(PriceField::TakerBuyRatio), [Some(0.25), Some(0.25), None, Some(0.25)], "none where nothing traded");
    let amihud = |n: f64| {
        let column = compute_column(&series(Kind::Amihud, &[n]), &candles, &candles).unwrap();
        (0..4).map(|i| column.get(i)).collect::<Vec<_>>()
    };
    assert_eq!(amihud(1.0), [None, Some((110.0_f64 / 100.0 - 1.0) / 400.0), None, Some(0.0)]);
    assert_eq!(amihud(2.0), [None; 4], "a candle without volume is in each window");
}

#[test]
fn no_value_depends_on_a_reading_that_came_later() {
    let mut dice = Dice(11);
    for _ in 0..200 {
        let pairs: Vec<(i64, f64)> = (0..40).map(|_| (dice.between(0, 120) as i64, dice.unit())).collect();
        let cut = dice.between(0, 120) as i64;
        let past: Vec<(i64, f64)> = pairs.iter().copied().filter(|(hours, _)| *hours <= cut).collect();
        let mut other = past.clone();
        other.extend((0..10).map(|_| (cut + 1 + dice.between(0, 40) as i64, 9.0)));
        for (kind, params) in [(Kind::Funding, &[][..]), (Kind::FundingMean, &[1.0]), (Kind::FundingSum, &[2.0])] {
            let read = |pairs: &[(i64, f64)]| {
                let market = MarketReadings { funding: known(pairs), ..MarketReadings::default() };
                values(series(kind, params), 30, &market)
            };
            // Candle i closes 4 (i + 1) hours after the start.
            let before = usize::try_from(cut / 4).unwrap();
            let [whole, past, other] = [read(&pairs), read(&past), read(&other)].map(|mut v| {
                v.truncate(before);
                v
            });
            assert!(whole == past && whole == other, "{kind:?} cut at {cut}");
        }
    }
}
