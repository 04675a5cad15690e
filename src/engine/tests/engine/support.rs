//! Candles, strategies and files for the engine's tests.

use candles::{Candle, CandleSeries, Interval, MarketKind, interval};
use engine::{SymbolWindow, Window};
use genome::{
    Comparison, Condition, Distance, Indicator, IndicatorKind, Number, Operand, PriceField, Rule, Series, SideRules,
    Source, Strategy, Timeframe,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// 2024-04-01T00:00:00Z.
pub(crate) const START_MS: i64 = 1_711_929_600_000;

/// A file beside the project, where it exists; says that the test is skipped where it does not.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if !path.exists() {
        println!("skipped: {} does not exist", path.display());
        return None;
    }
    Some(path)
}

/// The candles of a dump file's zip.
pub(crate) fn read_zip(path: &Path, interval: Interval) -> CandleSeries {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let file = archive.by_index(0).unwrap();
    let mut series = CandleSeries::new(interval);
    for row in csv::ReaderBuilder::new().has_headers(false).from_reader(file).records() {
        let row = row.unwrap();
        let Ok(time) = row[0].parse::<i64>() else { continue };
        let open_time_ms = if time > 100_000_000_000_000 { time / 1000 } else { time };
        let number = |i: usize| row[i].parse::<f64>().unwrap();
        series.push(&candle(interval, open_time_ms, [number(1), number(2), number(3), number(4)], number(5))).unwrap();
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
        finer: None,
        funding: Arc::new([]),
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
    Series { source: Source::Indicator(Indicator::new(kind, &params).unwrap()), timeframe: None }
}

pub(crate) fn price(field: PriceField) -> Series {
    Series { source: Source::Price(field), timeframe: None }
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
    }
}
