//! Which way of searching finds edges that hold? Searches on simulated markets with a planted edge, each scheme with
//! the same number of evaluations, and what the champions earn in the three years after, which no search saw.
//!
//! `cargo bench -p sg-ai-search --bench generalisation`. A line a market and scheme is printed as it is done (and may be
//! kept: a run that is stopped is a run on fewer markets), the table at the end. Schemes are compared market by market.
//! `SG_BENCH_MARKETS` (40), `SG_BENCH_FROM` (0, the first market), `SG_BENCH_EVALUATIONS` (2000 a search),
//! `SG_BENCH_SHARPE` (8, the true annual Sharpe ratio of the edge on one symbol before costs), `SG_BENCH_ONLY` (keeps
//! the schemes whose names hold one of these texts, separated by `|`), `SG_BENCH_SEED` (1).
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use candles::time::DAY_MS;
use candles::{MarketKind, Symbol};
use engine::{Engine, Outcome, SymbolWindow, Terms, Wanted, Window};
use genome::{AnyStrategy, Timeframe, random::Seed, variation::neighbours};
use search::{self, Individual, SearchConfig, SearchState, Selection, WindowEvaluator, evaluate_rules};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};
use std::{collections::BTreeMap, sync::Arc, time::Instant};

const START_MS: i64 = 1_672_531_200_000;
const WARM_UP_DAYS: i64 = 60;
const SEARCH_DAYS: i64 = 120;
const LATER_DAYS: i64 = 3 * 365;
const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const KINDS: [&str; 4] = ["mean_reversion", "momentum", "volume_spike", "time_of_day"];
/// What the others are compared with: the search as it was before it was measured, lexicase within niches.
const BASELINE: &str = "stopped after 20 generations";
/// Stopping rules: its champions on the way.
const STOPS: [(u32, Pick, &str); 6] = [
    (5, Pick::Fitness, "stopped after 5 generations"),
    (10, Pick::Fitness, "stopped after 10 generations"),
    (20, Pick::Fitness, BASELINE),
    (40, Pick::Fitness, "stopped after 40 generations"),
    (20, Pick::T, "champion by t alone"),
    (20, Pick::Neighbourhood, "champion by its neighbourhood"),
];

/// Generations of the search that is looked at on its way.
const LONGEST: u32 = 40;

/// How one scheme spends its evaluations.
#[derive(Clone)]
enum Way {
    /// One population.
    One,
    /// One population, its champion at this generation; all of this kind are one search.
    Stopped(u32, Pick),
    /// As many populations of their own, each with its share of the evaluations.
    Islands(usize),
    /// A population a symbol; the champions meet on all symbols.
    SymbolIslands,
    /// One population that sees all but the last quarter of the window; of its champions by generation the one that
    /// does best there.
    Validated,
}

/// Which of a search's best is its champion.
#[derive(Clone, Copy)]
enum Pick {
    /// The fittest.
    Fitness,
    /// Of the [`FINALISTS`] fittest kinds, the one with the highest t-statistic.
    T,
    /// Of these, the one whose neighbours (its numbers moved by 15 %) have the highest mean t-statistic.
    Neighbourhood,
}

const FINALISTS: usize = 30;
/// Neighbours looked at, evenly spread over all there are.
const NEIGHBOURS: usize = 16;

struct Scheme {
    name: &'static str,
    way: Way,
    config: SearchConfig,
    /// Multiple of the evaluations that the others get.
    budget: f64,
}

