//! What does learning from earlier strategies bring? Lives of search sessions on simulated markets with a planted edge: twelve
//! sessions ten days apart, then one that is looked at, without and with what the twelve have taught, each with the same
//! evaluations; and what its champion earns in the three years after, which nothing has seen.
//!
//! `cargo bench -p sg-ai-protocol --bench learner`. Three worlds: an edge that lasts; one that is replaced by another kind half
//! a year before the session that is looked at, so that what was learnt before has to be unlearnt; none. A line a market, world
//! and share is printed as it is done, the tables at the end; differences are taken market by market. `SG_BENCH_MARKETS` (32),
//! `SG_BENCH_FROM` (0), `SG_BENCH_SHARPE` (8, annual, one symbol, before costs), `SG_BENCH_SEED` (1), `SG_BENCH_WORLDS`
//! (`lasting|changed|noise`), `SG_BENCH_SHARES` (`0.15|0.3|0.5`, learner's share of each generation), `SG_BENCH_WEIGHTS` (`0`,
//! annual Sharpe ratio by which the belief about a block rises for each standard deviation of a null search that its scores on
//! the real market are above those on null ones; each weight above 0 takes three null searches a session).
// It prints a table, and a bench that cannot go on has nothing better to do than to stop.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

use candles::time::DAY_MS;
use candles::{MarketKind, Symbol};
use engine::{Engine, SymbolWindow, Terms, Wanted, Window};
use genome::{AnyStrategy, Timeframe, random::Seed};
use learner::{Belief, Learnt, Scored, Scores};
use protocol::{Ground as _, Searchable, Split, WarmStart};
use search::{Evaluator, SearchConfig, WindowEvaluator, evaluate_rules};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};
use std::{collections::BTreeMap, sync::Arc};

const START_MS: i64 = 1_672_531_200_000;
const WARM_UP_DAYS: i64 = 60;
const SEARCH_DAYS: i64 = 120;
const EVERY_DAYS: i64 = 10;
const SESSIONS: i64 = 12;
/// Where the edge is replaced, its new one has been there so long when the last session searches.
const CHANGED_DAYS: i64 = 180;
const LATER_DAYS: i64 = 3 * 365;
const KINDS: [&str; 4] = ["mean_reversion", "momentum", "volume_spike", "time_of_day"];
const CHAMPIONS: usize = 10;
const NULL_SEARCHES: u32 = 3;

struct World {
    market: SimulatedMarket,
    symbols: Vec<Symbol>,
    /// End of the last session's search window, day.
    last_day: i64,
}

impl World {
    fn new(name: &str, number: u64, seed: Seed, sharpe: f64) -> Self {
        let symbols: Vec<Symbol> = ["BTCUSDT", "ETHUSDT"].iter().map(|s| s.parse().unwrap()).collect();
        let mut spec = MarketSpec::noise(seed, START_MS, &symbols);
        let kind = |ahead: u64| -> EdgeKind { KINDS[(number + ahead) as usize % KINDS.len()].parse().unwrap() };
        let lasting = |kind: EdgeKind| EdgeSpec::lasting(kind, symbols.clone(), sharpe);
        let changed = if name == "changed" { CHANGED_DAYS } else { 0 };
        let last_day = WARM_UP_DAYS + SEARCH_DAYS + SESSIONS * EVERY_DAYS + changed;
        let change_ms = START_MS + (last_day - CHANGED_DAYS) * DAY_MS;
        spec.edges = match name {
            "lasting" => vec![lasting(kind(0))],
            "changed" => vec![
                EdgeSpec { end_ms: Some(change_ms), ..lasting(kind(0)) },
                EdgeSpec { start_ms: change_ms, ..lasting(kind(1)) },
            ],
            "noise" => Vec::new(),
            _ => panic!("no world is called {name}"),
        };
        Self { market: SimulatedMarket::new(spec).unwrap(), symbols, last_day }
    }

