//! How long each indicator takes over two years of 15-minute candles, and resampling them.
//!
//! `cargo bench -p sg-ai-engine --bench indicators`; a name after `--` picks one.

use candles::{Candle, CandleSeries, Interval, interval, resample::resample};
use divan::{Bencher, counter::ItemsCount};
use engine::{columns::compute_column, indicator::compute};
use genome::{Indicator, IndicatorKind, Series, Source, Timeframe};
use std::sync::LazyLock;

/// 2 x 365 days of 15-minute candles.
const LEN: usize = 70_080;

fn main() {
    divan::main();
}

/// A random walk of one seed, from 2023-01-01 on.
static CANDLES: LazyLock<CandleSeries> = LazyLock::new(|| {
    let mut state = 7u64;
    let mut unit = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut series = CandleSeries::new(Interval::M15);
    let mut open_time_ms = 1_672_531_200_000;
    let mut close = 30_000.0;
    for _ in 0..LEN {
        let open: f64 = close;
        close = open * (1.0 + 0.008 * (unit() - 0.5));
        let volume = 100.0 * unit();
        let candle = Candle {
            open_time_ms,
            open,
            high: open.max(close) * (1.0 + 0.002 * unit()),
            low: open.min(close) * (1.0 - 0.002 * unit()),
            close,
            volume,
            close_time_ms: interval::close_time_ms(Interval::M15, open_time_ms),
            quote_volume: volume * close,
            trade_count: 100,
            taker_buy_volume: volume / 2.0,
            taker_buy_quote_volume: volume * close / 2.0,
        };
        series.push(&candle).expect("each candle follows the one before");
        open_time_ms += 900_000;
    }
    series
});

fn customary(kind: IndicatorKind) -> Indicator {
    Indicator::new(kind, &[]).expect("customary parameters are within bounds")
}

fn with_period(kind: IndicatorKind, period: i32) -> Indicator {
    Indicator::new(kind, &[genome::Number::int(period)]).expect("the period is within bounds")
}

#[divan::bench(args = IndicatorKind::all().iter().map(|spec| spec.name))]
fn customary_parameters(bencher: Bencher, name: &str) {
    let spec = IndicatorKind::all().iter().find(|spec| spec.name == name).expect("the name is from the table");
    let indicator = customary(spec.kind);
    bencher.counter(ItemsCount::new(LEN)).bench(|| compute(&indicator, &CANDLES));
}

/// A value should cost the same whatever the period.
#[divan::bench(args = [2, 20, 200])]
fn sma_by_period(bencher: Bencher, period: i32) {
    let indicator = with_period(IndicatorKind::Sma, period);
    bencher.counter(ItemsCount::new(LEN)).bench(|| compute(&indicator, &CANDLES));
}

#[divan::bench(args = [2, 20, 200])]
fn donchian_upper_by_period(bencher: Bencher, period: i32) {
    let indicator = with_period(IndicatorKind::DonchianUpper, period);
    bencher.counter(ItemsCount::new(LEN)).bench(|| compute(&indicator, &CANDLES));
}

#[divan::bench(args = [2, 20, 200])]
fn cci_by_period(bencher: Bencher, period: i32) {
    let indicator = with_period(IndicatorKind::Cci, period);
    bencher.counter(ItemsCount::new(LEN)).bench(|| compute(&indicator, &CANDLES));
}

#[divan::bench(args = ["1h", "4h", "1d", "1w", "1M"])]
fn resampling(bencher: Bencher, to: &str) {
    let to: Interval = to.parse().expect("the name is an interval's");
    bencher.counter(ItemsCount::new(LEN)).bench(|| resample(&CANDLES, to));
}

#[divan::bench]
fn ema_on_four_hours(bencher: Bencher) {
    let source = Source::Indicator(customary(IndicatorKind::Ema));
    let series = Series { source, timeframe: Some(Timeframe::H4), across: None };
    bencher.counter(ItemsCount::new(LEN)).bench(|| compute_column(&series, &CANDLES, &CANDLES));
}
