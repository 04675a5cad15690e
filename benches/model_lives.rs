//! What becomes of a session's candidates where its strategies may ask models: through null searches, hold-out, shadow and live, on
//! simulated markets whose edge rules cannot say, and on noise; beside the same sessions without models.
//!
//! `cargo run --release -p sg-ai-protocol --features trees --example model_lives`. The edge is `product` of `simulated`, on three symbols at
//! 4h. `SG_BENCH_MARKETS` (12, of each kind), `SG_BENCH_FROM` (0), `SG_BENCH_SHARPE` (10), `SG_BENCH_NULLS` (19).
// It prints a table, and has nothing better to do than to stop where it cannot go on.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "share.rs"]
mod share;

use candles::time::DAY_MS;
use candles::{CandleSeries, Interval, MarketKind, MarketReadings, Symbol};
use engine::{Engine, SymbolWindow, Terms, Window};
use genome::{ModelSeries, OfferedModel, Timeframe, random::Seed};
use lifecycle::{EdgeDecayConfig, ProtocolGate, Thresholds};
use models::{Beside, ModelFile, RefitModel, Refits};
use protocol::{Account, Days, Plan, ProtocolConfig, ProtocolRun, RulesWorld, RunPlan, run_in, window_beside};
use search::SearchConfig;
use simulated::{EdgeSpec, MarketSpec, SimulatedMarket};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// 2019-01-01.
const START_MS: i64 = 1_546_300_800_000;
const BEFORE_DAYS: i64 = 365;
const WARM_UP_DAYS: i64 = 60;
const DAYS: Days = Days { search: 540, holdout: 120, shadow: 60, live: 60 };
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "BNBUSDT"];
const FILE: &str = "timeframe = \"4h\"\nsymbols = [\"*USDT\"]\ntarget = \"direction\"\nhorizon_candles = 1\n\
    features = [\"roc(1)\", \"volume_zscore(20)\", \"rsi(14)\", \"natr(14)\", \"bollinger_percent_b(20, 2)\", \"taker_buy_ratio\"]\n\
    train_days = 365\nrefit_days = 60\n[fit]\nkind = \"trees\"\n";

fn setting(name: &str, usual: f64) -> f64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

struct World {
    symbols: Vec<Symbol>,
    candles: Vec<CandleSeries>,
}

impl World {
    fn new(planted: bool, seed: Seed, strength: f64) -> Self {
        let symbols: Vec<Symbol> = SYMBOLS.map(|s| s.parse().unwrap()).to_vec();
        let mut spec = MarketSpec::noise(seed, START_MS, &symbols);
        spec.base = Interval::H1;
        if planted {
            let lasting = EdgeSpec::lasting("product".parse().unwrap(), symbols.clone(), strength);
            spec.edges = vec![EdgeSpec { interval: Interval::H4, ..lasting }];
        }
        let market = SimulatedMarket::new(spec).unwrap();
        let days = DAYS.search + DAYS.holdout + DAYS.shadow + DAYS.live;
        let end_ms = START_MS + (BEFORE_DAYS + i64::from(days) + 1) * DAY_MS;
        let candles = symbols.iter().map(|s| market.candles(s, Interval::H4, START_MS, end_ms).unwrap()).collect();
        Self { symbols, candles }
    }