    fn window(&self, from_ms: i64, to_ms: i64) -> Window {
        let of = |symbol: &Symbol| SymbolWindow {
            market: MarketKind::Spot,
            symbol: symbol.clone(),
            candles: Arc::new(
                self.market.candles(symbol, Timeframe::M15, from_ms - WARM_UP_DAYS * DAY_MS, to_ms).unwrap(),
            ),
            finer: Vec::new(),
            funding: Arc::from([]),
            readings: Arc::default(),
            across: Arc::default(),
        };
        Window::new(from_ms, to_ms, self.symbols.iter().map(of).collect()).unwrap()
    }

    /// The search window that ends on `day`.
    fn searchable(&self, day: i64) -> Searchable {
        let split_ms = START_MS + day * DAY_MS;
        let cut = |from_ms, to_ms| Ok(self.window(from_ms, to_ms));
        Split::cut(cut, split_ms - SEARCH_DAYS * DAY_MS, split_ms, split_ms + DAY_MS).unwrap().searchable
    }
}

struct Searched {
    /// The champions, best first.
    champions: Vec<AnyStrategy>,
    /// The champion after each generation.
    by_generation: Vec<Option<AnyStrategy>>,
    scored: Scored,
}

fn searched(config: &SearchConfig, market: &dyn Evaluator, seed: Seed, learnt: Option<Learnt>) -> Searched {
    let mut state = search::start(config, seed, Vec::new(), learnt);
    let mut by_generation = Vec::new();
    while !state.is_finished(config) {
        (state, _) = search::advance(config, state, market, &|_| false).unwrap();
        by_generation.push(search::champions(&state, 1).pop().map(|c| c.strategy));
    }
    let champions = search::champions(&state, CHAMPIONS).into_iter().map(|c| c.strategy).collect();
    Searched { champions, by_generation, scored: state.scored }
}

/// What was learnt, each belief moved by how the block scored against null markets.
fn moved(mut learnt: Learnt, scores: &Scores, weight: f64) -> Learnt {
    for (name, contrast) in scores.contrasts() {
        let belief = learnt.beliefs.entry(name.to_owned()).or_insert(Belief { mean: 0.0, sd: 1.0, strategies: 0 });
        belief.mean += weight * contrast.deviations();
    }
    learnt
}

