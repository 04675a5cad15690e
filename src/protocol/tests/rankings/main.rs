//! Planted edges of the cross-section, seen through the engine of ranking strategies: as strong as stated, for those who
//! know them and for nobody else.
// Helpers outside test functions may fail a test.
#![allow(clippy::unwrap_used)]

use candles::time::DAY_MS;
use candles::{InstrumentTable, Interval, MarketKind, readings::MarketReadings};
use engine::{Costs, Slippage};
use genome::{Ranking, random::Seed};
use portfolio::{Panel, PortfolioTerms, Ticker, Track, run};
use simulated::{EdgeKind, EdgeSpec, MarketSpec, SimulatedMarket};

/// 2024-01-01.
const START_MS: i64 = 1_704_067_200_000;
const DAYS: i64 = 4 * 365 + 60;
/// When strategies begin: all edges have symbols to rank by then.
const FROM_MS: i64 = START_MS + 60 * DAY_MS;
const TO_MS: i64 = START_MS + DAYS * DAY_MS;

fn market(seed: u64, edges: Vec<EdgeSpec>) -> SimulatedMarket {
    let mut spec = MarketSpec::coins(Seed(seed), START_MS, 40, DAYS as u32).unwrap();
    spec.edges = edges;
    SimulatedMarket::new(spec).unwrap()
}

fn panel(market: &SimulatedMarket) -> Panel {
    let ticker = |spec: &simulated::SymbolSpec| Ticker {
        symbol: spec.symbol.clone(),
        candles: market.candles(&spec.symbol, Interval::H4, START_MS, TO_MS).unwrap(),
        funding: Vec::new(),
        readings: MarketReadings::default(),
    };
    let tickers = market.spec().symbols.iter().map(ticker).collect();
    Panel::new(MarketKind::Spot, Interval::H4, tickers, &InstrumentTable::default()).unwrap()
}

fn free() -> PortfolioTerms {
    let costs = Costs {
        fee_fraction: 0.0,
        slippage: Slippage::Fixed { bps: 0.0 },
        delisting_fraction: 0.0,
        ..Costs::default()
    };
    PortfolioTerms { costs, ..PortfolioTerms::default() }
}

fn track(text: &str, panel: &Panel, terms: &PortfolioTerms) -> Track {
    run(&text.parse::<Ranking>().unwrap(), panel, FROM_MS, TO_MS, terms).unwrap()
}

/// Daily returns, 00:00 to 00:00 UTC, from the first whole day on.
fn daily(track: &Track) -> Vec<f64> {
    let at_midnight: Vec<f64> = track.slots.iter().filter(|s| s.time_ms % DAY_MS == 0).map(|s| s.equity).collect();
    at_midnight.windows(2).map(|w| w[1] / w[0] - 1.0).collect()
}

fn sharpe(returns: &[f64]) -> f64 {
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
    mean / variance.sqrt() * 365f64.sqrt()
}

/// Of four years on each of some seeds, the mean annual Sharpe ratio, and its standard error.
fn over_seeds(edge: &EdgeSpec, ranking: &str, seeds: std::ops::Range<u64>) -> (f64, f64) {
    let each = seeds.map(|seed| sharpe(&daily(&track(ranking, &panel(&market(seed, vec![edge.clone()])), &free()))));
    let all: Vec<f64> = each.collect();
    // Of a true ratio s, measured over so many years of 365 days: (1 + s^2 / (2 x 365)) / years.
    let years = 4.0 * all.len() as f64;
    (all.iter().sum::<f64>() / all.len() as f64, ((1.0 + edge.sharpe.powi(2) / 730.0) / years).sqrt())
}

fn as_strong_as_stated(name: &str, stated: f64) {
    let kind: EdgeKind = name.parse().unwrap();
    let edge = EdgeSpec::lasting(kind, Vec::new(), stated);
    let (earned, error) = over_seeds(&edge, &kind.ideal_ranking().unwrap(), 1..4);
    // What the drift was set by was measured, too: to 3 %.
    let bound = 3.0 * error.hypot(0.03 * stated);
    assert!((earned - stated).abs() < bound, "{name}: {earned:.2} +- {error:.2}, stated {stated}");
}

#[test]
fn momentum_earns_its_ranking_what_is_stated() {
    as_strong_as_stated("rank_momentum", 4.0);
}

#[test]
fn reversal_earns_its_ranking_what_is_stated() {
    as_strong_as_stated("rank_reversal", 4.0);
}

#[test]
fn volume_earns_its_ranking_what_is_stated() {
    as_strong_as_stated("rank_volume", 4.0);
}

/// Rankings by something else.
const OTHERS: [(&str, &str); 4] = [
    ("-realized_volatility(42)", "the calm"),
    ("mean(quote_volume, 180)", "the large"),
    ("mean(volume, 6) / mean(volume, 120)", "what is traded more than usual"),
    ("close / highest(high, 540)", "near the high"),
];

fn ranking(score: &str) -> String {
    format!(
        "4h; universe top 100 by quote_volume(30d), listed 30d; score {score}; rebalance 1d; weights linear; gross 1"
    )
}

