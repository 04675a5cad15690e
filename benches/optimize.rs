//! How long 10,000 points of one strategy take on four symbols over a year of 15m candles, and all that is said of them.
//!
//! `cargo bench -p sg-ai-optimize --bench optimize`. `SG_BENCH_CSV`: a folder with a file a symbol (`BTCUSDT-15m.csv`), as
//! `sg-ai data export --format csv` writes them, in place of the simulated market. `SG_BENCH_POINTS` (10,000),
//! `SG_BENCH_THREADS` (2), `SG_BENCH_METHOD` (random). The year is the last one; what lies before warms up.
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::time::DAY_MS;
use candles::{Candle, CandleSeries, Interval, MarketKind, Symbol};
use engine::{SymbolWindow, Terms, Window};
use genome::{StrategyFile, random::Seed, variation::parameters};
use optimize::{AnalysisConfig, Axis, Method, Objective, Points, Run, Settings, Space, Story, SymbolsGround};
use simulated::{MarketSpec, SimulatedMarket};
use std::{path::Path, sync::Arc, time::Instant};

const START_MS: i64 = 1_704_067_200_000;
const DAYS: i64 = 365;
const WARM_UP_DAYS: i64 = 20;
const STRATEGY: &str = r#"{"timeframe": "15m", "long": {"entry": "rsi(14) < 30 and close > ema(200)", "exit": "rsi(14) > 60"},
    "risk": {"stop_loss": "3%", "take_profit": "4%", "time_exit_bars": 96}}"#;
const PARAMS: [&str; 5] = [
    "entry.long.2.rsi.period=6..24:1",
    "entry.long.2.value=24..44:2",
    "exit.long.1.value=50..80:2",
    "entry.long.1.right.ema.period=50..400:25",
    "risk.stop_loss=1..5:0.25",
];

fn setting<T: std::str::FromStr>(name: &str, usual: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Open time, open, high, low, close, volume of each line; the first tells the names.
fn read(path: &Path) -> CandleSeries {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let place =
        |name: &str| names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("{name} is none of {names:?}"));
    let places = ["open_time", "open", "high", "low", "close", "volume"].map(place);
    let candle = |line: &str| {
        let cells: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap_or(0.0)).collect();
        let open_time_ms = cells[places[0]] as i64;
        Candle {
            open_time_ms,
            open: cells[places[1]],
            high: cells[places[2]],
            low: cells[places[3]],
            close: cells[places[4]],
            volume: cells[places[5]],
            close_time_ms: open_time_ms + 899_999,
            quote_volume: 0.0,
            trade_count: 0,
            taker_buy_volume: 0.0,
            taker_buy_quote_volume: 0.0,
        }
    };
    CandleSeries::from_candles(Interval::M15, &lines.map(candle).collect::<Vec<_>>()).unwrap()
}

/// Candles of four symbols, and where their year begins and ends.
fn window() -> Window {
    let names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "ARBUSDT"].map(|s| s.parse::<Symbol>().unwrap());
    let to_ms = START_MS + (WARM_UP_DAYS + DAYS) * DAY_MS;
    let series: Vec<CandleSeries> = match std::env::var("SG_BENCH_CSV") {
        Ok(folder) => names.iter().map(|name| read(&Path::new(&folder).join(format!("{name}-15m.csv")))).collect(),
        Err(_) => {
            let market = SimulatedMarket::new(MarketSpec::noise(Seed(1), START_MS, &names)).unwrap();
            names.iter().map(|name| market.candles(name, Interval::M15, START_MS, to_ms).unwrap()).collect()
        }
    };
    let to_ms = series.iter().filter_map(CandleSeries::last_close_time_ms).max().unwrap() + 1;
    let symbols = names.into_iter().zip(series).map(|(symbol, candles)| SymbolWindow {
        market: MarketKind::Spot,
        symbol,
        candles: Arc::new(candles),
        finer: Vec::new(),
        funding: Vec::new().into(),
        readings: Arc::default(),
        across: Arc::default(),
    });
    Window::new(to_ms - DAYS * DAY_MS, to_ms, symbols.collect()).unwrap()
}

fn main() {
    let strategy = StrategyFile::parse(STRATEGY).unwrap().strategy;
    let known = parameters(&strategy);
    let strategy = strategy.into();
    let axes = PARAMS.iter().map(|text| Axis::read(text, &known).unwrap()).collect();
    let settings = Settings {
        method: setting("SG_BENCH_METHOD", Method::Random),
        objectives: vec![Objective::Sharpe],
        points: setting("SG_BENCH_POINTS", 10_000),
        least_trades: 30,
        population: 200,
        seed: Seed(7),
        space: Space::new(axes).unwrap(),
    };
    let points = Points {
        ground: Arc::new(SymbolsGround { engine: Arc::default(), window: window(), terms: Terms::default() }),
        strategy,
        parameters: known,
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(setting("SG_BENCH_THREADS", 2)).build().unwrap();
    let began = Instant::now();
    let days = pool.install(|| points.itself()).unwrap().daily_returns.len();
    let mut run = Run::new(settings, days).unwrap();
    while !run.is_finished() {
        let batch = run.propose(1_000);
        let results = pool.install(|| points.evaluate(&run.settings().space, &batch.points));
        run.record(batch, results);
    }
    let evaluated = began.elapsed();
    let story = Story::of(&run, &AnalysisConfig::fitting(days));
    let said = began.elapsed() - evaluated;
    let trades: u64 =
        run.evaluated().iter().filter_map(|e| e.figures.as_ref()).map(|f| u64::from(f.total_trades)).sum();
    println!("{} points, {days} days, {trades} trades, {} threads", run.trials(), pool.current_num_threads());
    println!(
        "evaluated in {:.2} s, {:.0} points a second",
        evaluated.as_secs_f64(),
        run.trials() as f64 / evaluated.as_secs_f64()
    );
    println!("walk-forward matrix, overfitting, expectation and the rest in {:.2} s", said.as_secs_f64());
    for told in &story.told {
        println!("{}: {}", told.about, told.sentence);
    }
}
