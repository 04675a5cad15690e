//! How long populations of ranking strategies take: 50 symbols, six years of 4h candles of a simulated market.
//!
//! `cargo bench -p sg-ai-portfolio --bench ranking`. `SG_BENCH_STRATEGIES` (1,000); `SG_BENCH_ONE_BY_ONE=1` names the slowest;
//! `SG_BENCH_DUMP=FOLDER` writes market, strategies and results for other programs.
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketKind, readings::MarketReadings, time::DAY_MS};
use genome::{
    Ranking,
    variation::{self, RankingVariation},
};
use portfolio::{Market, Panel, PortfolioTerms, Ticker, run};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    hash::{DefaultHasher, Hasher},
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
    for threads in [1, 2] {
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
        });
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