/// Population 100 at 2,000 evaluations: a twentieth of the budget.
fn schemes(evaluations: usize) -> Vec<Scheme> {
    let base = SearchConfig {
        population_size: evaluations / 20,
        generations: 20,
        selection: Selection::Lexicase { sample: 24 },
        archive_parents_fraction: 0.0,
        immigrants_fraction: 0.15,
        learner_fraction: 0.0,
        refinement_fraction: 0.15,
        crossover_fraction: 0.35,
        min_trades: 30,
        niche_capacity: 20,
        ..SearchConfig::default()
    };
    let everybody = base.population_size;
    let tournament = Selection::Tournament { size: 5 };
    let scheme = |name, way, config| Scheme { name, way, config, budget: 1.0 };
    let shaped = |generations: u32| SearchConfig {
        population_size: evaluations / generations as usize,
        elites: base.elites.min(evaluations / generations as usize / 2),
        generations,
        ..base.clone()
    };
    let with = |change: &dyn Fn(&mut SearchConfig)| {
        let mut config = base.clone();
        change(&mut config);
        config
    };
    let mut all: Vec<Scheme> = STOPS
        .into_iter()
        .map(|(generations, pick, name)| Scheme {
            name,
            way: Way::Stopped(generations, pick),
            config: SearchConfig { generations: LONGEST, ..base.clone() },
            budget: f64::from(generations) / 20.0,
        })
        .collect();
    all.extend([
        scheme("at most 2 conditions a rule", Way::One, with(&|c| c.variation.max_conditions = 2)),
        scheme("at least 150 trades", Way::One, with(&|c| c.min_trades = 150)),
        scheme("lexicase, no niches", Way::One, with(&|c| c.niche_capacity = everybody)),
        scheme("tournament, niches", Way::One, with(&|c| c.selection = tournament)),
        scheme("tournament, no niches", Way::One, with(&|c| (c.selection, c.niche_capacity) = (tournament, everybody))),
        scheme("half of the parents from the archive", Way::One, with(&|c| c.archive_parents_fraction = 0.5)),
        scheme("all parents from the archive (MAP-Elites)", Way::One, with(&|c| c.archive_parents_fraction = 1.0)),
        scheme("4 islands", Way::Islands(4), shaped(20)),
        scheme("an island a symbol", Way::SymbolIslands, shaped(20)),
        scheme("no new blood", Way::One, with(&|c| c.immigrants_fraction = 0.0)),
        scheme("40 % new blood", Way::One, with(&|c| c.immigrants_fraction = 0.4)),
        scheme("no refinement", Way::One, with(&|c| c.refinement_fraction = 0.0)),
        scheme("40 % refinement", Way::One, with(&|c| c.refinement_fraction = 0.4)),
        scheme("60 generations of a third", Way::One, shaped(60)),
        scheme("5 generations of four times", Way::One, shaped(5)),
        scheme("chosen on the last quarter", Way::Validated, base.clone()),
        scheme(
            "random",
            Way::One,
            with(&|c| (c.immigrants_fraction, c.refinement_fraction, c.crossover_fraction) = (1.0, 0.0, 0.0)),
        ),
    ]);
    all
}

struct Market {
    kind: &'static str,
    searched: Window,
    /// The first three quarters of it, and the last.
    parts: [Window; 2],
    by_symbol: Vec<Window>,
    later: Window,
    seed: Seed,
}

impl Market {
    fn new(number: u64, root: Seed, sharpe: f64) -> Self {
        let seed = root.child("market", number);
        let kind = KINDS[number as usize % KINDS.len()];
        let symbols: Vec<Symbol> = SYMBOLS.iter().map(|s| s.parse().unwrap()).collect();
        let mut spec = MarketSpec::noise(seed, START_MS, &symbols);
        let edge: EdgeKind = kind.parse().unwrap();
        spec.edges.push(EdgeSpec::lasting(edge, symbols.clone(), sharpe));
        let market = SimulatedMarket::new(spec).unwrap();
        let window = |symbols: &[Symbol], from_day: i64, to_day: i64| {
            let (from_ms, to_ms) = (START_MS + from_day * DAY_MS, START_MS + to_day * DAY_MS);
            let of = |symbol: &Symbol| SymbolWindow {
                market: MarketKind::Spot,
                symbol: symbol.clone(),
                candles: Arc::new(
                    market.candles(symbol, Timeframe::M15, from_ms - WARM_UP_DAYS * DAY_MS, to_ms).unwrap(),
                ),
                finer: Vec::new(),
                funding: Arc::from([]),
                readings: Arc::default(),
                across: Arc::default(),
            };
            Window::new(from_ms, to_ms, symbols.iter().map(of).collect()).unwrap()
        };
        let (from, split) = (WARM_UP_DAYS, WARM_UP_DAYS + SEARCH_DAYS * 3 / 4);
        let to = WARM_UP_DAYS + SEARCH_DAYS;
        Self {
            kind,
            searched: window(&symbols, from, to),
            parts: [window(&symbols, from, split), window(&symbols, split, to)],
            by_symbol: symbols.iter().map(|s| window(std::slice::from_ref(s), from, to)).collect(),
            later: window(&symbols, to, to + LATER_DAYS),
            seed,
        }
    }
}