#[test]
fn without_an_edge_and_beside_it_rankings_earn_nothing() {
    let momentum: EdgeKind = "rank_momentum".parse().unwrap();
    let noise: Vec<Panel> = (11..15).map(|seed| panel(&market(seed, Vec::new()))).collect();
    let planted = EdgeSpec::lasting(momentum, Vec::new(), 5.0);
    let planted: Vec<Panel> = (15..17).map(|seed| panel(&market(seed, vec![planted.clone()]))).collect();
    // Mean of so many times four years, to four of its standard errors.
    let nothing = |panels: &[Panel], text: &str, what: &str| {
        let earned: f64 = panels.iter().map(|panel| sharpe(&daily(&track(text, panel, &free())))).sum();
        let (mean, error) = (earned / panels.len() as f64, 0.5 / (panels.len() as f64).sqrt());
        assert!(mean.abs() < 4.0 * error, "{what}: {mean:.2} +- {error:.2}");
    };
    for (score, what) in OTHERS {
        nothing(&noise, &ranking(score), what);
    }
    for name in ["rank_momentum", "rank_reversal"] {
        nothing(&noise, &name.parse::<EdgeKind>().unwrap().ideal_ranking().unwrap(), name);
    }
    // Nearness to the high knows what rose: it is no stranger to momentum.
    for (score, what) in &OTHERS[..3] {
        nothing(&planted, &ranking(score), what);
    }
}

#[test]
fn an_edge_that_dies_is_gone_from_then_on() {
    let kind: EdgeKind = "rank_reversal".parse().unwrap();
    let end_ms = FROM_MS + 2 * 365 * DAY_MS;
    let dying = EdgeSpec { end_ms: Some(end_ms), ..EdgeSpec::lasting(kind, Vec::new(), 6.0) };
    let market = market(21, vec![dying]);
    let returns = daily(&track(&kind.ideal_ranking().unwrap(), &panel(&market), &free()));
    // Two years each: the standard error is 0.7.
    let (before, after) = returns.split_at(729);
    assert!(sharpe(before) > 3.9 && sharpe(after).abs() < 2.1, "{:.2} {:.2}", sharpe(before), sharpe(after));
}

#[test]
fn coins_come_late_and_end_as_the_definitions_say() {
    let market = market(31, Vec::new());
    let panel = panel(&market);
    let terms = PortfolioTerms { costs: Costs { delisting_fraction: 0.01, ..free().costs }, ..free() };
    let track = track(&ranking("close / delay(close, 84) - 1"), &panel, &terms);
    let (mut late, mut ended) = (0, 0);
    for (number, spec) in market.spec().symbols.iter().enumerate() {
        let number = panel.instruments().iter().position(|i| i.id().symbol == spec.symbol).unwrap_or(number);
        let held = |rebalance: &portfolio::Rebalance| rebalance.targets.iter().any(|t| t.0 as usize == number);
        let first = track.rebalances.iter().find(|r| held(r)).map(|r| r.time_ms);
        if let Some(listed_ms) = spec.listed_ms.filter(|at| (FROM_MS..TO_MS - 40 * DAY_MS).contains(at)) {
            // Its first candle of 4h opens then or before.
            let first_ms = listed_ms / (4 * 3_600_000) * (4 * 3_600_000);
            let day = (first_ms + 31 * DAY_MS - 1).div_euclid(DAY_MS) * DAY_MS;
            // A coin in the middle of the ranks has a weight of 0.
            assert!(first.is_none_or(|at| at == day || at == day + DAY_MS), "{}: {first:?}, {day}", spec.symbol);
            late += u32::from(first.is_some());
        }
        let Some(delisted_ms) = spec.delisted_ms.filter(|at| *at < TO_MS - 8 * DAY_MS) else { continue };
        let candles = panel.instruments()[number].candles();
        let last_close_ms = candles.last_close_time_ms().unwrap() + 1;
        assert!((delisted_ms..delisted_ms + 4 * 3_600_000).contains(&last_close_ms), "{}", spec.symbol);
        let stay = track.closed.iter().rfind(|c| c.instrument as usize == number);
        let Some(stay) = stay.filter(|c| c.exit_ms > last_close_ms) else { continue };
        ended += 1;
        assert_eq!(stay.exit_ms, last_close_ms + 7 * DAY_MS, "{}", spec.symbol);
        // Its units are those of the last rebalance whose orders found a candle.
        let traded = track.rebalances.iter().rfind(|r| r.time_ms < delisted_ms && held(r)).unwrap();
        let target = traded.targets.iter().find(|t| t.0 as usize == number).unwrap().1;
        let equity = track.slots.iter().find(|s| s.time_ms == traded.time_ms).unwrap().equity;
        let at = candles.open_times_ms().partition_point(|open| *open < traded.time_ms);
        let value = target.abs() * equity / candles.closes()[at - 1] * candles.closes().last().unwrap();
        let paid = track.gains[&(number as u32)].fees;
        assert!((paid / (0.01 * value) - 1.0).abs() < 1e-9, "{}: {paid} of {value}", spec.symbol);
    }
    assert!(late >= 6 && ended >= 5, "{late} listed late, {ended} ended while they were held");
    // Nobody is left who is not listed.
    let last = track.rebalances.last().unwrap();
    let traded = market.spec().symbols.iter().filter(|s| s.is_traded(START_MS, last.time_ms)).count();
    assert!(traded < 40 && last.members as usize <= traded, "{} of {traded}", last.members);
}
