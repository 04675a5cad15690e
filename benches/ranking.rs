//! How long populations of ranking strategies take: 50 symbols, six years of 4h candles of a simulated market.
//!
//! `cargo bench -p sg-ai-portfolio --bench ranking`. `SG_BENCH_STRATEGIES` (1,000); `SG_BENCH_THREADS` (1,2,4);
//! `SG_BENCH_ONE_BY_ONE=1` names the slowest; `SG_BENCH_OPERATORS=0` leaves the operators out, each alone on one thread;
//! `SG_BENCH_DUMP=FOLDER` writes market, strategies and results for other programs.
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketKind, readings::MarketReadings, time::DAY_MS};
use engine::{Wide, widest};
use genome::{
    Expression, Ranking, Universe,
    variation::{self, RankingVariation},
};
use portfolio::{
    Market, Panel, PortfolioTerms, Ticker,
    alone::{Alone, slopes_alone},
    run,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    hash::{DefaultHasher, Hasher},
    hint::black_box,
    path::Path,
    time::Instant,
};

const STEP_MS: i64 = 4 * 3_600_000;
const START_MS: i64 = 1_483_228_800_000;
const SYMBOLS: usize = 50;
const WARM_UP_DAYS: i64 = 180;
const DAYS: i64 = 6 * 365;

fn market() -> Vec<Ticker> {
    let slots = (WARM_UP_DAYS + DAYS) * 6;
    let ticker = |number: usize| {
        let rng = &mut ChaCha8Rng::seed_from_u64(number as u64);
        let mut price = 10.0_f64.powf(rng.random_range(-3.0..4.0));
        let mut candles = Vec::new();
        for slot in 0..slots {
            let open = price;
            let close = open * (rng.random_range(-0.02_f64..0.02)).exp();
            let volume = rng.random_range(1e5..1e7) / close;
            price = close;
            let open_time_ms = START_MS + slot * STEP_MS;
            candles.push(Candle {
                open_time_ms,
                open,
                high: open.max(close) * (1.0 + rng.random_range(0.0..0.01)),
                low: open.min(close) * (1.0 - rng.random_range(0.0..0.01)),
                close,
                volume,
                close_time_ms: open_time_ms + STEP_MS - 1,
                quote_volume: volume * close,
                trade_count: 100,
                taker_buy_volume: volume / 2.0,
                taker_buy_quote_volume: volume * close / 2.0,
            });
        }
        Ticker {
            symbol: format!("C{number:02}USDT").parse().unwrap(),
            candles: CandleSeries::from_candles(Interval::H4, &candles).unwrap(),
            funding: Vec::new(),
            readings: MarketReadings::default(),
        }
    };
    (0..SYMBOLS).map(ticker).collect()
}

/// What searches breed: random strategies, half of them mutated.
fn strategies(count: usize) -> Vec<Ranking> {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let config = RankingVariation { universe_top: vec![SYMBOLS as u32], ..RankingVariation::default() };
    let all = (0..count).map(|number| {
        let random = variation::random_ranking(&config, rng);
        if number % 2 == 0 { random } else { variation::mutate_ranking(&random, &config, rng) }
    });
    all.collect()
}

fn main() {
    let panel = Panel::new(MarketKind::Spot, Interval::H4, market(), &InstrumentTable::default()).unwrap();
    let (from_ms, to_ms) = (START_MS + WARM_UP_DAYS * DAY_MS, START_MS + (WARM_UP_DAYS + DAYS) * DAY_MS);
    let terms = PortfolioTerms::default();
    let setting = |name: &str, usual: usize| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let all = strategies(setting("SG_BENCH_STRATEGIES", 1_000));
    let all: Vec<&Ranking> = all.iter().collect();
    if let Some(folder) = std::env::var_os("SG_BENCH_DUMP") {
        dump(Path::new(&folder), &panel, &Market::new(&panel, from_ms, to_ms, terms).unwrap(), &all);
    }
    let threads = std::env::var("SG_BENCH_THREADS").unwrap_or_else(|_| "1,2,4".to_owned());
    let mut digests = Vec::new();
    for threads in threads.split(',').map(|n| n.trim().parse().unwrap()) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let started = Instant::now();
            let market = Market::new(&panel, from_ms, to_ms, terms).unwrap();
            let mut digest = DefaultHasher::new();
            for outcome in market.evaluate(&all) {
                let outcome = outcome.unwrap();
                outcome.daily_returns.iter().for_each(|r| digest.write_u64(r.to_bits()));
                digest.write_u64(outcome.trades_digest);
                digest.write_u64(outcome.performance.profit_factor.unwrap_or(0.0).to_bits());
            }
            let seconds = started.elapsed().as_secs_f64();
            println!("{threads} threads: {} strategies in {seconds:.2} s; digest {:016x}", all.len(), digest.finish());
            digests.push(digest.finish());
        });
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "results depend on the number of threads");
    if setting("SG_BENCH_OPERATORS", 1) > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| operators(&panel));
    }
    if setting("SG_BENCH_ONE_BY_ONE", 0) > 0 {
        one_by_one(&panel, from_ms, to_ms, terms, &all);
    }
}

/// One column of candles.
type Prices = fn(&CandleSeries) -> &[f64];

