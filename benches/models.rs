//! Do models find an edge that rules do not, and nothing where nothing is? The same search on simulated markets, with and
//! without two models and ideas that ask them, and what its champion earns in the year after, which neither saw.
//!
//! `cargo run --release -p sg-ai-models --features trees --example planted`. The edge is `product` of `simulated`: the sign of a move times
//! that of what was traded more than usual. `SG_BENCH_MARKETS` (12), `SG_BENCH_FROM` (0), `SG_BENCH_SHARPE` (10; the other
//! half of the markets has none).
// It prints a table, and has nothing better to do than to stop where it cannot go on.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "share.rs"]
mod share;

use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, MarketKind, MarketReadings, Readings, Symbol};
use engine::{Engine, SymbolWindow, Terms, Wanted, Window};
use genome::{AnyStrategy, ModelSeries, Timeframe, random::Seed};
use models::{Examples, ModelCandles, ModelFile, Walk, confidence};
use search::{SearchConfig, WindowEvaluator, evaluate_rules};
use simulated::{EdgeSpec, MarketSpec, SimulatedMarket};
use std::{collections::BTreeMap, sync::Arc};

/// 2019-01-01.
const START_MS: i64 = 1_546_300_800_000;
const BEFORE_DAYS: i64 = 365;
const SEARCH_DAYS: i64 = 730;
const LATER_DAYS: i64 = 365;
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "BNBUSDT"];
const FILE: &str = "timeframe = \"4h\"\nsymbols = [\"*USDT\"]\ntarget = \"direction\"\nhorizon_candles = 1\n\
    features = [\"roc(1)\", \"volume_zscore(20)\", \"rsi(14)\", \"natr(14)\", \"bollinger_percent_b(20, 2)\", \"taker_buy_ratio\"]\n\
    train_days = 730\nrefit_days = 60\n[fit]\n";
const KINDS: [(&str, &str); 2] = [("grown", "kind = \"trees\"\n"), ("line", "kind = \"logistic\"\n")];

fn setting(name: &str, usual: f64) -> f64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

/// Readings of both models for each symbol.
fn predicted(candles: &[(Symbol, CandleSeries)]) -> Vec<MarketReadings> {
    let nothing = MarketReadings::default();
    let mut out: Vec<BTreeMap<ModelSeries, Readings>> = vec![BTreeMap::new(); candles.len()];
    for (name, kind) in KINDS {
        let file = ModelFile::parse(name, &format!("{FILE}{kind}")).unwrap();
        let given: Vec<ModelCandles<'_>> = candles
            .iter()
            .map(|(symbol, candles)| ModelCandles { name: symbol.as_str(), candles, readings: &nothing, members: None })
            .collect();
        let examples = Examples::new(&file, &given).unwrap();
        let kind = file.kind(None).unwrap();
        let found = Walk { file: &file, kind: &*kind, examples: &examples }.predict(None).unwrap();
        for ((symbol, _), models) in candles.iter().zip(&mut out) {
            let points = found.of(symbol.as_str());
            let of =
                |value: fn(f64) -> f64| Readings::new(points.iter().map(|p| (p.at_ms, value(p.probability)))).unwrap();
            models.insert(ModelSeries::Probability(file.name), of(|p| p));
            models.insert(ModelSeries::Confidence(file.name), of(confidence));
        }
    }
    out.into_iter().map(|models| MarketReadings { models, ..MarketReadings::default() }).collect()
}

fn window(candles: &[(Symbol, CandleSeries)], readings: &[MarketReadings], from_days: i64, to_days: i64) -> Window {
    let (from_ms, to_ms) = (START_MS + from_days * DAY_MS, START_MS + to_days * DAY_MS);
    let one = |((symbol, candles), readings): (&(Symbol, CandleSeries), &MarketReadings)| SymbolWindow {
        market: MarketKind::Spot,
        symbol: symbol.clone(),
        candles: Arc::new(candles.slice(i64::MIN, to_ms)),
        finer: Vec::new(),
        funding: Arc::new([]),
        readings: Arc::new(readings.clone()),
        across: Arc::default(),
    };
    Window::new(from_ms, to_ms, candles.iter().zip(readings).map(one).collect()).unwrap()
}