/// Searches until the settings say so; `each` sees the state after every generation.
fn evolve(
    config: &SearchConfig,
    engine: &Engine,
    window: &Window,
    seed: Seed,
    warm_starts: Vec<AnyStrategy>,
    mut each: impl FnMut(&SearchState),
) -> SearchState {
    let terms = Terms::default();
    let evaluator = WindowEvaluator { engine, window, terms: &terms };
    let mut state = search::start(config, seed, warm_starts, None);
    while !state.is_finished(config) {
        (state, _) = search::advance(config, state, &evaluator, &|_| false).unwrap();
        each(&state);
    }
    state
}

fn best(state: &SearchState) -> Option<Individual> {
    search::champions(state, 1).pop()
}

/// `stops` keeps the finalists by generation of the search that several schemes share.
fn champion(scheme: &Scheme, market: &Market, engine: &Engine, stops: &mut Vec<Vec<Individual>>) -> Option<Individual> {
    let config = &scheme.config;
    let nothing = |_: &SearchState| {};
    match scheme.way {
        Way::One => best(&evolve(config, engine, &market.searched, market.seed, Vec::new(), nothing)),
        Way::Stopped(generations, pick) => {
            if stops.is_empty() {
                evolve(config, engine, &market.searched, market.seed, Vec::new(), |state| {
                    stops.push(search::champions(state, FINALISTS));
                });
            }
            let finalists = &stops[generations as usize - 1];
            let t = |population: &[AnyStrategy]| -> f64 {
                let outcomes =
                    evaluate_rules(engine, population, &market.searched, &Terms::default(), Wanted::default());
                let t = |o: Result<Outcome, _>| o.ok().and_then(|o| o.performance.t_statistic).unwrap_or_default();
                let count = population.len().max(1) as f64;
                outcomes.into_iter().map(t).sum::<f64>() / count
            };
            let score = |individual: &Individual| match pick {
                Pick::Fitness => individual.fitness(),
                Pick::T => t(std::slice::from_ref(&individual.strategy)),
                Pick::Neighbourhood => {
                    let all: Vec<AnyStrategy> = individual.strategy.rules().map_or_else(Vec::new, |rules| {
                        neighbours(rules, 0.15).into_iter().map(AnyStrategy::Rules).collect()
                    });
                    let step = all.len().div_ceil(NEIGHBOURS).max(1);
                    t(&all.into_iter().step_by(step).collect::<Vec<_>>())
                }
            };
            let scored = finalists.iter().map(|f| (score(f), f));
            scored.reduce(|a, b| if b.0 > a.0 { b } else { a }).map(|(_, f)| f.clone())
        }
        Way::Islands(count) => {
            let size = config.population_size / count;
            let config = SearchConfig { population_size: size, elites: config.elites.min(size / 4), ..config.clone() };
            let island = |i: usize| {
                let seed = market.seed.child("island", i as u64);
                best(&evolve(&config, engine, &market.searched, seed, Vec::new(), nothing))
            };
            (0..count).filter_map(island).reduce(|a, b| if b.fitness() > a.fitness() { b } else { a })
        }
        Way::SymbolIslands => {
            let size = config.population_size / market.by_symbol.len();
            let min_trades = (config.min_trades / market.by_symbol.len() as u32).max(1);
            let island = SearchConfig {
                population_size: size,
                elites: config.elites.min(size / 4),
                min_trades,
                ..config.clone()
            };
            let champions: Vec<AnyStrategy> = market
                .by_symbol
                .iter()
                .enumerate()
                .flat_map(|(i, window)| {
                    let seed = market.seed.child("island", i as u64);
                    search::champions(&evolve(&island, engine, window, seed, Vec::new(), nothing), 5)
                })
                .map(|c| c.strategy)
                .collect();
            let size = champions.len().max(2);
            let met = SearchConfig { population_size: size, generations: 1, elites: 1, ..config.clone() };
            best(&evolve(&met, engine, &market.searched, market.seed, champions, nothing))
        }
        Way::Validated => {
            let mut champions: Vec<Individual> = Vec::new();
            let [first, last] = &market.parts;
            evolve(config, engine, first, market.seed, Vec::new(), |state| champions.extend(best(state)));
            let strategies: Vec<AnyStrategy> = champions.iter().map(|c| c.strategy.clone()).collect();
            let outcomes = evaluate_rules(engine, &strategies, last, &Terms::default(), Wanted::default());
            let judged = champions.into_iter().zip(outcomes).filter_map(|(champion, outcome)| {
                Some((champion, outcome.ok()?.performance.t_statistic.unwrap_or(f64::NEG_INFINITY)))
            });
            // The last of equals: the longest search.
            judged.reduce(|a, b| if b.1 >= a.1 { b } else { a }).map(|(champion, _)| champion)
        }
    }
}

