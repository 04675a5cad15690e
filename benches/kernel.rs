//! The reference workload on the engine: bar-evaluations a second, one core and more, cold and warm cache, with and
//! without full performance; a population that shares most of its rules; conditions alone, and trades dense and sparse;
//! how the time grows with candles and strategies; and what memory gives, to compare with.
//!
//! `cargo bench -p sg-ai-engine --bench kernel`. `SG_BENCH_DIR` names a folder with the workload's parameter sets
//! (`params.csv`) and candles (`BTCUSDT-15m-small.zip` and so on); without it synthetic ones of the same size stand in.
//! `SG_BENCH_RUNS` (7) runs are made of each; the median of wall time counts, and the median of processor time stands
//! beside it. `SG_BENCH_ONLY` keeps the rows whose name holds it. `SG_BENCH_WIDTH` (`plain`, `avx2`, `avx512`) makes the
//! engine use narrower vectors than the processor has. `SG_BENCH_FIRST` (`small`, `large`) makes one run and no table, in a
//! process that has done nothing before, and prints each result and what it took as lines of JSON, as `sg-ai backtest
//! --batch` does; `SG_BENCH_THREADS` (1) are its threads, `SG_BENCH_FULL` (`total`, `each`) asks for full performance.
// It prints a table, and a bench without its input has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::{Candle, CandleSeries, MarketKind, interval};
use engine::{Costs, Engine, SymbolWindow, Terms, Wanted, Width, Window};
use genome::{Strategy, Timeframe};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
const START_MS: i64 = 1_704_067_200_000;

fn main() {
    let folder = std::env::var_os("SG_BENCH_DIR").map(PathBuf::from);
    if let Ok(name) = std::env::var("SG_BENCH_FIRST") {
        let candles = if name == "small" { 8_640 } else { 70_080 };
        return first(&population_of(Timeframe::M15, folder.as_deref()), &window(folder.as_deref(), &name, candles));
    }
    println!("vectors: {}", width().name());
    println!("candles: {}", folder.as_ref().map_or("synthetic".to_owned(), |f| f.display().to_string()));
    let population = population_of(Timeframe::M15, folder.as_deref());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{:<34}{:>8}{:>12}{:>12}{:>14}{:>14}",
        "", "threads", "wall ms", "cpu ms", "M bars/s wall", "M bars/s cpu"
    );
    for (name, candles) in [("small", 8_640), ("large", 70_080)] {
        let window = window(folder.as_deref(), name, candles);
        for threads in [1, cores] {
            for (what, summary_only, warm) in [
                ("cold, trades and return", true, false),
                ("cold, full performance", false, false),
                ("warm, trades and return", true, true),
                ("warm, full performance", false, true),
            ] {
                measure(&format!("{name}, {what}"), &population, &window, threads, summary_only, warm);
            }
        }
        println!();
    }
    let window = window(folder.as_deref(), "small", 8_640);
    for strategies in [1, 10, 100, 1000] {
        measure(&format!("small, cold, {strategies} strategies"), &population[..strategies], &window, 1, true, false);
    }
    println!();
    let related = related();
    for threads in [1, cores] {
        measure("small, cold, shared rules", &related, &window, threads, true, false);
        measure("small, warm, shared rules", &related, &window, threads, true, true);
        measure("small, warm, shared rules, full", &related, &window, threads, false, true);
    }
    println!();
    let with_stops = |entry: &str, exit: &str| -> Vec<Strategy> {
        (0..200).map(|k| strategy(Timeframe::M15, entry, exit, 0.5 + f64::from(k) / 50.0, 5.0)).collect()
    };
    let never: Vec<Strategy> = (0..1000)
        .map(|k| strategy(Timeframe::M15, &format!("rsi({}) < -{k}", 2 + k % 190), "obv > 0", 1.0, 1.0))
        .collect();
    measure("small, cold, 1000 conditions alone", &never, &window, 1, true, false);
    let dense = with_stops("close crosses above sma(3)", "close crosses below sma(3)");
    let sparse = with_stops("rsi(14) crosses above 20", "rsi(14) > 80");
    measure("small, warm, trades dense", &dense, &window, 1, true, true);
    measure("small, warm, trades sparse", &sparse, &window, 1, true, true);
    println!();
    for (name, timeframe, candles) in [
        ("90 days of 15m", Timeframe::M15, 8_640),
        ("2 years of 15m", Timeframe::M15, 70_080),
        ("2 years of 1m", Timeframe::M1, 1_051_200),
    ] {
        let window = synthetic_window(timeframe, candles);
        let population: Vec<Strategy> = population_of(timeframe, None).into_iter().take(100).collect();
        measure(&format!("{name}, cold, 100 strategies"), &population, &window, 1, true, false);
    }
    println!(
        "\nreading memory, one thread: {:.1} GB/s from 512 MiB, {:.1} GB/s from 256 KiB",
        bandwidth(512 << 20),
        bandwidth(256 << 10)
    );
    if let Some(peak) = peak_memory_mib() {
        println!("peak memory of the whole run: {peak:.0} MiB");
    }
}