/// The market as raw numbers (symbol by symbol, little-endian), the strategies as texts, and their hedged daily returns, for
/// other programs that do the same.
fn dump(folder: &Path, panel: &Panel, market: &Market<&Panel>, all: &[&Ranking]) {
    let write = |name: &str, values: &mut dyn Iterator<Item = f64>| {
        std::fs::write(folder.join(name), values.flat_map(f64::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    };
    let columns: [(&str, Prices); 7] = [
        ("open", CandleSeries::opens),
        ("high", CandleSeries::highs),
        ("low", CandleSeries::lows),
        ("close", CandleSeries::closes),
        ("volume", CandleSeries::volumes),
        ("quote_volume", CandleSeries::quote_volumes),
        ("taker_buy_volume", CandleSeries::taker_buy_volumes),
    ];
    for (name, column) in columns {
        write(&format!("{name}.f64"), &mut panel.instruments().iter().flat_map(|i| column(i.candles()).to_vec()));
    }
    let text: Vec<String> = all.iter().map(ToString::to_string).collect();
    std::fs::write(folder.join("strategies.txt"), text.join("\n")).unwrap();
    let found = market.evaluate(all);
    write("returns.f64", &mut found.iter().flat_map(|o| o.as_ref().unwrap().daily_returns.clone()));
}

/// The slowest strategies, each alone.
fn one_by_one(panel: &Panel, from_ms: i64, to_ms: i64, terms: PortfolioTerms, all: &[&Ranking]) {
    let mut times: Vec<(f64, &Ranking)> = Vec::new();
    for strategy in all {
        let started = Instant::now();
        run(strategy, panel, from_ms, to_ms, &terms).unwrap();
        times.push((started.elapsed().as_secs_f64() * 1e3, strategy));
    }
    times.sort_by(|a, b| b.0.total_cmp(&a.0));
    let median = times[times.len() / 2].0;
    println!("alone: median {median:.1} ms; the slowest:");
    times.iter().take(12).for_each(|(ms, strategy)| println!("{ms:8.1} ms  {strategy}"));
}

/// Adds columns up, or reads one: how fast the machine moves bytes.
struct Moved<'a>(&'a [f64], &'a [f64], &'a mut [f64]);

impl Wide for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((out, x), y) in self.2.iter_mut().zip(self.0).zip(self.1) {
            *out = x + y;
        }
    }
}

/// Least seconds of several runs.
fn least(times: usize, mut work: impl FnMut()) -> f64 {
    let mut once = || {
        let started = Instant::now();
        work();
        started.elapsed().as_secs_f64()
    };
    (0..times).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Billion bytes a second of two columns read and one written, each of so many values.
fn bandwidth(values: usize) -> f64 {
    let (x, y, mut out) = (vec![1.0; values], vec![2.0; values], vec![0.0; values]);
    let rounds = (40_000_000 / values).max(1);
    let seconds =
        least(7, || (0..rounds).for_each(|_| widest(Moved(black_box(&x), black_box(&y), black_box(&mut out)))));
    (24 * values * rounds) as f64 / seconds / 1e9
}

/// Each operator over all symbols and candles, what it reads computed before: one thread, nothing of it known.
fn operators(panel: &Panel) {
    let universe = Universe { top: SYMBOLS as u32, volume_days: 30, listed_days: 60 };
    let slots = panel.opens_ms().len();
    let (small, group, memory) = (bandwidth(4 << 10), bandwidth(8 * slots), bandwidth(16 << 20));
    println!(
        "two columns read and one written: {small:.0} GB/s of 0.1 MB, {group:.0} of a group's 2.7 MB, {memory:.0} of 400 MB"
    );
    println!("| operator | million node-cells a second | bytes a node-cell | GB/s | of the group's |");
    println!("|---|---|---|---|---|");
    // Bytes: columns read, the one written, and that looked through for holes; windows read and write their suffixes, too.
    let row = |name: &str, cells: usize, bytes: f64, seconds: f64| {
        let rate = cells as f64 / seconds;
        let moved = bytes * rate / 1e9;
        println!("| {name} | {:.0} | {bytes:.0} | {moved:.1} | {:.0} % |", rate / 1e6, 100.0 * moved / group);
    };
    for (score, bytes) in [
        ("close + open", 32.0),
        ("close * 2", 24.0),
        ("close / open", 32.0),
        ("max(close, open)", 32.0),
        ("abs(close)", 24.0),
        ("log(close)", 24.0),
        ("sign(close)", 24.0),
        ("delay(close, 42)", 16.0),
        ("delta(close, 42)", 32.0),
        ("mean(close, 42)", 40.0),
        ("mean(close, 540)", 40.0),
        ("sum(close, 180)", 40.0),
        ("deviation(close, 180)", 72.0),
        ("highest(close, 180)", 40.0),
        ("lowest(close, 180)", 40.0),
        ("decay(close, 180)", 56.0),
        ("ts_rank(close, 42)", 24.0),
        ("ts_rank(close, 90)", 24.0),
        ("ts_rank(close, 180)", 24.0),
        ("ts_rank(close, 540)", 24.0),
        ("correlation(close, volume, 180)", 112.0),
        ("beta(close, 180)", 112.0),
        ("realized_volatility(180)", 48.0),
        ("cs_rank(close / open)", 32.0),
        ("cs_demean(close / open)", 32.0),
        ("cs_zscore(close / open)", 32.0),
        ("relative(close / open)", 32.0),
    ] {
        let alone = Alone::new(panel, universe, &score.parse::<Expression>().unwrap()).unwrap();
        let seconds = least(9, || assert!(black_box(alone.run().unwrap()) >= SYMBOLS, "{score} is not defined"));
        row(score, SYMBOLS * slots, bytes, seconds);
    }
    let every: Vec<usize> = (1_200..slots).step_by(12).collect();
    let seconds = least(3, || assert!(black_box(slopes_alone(panel, universe, 180, &every)) > 0));
    row("slopes of `beta neutral(180)`, cells of the windows", SYMBOLS * every.len() * 180, 16.0, seconds);
}