/// Ideas that ask models, as a user would give them to a search.
fn ideas() -> Vec<AnyStrategy> {
    let mut all = Vec::new();
    for (name, _) in KINDS {
        for (long, short) in [(0.5, 0.5), (0.53, 0.47), (0.56, 0.44)] {
            let text = format!(
                "4h; long when model({name}) > {long} exit when model({name}) < 0.5; \
                 short when model({name}) < {short} exit when model({name}) > 0.5"
            );
            all.push(text.parse().unwrap());
        }
    }
    all
}

/// The champion's t-value of daily returns in the year after, and the champion.
fn champion(searched: &Window, later: &Window, seed: Seed, ideas: Vec<AnyStrategy>) -> (f64, String) {
    let (engine, terms) = (Engine::new(256), Terms::default());
    let mut config = SearchConfig { population_size: 100, generations: 20, ..SearchConfig::default() };
    config.variation.timeframes = vec![Timeframe::H4];
    config.variation.stop_required = false;
    let evaluator = WindowEvaluator { engine: &engine, window: searched, terms: &terms };
    let mut state = search::start(&config, seed, ideas, None);
    while !state.is_finished(&config) {
        (state, _) = search::advance(&config, state, &evaluator, &|_| false).unwrap();
    }
    let Some(best) = search::champions(&state, 1).pop() else { return (0.0, "none".to_owned()) };
    let found = evaluate_rules(&engine, std::slice::from_ref(&best.strategy), later, &terms, Wanted::default());
    let t = found.into_iter().next().and_then(Result::ok).and_then(|o| o.performance.t_statistic);
    (t.unwrap_or(0.0), best.strategy.to_string())
}

fn main() {
    let (markets, first) = (setting("SG_BENCH_MARKETS", 12.0) as u64, setting("SG_BENCH_FROM", 0.0) as u64);
    let strength = setting("SG_BENCH_SHARPE", 10.0);
    let symbols: Vec<Symbol> = SYMBOLS.map(|s| s.parse().unwrap()).to_vec();
    let mut found: BTreeMap<(bool, &str), Vec<f64>> = BTreeMap::new();
    for number in first..first + markets {
        for planted in [true, false] {
            let seed = Seed(1).child(if planted { "planted" } else { "noise" }, number);
            let mut spec = MarketSpec::noise(seed, START_MS, &symbols);
            spec.base = Interval::H1;
            if planted {
                let kind = "product".parse().unwrap();
                let lasting = EdgeSpec::lasting(kind, symbols.clone(), strength);
                spec.edges = vec![EdgeSpec { interval: Interval::H4, ..lasting }];
            }
            let market = SimulatedMarket::new(spec).unwrap();
            let end_ms = START_MS + (BEFORE_DAYS + SEARCH_DAYS + LATER_DAYS) * DAY_MS;
            let candles: Vec<(Symbol, CandleSeries)> = symbols
                .iter()
                .map(|s| (s.clone(), market.candles(s, Interval::H4, START_MS, end_ms).unwrap()))
                .collect();
            let readings = predicted(&candles);
            let searched = window(&candles, &readings, BEFORE_DAYS, BEFORE_DAYS + SEARCH_DAYS);
            let later = window(&candles, &readings, BEFORE_DAYS + SEARCH_DAYS, BEFORE_DAYS + SEARCH_DAYS + LATER_DAYS);
            for (arm, ideas) in [("without", Vec::new()), ("with", ideas())] {
                let (t, strategy) = champion(&searched, &later, seed.child("search", 0), ideas);
                println!("{number} {} {arm:<8} t {t:>6.2}  {strategy}", if planted { "planted" } else { "noise  " });
                found.entry((planted, arm)).or_default().push(t);
            }
        }
    }
    println!();
    for ((planted, arm), all) in found.iter().rev() {
        let hits = all.iter().filter(|t| **t > 2.0).count();
        let (least, most) = share::interval(hits, all.len());
        println!(
            "{} {arm:<8} found (t > 2 in the year after) {hits} of {}, {:.0} to {:.0} %; mean t {:.2}",
            if *planted { "planted" } else { "noise  " },
            all.len(),
            100.0 * least,
            100.0 * most,
            all.iter().sum::<f64>() / all.len() as f64
        );
    }
}
