//! How long populations of ranking strategies take: 50 symbols, six years of 4h candles of a simulated market.
//!
//! `cargo bench -p sg-ai-portfolio --bench ranking`. `SG_BENCH_STRATEGIES` (1,000), `SG_BENCH_THREADS` (1 and 2).
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use candles::{Candle, CandleSeries, InstrumentTable, Interval, MarketKind, readings::MarketReadings, time::DAY_MS};
use genome::Ranking;
use portfolio::{Market, Panel, PortfolioTerms, Results, Ticker, run};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    hash::{DefaultHasher, Hasher},
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

/// Scores as searches breed them: customary ideas with random look-backs, alone and in sums of two.
fn strategies(count: usize) -> Vec<Ranking> {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let mut idea = || {
            let n = [6, 12, 18, 30, 42, 60, 90, 120, 180, 270, 360, 540][rng.random_range(0..12)];
            match rng.random_range(0..9) {
                0 => format!("close / delay(close, {n})"),
                1 => format!("close / highest(high, {n})"),
                2 => format!("-(close / delay(close, {}))", n / 6),
                3 => format!("-realized_volatility({n})"),
                4 => format!("volume / mean(volume, {n})"),
                5 => format!("-mean(abs(close / delay(close, 1) - 1) / quote_volume, {n})"),
                6 => format!("mean(close, {}) / mean(close, {n})", n / 6 + 1),
                7 => format!("-deviation(close / delay(close, 1), {n})"),
                _ => format!("decay(close / delay(close, 6), {n})"),
            }
        };
        let score = match all.len() % 3 {
            0 => idea(),
            1 => format!("cs_rank({}) + cs_rank({})", idea(), idea()),
            _ => format!("cs_zscore({}) * cs_rank({})", idea(), idea()),
        };
        let weights = ["linear", "linear, inverse volatility(180)", "top 20%, bottom 20%"][rng.random_range(0..3)];
        let smooth = rng.random_range(2..8);
        let text = format!(
            "4h; universe top 50 by quote_volume(30d), listed 60d; score {score}; rebalance 1d; \
             weights {weights}, smooth {smooth}; gross 1"
        );
        all.push(text.parse().unwrap());
    }
    all
}

fn main() {
    let panel = Panel::new(MarketKind::Spot, Interval::H4, market(), &InstrumentTable::default()).unwrap();
    let (from_ms, to_ms) = (START_MS + WARM_UP_DAYS * DAY_MS, START_MS + (WARM_UP_DAYS + DAYS) * DAY_MS);
    let terms = PortfolioTerms::default();
    let setting = |name: &str, usual: usize| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual);
    let all = strategies(setting("SG_BENCH_STRATEGIES", 1_000));
    let all: Vec<&Ranking> = all.iter().collect();
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
        one_by_one(&panel, from_ms, to_ms, &terms);
    }
}

fn one_by_one(panel: &Panel, from_ms: i64, to_ms: i64, terms: &PortfolioTerms) {
    let digest = &mut DefaultHasher::new();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let started = Instant::now();
            let some = strategies(30);
            for strategy in &some {
                let track = run(strategy, panel, from_ms, to_ms, terms).unwrap();
                let results = Results::of(&track, panel, from_ms, to_ms, terms);
                for slot in &track.slots {
                    digest.write_u64(slot.equity.to_bits());
                }
                results.days.iter().for_each(|d| digest.write_u64(d.hedged.to_bits()));
                digest.write_u64(results.performance.profit_factor.unwrap_or(0.0).to_bits());
            }
            println!(
                "{threads} threads: {:.1} ms a strategy, one by one; digest {:016x}",
                started.elapsed().as_secs_f64() * 1e3 / some.len() as f64,
                digest.finish()
            );
        });
    }
}