/// One run, the first of its process.
fn first(population: &[Strategy], window: &Window) {
    let threads = std::env::var("SG_BENCH_THREADS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let full = std::env::var("SG_BENCH_FULL").ok();
    let wanted = Wanted { per_symbol: full.as_deref() != Some("total"), summary_only: full.is_none(), ledger: false };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let engine = Engine::default().of_width(width());
    let (start, cpu_before) = (Instant::now(), cpu_ms());
    let outcomes = pool.install(|| engine.evaluate(population, window, &terms(), wanted));
    let (seconds, cpu_seconds) = (start.elapsed().as_secs_f64(), (cpu_ms() - cpu_before) / 1e3);
    for (name, outcome) in outcomes.iter().enumerate() {
        for (symbol, p) in SYMBOLS.iter().zip(&outcome.as_ref().unwrap().per_symbol) {
            let (trades, total_return) = (p.total_trades, p.total_return.unwrap());
            let performance = format!(r#"{{"total_trades": {trades}, "total_return": {total_return:e}}}"#);
            println!(r#"{{"name": "{name}", "symbol": "{symbol}", "performance": {performance}}}"#);
        }
    }
    let peak = peak_memory_mib().unwrap_or(0.0) * 1024.0 * 1024.0;
    let took = format!(r#""seconds": {seconds}, "cpu_seconds": {cpu_seconds}"#);
    println!(r#"{{"summary": {{{took}, "peak_memory_bytes": {peak}, "vectors": "{}"}}}}"#, width().name());
}

/// With the reference workload's fee.
fn terms() -> Terms {
    Terms { costs: Costs { fee_fraction: 0.0004, ..Costs::default() }, ..Terms::default() }
}

/// The vectors asked for, else the widest.
fn width() -> Width {
    let Ok(name) = std::env::var("SG_BENCH_WIDTH") else { return Width::widest() };
    Width::all().into_iter().find(|width| width.name() == name).expect("the processor has no such vectors")
}

/// Gigabytes a second of summing up an array of that many bytes again and again.
fn bandwidth(bytes: usize) -> f64 {
    let values = vec![1_u64; bytes / 8];
    let rounds = ((2_usize << 30) / bytes).max(1);
    let start = Instant::now();
    for _ in 0..rounds {
        let sum = std::hint::black_box(&values).iter().fold(0_u64, |sum, v| sum.wrapping_add(*v));
        std::hint::black_box(sum);
    }
    (rounds * bytes) as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// A population as a search breeds it: a thousand strategies made of few rules.
fn related() -> Vec<Strategy> {
    let crosses = |k: u32, way: &str| format!("ema({}) crosses {way} ema({})", 5 + 3 * (k % 8), 40 + 20 * (k % 5));
    let also = |k: u32| match k % 4 {
        0 => format!("rsi({}) < {}", 7 + k % 3 * 7, 55 + 5 * (k % 4)),
        1 => format!("close > sma({})", 50 * (1 + k % 4)),
        2 => format!("adx(14) > {}", 15 + 5 * (k % 3)),
        _ => format!("volume_zscore({}) > 0", 20 * (1 + k % 2)),
    };
    let one = |k: u32| {
        let entry = format!("{} and {} and {}", crosses(k % 40, "above"), also(k / 7), also(k / 3 + 1));
        strategy(Timeframe::M15, &entry, &crosses(k % 40, "below"), 1.0 + f64::from(k % 5), 2.0 + f64::from(k % 7))
    };
    (0..1000).map(one).collect()
}

/// Long only, the whole sleeve, stop and target in percent.
fn strategy(timeframe: Timeframe, entry: &str, exit: &str, stop: f64, target: f64) -> Strategy {
    let text = format!(
        r#"{{"timeframe": "{timeframe}", "long": {{"entry": "{entry}", "exit": "{exit}"}},
            "risk": {{"size_fraction": 1.0, "stop_loss": "{stop:.2}%", "take_profit": "{target:.2}%"}}}}"#
    );
    genome::StrategyFile::parse(&text).unwrap().strategy
}

/// Most memory this process has held; `None` where the system does not tell.
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

fn measure(name: &str, population: &[Strategy], window: &Window, threads: usize, summary_only: bool, warm: bool) {
    if std::env::var("SG_BENCH_ONLY").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let runs = std::env::var("SG_BENCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(7);
    let wanted = Wanted { per_symbol: summary_only, summary_only, ledger: false };
    let terms = terms();
    let kept = Engine::default().of_width(width());
    if warm {
        pool.install(|| kept.evaluate(population, window, &terms, wanted));
    }
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let fresh = Engine::default().of_width(width());
        let engine = if warm { &kept } else { &fresh };
        // A window of its own: what a window remembers of its candles is computed anew, too.
        let window = Window::new(window.from_ms(), window.to_ms(), window.symbols().to_vec()).unwrap();
        let (start, cpu_before) = (Instant::now(), cpu_ms());
        let outcomes = pool.install(|| engine.evaluate(population, &window, &terms, wanted));
        wall.push(start.elapsed().as_secs_f64() * 1e3);
        cpu.push(cpu_ms() - cpu_before);
        assert!(outcomes.iter().all(Result::is_ok));
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (wall, cpu) = (median(&mut wall), median(&mut cpu));
    let bars: usize = window.symbols().iter().map(|s| s.candles.len()).sum::<usize>() * population.len();
    let rate = |ms: f64| bars as f64 / ms / 1e3;
    println!("{name:<34}{threads:>8}{wall:>12.2}{cpu:>12.2}{:>14.0}{:>14.0}", rate(wall), rate(cpu));
}

/// Processor time of all threads of this process so far; zero where the system does not tell.
fn cpu_ms() -> f64 {
    let of_thread = |entry: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(entry.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    std::fs::read_dir("/proc/self/task").map_or(0.0, |tasks| tasks.filter_map(of_thread).sum::<f64>() / 1e6)
}

fn population_of(timeframe: Timeframe, folder: Option<&Path>) -> Vec<Strategy> {
    let rows: Vec<[f64; 6]> = match folder {
        Some(folder) => csv::Reader::from_path(folder.join("params.csv"))
            .unwrap()
            .records()
            .map(|row| std::array::from_fn(|i| row.as_ref().unwrap()[i].parse().unwrap()))
            .collect(),
        None => (0..1000_u32)
            .map(|k| {
                let part = |seed: u32, n: u32| f64::from((k.wrapping_mul(2_654_435_761).rotate_left(seed) >> 8) % n);
                let fast = 5.0 + part(3, 46);
                let slow = fast + 1.0 + part(7, 150);
                [
                    fast,
                    slow,
                    5.0 + part(11, 26),
                    40.0 + part(13, 41),
                    0.5 + part(17, 45) / 10.0,
                    0.5 + part(19, 95) / 10.0,
                ]
            })
            .collect(),
    };
    let strategy = |[fast, slow, rsi, threshold, stop, target]: [f64; 6]| {
        let entry = format!("ema({fast}) crosses above ema({slow}) and rsi({rsi}) < {threshold}");
        strategy(timeframe, &entry, &format!("ema({fast}) crosses below ema({slow})"), stop, target)
    };
    rows.into_iter().map(strategy).collect()
}

fn window(folder: Option<&Path>, name: &str, candles: usize) -> Window {
    let symbol = |symbol: &str| SymbolWindow {
        market: MarketKind::Spot,
        symbol: symbol.parse().unwrap(),
        candles: Arc::new(match folder {
            Some(folder) => read(&folder.join(format!("{symbol}-15m-{name}.zip"))),
            None => synthetic(u64::from(symbol.as_bytes()[0]), Timeframe::M15, candles),
        }),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let symbols = SYMBOLS.map(symbol);
    let from_ms = symbols[0].candles.open_times_ms()[0];
    let to_ms = symbols[0].candles.last_close_time_ms().unwrap() + 1;
    Window::new(from_ms, to_ms, symbols.into()).unwrap()
}

fn synthetic_window(timeframe: Timeframe, candles: usize) -> Window {
    let symbol = |symbol: &str| SymbolWindow {
        market: MarketKind::Spot,
        symbol: symbol.parse().unwrap(),
        candles: Arc::new(synthetic(u64::from(symbol.as_bytes()[0]), timeframe, candles)),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::default(),
        across: Arc::default(),
    };
    let symbols = SYMBOLS.map(symbol);
    let to_ms = symbols[0].candles.last_close_time_ms().unwrap() + 1;
    Window::new(START_MS, to_ms, symbols.into()).unwrap()
}

fn candle(timeframe: Timeframe, open_time_ms: i64, [open, high, low, close, volume]: [f64; 5]) -> Candle {
    Candle {
        open_time_ms,
        open,
        high,
        low,
        close,
        volume,
        close_time_ms: interval::close_time_ms(timeframe, open_time_ms),
        quote_volume: 0.0,
        trade_count: 0,
        taker_buy_volume: 0.0,
        taker_buy_quote_volume: 0.0,
    }
}

fn read(path: &Path) -> CandleSeries {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let file = archive.by_index(0).unwrap();
    let mut series = CandleSeries::new(Timeframe::M15);
    for row in csv::ReaderBuilder::new().has_headers(false).from_reader(file).records() {
        let row = row.unwrap();
        let values = std::array::from_fn(|i| row[i + 1].parse().unwrap());
        series.push(&candle(Timeframe::M15, row[0].parse().unwrap(), values)).unwrap();
    }
    series
}

/// A seeded random walk with four steps a candle.
fn synthetic(seed: u64, timeframe: Timeframe, n: usize) -> CandleSeries {
    let (mut state, mut price) = (seed, 100.0_f64);
    let step_ms = interval::next_open_time_ms(timeframe, START_MS) - START_MS;
    let mut series = CandleSeries::new(timeframe);
    for k in 0..n {
        let open = price;
        let (mut high, mut low) = (open, open);
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            price *= 1.0 + 0.003 * ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5);
            (high, low) = (high.max(price), low.min(price));
        }
        series.push(&candle(timeframe, START_MS + step_ms * k as i64, [open, high, low, price, 1.0])).unwrap();
    }
    series
}