    fn window(&self, from_ms: i64, to_ms: i64) -> Window {
        let first_ms = START_MS + (BEFORE_DAYS - WARM_UP_DAYS) * DAY_MS;
        let one = |(symbol, candles): (&Symbol, &CandleSeries)| SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.clone(),
            candles: Arc::new(candles.slice(first_ms, to_ms)),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        };
        Window::new(from_ms, to_ms, self.symbols.iter().zip(&self.candles).map(one).collect()).unwrap()
    }

    fn refits(&self) -> Refits {
        let members: Vec<String> = self.symbols.iter().map(ToString::to_string).collect();
        let of = |(name, candles): (&String, &CandleSeries)| Beside {
            name: name.clone(),
            candles: candles.clone(),
            readings: Arc::default(),
        };
        let beside = members.iter().zip(&self.candles).map(of).collect();
        let members = members.into_iter().map(|name| (name, None)).collect();
        let file = ModelFile::parse("grown", FILE).unwrap();
        Refits { models: vec![RefitModel { file, network: None, members }], together: None, beside }
    }

    fn run(&self, seed: Seed, with_models: bool, nulls: u32) -> ProtocolRun {
        let (engine, terms, limits) = (Engine::new(256), Terms::default(), Thresholds::default());
        let mut search = SearchConfig { population_size: 100, generations: 10, ..SearchConfig::default() };
        search.variation.timeframes = vec![Timeframe::H4];
        search.variation.stop_required = false;
        let (split_ms, refits) =
            (START_MS + (BEFORE_DAYS + i64::from(DAYS.search)) * DAY_MS, with_models.then(|| Arc::new(self.refits())));
        let end_ms = split_ms + i64::from(DAYS.holdout + DAYS.shadow + DAYS.live) * DAY_MS;
        let mut said: BTreeMap<Symbol, Arc<MarketReadings>> = BTreeMap::new();
        if let Some(refits) = &refits {
            let name = "grown".parse().unwrap();
            search.variation.models = [ModelSeries::Probability(name), ModelSeries::Confidence(name)]
                .map(|series| OfferedModel { series, timeframe: Timeframe::H4 })
                .to_vec();
            let whole = window_beside(&self.window(split_ms, end_ms), refits).unwrap();
            said = whole.symbols().iter().map(|s| (s.symbol.clone(), Arc::clone(&s.readings))).collect();
        }
        let cut = |from_ms, to_ms| {
            let until = |s: &SymbolWindow| said.get(&s.symbol).map(|said| said.models_until(to_ms)).unwrap_or_default();
            Ok(self.window(from_ms, to_ms).with_models(until))
        };
        let protocol = ProtocolConfig { null_searches: nulls, ..ProtocolConfig::default() };
        let gate = ProtocolGate::new(limits.clone()).unwrap();
        let plan = RunPlan {
            session: Plan { search: &search, protocol: &protocol, candidates: 10 },
            terms: &terms,
            gate: &gate,
            staying: &EdgeDecayConfig::default(),
            limits: &limits,
            account: Account::open(&protocol, split_ms),
            known: &[],
            past: &[],
            days: DAYS,
            review_ms: DAY_MS,
        };
        let world = RulesWorld { engine: &engine, terms: &terms, cut: &cut, refits };
        run_in(&plan, &world, split_ms, seed, Vec::new(), &|| false).unwrap()
    }
}

fn main() {
    let (markets, first) = (setting("SG_BENCH_MARKETS", 12.0) as u64, setting("SG_BENCH_FROM", 0.0) as u64);
    let (strength, nulls) = (setting("SG_BENCH_SHARPE", 10.0), setting("SG_BENCH_NULLS", 19.0) as u32);
    let mut all: BTreeMap<(bool, bool), Vec<ProtocolRun>> = BTreeMap::new();
    for number in first..first + markets {
        for planted in [true, false] {
            let seed = Seed(2).child(if planted { "planted" } else { "noise" }, number);
            let world = World::new(planted, seed, strength);
            for with_models in [false, true] {
                let began = Instant::now();
                let run = world.run(seed.child("session", 0), with_models, nulls);
                println!(
                    "{number} {} {} p {:.2}, {} null searches, candidates {}, entered {}, live {}, ln E of the hold-out {:.1}, {:.0} s",
                    if planted { "planted" } else { "noise  " },
                    if with_models { "with   " } else { "without" },
                    run.searched.p_value,
                    run.searched.null_searches,
                    run.candidates,
                    run.entered,
                    run.promoted,
                    run.best_holdout_log_e.unwrap_or(0.0),
                    began.elapsed().as_secs_f64(),
                );
                all.entry((planted, with_models)).or_default().push(run);
            }
        }
    }
    println!();
    for ((planted, with_models), runs) in all.iter().rev() {
        let share = |what: &dyn Fn(&ProtocolRun) -> bool| {
            let found = runs.iter().filter(|run| what(run)).count();
            let (least, most) = share::interval(found, runs.len());
            format!("{found} of {} ({:.0} to {:.0} %)", runs.len(), 100.0 * least, 100.0 * most)
        };
        println!(
            "{} {}: p <= 0.1 in {}, entered shadow in {}, live in {}",
            if *planted { "planted" } else { "noise" },
            if *with_models { "with models" } else { "without" },
            share(&|run| run.searched.p_value <= 0.1),
            share(&|run| run.entered > 0),
            share(&|run| run.promoted > 0),
        );
    }
}
