//! Candles and strategies for the engine's tests.

use candles::{Candle, CandleSeries, Interval, MarketKind, interval};
use engine::{SymbolWindow, Window};
use genome::{
    Comparison, Condition, Distance, Indicator, IndicatorKind, Number, Operand, PriceField, Rule, Series, SideRules,
    Source, Strategy, Timeframe,
};
use std::sync::Arc;

/// 2024-04-01T00:00:00Z.
pub(crate) const START_MS: i64 = 1_711_929_600_000;

/// What makes a [`random_walk`].
pub(crate) struct Walk {
    pub(crate) seed: u64,
    pub(crate) price: f64,
    /// How far the steps within a candle lead, as a fraction.
    pub(crate) step: f64,
    /// Calm and hectic candles, and opens that leap.
    pub(crate) wild: bool,
}

/// Neighbouring 15-minute candles from [`START_MS`] on, prices on cents: to the bit those of
/// `tests/golden/cross_with_trend.py`.
pub(crate) fn random_walk(n: usize, walk: &Walk) -> CandleSeries {
    let mut state = walk.seed;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut series = CandleSeries::new(Interval::M15);
    let (mut price, mut time_ms) = (walk.price, START_MS);
    for _ in 0..n {
        let mut swing = walk.step;
        let mut path = vec![price];
        if walk.wild {
            let u = uniform();
            swing = walk.step * (0.3 + 3.0 * u * u * u);
            if uniform() < 0.2 {
                path = vec![price * (1.0 + 4.0 * swing * (uniform() - 0.5))];
            }
        }
        for i in 0..8 {
            path.push(path[i] * (1.0 + swing * (uniform() + uniform() + uniform() - 1.5)));
        }
        let path = path.into_iter().map(|p| format!("{p:.2}").parse::<f64>().unwrap());
        let path: Vec<f64> = path.collect();
        price = path[8];
        let high = path.iter().copied().fold(0.0, f64::max);
        let low = path.iter().copied().fold(f64::INFINITY, f64::min);
        series.push(&candle(Interval::M15, time_ms, [path[0], high, low, price], 1.0)).unwrap();
        time_ms = interval::next_open_time_ms(Interval::M15, time_ms);
    }
    series
}

/// A candle from open, high, low, close and volume.
pub(crate) fn candle(interval: Interval, open_time_ms: i64, [open, high, low, close]: [f64; 4], volume: f64) -> Candle {
    Candle {
        open_time_ms,
        open,
        high,
        low,
        close,
        volume,
        close_time_ms: interval::close_time_ms(interval, open_time_ms),
        quote_volume: 0.0,
        trade_count: 0,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    }
}

/// Neighbouring candles from [`START_MS`] on, of volume 1000.
pub(crate) fn candles(interval: Interval, prices: &[[f64; 4]]) -> CandleSeries {
    let mut time_ms = START_MS;
    let mut series = CandleSeries::new(interval);
    for &price in prices {
        series.push(&candle(interval, time_ms, price, 1000.0)).unwrap();
        time_ms = interval::next_open_time_ms(interval, time_ms);
    }
    series
}

/// One symbol of a window: no finer candles, no funding.
pub(crate) fn symbol_window(symbol: &str, candles: CandleSeries) -> SymbolWindow {
    SymbolWindow {
        market: MarketKind::Um,
        symbol: symbol.parse().unwrap(),
        candles: Arc::new(candles),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::default(),
        across: Arc::default(),
    }
}

/// A window over all candles of the symbols.
pub(crate) fn window(symbols: Vec<SymbolWindow>) -> Window {
    let from_ms = symbols.iter().map(|s| s.candles.open_times_ms()[0]).min().unwrap();
    let to_ms = symbols.iter().map(|s| s.candles.last_close_time_ms().unwrap()).max().unwrap() + 1;
    Window::new(from_ms, to_ms, symbols).unwrap()
}

pub(crate) fn number(value: f64) -> Number {
    Number::new(value).unwrap()
}

pub(crate) fn indicator(kind: IndicatorKind, params: &[f64]) -> Series {
    let params: Vec<Number> = params.iter().copied().map(number).collect();
    Series { source: Source::Indicator(Indicator::new(kind, &params).unwrap()), timeframe: None, across: None }
}

pub(crate) fn price(field: PriceField) -> Series {
    Series { source: Source::Price(field), timeframe: None, across: None }
}

pub(crate) fn compare(left: Series, comparison: Comparison, right: Operand) -> Rule {
    Rule::Condition(Condition { left, comparison, right })
}

/// `close < constant` and the like.
pub(crate) fn close_is(comparison: Comparison, constant: f64) -> Rule {
    compare(price(PriceField::Close), comparison, Operand::Constant(number(constant)))
}

pub(crate) fn percent(value: f64) -> Option<Distance> {
    Some(Distance::Percent(number(value)))
}

/// A strategy that only goes long, with the default risk plan.
pub(crate) fn long_only(timeframe: Timeframe, entry: Rule, exit: Option<Rule>) -> Strategy {
    Strategy {
        timeframe,
        long: Some(SideRules { entry, exit }),
        short: None,
        risk: genome::RiskPlan::default(),
        filters: genome::Filters::default(),
        universe: None,
    }
}