/// What a champion turned out to be worth.
#[derive(Clone, Copy)]
struct Worth {
    /// Annual Sharpe ratio in the years after, after costs; 0 where nothing was traded or nothing was found.
    sharpe: f64,
    /// The same in the window that was searched.
    promised: f64,
}

fn measured(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let (markets, from) = (measured("SG_BENCH_MARKETS", 40.0) as u64, measured("SG_BENCH_FROM", 0.0) as u64);
    let (evaluations, sharpe) = (measured("SG_BENCH_EVALUATIONS", 2000.0) as usize, measured("SG_BENCH_SHARPE", 8.0));
    let root = Seed(measured("SG_BENCH_SEED", 1.0) as u64);
    let only = std::env::var("SG_BENCH_ONLY").unwrap_or_default();
    let schemes: Vec<Scheme> =
        schemes(evaluations).into_iter().filter(|s| only.split('|').any(|part| s.name.contains(part))).collect();
    for scheme in &schemes {
        scheme.config.validate().unwrap();
    }
    println!("market,kind,scheme,seconds,promised_sharpe,later_sharpe");
    let mut results: BTreeMap<usize, Vec<Worth>> = BTreeMap::new();
    for number in from..from + markets {
        let market = Market::new(number, root, sharpe);
        let engine = Engine::new(128);
        let mut stops = Vec::new();
        for (i, scheme) in schemes.iter().enumerate() {
            let began = Instant::now();
            let champion = champion(scheme, &market, &engine, &mut stops);
            let seconds = began.elapsed().as_secs_f64();
            let earned = |window: &Window| {
                let strategy = champion.as_ref()?.strategy.clone();
                let outcome =
                    evaluate_rules(&engine, &[strategy], window, &Terms::default(), Wanted::default()).pop()?;
                outcome.ok()?.performance.sharpe_ratio
            };
            let worth = Worth {
                sharpe: earned(&market.later).unwrap_or_default(),
                promised: earned(&market.searched).unwrap_or_default(),
            };
            println!(
                "{number},{},\"{}\",{seconds:.1},{:.3},{:.3}",
                market.kind, scheme.name, worth.promised, worth.sharpe
            );
            results.entry(i).or_default().push(worth);
        }
    }
    table(&schemes, &results);
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

fn table(schemes: &[Scheme], results: &BTreeMap<usize, Vec<Worth>>) {
    let later = |i: usize| results[&i].iter().map(|w| w.sharpe).collect::<Vec<_>>();
    let baseline = schemes.iter().position(|s| s.name == BASELINE).map(later);
    println!("\n| scheme | evaluations | promised | three years after | against the first | above 1 |");
    println!("|---|---|---|---|---|---|");
    for (i, scheme) in schemes.iter().enumerate() {
        let values = later(i);
        let (mean, error) = mean_and_error(&values);
        let (promised, _) = mean_and_error(&results[&i].iter().map(|w| w.promised).collect::<Vec<_>>());
        let against = baseline.as_ref().map_or_else(String::new, |baseline| {
            let differences: Vec<f64> = values.iter().zip(baseline).map(|(a, b)| a - b).collect();
            let (mean, error) = mean_and_error(&differences);
            format!("{mean:+.2} ± {error:.2}")
        });
        let above = values.iter().filter(|v| **v > 1.0).count();
        println!(
            "| {} | x {} | {promised:.2} | {mean:.2} ± {error:.2} | {against} | {above} of {} |",
            scheme.name,
            scheme.budget,
            values.len()
        );
    }
}