fn measured(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let (markets, from) = (measured("SG_BENCH_MARKETS", 32.0) as u64, measured("SG_BENCH_FROM", 0.0) as u64);
    let (sharpe, root) = (measured("SG_BENCH_SHARPE", 8.0), Seed(measured("SG_BENCH_SEED", 1.0) as u64));
    let text = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let worlds = text("SG_BENCH_WORLDS", "lasting|changed|noise");
    let shares: Vec<f64> = text("SG_BENCH_SHARES", "0.15|0.3|0.5").split('|').map(|s| s.parse().unwrap()).collect();
    let weights: Vec<f64> = text("SG_BENCH_WEIGHTS", "0").split('|').map(|s| s.parse().unwrap()).collect();
    let config = |generations: u32, share: f64| SearchConfig {
        population_size: 100,
        generations,
        learner_fraction: share,
        immigrants_fraction: 0.15,
        refinement_fraction: 0.15,
        crossover_fraction: 0.2,
        min_trades: 30,
        ..SearchConfig::default()
    };
    let terms = Terms::default();
    println!("world,market,share,weight,promised,later,evaluations_to_plain");
    for name in worlds.split('|') {
        // By share: what the champion earned later, and the evaluations that it took to be as good as without learning.
        let mut results: BTreeMap<String, Vec<(f64, f64, f64)>> = BTreeMap::new();
        for number in from..from + markets {
            let seed = root.child(name, number);
            let (world, engine) = (World::new(name, number, seed, sharpe), Engine::new(128));
            let (mut past, mut scores): (Vec<WarmStart>, _) = (Vec::new(), Scores::default());
            let sessions = (world.last_day - WARM_UP_DAYS - SEARCH_DAYS) / EVERY_DAYS;
            for session in 0..sessions {
                let market = world.searchable(WARM_UP_DAYS + SEARCH_DAYS + session * EVERY_DAYS);
                let seed = seed.child("session", session as u64);
                let real = WindowEvaluator { engine: &engine, window: market.window(), terms: &terms };
                let found = searched(&config(10, 0.0), &real, seed, None);
                scores.add(&found.scored, false);
                for null in (0..NULL_SEARCHES).filter(|_| weights.iter().any(|weight| *weight > 0.0)) {
                    let ground = market.ground(&engine, &terms);
                    let null_market = ground.compared(seed, Some(null)).unwrap();
                    let seed = seed.child("null", u64::from(null));
                    scores.add(&searched(&config(10, 0.0), &*null_market, seed, None).scored, true);
                }
                past.extend(
                    found.champions.into_iter().map(|strategy| WarmStart { strategy, seen: market.seen_until() }),
                );
            }
            let market = world.searchable(world.last_day);
            let learnt = protocol::learnt(&past, &market.ground(&engine, &terms));
            let later = {
                let from_ms = START_MS + world.last_day * DAY_MS;
                world.window(from_ms, from_ms + LATER_DAYS * DAY_MS)
            };
            let earned = |strategy: &AnyStrategy, window: &Window| {
                let outcome =
                    evaluate_rules(&engine, std::slice::from_ref(strategy), window, &terms, Wanted::default()).pop();
                outcome.and_then(|o| o.ok()?.performance.sharpe_ratio).unwrap_or(0.0)
            };
            let mut plain_later = 0.0;
            let evaluator = WindowEvaluator { engine: &engine, window: market.window(), terms: &terms };
            let schemes = shares.iter().flat_map(|share| weights.iter().map(move |weight| (*share, *weight)));
            for (share, weight) in std::iter::once((0.0, 0.0)).chain(schemes) {
                let with = learnt.clone().filter(|_| share > 0.0).map(|learnt| moved(learnt, &scores, weight));
                let found = searched(&config(20, share), &evaluator, seed.child("last", 0), with);
                let champion = found.champions.first();
                let later_sharpe = champion.map_or(0.0, |c| earned(c, &later));
                let promised = champion.map_or(0.0, |c| earned(c, market.window()));
                if share == 0.0 {
                    plain_later = later_sharpe;
                }
                let as_good = |c: &Option<AnyStrategy>| c.as_ref().is_some_and(|c| earned(c, &later) >= plain_later);
                let reached = found.by_generation.iter().position(as_good).map_or(20, |at| at + 1) as f64 * 100.0;
                println!("{name},{number},{share},{weight},{promised:.3},{later_sharpe:.3},{reached}");
                results.entry(format!("{share} | {weight}")).or_default().push((promised, later_sharpe, reached));
            }
        }
        table(name, &results);
    }
}

fn table(name: &str, results: &BTreeMap<String, Vec<(f64, f64, f64)>>) {
    let mean_and_error = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        (mean, (variance / n).sqrt())
    };
    let Some(plain) = results.get("0 | 0") else { return };
    println!(
        "\n{name}\n| learner's share | weight of scores | markets | promised | three years after | against none | evaluations to be as good |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (share, rows) in results {
        let column = |of: &dyn Fn(&(f64, f64, f64)) -> f64| rows.iter().map(of).collect::<Vec<f64>>();
        let (promised, _) = mean_and_error(&column(&|r| r.0));
        let (later, error) = mean_and_error(&column(&|r| r.1));
        let (reached, reached_error) = mean_and_error(&column(&|r| r.2));
        let differences: Vec<f64> = rows.iter().zip(plain).map(|(a, b)| a.1 - b.1).collect();
        let (gain, gain_error) = mean_and_error(&differences);
        println!(
            "| {share} | {} | {promised:.2} | {later:.2} ± {error:.2} | {gain:+.2} ± {gain_error:.2} | {reached:.0} ± \
             {reached_error:.0} |",
            rows.len()
        );
    }
}
